"""A child is restarted with patience, stopped in order, and killed where it does not stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from uploads.linux.processes import kill_session, session_members
from uploads.management import process
from uploads.management.process import Child, StopSignals

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    print("ready", flush=True)
while True:
    time.sleep(60)
"""


class Clock:
    """time.monotonic with hands that we move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    hands = Clock()
    monkeypatch.setattr(process, "time", hands)
    return hands


class Scripted(Child):
    """A child whose program is given instead of manage.py's command."""

    program = "raise SystemExit(3)"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.program], start_new_session=True, stdout=subprocess.PIPE
        )
        started.append(self._process)
        self._started = process.time.monotonic()
        self.due = None

    def ended(self) -> None:
        assert self._process
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()


started: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Whatever a test that failed left running is gone with it."""
    yield
    while started:
        one = started.pop()
        kill_session(one.pid)
        one.wait()


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    with StopSignals() as entered:
        yield entered


def test_each_end_in_a_row_doubles_the_wait_up_to_a_cap(clock: Clock) -> None:
    child = Scripted("toy", [], grace=1)
    waits = []
    child.start()
    for _ in range(9):
        child.ended()
        assert child.tend()
        assert child.due
        waits.append(child.due - clock.now)
        assert child.tend() is None  # said once, and not started before it is due
        clock.now = child.due
        child.tend()
        assert child.due is None
    child.ended()
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_after_a_steady_time_an_end_is_a_first_one_again(clock: Clock) -> None:
    child = Scripted("toy", [], grace=1)
    child.ends = 5
    child.start()
    clock.now += 61
    child.ended()
    assert child.tend() == "The toy ended with status 3; it starts again in 0.5 s."


def test_one_that_lives_is_left_alone(signals: StopSignals) -> None:
    child = Scripted("toy", [], grace=5)
    child.program = "import time; time.sleep(60)"
    child.start()
    assert child.tend() is None
    child.stop(signals)
    child.ended()


def test_one_that_does_not_stop_is_killed_with_its_whole_session(signals: StopSignals) -> None:
    child = Scripted("toy", [], grace=0.2)
    child.program = STUBBORN
    child.start()
    assert child._process and child._process.stdout
    assert child._process.stdout.readline() == b"ready\n"
    assert child.pid
    assert len(session_members(child.pid)) == 2
    began = time.monotonic()
    child.stop(signals)
    assert 0.2 <= time.monotonic() - began < 5
    assert session_members(child.pid) == []
    child.ended()


def test_a_second_stop_signal_ends_the_waiting(signals: StopSignals) -> None:
    child = Scripted("toy", [], grace=60)
    child.program = STUBBORN
    child.start()
    assert child._process and child._process.stdout
    assert child._process.stdout.readline() == b"ready\n"
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.requested and not signals.hurry
    assert signals.requested_at
    signals.requested_at -= 2  # some time ago
    os.kill(os.getpid(), signal.SIGTERM)
    began = time.monotonic()
    child.stop(signals)
    assert time.monotonic() - began < 5
    child.ended()


def test_one_that_waits_for_its_restart_is_not_started_by_a_stop(signals: StopSignals) -> None:
    child = Scripted("toy", [], grace=1)
    child.start()
    child.ended()
    assert child.tend()
    child.stop(signals)
    assert child.due is None
