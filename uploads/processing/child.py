"""What happens inside the sandbox child: detect the type, find the processor, run it, tell how it ended."""

from __future__ import annotations

import errno
import fnmatch
import os
import resource
import tempfile
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from uploads.codes import FAILURE_CODES
from uploads.processing import wire
from uploads.processing.base import MIB, ArtifactFile, Context, Json, Limits, ProcessingError
from uploads.processing.detect import detect
from uploads.processing.jail import set_limit
from uploads.processing.registry import DEFAULT, Registry

PROGRESS_SECONDS = 0.1
# Left for telling about an out-of-memory error after it happened.
HEADROOM_BYTES = 8 * MIB


@dataclass(frozen=True)
class Rules:
    """What the worker's configuration says about every job."""

    registry: Registry
    overrides: Mapping[str, Mapping[str, float]]
    allowed_types: tuple[str, ...]
    memory_baseline: int  # bytes of data (as RLIMIT_DATA counts) that a child has before it does anything
    resident_baseline: int  # and bytes of them in memory

    @cached_property
    def _limits(self) -> dict[str, Limits]:
        return {kind: self.registry.limits(kind, self.overrides) for kind in self.registry.kinds()}

    def limits(self, kind: str) -> Limits:
        """What one file of this kind may cost. Raises KeyError."""
        return self._limits[kind]

    @cached_property
    def ceiling(self) -> Limits:
        """The largest of each limit over all kinds: what a child starts with as its hard limits."""
        every = self._limits.values()
        return Limits(
            memory_bytes=max(one.memory_bytes for one in every),
            cpu_seconds=max(one.cpu_seconds for one in every),
            wall_seconds=max(one.wall_seconds for one in every),
            output_bytes=max(one.output_bytes for one in every),
            processes=max(one.processes for one in every),
            open_files=max(one.open_files for one in every),
        )


def work(
    rules: Rules, path: Path, filename: str, artifacts: Path, fd: int, *, others: int | None
) -> NoReturn:
    """Work on the file and end this process: frames go to `fd`, status 0 says that all was told."""
    sender = _Sender(fd)
    limits = rules.limits(DEFAULT)
    apply_limits(limits, rules.ceiling, rules.memory_baseline, others=others)
    tempfile.tempdir = os.environ["TMPDIR"] = str(artifacts)
    me = os.getpid()
    try:
        try:
            sender.send(wire.DONE, _done(rules, path, filename, artifacts, sender, others))
        except BaseException as error:  # noqa: BLE001 - sys.exit is one; each becomes a code
            if os.getpid() != me:
                os._exit(1)  # a copy that the processor forked has walked into our code
            _more_memory()
            sender.send(wire.FAILED, failure(error))
    except MemoryError:
        os._exit(wire.OUT_OF_MEMORY_STATUS)
    except BaseException:  # noqa: BLE001 - nothing may unwind into the zygote's loop
        os._exit(1)
    os._exit(0)


def _done(
    rules: Rules, path: Path, filename: str, artifacts: Path, sender: _Sender, others: int | None
) -> bytes:
    me = os.getpid()
    detected = detect(path, filename)
    content_type = detected.content_type
    kind, processor = rules.registry.for_type(content_type)
    sender.send(
        wire.KIND,
        wire.dump(
            {
                "kind": kind,
                "content_type": content_type,
                "contradiction": wire.clean_text(detected.contradiction),
            }
        ),
    )
    bare = content_type.partition(";")[0].strip()
    if rules.allowed_types and not any(fnmatch.fnmatchcase(bare, one) for one in rules.allowed_types):
        raise ProcessingError("unsupported_type", f"Files of type {bare} are not accepted here.")
    limits = rules.limits(kind)
    apply_limits(limits, limits, rules.memory_baseline, others=others)
    job = Context(
        path=path,
        filename=filename,
        content_type=content_type,
        size=path.stat().st_size,
        limits=limits,
        artifacts_dir=artifacts,
        report=sender.progress,
    )
    result = wire.dump_result(processor.process(job))
    if os.getpid() != me:
        os._exit(1)
    listing: list[Json] = [_listed(one) for one in job.artifacts]
    # The result is JSON already: put it in by hand rather than encode a megabyte twice.
    return b'{"artifacts":' + wire.dump(listing) + b',"result":' + result + b"}"


def _listed(one: ArtifactFile) -> dict[str, Json]:
    return {"name": one.name, "content_type": wire.clean_text(one.content_type), "size": one.size}


def apply_limits(soft: Limits, hard: Limits, baseline: int, *, others: int | None) -> None:
    """Put `soft` into force, with `hard` as what may still be raised to.

    `baseline` are the bytes of data we started with, `others` the processes that count as our user's beside
    us: None when these are unknown, and so no limit can be set.
    """
    cpu, last = _whole(soft.cpu_seconds), _whole(hard.cpu_seconds) + 1
    set_limit(
        resource.RLIMIT_DATA, soft.memory_bytes + baseline, hard.memory_bytes + baseline + HEADROOM_BYTES
    )
    set_limit(resource.RLIMIT_CPU, cpu, last)
    set_limit(resource.RLIMIT_FSIZE, soft.output_bytes, hard.output_bytes)
    set_limit(resource.RLIMIT_NOFILE, soft.open_files, hard.open_files)
    set_limit(resource.RLIMIT_CORE, 0, 0)
    if others is not None:
        # One more than allowed, so that the zygote sees the limit passed and not just reached.
        set_limit(resource.RLIMIT_NPROC, soft.processes + others + 1, hard.processes + others + 1)


def _whole(seconds: float) -> int:
    return max(1, int(-(-seconds // 1)))


def _more_memory() -> None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def failure(error: BaseException) -> bytes:
    """The body of a FAILED frame for what was raised."""
    code, message, detail = _judge(error)
    trace = ""
    if not isinstance(error, ProcessingError):
        trace = "".join(traceback.format_exception(error, limit=-50))
    return wire.dump(
        {
            "code": code,
            "message": wire.clean_text(message)[:1000],
            "detail": wire.clean_text(detail)[:4000],
            "exception_type": f"{type(error).__module__}.{type(error).__qualname__}"[:200],
            "traceback": wire.clean_text(trace)[-wire.TRACEBACK_BYTES :],
        }
    )


def _judge(error: BaseException) -> tuple[str, str, str]:
    """(code, sentence for the uploader, detail for operators) of what was raised."""
    if isinstance(error, ProcessingError):
        return error.code, error.message, error.detail
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError):
        return "out_of_memory", "The file needs more memory than is allowed.", said
    if isinstance(error, RecursionError):
        return "too_complex", "The file is nested too deep.", said
    if isinstance(error, wire.TooLarge):
        return "too_complex", "What was found in this file is too much to store.", said
    if isinstance(error, OSError):
        return _judge_os(error, said)
    if isinstance(error, Exception):
        return "internal_error", _title("internal_error"), said
    return "processor_crashed", _title("processor_crashed"), said


def _judge_os(error: OSError, said: str) -> tuple[str, str, str]:
    if error.errno == errno.EFBIG:
        return "too_complex", "What is made from this file would be too large.", said
    if error.errno == errno.ENOMEM:
        return "out_of_memory", "The file needs more memory than is allowed.", said
    if error.errno == errno.EAGAIN:  # fork and clone at RLIMIT_NPROC
        return "processor_crashed", _title("processor_crashed"), f"At the limit of processes. {said}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE}:
        return "storage_unavailable", _title("storage_unavailable"), said
    return "internal_error", _title("internal_error"), said


def _title(code: str) -> str:
    return FAILURE_CODES[code].uploader_advice


class _Sender:
    """The child's end of the pipe."""

    def __init__(self, fd: int) -> None:
        self._fd, self._next = fd, 0.0

    def send(self, kind: bytes, body: bytes) -> None:
        wire.write_all(self._fd, wire.frame(kind, body))

    def progress(self, percent: float, note: str) -> None:
        """At most one frame each PROGRESS_SECONDS: a processor may tell about every row."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PROGRESS_SECONDS
            safe = wire.clean({"percent": percent, "note": note[:200]})
            self.send(wire.PROGRESS, wire.dump(safe))


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor above 2 that is not in `keep`."""
    low = 3
    for fd in sorted(keep):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, max(low, os.sysconf("SC_OPEN_MAX")))
