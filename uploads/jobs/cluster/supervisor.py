"""The supervisor: keeps one cluster and one keeper running, until a stop signal ends all of it in order.

    supervisor           forks, watches, passes one stop on, reaps orphans; never touches the database
    ├─ keeper            beats, sweeps, notices a hung cluster (maintenance.py)
    └─ cluster's main    leads a session: sentinel, pusher, monitor, workers with their sandboxes (cluster.py)

Every descendant is tied to its parent, so that none outlives a supervisor that is killed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from django.conf import settings
from django.db import connections

from uploads.jobs.cluster import maintenance, node, sentinel
from uploads.jobs.cluster.node import NodeIdentity
from uploads.jobs.cluster.shared_state import Board
from uploads.jobs.worker import shutdown
from uploads.linux import processes, syscalls
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

STOP_MARGIN = 5.0  # beyond UPLOADS_STOP_GRACE, for what is released at its end to be written down
FAREWELL = 3.0  # for the keeper's last round
HASTY_FAREWELL = 1.0  # the same, after a second signal
SHORT_LIFE = 3.0  # a cluster that ends sooner by itself is started again with a growing delay
DELAY_CAP = 10.0
KEEPER_SILENCE = 120.0  # a keeper without a finished round for so long is started anew


def stop_seconds() -> float:
    """The longest that an ordinary stop takes; whoever waits for a supervisor waits for a little more."""
    return float(settings.UPLOADS_STOP_GRACE) + STOP_MARGIN + FAREWELL


class Supervisor:
    """Run it once, in the main thread of a process that has no other children."""

    def __init__(self, *, run_once: bool = False) -> None:
        self.node = NodeIdentity()
        self.board = Board()
        self.run_once = run_once
        self._main = 0  # pid of the cluster's main process; 0 while there is none
        self._keeper = 0
        self._main_due: float | None = None
        self._keeper_due: float | None = None
        self._started = 0.0
        self._short_lives = 0
        self._verdicts, self._judge = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self) -> int:
        """Supervise until a stop; the exit status: 0 after one in order, 1 where it had to kill.

        Raises DatabaseError where the node's row cannot be written at the start.
        """
        with processes.StopSignals(last=True) as signals:
            syscalls.become_subreaper()
            processes.bind_forks()
            sentinel.relax_database()
            node.register(self.node)
            connections.close_all()
            self._start_cluster()
            self._start_keeper()
            log.info("cluster.started", node=str(self.node.id), pid=os.getpid(), workers=self.node.workers)
            ended_with = None
            while not signals.requested and ended_with is None:
                dues = [due for due in (self._main_due, self._keeper_due) if due is not None]
                signals.wait(min([5.0, *(due - time.monotonic() for due in dues)]), self._verdicts)
                ended_with = self._look(stopping_now=signals.requested)
            return self._stop(signals, ended_with)

    # ------------------------------------------------------------ watching

    def _look(self, *, stopping_now: bool) -> int | None:
        """See to what has ended, hung or is due; the exit status of a cluster that was to run once."""
        ended = processes.reap()
        if self._main in ended:
            status = ended[self._main]
            if self.run_once:
                self._end_cluster()
                return status
            if stopping_now:
                self._end_cluster()
            else:
                self._restart(f"The cluster's main process {_ending(status)}.")
        if self._keeper in ended:
            log.error("keeper.ended", how=_ending(ended[self._keeper]))
            self._keeper, self._keeper_due = 0, time.monotonic() + 1.0
        if stopping_now:
            return None
        if reason := self._verdict():
            self._restart(reason)
        processes.kill_children({self._main, self._keeper})  # orphans: their parent was killed
        self._start_what_is_due()
        return None

    def _start_what_is_due(self) -> None:
        now = time.monotonic()
        if self._main_due is not None and now >= self._main_due:
            self._start_cluster()
        if self._keeper and now - max(self.board.round_at.value, self._keeper_started) > KEEPER_SILENCE:
            log.error("keeper.silent", seconds=KEEPER_SILENCE)
            os.kill(self._keeper, signal.SIGKILL)
        if self._keeper_due is not None and now >= self._keeper_due:
            self._start_keeper()

    def _verdict(self) -> str:
        """Why the keeper wants the cluster started anew, "" where it does not."""
        try:
            return os.read(self._verdicts, 4096).decode("utf-8", "replace")
        except BlockingIOError:
            return ""

    def _restart(self, reason: str) -> None:
        """End the cluster whole and start it anew: at once, or later where it has just been started."""
        lived = time.monotonic() - self._started
        self._end_cluster()
        self._verdict()  # one that was passed meanwhile was about the cluster that is gone
        # A hung one has lived longer, or the keeper would not have judged it.
        self._short_lives = self._short_lives + 1 if lived < SHORT_LIFE else 0
        delay = min(DELAY_CAP, 0.25 * 2.0**self._short_lives) if self._short_lives > 1 else 0.0
        self._main_due = time.monotonic() + delay
        self.board.restarts.value += 1
        self.board.note = reason
        log.error("cluster.restarted", reason=reason, restarts=self.board.restarts.value, after=delay)

    # ------------------------------------------------------------ starting and stopping

    def _start_cluster(self) -> None:
        self._main_due = None
        self._started = time.monotonic()
        self.board.started_at.value = 0.0
        self._main = self._fork(lambda: sentinel.run(self.node, self.board, run_once=self.run_once))

    def _start_keeper(self) -> None:
        self._keeper_due = None
        self._keeper_started = time.monotonic()
        self._keeper = self._fork(lambda: maintenance.run(self.node, self.board, self._judge))

    def _end_cluster(self) -> None:
        """SIGKILL what is left of the cluster, wherever it hides."""
        if self._main:
            processes.kill_session(self._main)
            # A main process that was killed before it led a session is a child like any other.
            processes.kill_children({self._keeper})
            processes.reap_pid(self._main)
            self._main = 0
            self.board.started_at.value = 0.0

    def _stop(self, signals: processes.StopSignals, ended_with: int | None) -> int:
        if ended_with is None:
            log.info("cluster.stopping", grace=settings.UPLOADS_STOP_GRACE)
        shutdown.ask()
        in_order = self._stop_cluster(signals) if self._main else True
        self._stop_keeper(signals)
        left = processes.kill_children(set())
        processes.reap()
        status = ended_with if ended_with is not None else 0 if in_order else 1
        log.info("cluster.stopped", node=str(self.node.id), in_order=in_order, killed=left, status=status)
        return status

    def _stop_cluster(self, signals: processes.StopSignals) -> bool:
        """Pass one SIGTERM to the cluster's main process and wait; whether it ended by itself."""
        os.kill(self._main, signal.SIGTERM)
        deadline = time.monotonic() + settings.UPLOADS_STOP_GRACE + STOP_MARGIN
        ended: dict[int, int] = {}
        while self._main not in ended and not signals.hurry and time.monotonic() < deadline:
            signals.wait(min(0.2, deadline - time.monotonic()))
            ended = processes.reap()
            if self._keeper in ended:
                self._keeper = 0
        in_order = self._main in ended
        if not in_order:
            log.error(
                "cluster.killed", reason="asked twice" if signals.hurry else "did not stop within its grace"
            )
        self._end_cluster()
        return in_order

    def _stop_keeper(self, signals: processes.StopSignals) -> None:
        """Let the keeper give back what is still running here and sign off."""
        if not self._keeper:
            return
        os.kill(self._keeper, signal.SIGTERM)
        deadline = time.monotonic() + (HASTY_FAREWELL if signals.hurry else FAREWELL)
        while time.monotonic() < deadline:
            signals.wait(min(0.1, deadline - time.monotonic()))
            if self._keeper in processes.reap():
                return
        log.warning("keeper.killed")

    def _fork(self, body: Callable[[], int]) -> int:
        """Fork a child that exits with what `body` returns; its pid. No connection is open meanwhile."""
        held = signal.pthread_sigmask(signal.SIG_BLOCK, processes.STOPS)
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            return pid
        status = 1
        try:
            # Signals that come from here on are the child's own: none is lost in a copy of our memory.
            signal.set_wakeup_fd(-1)
            for number in (*processes.STOPS, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            status = body()
        except Exception:
            log.exception("child.crashed")
        finally:
            os._exit(status)


def _ending(status: int) -> str:
    """An exit status in words; a negative one is the signal that ended it."""
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
