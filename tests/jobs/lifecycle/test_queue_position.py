"""The line: who stands where, and when about it is whose turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from tests.factories import make_attempt, make_job, make_node
from uploads.jobs.lifecycle import queue_position
from uploads.jobs.lifecycle.queue_position import Line, Wait
from uploads.models import Attempt, Outcome, Pause, State, UploadJob

pytestmark = pytest.mark.django_db


def waiting(seconds: float, **fields: Any) -> UploadJob:
    """A job that may start since so many seconds."""
    return make_job(run_after=timezone.now() - timedelta(seconds=seconds), **fields)


def took(seconds: float) -> None:
    now = timezone.now()
    made = make_attempt(make_job(State.SUCCEEDED), outcome=Outcome.SUCCEEDED, started_at=now)
    Attempt.objects.filter(pk=made.pk).update(finished_at=now + timedelta(seconds=seconds))


def test_jobs_stand_in_the_order_in_which_they_start() -> None:
    late, early, urgent = waiting(1), waiting(9), waiting(1, priority=9)
    not_yet = waiting(-60)
    stand = queue_position.line()
    assert [stand.wait(job.pk) for job in (urgent, early, late, not_yet)] == [
        Wait(1, None), Wait(2, None), Wait(3, None), None,
    ]  # fmt: skip


def test_who_is_held_back_by_a_pause_has_no_place() -> None:
    held, free = waiting(9, kind="table"), waiting(5)
    Pause.objects.create(kind="table")
    assert queue_position.line().wait(held.pk) is None
    assert queue_position.line().wait(free.pk) == Wait(1, None)


def test_the_wait_is_what_attempts_took_lately_over_all_workers() -> None:
    made = [waiting(seconds) for seconds in (9, 8, 7)]
    took(4)
    took(8)
    make_node(workers=2)
    make_node(workers=1)
    make_node(workers=96, stopped_at=timezone.now())
    make_node(workers=96, beat_at=timezone.now() - timedelta(minutes=1))
    assert [queue_position.line().wait(job.pk) for job in made] == [Wait(1, 2.0), Wait(2, 4.0), Wait(3, 6.0)]


@pytest.mark.parametrize("missing", ["workers", "attempts"])
def test_nothing_is_promised_where_nothing_is_known(missing: str) -> None:
    job = waiting(9)
    if missing == "workers":
        took(4)
    else:
        make_node()
    assert queue_position.line().wait(job.pk) == Wait(1, None)
    assert queue_position.line().start(job.pk) is None


@pytest.mark.parametrize(
    ("pace", "start"),
    [(3, "12:00:10"), (49, "12:00:50"), (61, "12:02:00"), (599, "12:10:00"), (601, "12:15:00")],
)
def test_a_start_is_told_the_more_coarsely_the_later_it_is(pace: float, start: str) -> None:
    job_id = uuid4()
    stand = Line(datetime(2026, 5, 1, 12, 0, tzinfo=UTC), {job_id: 1}, pace)
    told = stand.start(job_id)
    assert told is not None
    assert f"{told:%H:%M:%S}" == start


def test_all_who_look_within_a_second_share_one_answer(django_assert_num_queries: Any) -> None:
    waiting(9)
    with django_assert_num_queries(3):  # the line, the workers, the attempts
        queue_position.line()
    with django_assert_num_queries(0):
        queue_position.line()
