"""The line: which place a waiting job has in it, and about when it will be started.

All who look share one answer, since the order of a long queue is not free.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import Sum

from uploads.models import Attempt, Node, UploadJob

LENGTH = 1000  # places that are told; nobody plans by a later one
LINE_SECONDS = 1.0  # how old an answer may be
PACE_SECONDS = 10.0  # the same for what an attempt takes: it moves slowly, and so estimates keep still
ATTEMPTS = 50  # the latest ones, which tell what one takes


class Wait(NamedTuple):
    """`position` counts from 1; `seconds` until the start are None where nothing is known of them."""

    position: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """The first LENGTH jobs that may start, whoever owns them, as they stood at a time.

    `pace` is the seconds from one start to the next, None while no worker or no finished attempt is known.
    """

    at: datetime
    positions: dict[UUID, int]
    pace: float | None

    def wait(self, job_id: UUID) -> Wait | None:
        """How a job waits; None for one that is not in the line."""
        position = self.positions.get(job_id)
        if position is None:
            return None
        return Wait(position, None if self.pace is None else position * self.pace)

    def start(self, job_id: UUID) -> datetime | None:
        """About when a job starts: the coarser the later, so that who asks again mostly hears the same."""
        wait = self.wait(job_id)
        if wait is None or wait.seconds is None:
            return None
        step = 10 if wait.seconds < 60 else 60 if wait.seconds < 600 else 300
        return datetime.fromtimestamp(math.ceil((self.at.timestamp() + wait.seconds) / step) * step, UTC)


EMPTY = Line(datetime.fromtimestamp(0, UTC), {}, None)

_line: tuple[float, Line] = (-math.inf, EMPTY)
_pace: tuple[float, float | None] = (-math.inf, None)


def line() -> Line:
    """The line now, or a second ago."""
    global _line
    now = time.monotonic()
    if now - _line[0] > LINE_SECONDS:
        waiting = UploadJob.objects.due().unpaused().order_by("-priority", "run_after", "pk")
        first = waiting.values_list("pk", flat=True)[:LENGTH]
        positions = {job_id: number for number, job_id in enumerate(first, 1)}
        # An empty line needs no pace.
        _line = now, Line(datetime.now(UTC), positions, _pace_of_late(now) if positions else None)
    return _line[1]


def forget() -> None:
    """Look anew next time: for tests, whose lines are not each other's."""
    global _line, _pace
    _line, _pace = (-math.inf, EMPTY), (-math.inf, None)


def _pace_of_late(now: float) -> float | None:
    global _pace
    if now - _pace[0] > PACE_SECONDS:
        _pace = now, _measured()
    return _pace[1]


def _measured() -> float | None:
    """What the latest attempts took on average, over the workers there are.

    By what an attempt takes, and not by finished jobs a minute: those are few after a quiet hour.
    """
    workers: int = Node.objects.live().aggregate(all=Sum("workers"))["all"] or 0
    latest = Attempt.objects.order_by("-pk").values_list("started_at", "finished_at")[:ATTEMPTS]
    took = [(end - start).total_seconds() for start, end in latest if end is not None]
    return sum(took) / len(took) / workers if took and workers else None
