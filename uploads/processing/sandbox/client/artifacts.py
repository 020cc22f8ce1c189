"""What a child has left in its directory: taken over when it is what was declared, removed when not."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from uploads.processing.base import ArtifactFile, Json

logger = logging.getLogger(__name__)

MAX_ARTIFACTS = 1000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_CONTENT_TYPE = re.compile(
    r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}(; ?[ -~]{1,100})?"
)


class BadArtifact(ValueError):
    """The child declares what it did not leave, or leaves what no artifact is."""


class TooMuchOutput(ValueError):
    """The artifacts together are larger than the limit."""


def content_type(value: object) -> str:
    """`value` if it is a media type. Raises BadArtifact."""
    if not isinstance(value, str) or not _CONTENT_TYPE.fullmatch(value):
        raise BadArtifact("not a media type")
    return value


def gather(directory: Path, declared: Json, limit: int) -> tuple[ArtifactFile, ...]:
    """Make the declared files ours, durable and the only ones left; nothing of the child may run any more.

    Raises BadArtifact, TooMuchOutput, OSError of our storage; then the directory is the caller's to clear.
    """
    artifacts = [_declared(one) for one in _listed(declared)]
    names = {one.name for one in artifacts}
    if len(names) != len(artifacts):
        raise BadArtifact("one name twice")
    taken = tuple(_take(directory, one) for one in artifacts)
    if sum(one.size for one in taken) > limit:
        raise TooMuchOutput(f"{sum(one.size for one in taken)} bytes of artifacts")
    clear(directory, keep=names)
    if taken:
        sync(directory)
    return taken


def clear(directory: Path, *, keep: Iterable[str] = ()) -> None:
    """Remove everything in `directory` but `keep`, however deep: links are not followed, nothing recurses."""
    kept = set(keep)
    number = 0
    while True:
        with os.scandir(directory) as found:
            entries = [one for one in found if one.name not in kept]
        if not entries:
            return
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink()
                continue
            Path(entry.path).chmod(0o700)
            with os.scandir(entry.path) as inside:
                inner = list(inside)
            for one in inner:
                if one.is_dir(follow_symlinks=False):
                    # Lifted to the top, so that a path never grows too long to name. A move needs
                    # write access to what is moved.
                    Path(one.path).chmod(0o700)
                    number += 1
                    Path(one.path).rename(directory / f"\x01{os.getpid()}-{number}")
                else:
                    Path(one.path).unlink()
            Path(entry.path).rmdir()


def discard(directory: Path) -> None:
    """Clear `directory` after a run that failed; what resists is logged, and left to the sweep."""
    try:
        clear(directory)
    except FileNotFoundError:
        return  # deleted meanwhile, with its job
    except OSError as error:
        logger.warning("artifacts of a failed run stay behind in %s: %s", directory, error)


def sync(directory: Path) -> None:
    """Make the names in `directory` durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _listed(declared: Json) -> list[Json]:
    if not isinstance(declared, list) or len(declared) > MAX_ARTIFACTS:
        raise BadArtifact("not a list of artifacts, or too many")
    return declared


def _declared(one: Json) -> ArtifactFile:
    if not isinstance(one, dict):
        raise BadArtifact("not an artifact")
    name, size = one.get("name"), one.get("size")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(size, int):
        raise BadArtifact("not an artifact's name and size")
    return ArtifactFile(name, content_type(one.get("content_type")), size)


def _take(directory: Path, declared: ArtifactFile) -> ArtifactFile:
    try:
        fd = os.open(directory / declared.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BadArtifact(f"{declared.name} is not there, or a link") from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_size != declared.size:
            raise BadArtifact(f"{declared.name} is not the file that was declared")
        with contextlib.suppress(PermissionError):  # ours already, on a file system without owners
            os.fchown(fd, os.geteuid(), os.getegid())
        os.fchmod(fd, 0o600)
        os.fsync(fd)
    finally:
        os.close(fd)
    return declared
