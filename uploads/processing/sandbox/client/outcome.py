"""How a run ended: what the child said of itself, held against what the zygote saw of it."""

from __future__ import annotations

import errno
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from uploads.codes import FAILURE_CODES
from uploads.processing.base import ArtifactFile, Json
from uploads.processing.sandbox import protocol
from uploads.processing.sandbox.client.artifacts import BadArtifact, TooMuchOutput, content_type

# The share of its memory limit at which a dying process is taken to have died of it.
NEAR = 0.8
_ALLOCATION_WORDS = ("bad_alloc", "memory allocation of", "out of memory", "cannot allocate memory")
# Together with a sentence of ours, what a child said last is no longer than a detail.
_MESSAGE, _DETAIL, _SAID = 1000, 4096, 3900


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run cost: largest resident memory of the child, its CPU time, bytes it wrote, clock time."""

    peak_memory_bytes: int
    cpu_seconds: float
    bytes_written: int
    wall_seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """The processor returned. `contradiction` is "" when the name does not lie about the content."""

    kind: str
    content_type: str
    contradiction: str
    result: dict[str, Json]
    artifacts: tuple[ArtifactFile, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not: `code` of FAILURE_CODES, `message` for the uploader, the rest for operators.

    `kind` and `content_type` are "" when it ended before they were known.
    """

    code: str
    message: str
    detail: str
    exception_type: str
    traceback: str
    kind: str
    content_type: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Stopped:
    """It was ended because we asked for it."""

    usage: Usage


@dataclass(slots=True)
class Told:
    """What came over the socket so far."""

    stopping: bool = False
    ended: bool = False
    forged: bool = False
    elsewhere: bool = False
    kind: dict[str, Json] = field(default_factory=dict)
    done: dict[str, Json] | None = None
    failed: dict[str, Json] | None = None
    end: dict[str, Any] = field(default_factory=dict)
    broken: dict[str, Any] | None = None

    @property
    def is_for_another(self) -> bool:
        """Whether the file is of a kind that this zygote does not have, and nothing else happened."""
        well = self.end.get("cause") == "exited" and self.end.get("exit") == 0
        return self.elsewhere and well and not (self.stopping or self.forged)

    def take(self, kind: bytes, body: bytes, on_progress: Callable[[float, str], None]) -> None:
        """Note a frame; progress is passed on at once."""
        if kind in {protocol.END, protocol.BROKEN}:  # from the zygote itself
            self.ended = True
            told = json.loads(body)
            if kind == protocol.END:
                self.end = told
            else:
                self.broken = told
            return
        try:
            told = protocol.load(body)
            if kind == protocol.KIND:
                self.kind = {
                    "kind": _text(told, "kind", 40),
                    "content_type": content_type(told.get("content_type")),
                    "contradiction": _text(told, "contradiction", 500),
                }
            elif kind == protocol.PROGRESS:
                on_progress(*_progress(told))
            elif kind == protocol.DONE:
                self.done = told
            elif kind == protocol.ELSEWHERE:
                self.elsewhere = True
            else:
                self.failed = told
        except (protocol.BadFrame, BadArtifact):
            self.forged = True


def judge(told: Told, gather: Callable[[Json, int], tuple[ArtifactFile, ...]]) -> Done | Failed | Stopped:
    """The outcome. `gather(declared artifacts, limit)` makes them ours; its OSError is a failure too."""
    usage = Usage(
        int(told.end.get("peak_memory_bytes", 0)),
        float(told.end.get("cpu_seconds", 0)),
        int(told.end.get("bytes_written", 0)),
        float(told.end.get("wall_seconds", 0)),
    )
    if told.stopping:
        return Stopped(usage)
    if told.broken is not None:
        return _failed(told, usage, *_not_lent(told.broken))
    cause, exit_ = told.end["cause"], told.end["exit"]
    if told.forged or cause == "forged":
        return _failed(told, usage, "processor_crashed", "It sent what no processor sends.")
    if cause == "exited" and exit_ == 0:
        if told.failed is not None:
            return _reported(told, usage, told.failed)
        if told.done is not None:
            return _finished(told, usage, told.done, gather)
    return _failed(told, usage, *_ended_badly(told.end, cause, exit_))


def lost(code: str, detail: str, wall_seconds: float) -> Failed:
    """The outcome of a file whose run did not come to an end of its own."""
    return _failed(Told(), Usage(0, 0.0, 0, wall_seconds), code, detail)


def _finished(
    told: Told,
    usage: Usage,
    done: dict[str, Json],
    gather: Callable[[Json, int], tuple[ArtifactFile, ...]],
) -> Done | Failed:
    result = done.get("result")
    if not isinstance(result, dict) or not told.kind:
        return _failed(told, usage, "processor_crashed", "It sent what no processor sends.")
    try:
        artifacts = gather(done.get("artifacts"), int(told.end["output_limit"]))
    except BadArtifact as error:
        return _failed(told, usage, "processor_crashed", f"Artifacts: {error}.")
    except TooMuchOutput as error:
        return _failed(told, usage, "too_complex", f"Artifacts: {error}.")
    except OSError as error:
        return _failed(told, usage, "storage_unavailable", f"Artifacts: {error}")
    kind = told.kind
    return Done(
        str(kind["kind"]), str(kind["content_type"]), str(kind["contradiction"]), result, artifacts, usage
    )


def _reported(told: Told, usage: Usage, failed: dict[str, Json]) -> Failed:
    code = failed.get("code")
    if not isinstance(code, str) or code not in FAILURE_CODES:
        return _failed(told, usage, "processor_crashed", "It failed with a code that does not exist.")
    try:
        message, detail = _text(failed, "message", _MESSAGE), _text(failed, "detail", _DETAIL)
        kind = _text(failed, "exception_type", 200)
        trace = _text(failed, "traceback", protocol.TRACEBACK_BYTES)
    except protocol.BadFrame:
        return _failed(told, usage, "processor_crashed", "It sent what no processor sends.")
    return _failed(told, usage, code, detail, message=message, exception_type=kind, trace=trace)


def _ended_badly(end: dict[str, Any], cause: str, exit_: int) -> tuple[str, str]:
    """(code, detail) of a child that did not say how it ended."""
    said = f" It said: {end['stderr'][-_SAID:]}" if end["stderr"] else ""
    if cause == "wall" or exit_ == -signal.SIGXCPU:
        return "timed_out", f"It was ended after {end['wall_seconds']:.1f} s.{said}"
    if cause == "memory":
        return "out_of_memory", f"Its processes together passed {end['memory_limit']} bytes.{said}"
    if cause == "output":
        return "too_complex", f"It wrote more than {end['output_limit']} bytes.{said}"
    if cause == "processes":
        return "processor_crashed", f"It started more processes than it may.{said}"
    if exit_ == -signal.SIGXFSZ:
        return "too_complex", f"A file passed {end['output_limit']} bytes.{said}"
    near = NEAR * end["memory_limit"]
    words = end["stderr"].lower()
    if exit_ == protocol.OUT_OF_MEMORY_STATUS or max(end["data_bytes"], end["memory_bytes"]) > near:
        return "out_of_memory", f"It ended at its memory limit.{said}"
    if exit_ < 0 and any(one in words for one in _ALLOCATION_WORDS):
        return "out_of_memory", f"An allocation failed.{said}"
    if exit_ == -signal.SIGKILL and end["cpu_seconds"] >= end["cpu_limit"]:
        return "timed_out", f"It used {end['cpu_seconds']:.1f} s of CPU.{said}"
    how = signal.Signals(-exit_).name if exit_ < 0 else f"exit status {exit_}"
    return "processor_crashed", f"It ended with {how}.{said}"


def _not_lent(broken: dict[str, Any]) -> tuple[str, str]:
    missing = broken["errno"] in {errno.ENOENT, errno.ENOTDIR}
    return "file_missing" if missing else "storage_unavailable", str(broken["detail"])


def _failed(
    told: Told,
    usage: Usage,
    code: str,
    detail: str,
    *,
    message: str = "",
    exception_type: str = "",
    trace: str = "",
) -> Failed:
    return Failed(
        code,
        message or FAILURE_CODES[code].uploader_advice,
        detail[-_DETAIL:],
        exception_type,
        trace,
        str(told.kind.get("kind", "")),
        str(told.kind.get("content_type", "")),
        usage,
    )


def _text(body: dict[str, Json], key: str, limit: int) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise protocol.BadFrame(f"{key} is no text")
    return value[:limit]


def _progress(body: dict[str, Json]) -> tuple[float, str]:
    percent = body.get("percent")
    if not isinstance(percent, int | float) or isinstance(percent, bool):
        raise protocol.BadFrame("percent is no number")
    return max(0.0, min(100.0, float(percent))), _text(body, "note", 200)
