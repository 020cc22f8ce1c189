"""A hung cluster: due jobs, a free worker here, no start for a while. Anything less is not a hang."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.factories import make_attempt, make_job, make_node
from uploads.jobs.cluster import hang
from uploads.jobs.cluster.hang import StallWatch
from uploads.jobs.cluster.node import NodeIdentity
from uploads.jobs.cluster.shared_state import Board
from uploads.models import Node, Outcome, State

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data_dir")]


class Clock:
    """A monotonic clock that the test winds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Watched:
    """A watch over a node of two workers, looked at once a second."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.node: Node = make_node()
        self.board = Board()
        self.board.started_at.value = 1.0
        self.watch = StallWatch(NodeIdentity(id=self.node.pk, workers=2), self.board)

    def after(self, seconds: int, step: float = 1.0) -> str:
        """What the watch says in so many seconds: its first verdict, or ""."""
        for _ in range(int(seconds / step)):
            self.clock.now += step
            if verdict := self.watch.look():
                return verdict
        return ""


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Watched:
    clock = Clock()
    monkeypatch.setattr(hang, "time", clock)
    settings.UPLOADS_STALL_SECONDS = 8
    return Watched(clock)


def waiting() -> None:
    make_job(run_after=timezone.now() - timedelta(minutes=1))


def test_due_work_a_free_worker_and_no_start_is_a_hang_after_the_set_time(watched: Watched) -> None:
    waiting()
    assert watched.after(8) == ""
    assert watched.after(2) == "No job was started for 8 s, though jobs were due and a worker was free."


def test_an_idle_cluster_does_not_hang(watched: Watched) -> None:
    make_job(run_after=timezone.now() + timedelta(hours=1))
    make_job(State.FAILED)
    assert watched.after(60) == ""


def test_a_job_that_has_just_become_due_is_on_its_way(watched: Watched) -> None:
    make_job(run_after=timezone.now())
    assert watched.after(60) == ""


def test_two_long_jobs_and_a_backlog_are_not_a_hang(watched: Watched) -> None:
    for _ in range(2):
        make_attempt(make_job(State.RUNNING), node=watched.node)
    waiting()
    assert watched.after(60) == ""


def test_workers_of_other_nodes_do_not_count(watched: Watched) -> None:
    for _ in range(2):
        make_attempt(make_job(State.RUNNING), node=make_node())
    waiting()
    assert watched.after(10) != ""


def test_a_start_here_begins_the_time_anew(watched: Watched) -> None:
    waiting()
    assert watched.after(6) == ""
    make_attempt(make_job(State.SUCCEEDED), outcome=Outcome.SUCCEEDED, node=watched.node)
    assert watched.after(8) == ""
    assert watched.after(2) != ""


def test_a_cluster_that_is_down_or_has_just_started_is_not_judged(watched: Watched) -> None:
    waiting()
    watched.board.started_at.value = 0.0
    assert watched.after(60) == ""
    watched.board.started_at.value = watched.clock.now
    assert watched.after(8) == ""
    assert watched.after(2) != ""


def test_time_in_which_nobody_looked_does_not_count(watched: Watched) -> None:
    waiting()
    assert watched.after(6) == ""
    watched.clock.now += 60
    assert watched.after(8) == ""
    assert watched.after(2) != ""


def test_a_restart_that_did_not_help_is_given_twice_the_time(watched: Watched) -> None:
    waiting()
    assert watched.after(10) != ""
    assert watched.after(15) == ""
    assert watched.after(3) != ""


def test_after_a_worker_died_idle_less_patience_is_enough_until_the_next_start(watched: Watched) -> None:
    waiting()
    watched.board.deaths.value = 1
    assert watched.after(3) == ""
    assert watched.after(2) != ""
    make_attempt(make_job(State.SUCCEEDED), outcome=Outcome.SUCCEEDED, node=watched.node)
    assert watched.after(8) == ""
