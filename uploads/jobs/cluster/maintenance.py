"""The keeper: a process beside the cluster that beats for the node, sweeps, and sees that it does not hang.

It is apart from the supervisor, so that a locked or distant database never delays a stop.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from itertools import cycle

from django.conf import settings
from django.db import DatabaseError, connections

from uploads.jobs.cluster.hang import StallWatch
from uploads.jobs.cluster.node import NodeIdentity, beat, sign_off
from uploads.jobs.cluster.shared_state import Board
from uploads.jobs.queue import producer
from uploads.jobs.repair import cleanup, rescue, resumables
from uploads.jobs.repair.rescue import Finding
from uploads.jobs.worker import shutdown
from uploads.linux import processes
from uploads.storage import scan
from uploads.storage.fsync import StorageUnavailable
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

ROUND_SECONDS = 0.5
LOOK_SECONDS = 1.0
BEAT_SECONDS = 5.0
SLICE_SECONDS = 5.0  # 256 slices: all kept files and artifacts are looked at every 21 minutes
SPOOL_SECONDS = 60.0
RECORDS_SECONDS = 3600.0
# After the database was away, workers renew their leases first; only then is any taken for expired.
LEASES_AFTER = 10.0
SLOW_STEP = 5.0


class Keeper:
    """What is done in each round, and when which of it is due."""

    def __init__(self, node: NodeIdentity, board: Board, judge: int) -> None:
        self.node, self.board, self.judge = node, board, judge
        self._due: dict[str, float] = {}
        self._rescue = rescue.Rescue(node.boot_id, node.pid_namespace)
        self._stall = StallWatch(node, board)
        self._pusher = 0
        self._prefixes = cycle(scan.PREFIXES)
        self._in_touch_since = time.monotonic()
        self._round_at = time.monotonic()

    def round(self) -> None:
        """Do what is due; a step that fails is told in the log and done again in its turn."""
        if time.monotonic() - self._round_at > SLOW_STEP:
            self._lose_touch()  # we were stopped, or the machine was
        if self.board.started_at.value and self._is_due("beat", BEAT_SECONDS):
            self._try(self._beat)
        self._try(self._fast_rescue)
        if self._is_due("look", LOOK_SECONDS):
            if not shutdown.asked() and self._try(self._wake):
                self._try(self._judge_cluster)
            if time.monotonic() - self._in_touch_since >= LEASES_AFTER:
                self._try(self._leases)
        if self._is_due("slice", SLICE_SECONDS):
            self._try(self._slice)
        if self._is_due("spool", SPOOL_SECONDS):
            self._try(self._adopt)
            self._try(self._spool)
        if self._is_due("records", RECORDS_SECONDS):
            self._try(self._records)
        self._round_at = time.monotonic()

    def farewell(self) -> None:
        """The last round, when the cluster is gone: give back what it left running, and sign off."""
        self._try(self._release)
        self._try(self._sign_off)

    def _beat(self) -> None:
        beat(self.node, self.board.restarts.value, self.board.note)

    def _fast_rescue(self) -> None:
        _tell(self._rescue.look())

    def _wake(self) -> None:
        pusher = self.board.pusher.value
        _tell(rescue.lost_wake_ups(self.node.workers, at_once=pusher != self._pusher))
        self._pusher = pusher

    def _judge_cluster(self) -> None:
        if reason := self._stall.look():
            log.error("cluster.hangs", reason=reason)
            os.write(self.judge, reason.encode())

    def _leases(self) -> None:
        _tell(rescue.expired_leases())
        _tell(rescue.passed_deadlines())

    def _adopt(self) -> None:
        if adopted := producer.adopt():
            log.warning("queue.adopted", messages=adopted)

    def _slice(self) -> None:
        prefix = next(self._prefixes)
        _tell(cleanup.stray_files(prefix))
        _tell(cleanup.lost_artifacts(prefix))

    def _spool(self) -> None:
        _tell(cleanup.partial_uploads())
        _tell(cleanup.stray_spool())
        _tell(resumables.unqueued_transfers())
        _tell(resumables.expired_transfers())
        _tell(resumables.stray_fences())

    def _records(self) -> None:
        _tell(cleanup.old_records())
        _tell(resumables.old_transfers())

    def _release(self) -> None:
        _tell(rescue.release_own(self.node.id))

    def _sign_off(self) -> None:
        sign_off(self.node, self.board.note)

    def _try(self, step: Callable[[], None]) -> bool:
        """Do a step; whether it was done. A database, disk or broker that is away costs no more than that."""
        began = time.monotonic()
        try:
            step()
        except (DatabaseError, StorageUnavailable, *producer.BROKER_ERRORS) as wrong:
            reason = " ".join(str(wrong).split())
            log.warning("keeper.step_failed", step=step.__name__.strip("_"), reason=reason)
            connections.close_all()
            self._lose_touch()
            return False
        if time.monotonic() - began > SLOW_STEP:
            self._lose_touch()
        return True

    def _lose_touch(self) -> None:
        self._in_touch_since = time.monotonic()
        self._stall.begin_anew()

    def _is_due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + seconds
        return True


def run(node: NodeIdentity, board: Board, judge: int) -> int:
    """Keep until SIGTERM; the exit status. `judge` is written a sentence when the cluster must start anew."""
    os.setsid()  # a stop of the supervisor's whole group is not ours to hear: we end last, when told to
    keeper = Keeper(node, board, judge)
    with processes.StopSignals() as signals:
        while not signals.requested:
            keeper.round()
            board.round_at.value = time.monotonic()
            signals.wait(ROUND_SECONDS)
        keeper.farewell()
    return 0


def sweep_once(*, dry_run: bool) -> list[Finding]:
    """One whole round by hand, as all supervisors together do it in time. Raises DatabaseError and others."""
    dead_workers = rescue.Rescue(processes.boot_id(), processes.pid_namespace())
    dead_workers.look(dry_run=dry_run)
    found: list[Finding] = [
        *rescue.expired_leases(dry_run=dry_run),
        *rescue.passed_deadlines(dry_run=dry_run),
        *rescue.lost_wake_ups(settings.WORKERS, dry_run=dry_run),
        *cleanup.partial_uploads(dry_run=dry_run),
        *cleanup.stray_spool(dry_run=dry_run),
        *cleanup.old_records(dry_run=dry_run),
        *resumables.unqueued_transfers(dry_run=dry_run),
        *resumables.expired_transfers(dry_run=dry_run),
        *resumables.stray_fences(dry_run=dry_run),
        *resumables.old_transfers(dry_run=dry_run),
    ]
    for prefix in scan.PREFIXES:
        found += cleanup.stray_files(prefix, dry_run=dry_run)
        found += cleanup.lost_artifacts(prefix, dry_run=dry_run)
    time.sleep(rescue.CONFIRM_SECONDS)
    return dead_workers.look(dry_run=dry_run) + found


def _tell(found: Iterable[Finding]) -> None:
    for one in found:
        log.warning("sweep.found", what=one.what, cure=one.cure, job=str(one.job or ""), attempt=one.attempt)
