"""Whether this node's cluster hangs: due jobs, a free worker here, and yet no start for a while."""

from __future__ import annotations

import math
import time
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from uploads.jobs.cluster.node import NodeIdentity
from uploads.jobs.cluster.shared_state import Board
from uploads.jobs.repair import rescue
from uploads.models import Attempt, UploadJob

SUSPECT_SECONDS = 3.0
WAITING_SECONDS = 2.0  # a job due for less may just be on its way
LONGEST_GAP = 3.0  # between two looks; after a longer one we were stopped or blocked, and begin anew
MOST_DOUBLINGS = 4


class StallWatch:
    """Look about once a second. Two long jobs and a backlog are not a hang: no worker is free then.

    A worker that dies idle may have held the lock on django-q2's queue, for which all others then wait: after
    a death the cluster is suspect until its next start, and SUSPECT_SECONDS are enough. A cluster that was
    started anew and does not start a job either is given twice as long each time.
    """

    def __init__(self, node: NodeIdentity, board: Board) -> None:
        self.node, self.board = node, board
        self._since: float | None = None
        self._looked = 0.0
        self._seen: tuple[float, int] = (0.0, 0)
        self._deaths = 0
        self._verdicts = 0

    def begin_anew(self) -> None:
        """Forget what was seen: what follows could have another cause than a hang."""
        self._since = None

    def look(self) -> str:
        """A sentence where the cluster has been hanging for UPLOADS_STALL_SECONDS, else "". Raises DatabaseError."""
        waiting = self._waiting() if self._worker_free() else 0
        seen = (self.board.started_at.value, self._last_start())
        now = time.monotonic()
        if seen[1] != self._seen[1]:
            self._verdicts = 0
            self._deaths = self.board.deaths.value
        if not waiting or not seen[0] or seen != self._seen or now - self._looked > LONGEST_GAP:
            self._since = None
        self._seen, self._looked = seen, now
        if not waiting or not seen[0]:
            return ""
        self._since = now if self._since is None else self._since
        suspect = self.board.deaths.value != self._deaths
        seconds = min(SUSPECT_SECONDS if suspect else math.inf, settings.UPLOADS_STALL_SECONDS)
        patience = seconds * 2 ** min(self._verdicts, MOST_DOUBLINGS)
        idle = now - self._since
        if idle < patience:
            return ""
        self._since = None
        self._verdicts += 1
        return f"No job was started for {idle:.0f} s, though jobs were due and a worker was free."

    def _waiting(self) -> bool:
        due = Now() - timedelta(seconds=WAITING_SECONDS)
        return UploadJob.objects.queued().unpaused().filter(run_after__lte=due).exists()

    def _worker_free(self) -> bool:
        return sum(one.node_id == self.node.id for one in rescue.running()) < self.node.workers

    def _last_start(self) -> int:
        mine = Attempt.objects.filter(node_id=self.node.id).order_by("-pk")
        return mine.values_list("pk", flat=True).first() or 0
