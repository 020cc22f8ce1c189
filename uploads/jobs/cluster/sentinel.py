"""django-q2's cluster as a child of the supervisor: a session of its own, and its settings of the database.

It is django-q2's Sentinel with its workers, monitor and pusher. Its Cluster class is left out: that one
waits for the sentinel inside a signal handler, which hangs for ever once the sentinel is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import uuid
from types import FrameType
from typing import Any

from django.db import connections
from django_q.cluster import Sentinel
from django_q.conf import Conf

from uploads.jobs.cluster.node import NodeIdentity
from uploads.jobs.cluster.shared_state import Board
from uploads.jobs.lifecycle import worker_id
from uploads.jobs.queue.broker import QuickBroker
from uploads.linux.holder_lock import HolderLock

SENTINEL_LOST = 70  # exit status: the cluster ended though nobody had asked it to


def relax_database() -> None:
    """Settings for processes that do work which can be repeated, and that fork.

    Commits need not survive a power cut (DESIGN: a move that is lost is an attempt done again),
    connections are reused, and there is no pool, since its threads do not survive a fork.
    """
    connections.close_all()
    conf: dict[str, Any] = connections.settings["default"]
    options = conf["OPTIONS"] = dict(conf.get("OPTIONS") or {})
    conf["CONN_MAX_AGE"] = 60
    conf["CONN_HEALTH_CHECKS"] = True
    if "sqlite" in conf["ENGINE"]:
        given = str(options.get("init_command", ""))
        options["init_command"] = f"{given.rstrip().rstrip(';')}; PRAGMA synchronous=NORMAL;".lstrip("; ")
    else:
        options.pop("pool", None)
        options["options"] = f"{options.get('options', '')} -c synchronous_commit=off".strip()


class WatchedSentinel(Sentinel):
    """django-q2's sentinel, which writes on the board which process is its pusher, and that workers died.

    The locks of its queues do not die with a worker, a monitor or a pusher that is killed.
    """

    board: Board

    def start(self) -> None:
        for queue in (self.task_queue, self.result_queue):
            queue._rlock, queue._wlock = HolderLock(), HolderLock()
        super().start()

    def spawn_pusher(self) -> Any:
        if isinstance(self.broker, QuickBroker):
            self.broker.ahead = self.task_queue.qsize
        process = super().spawn_pusher()
        self.board.pusher.value = process.pid
        return process

    def reincarnate(self, process: Any) -> None:
        if process in self.pool:
            self.board.deaths.value += 1
        super().reincarnate(process)


def run(node: NodeIdentity, board: Board, *, run_once: bool) -> int:
    """Be the cluster's main process until SIGTERM, or its sentinel's end; the exit status.

    Call it in a fresh fork. With `run_once` it stops as soon as it has started, as django-q2's does.
    """
    os.setsid()
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker_id.node_id = node.id
    WatchedSentinel.board = board
    context = multiprocessing.get_context("fork")
    stop_event, start_event = context.Event(), context.Event()
    sentinel = context.Process(
        target=WatchedSentinel, args=(stop_event, start_event, uuid.uuid4()), name="sentinel"
    )
    sentinel.start()
    while sentinel.is_alive():
        started = start_event.is_set()
        if started and not board.started_at.value:
            board.started_at.value = time.monotonic()
        if started and (asked or run_once) and not stop_event.is_set():
            stop_event.set()
        sentinel.join(0.1)
    return 0 if stop_event.is_set() and sentinel.exitcode == 0 else SENTINEL_LOST


def name_queue(name: str) -> None:
    """Let the cluster work on the queue of this name (`--name`). Before the cluster is forked."""
    os.environ["Q_CLUSTER_NAME"] = name
    Conf.CLUSTER_NAME = name
