"""What a processor is given, and what it may say: the whole contract between us and a kind of file.

A processor is a module (or any object) with

    TYPES: tuple[str, ...]       content types it takes, "image/*" allowed
    LIMITS: Limits               optional; what one file may cost
    def process(job: Context) -> dict[str, Json]

It runs in a sandbox child, knows one path and plain data, and nothing of Django.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from uploads.codes import FAILURE_CODES

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | dict[str, Json] | None"

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost: bytes, seconds, counts. `output_bytes` bounds all artifacts together."""

    memory_bytes: int = 512 * MIB
    cpu_seconds: float = 60
    wall_seconds: float = 120
    output_bytes: int = 64 * MIB
    processes: int = 16
    open_files: int = 64


class ProcessingError(Exception):
    """The file's own fault: `code` from the closed list, `message` one sentence for its uploader.

    `detail` is for operators only. Raises ValueError for a code outside the list.
    """

    def __init__(self, code: str, message: str, *, detail: str = "") -> None:
        if code not in FAILURE_CODES:
            raise ValueError(f"{code!r} is not a failure code")
        self.code = code
        self.message = message
        self.detail = detail
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """A derived file as a processor left it: `name` is unique within the job, `size` in bytes."""

    name: str
    content_type: str
    size: int


@dataclass(slots=True)
class Context:
    """One file to work on.

    `path` is readable and nothing else of ours is; `filename` is the uploader's, made safe, for
    messages only; `content_type` is what detection found; `size` in bytes; `limits` what it may cost.
    """

    path: Path
    filename: str
    content_type: str
    size: int
    limits: Limits
    artifacts_dir: Path
    report: Callable[[float, str], None] = lambda percent, note: None
    artifacts: list[ArtifactFile] = field(default_factory=list)

    def progress(self, percent: float, note: str = "") -> None:
        """Tell how far the work is: 0 to 100, and a few words such as "page 3 of 12"."""
        self.report(max(0.0, min(100.0, percent)), note[:200])

    def add_artifact(self, name: str, content_type: str, data: bytes) -> None:
        """Leave a derived file: `name` matches [a-z0-9][a-z0-9._-]{0,79}, `data` are its bytes.

        Raises ValueError for a bad or repeated name, ProcessingError(too_complex) over `output_bytes`.
        """
        if not _safe_name(name) or any(one.name == name for one in self.artifacts):
            raise ValueError(f"{name!r} is not a new artifact name")
        if sum(one.size for one in self.artifacts) + len(data) > self.limits.output_bytes:
            raise ProcessingError("too_complex", "The previews of this file would be too large.")
        (self.artifacts_dir / name).write_bytes(data)
        self.artifacts.append(ArtifactFile(name, content_type, len(data)))


class Processor(Protocol):
    """A kind of file: see the module's docstring."""

    TYPES: tuple[str, ...]

    def process(self, job: Context, /) -> dict[str, Json]: ...


def _safe_name(name: str) -> bool:
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    return 0 < len(name) <= 80 and set(name) <= allowed and name[0] not in "._-"
