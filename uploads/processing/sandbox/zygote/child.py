"""What happens inside the sandbox child: detect the type, find the processor, run it, tell how it ended."""

from __future__ import annotations

import errno
import fnmatch
import os
import resource
import tempfile
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from uploads.codes import FAILURE_CODES
from uploads.processing.base import ArtifactFile, Context, Json, ProcessingError
from uploads.processing.detection.content import detect
from uploads.processing.sandbox import protocol
from uploads.processing.sandbox.zygote.rlimits import Rules, enforce

PROGRESS_SECONDS = 0.1
_MOST_FILES = os.sysconf("SC_OPEN_MAX")


def work(rules: Rules, path: Path, filename: str, artifacts: Path, fd: int) -> NoReturn:
    """Work on the file and end this process: frames go to `fd`, status 0 says that all was told."""
    sender = _Sender(fd)
    enforce(rules.at_first)
    if tempfile.tempdir != str(artifacts):
        set_temporary(str(artifacts))
    me = os.getpid()
    try:
        try:
            sender.send(*_done(rules, path, filename, artifacts, sender))
        except BaseException as error:  # noqa: BLE001 - sys.exit is one; each becomes a code
            if os.getpid() != me:
                os._exit(1)  # a copy that the processor forked has walked into our code
            _more_memory()
            sender.send(protocol.FAILED, failure(error))
    except MemoryError:
        os._exit(protocol.OUT_OF_MEMORY_STATUS)
    except BaseException:  # noqa: BLE001 - nothing may unwind into the zygote's loop
        os._exit(1)
    os._exit(0)


def _done(rules: Rules, path: Path, filename: str, artifacts: Path, sender: _Sender) -> protocol.Frame:
    me = os.getpid()
    detected = detect(path, filename)
    content_type = detected.content_type
    kind = rules.registry.kind_for(content_type)
    sender.send(
        protocol.KIND,
        protocol.dump(
            {
                "kind": kind,
                "content_type": content_type,
                "contradiction": protocol.clean_text(detected.contradiction),
            }
        ),
    )
    bare = content_type.partition(";")[0].strip()
    if rules.allowed_types and not any(fnmatch.fnmatchcase(bare, one) for one in rules.allowed_types):
        raise ProcessingError("unsupported_type", f"Files of type {bare} are not accepted here.")
    if kind not in rules.here:
        return protocol.ELSEWHERE, protocol.dump({})
    enforce(rules.later[kind])
    job = Context(
        path=path,
        filename=filename,
        content_type=content_type,
        size=path.stat().st_size,
        limits=rules.every[kind],
        artifacts_dir=artifacts,
        report=sender.progress,
    )
    result = protocol.dump_result(rules.registry.get(kind).process(job))
    if os.getpid() != me:
        os._exit(1)
    listing: list[Json] = [_listed(one) for one in job.artifacts]
    # The result is JSON already: put it in by hand rather than encode a megabyte twice.
    return protocol.DONE, b'{"artifacts":' + protocol.dump(listing) + b',"result":' + result + b"}"


def _listed(one: ArtifactFile) -> dict[str, Json]:
    return {"name": one.name, "content_type": protocol.clean_text(one.content_type), "size": one.size}


def _more_memory() -> None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def failure(error: BaseException) -> bytes:
    """The body of a FAILED frame for what was raised."""
    code, message, detail = _judge(error)
    trace = ""
    if not isinstance(error, ProcessingError):
        trace = "".join(traceback.format_exception(error, limit=-50))
    return protocol.dump(
        {
            "code": code,
            "message": protocol.clean_text(message)[:1000],
            "detail": protocol.clean_text(detail)[:4000],
            "exception_type": f"{type(error).__module__}.{type(error).__qualname__}"[:200],
            "traceback": protocol.clean_text(trace)[-protocol.TRACEBACK_BYTES :],
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
    if isinstance(error, protocol.TooLarge):
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
        protocol.write_all(self._fd, protocol.frame(kind, body))

    def progress(self, percent: float, note: str) -> None:
        """At most one frame each PROGRESS_SECONDS: a processor may tell about every row."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PROGRESS_SECONDS
            safe = protocol.clean({"percent": percent, "note": note[:200]})
            self.send(protocol.PROGRESS, protocol.dump(safe))


def set_temporary(directory: str) -> None:
    """Let temporary files of this process and its helpers lie here."""
    tempfile.tempdir = os.environ["TMPDIR"] = directory


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor above 2 that is not in `keep`."""
    low = 3
    for fd in sorted(keep):
        if low < fd:
            os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, _MOST_FILES)
