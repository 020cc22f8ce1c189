"""Writers take turns: whoever waits begins soon after the one before, and nobody waits for ever."""

from __future__ import annotations

import multiprocessing
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from uploads.db.sqlite import write_queue
from uploads.db.sqlite.write_queue import Turn


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "db-turn")


def test_the_next_begins_once_the_one_before_has_ended(path: str) -> None:
    first, second = Turn(), Turn()
    first.take(path)
    began = threading.Event()

    def wait() -> None:
        second.take(path)
        began.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not began.wait(0.05)
    first.give_back()
    assert began.wait(1)
    thread.join()
    second.give_back()


def _hold(path: str, holds: Event) -> None:
    Turn().take(path)
    holds.set()
    time.sleep(60)  # ended by a kill


def test_a_turn_ends_with_its_process(path: str) -> None:
    holds = multiprocessing.Event()
    writer = multiprocessing.Process(target=_hold, args=(path, holds))
    writer.start()
    assert holds.wait(10)
    writer.kill()
    writer.join()

    began = time.monotonic()
    mine = Turn()
    mine.take(path)
    assert time.monotonic() - began < write_queue.MOST_SECONDS / 2
    mine.give_back()


def test_a_writer_that_has_stopped_in_mid_turn_does_not_stop_the_others(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_queue, "MOST_SECONDS", 0.02)
    stuck, mine = Turn(), Turn()
    stuck.take(path)
    mine.take(path)  # returns: SQLite's lock decides now
    mine.give_back()
    stuck.give_back()


def test_a_child_forked_in_mid_turn_does_not_keep_it(path: str) -> None:
    first, second = Turn(), Turn()
    first.take(path)
    holds = multiprocessing.get_context("fork").Event()
    child = multiprocessing.get_context("fork").Process(target=_hold, args=(f"{path}-other", holds))
    child.start()
    assert holds.wait(10)
    try:
        first.give_back()
        began = time.monotonic()
        second.take(path)
        assert time.monotonic() - began < write_queue.MOST_SECONDS / 2
    finally:
        child.kill()
        child.join()
    second.give_back()


def test_where_no_lock_file_can_be_made_there_is_just_no_turn(tmp_path: Path) -> None:
    mine = Turn()
    mine.take(str(tmp_path / "nowhere" / "db-turn"))
    mine.give_back()
