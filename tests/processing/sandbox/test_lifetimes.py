"""Who dies with whom: worker, zygote, child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.processing.conftest import Bench, all_gone
from uploads.processing.sandbox.client.sandbox import Done, Failed, Stopped
from uploads.processing.sandbox.zygote import usage

WORKER = """
import sys
from pathlib import Path
from tests.processing.conftest import Bench, hostile_config
from uploads.processing.sandbox.client.sandbox import Sandbox

sandbox = Sandbox(hostile_config(), without=sys.argv[3:])
sandbox.start()
say = lambda percent, note: print(note, flush=True)
print(Bench(sandbox, Path(sys.argv[1])).run(sys.argv[2], on_progress=say), flush=True)
"""
FENCES = {"every fence": (), "limits alone": ("landlock", "root", "user", "namespaces")}


@pytest.mark.parametrize("without", FENCES.values(), ids=FENCES.keys())
@pytest.mark.parametrize("action", ["sleep", "c_call", "regular_expression"])
def test_a_killed_worker_takes_zygote_and_child_along(
    tmp_path: Path, action: str, without: tuple[str, ...]
) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path), action, *without]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() in {b"in C\n", b"asleep\n"}
        below = usage.descendants(worker.pid)
        assert len(below) >= 2

        worker.kill()

        assert all_gone(below, 1)


@pytest.mark.parametrize("without", FENCES.values(), ids=FENCES.keys())
def test_a_killed_worker_takes_even_a_frozen_zygote_along(tmp_path: Path, without: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path), "sleep", *without]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"asleep\n"
        below = usage.descendants(worker.pid)
        for pid in below:
            os.kill(pid, signal.SIGSTOP)

        worker.kill()

        assert all_gone(below, 1)


@pytest.mark.parametrize("without", FENCES.values(), ids=FENCES.keys())
def test_a_killed_zygote_fails_its_file_and_the_next_run_starts_another(
    make_bench: Callable[..., Bench], without: tuple[str, ...]
) -> None:
    bench = make_bench(without=without)
    zygote = bench.sandbox.pid
    below: list[int] = []

    def kill(percent: float, note: str) -> None:
        below.extend(usage.descendants(zygote))
        os.kill(zygote, signal.SIGKILL)

    outcome = bench.run("c_call", on_progress=kill)

    assert isinstance(outcome, Failed)
    assert outcome.code == "processor_crashed"
    assert below
    assert all_gone(below, 1)
    assert isinstance(bench.run("nothing"), Done)
    assert bench.sandbox.pid != zygote


def test_a_zygote_killed_while_idle_is_replaced(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    os.kill(bench.sandbox.pid, signal.SIGKILL)

    assert isinstance(bench.run("nothing"), Failed | Done)
    assert isinstance(bench.run("nothing"), Done)


@pytest.mark.parametrize("action", ["sleep", "c_call", "fork_bomb"])
def test_a_stop_ends_the_work_within_a_second_and_leaves_nothing(bench: Bench, action: str) -> None:
    ready, tell = os.pipe()
    began: list[float] = []

    def stop(percent: float = 0, note: str = "") -> None:
        began.append(time.monotonic())
        os.write(tell, b"x")

    if action == "fork_bomb":
        stop()
    outcome = bench.run(action, on_progress=stop, stop_fd=ready)

    assert isinstance(outcome, Stopped)
    assert time.monotonic() - began[0] < 1
    assert list(bench.artifacts.iterdir()) == []
    os.close(ready)
    os.close(tell)
    bench.done("nothing")


def test_a_zygote_that_does_not_answer_is_no_hindrance_to_a_stop(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    ready, tell = os.pipe()
    below: list[int] = []

    def freeze_and_stop(percent: float, note: str) -> None:
        below.extend([bench.sandbox.pid, *usage.descendants(bench.sandbox.pid)])
        for pid in below:
            os.kill(pid, signal.SIGSTOP)
        os.write(tell, b"x")

    began = time.monotonic()
    outcome = bench.run("sleep", on_progress=freeze_and_stop, stop_fd=ready)

    assert isinstance(outcome, Stopped)
    assert time.monotonic() - began < 2
    assert all_gone(below, 1)
    os.close(ready)
    os.close(tell)
    assert isinstance(bench.run("nothing"), Done)


def test_what_the_progress_callback_raises_ends_the_work_and_passes(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    below: list[int] = []

    def lose_the_lease(percent: float, note: str) -> None:
        below.extend(usage.descendants(bench.sandbox.pid))
        raise ConnectionError("the database has gone")

    with pytest.raises(ConnectionError):
        bench.run("sleep", on_progress=lose_the_lease)

    assert all_gone(below, 1)
    assert isinstance(bench.run("nothing"), Done)


def test_signals_for_the_group_do_not_end_a_file_that_a_stopping_worker_finishes(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench()

    def terminate(percent: float, note: str) -> None:
        for pid in (bench.sandbox.pid, *usage.descendants(bench.sandbox.pid)[:1]):
            os.kill(pid, signal.SIGTERM)

    assert isinstance(bench.run("progress", "0.01", on_progress=terminate), Done)


def test_closing_leaves_no_process_and_no_descriptor(make_bench: Callable[..., Bench]) -> None:
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    bench = make_bench()
    bench.done("nothing")
    below = [bench.sandbox.pid, *usage.descendants(bench.sandbox.pid)]

    bench.sandbox.close()

    assert all_gone(below, 1)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_the_worker_may_have_other_threads(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    beat = threading.Event()
    thread = threading.Thread(target=beat.wait)
    thread.start()

    bench.done("nothing")

    beat.set()
    thread.join()
