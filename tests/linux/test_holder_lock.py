"""A lock that comes back when its holder is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

from uploads.linux.holder_lock import HolderLock

Fork = Callable[..., BaseProcess]
context = multiprocessing.get_context("fork")


@pytest.fixture
def fork() -> Iterator[Fork]:
    """Starts functions in processes, none of which outlives the test."""
    started: list[BaseProcess] = []

    def start(body: Callable[..., Any], *arguments: Any) -> BaseProcess:
        process = context.Process(target=body, args=arguments)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def hold(lock: HolderLock, held: Any) -> None:
    with lock:
        held.set()
        signal.pause()


def take(lock: HolderLock, taken: Any) -> None:
    with lock:
        taken.set()


def test_it_excludes_other_processes_until_it_is_released(fork: Fork) -> None:
    lock, taken = HolderLock(), context.Event()
    lock.acquire()
    fork(take, lock, taken)
    assert not taken.wait(0.2)
    lock.release()
    assert taken.wait(5)


def test_a_holder_that_is_killed_gives_it_back_to_those_that_wait(fork: Fork) -> None:
    lock, held, taken = HolderLock(), context.Event(), context.Event()
    holder = fork(hold, lock, held)
    assert held.wait(5)
    assert not lock.acquire(block=False)
    assert not lock.acquire(timeout=0.05)
    fork(take, lock, taken)
    assert not taken.wait(0.1)
    assert holder.pid
    os.kill(holder.pid, signal.SIGKILL)
    assert taken.wait(5)


def test_a_fork_of_the_holder_neither_holds_it_nor_keeps_it(fork: Fork) -> None:
    lock, held = HolderLock(), context.Event()
    lock.acquire()
    fork(hold, lock, held)
    assert not held.wait(0.1)  # a copy of the holder's memory is not the holder
    lock.release()
    assert held.wait(5)


def test_a_reader_that_is_killed_as_it_waits_leaves_its_queue_to_the_others(fork: Fork) -> None:
    queue: Any = context.Queue()
    queue._rlock = HolderLock()
    waiting = fork(queue.get)
    while queue._rlock.acquire(block=False):  # until it waits
        queue._rlock.release()
    assert waiting.pid
    os.kill(waiting.pid, signal.SIGKILL)
    waiting.join()
    queue.put("still here")
    assert queue.get(timeout=5) == "still here"
    queue.close()
