"""The keeper: a process beside the cluster that beats for the node, sweeps, and sees that it does not hang.

It is apart from the supervisor, so that a locked or distant database never delays a stop.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from django.db import DatabaseError, connections

from uploads.jobs import nodes, processes
from uploads.jobs.board import Board
from uploads.jobs.nodes import NodeIdentity
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

ROUND_SECONDS = 0.5
BEAT_SECONDS = 5.0


class Keeper:
    """What is done in each round, and when which of it is due."""

    def __init__(self, node: NodeIdentity, board: Board, judge: int) -> None:
        self.node, self.board, self.judge = node, board, judge
        self._due: dict[str, float] = {}

    def round(self) -> None:
        """Do what is due. Raises DatabaseError."""
        if self.board.started_at.value and self._is_due("beat", BEAT_SECONDS):
            nodes.beat(self.node, self.board.restarts.value, self.board.note)

    def farewell(self) -> None:
        """The last round, when the cluster is gone: give back what it left running, and sign off."""
        nodes.sign_off(self.node, self.board.note)

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
            _attempt(keeper.round)
            board.round_at.value = time.monotonic()
            signals.wait(ROUND_SECONDS)
        _attempt(keeper.farewell)
    return 0


def _attempt(step: Callable[[], None]) -> None:
    """Do a step; a database or broker that does not answer costs this one, and the next begins afresh."""
    try:
        step()
    except (DatabaseError, OSError) as wrong:
        log.warning("keeper.step_failed", step=step.__name__, reason=" ".join(str(wrong).split()))
        connections.close_all()
