"""What the child says counts only where the zygote saw nothing else."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from uploads.processing.base import MIB
from uploads.processing.sandbox import protocol
from uploads.processing.sandbox.client.outcome import Done, Failed, Stopped, Told
from uploads.processing.sandbox.client.outcome import judge as judge_told

END: dict[str, Any] = {
    "cause": "exited", "exit": 0, "stderr": "", "peak_memory_bytes": 1, "data_bytes": 0, "memory_bytes": 0,
    "memory_limit": 64 * MIB, "cpu_limit": 10, "output_limit": MIB, "cpu_seconds": 0.1, "bytes_written": 0,
    "wall_seconds": 0.2,
}  # fmt: skip
KIND = {"kind": "text", "content_type": "text/plain", "contradiction": ""}
DONE = {"result": {"a": 1}, "artifacts": []}
FAILED = {"code": "corrupt_file", "message": "m", "detail": "d", "exception_type": "e", "traceback": "t"}


def judge(*frames: tuple[bytes, Any], **end: object) -> Done | Failed | Stopped:
    told = Told()
    for kind, value in (*frames, (protocol.END, END | end)):
        told.take(kind, protocol.dump(value), lambda percent, note: None)
    return judge_told(told, lambda declared, limit: ())


def code(outcome: Done | Failed | Stopped) -> str:
    assert isinstance(outcome, Failed), outcome
    return outcome.code


def test_a_result_and_a_clean_exit_are_done() -> None:
    outcome = judge((protocol.KIND, KIND), (protocol.DONE, DONE))

    assert isinstance(outcome, Done)
    assert outcome.result == {"a": 1}


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ({"exit": 3}, "processor_crashed"),
        ({"exit": -signal.SIGSEGV}, "processor_crashed"),
        ({"exit": -signal.SIGKILL}, "processor_crashed"),
        ({"exit": -signal.SIGKILL, "cpu_seconds": 10.2}, "timed_out"),
        ({"exit": -signal.SIGXCPU}, "timed_out"),
        ({"exit": -signal.SIGXFSZ}, "too_complex"),
        ({"exit": protocol.OUT_OF_MEMORY_STATUS}, "out_of_memory"),
        ({"exit": -signal.SIGABRT, "data_bytes": 60 * MIB}, "out_of_memory"),
        ({"exit": -signal.SIGABRT, "stderr": "terminate called: std::bad_alloc"}, "out_of_memory"),
        ({"exit": -signal.SIGABRT, "stderr": "memory allocation of 99 bytes failed"}, "out_of_memory"),
        ({"exit": -signal.SIGABRT, "stderr": "assertion failed"}, "processor_crashed"),
        ({"cause": "wall", "exit": -9}, "timed_out"),
        ({"cause": "memory", "exit": -9}, "out_of_memory"),
        ({"cause": "output", "exit": -9}, "too_complex"),
        ({"cause": "processes", "exit": -9}, "processor_crashed"),
        ({"cause": "forged", "exit": -9}, "processor_crashed"),
    ],
)
def test_a_result_is_worth_nothing_from_a_child_that_ended_badly(end: dict[str, Any], expected: str) -> None:
    assert code(judge((protocol.KIND, KIND), (protocol.DONE, DONE), **end)) == expected


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [(protocol.KIND, KIND)],
        [(protocol.DONE, DONE)],
        [(protocol.KIND, KIND), (protocol.DONE, {})],
        [(protocol.KIND, KIND), (protocol.DONE, {"result": []})],
        [(protocol.KIND, KIND), (protocol.DONE, [])],
        [(protocol.KIND, KIND | {"content_type": "x" * 1000}), (protocol.DONE, DONE)],
        [(protocol.KIND, KIND | {"kind": 3}), (protocol.DONE, DONE)],
        [(protocol.KIND, KIND), (protocol.PROGRESS, {"percent": "1", "note": ""}), (protocol.DONE, DONE)],
        [(protocol.FAILED, FAILED | {"code": "no_such_code"})],
        [(protocol.FAILED, FAILED | {"code": ["corrupt_file"]})],
        [(protocol.FAILED, FAILED | {"message": 1})],
    ],
)
def test_what_no_processor_sends_is_a_crash(frames: list[tuple[bytes, Any]]) -> None:
    assert code(judge(*frames)) == "processor_crashed"


def test_texts_of_a_child_are_cut_to_size() -> None:
    long = dict.fromkeys(("message", "detail", "exception_type", "traceback"), "x" * 200000)

    outcome = judge((protocol.FAILED, FAILED | long))

    assert isinstance(outcome, Failed)
    assert len(outcome.message) <= 1000
    assert len(outcome.detail) <= 4096
    assert len(outcome.exception_type) <= 200
    assert len(outcome.traceback) <= 64 * 1024


def test_a_stop_we_asked_for_is_no_failure_whatever_came_of_it() -> None:
    told = Told(stopping=True, ended=True, end=END | {"exit": -9})

    assert isinstance(judge_told(told, lambda declared, limit: ()), Stopped)


def test_a_disk_that_fails_while_taking_artifacts_over_is_a_fault_of_our_storage() -> None:
    told = Told()
    for kind, value in ((protocol.KIND, KIND), (protocol.DONE, DONE), (protocol.END, END)):
        told.take(kind, protocol.dump(value), lambda percent, note: None)

    def full(declared: object, limit: int) -> tuple[()]:
        raise OSError(28, "No space left on device")

    assert code(judge_told(told, full)) == "storage_unavailable"
