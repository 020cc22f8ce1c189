"""The keeper: what it does in its rounds, and how it bears a database or a broker that is away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from tests.factories import make_attempt, make_failed_job, make_job
from uploads.jobs.cluster import maintenance, node
from uploads.jobs.cluster.maintenance import Keeper
from uploads.jobs.cluster.node import NodeIdentity
from uploads.jobs.cluster.shared_state import Board
from uploads.jobs.queue import producer
from uploads.jobs.repair import rescue
from uploads.models import ErrorRecord, Message, Node, State, UploadJob

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data_dir")]
LONG_AGO = timezone.now() - timedelta(hours=1)


class Clock:
    """A monotonic clock that the test winds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(maintenance, "time", clock)
    monkeypatch.setattr(maintenance.connections, "close_all", lambda: None)
    return clock


@pytest.fixture
def kept(clock: Clock) -> Iterator[Keeper]:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    one = Keeper(NodeIdentity(workers=2), Board(), writer)
    one.board.started_at.value = 1.0
    node.register(one.node)
    yield one
    os.close(reader)
    os.close(writer)


def rounds(kept: Keeper, clock: Clock, seconds: float) -> None:
    for _ in range(int(seconds * 2)):
        clock.now += 0.5
        kept.round()


def test_it_beats_while_the_cluster_is_up_and_is_silent_while_it_is_down(kept: Keeper, clock: Clock) -> None:
    Node.objects.update(beat_at=LONG_AGO)
    kept.board.started_at.value = 0.0
    rounds(kept, clock, 20)
    assert Node.objects.get().beat_at == LONG_AGO
    kept.board.started_at.value = clock.now
    rounds(kept, clock, 0.5)
    assert Node.objects.get().beat_at > LONG_AGO


def test_lost_wake_ups_are_found_without_being_asked(kept: Keeper, clock: Clock) -> None:
    make_job(run_after=LONG_AGO, woken_at=LONG_AGO)
    rounds(kept, clock, 0.5)
    assert Message.objects.count() == 1


def test_a_new_pusher_is_the_moment_to_wake_what_the_old_one_held(kept: Keeper, clock: Clock) -> None:
    rounds(kept, clock, 1)
    make_job(run_after=LONG_AGO, woken_at=timezone.now())
    rounds(kept, clock, 1)
    assert Message.objects.count() == 0
    kept.board.pusher.value = 4711
    rounds(kept, clock, 1)
    assert Message.objects.count() == 1


def test_after_the_database_was_away_workers_renew_their_leases_before_any_is_judged(
    kept: Keeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(kept, clock, 20)
    job = make_job(State.RUNNING, lease_until=LONG_AGO)
    make_attempt(job)

    def away(*_args: Any, **_kwargs: Any) -> Any:
        raise OperationalError("the server is gone")

    with monkeypatch.context() as gone:
        gone.setattr(rescue, "running", away)
        rounds(kept, clock, 1)
    rounds(kept, clock, maintenance.LEASES_AFTER - 1)
    assert not ErrorRecord.objects.exists()
    rounds(kept, clock, 3)
    assert ErrorRecord.objects.get().code == "worker_lost"


def test_a_broker_that_is_away_costs_a_wake_up_and_no_rescue(
    kept: Keeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(State.RUNNING)
    make_attempt(job, node=Node.objects.get(), pid=os.getpid(), pid_started=1)

    def away(most: int) -> int:
        raise producer.RedisError("connection refused")

    monkeypatch.setattr(producer, "due_depth", away)
    monkeypatch.setattr(rescue, "CONFIRM_SECONDS", 0.0)
    kept._rescue._gone_since = {(job.pk, 1): -1e9}
    rounds(kept, clock, 1)
    assert UploadJob.objects.queued().get() == job


def test_the_farewell_gives_back_what_the_node_left_and_signs_off(kept: Keeper) -> None:
    job = make_job(State.RUNNING)
    make_attempt(job, node=Node.objects.get(), pid=os.getpid(), pid_started=1)
    kept.farewell()
    assert UploadJob.objects.queued().get() == job
    assert not ErrorRecord.objects.exists()
    assert Node.objects.get().stopped_at is not None


class TestSweepByHand:
    def said(self, *options: str) -> list[str]:
        out = StringIO()
        call_command("sweep", *options, stdout=out)
        return out.getvalue().splitlines()

    def test_it_shows_first_and_does_then(self) -> None:
        job = make_job(run_after=LONG_AGO, woken_at=LONG_AGO)
        lost = f"Job {job.pk}: it is due and nobody starts it; "
        assert self.said("--dry-run") == [
            "A dry run: nothing is changed.",
            f"{lost}to be woken again.",
            "Findings: 1.",
        ]
        assert not Message.objects.exists()
        assert self.said() == [f"{lost}woken again.", "Findings: 1."]
        assert self.said() == ["Nothing is lost."]

    def test_it_finds_a_worker_of_this_host_that_is_gone(self) -> None:
        identity = NodeIdentity()
        node.register(identity)
        job = make_job(State.RUNNING)
        make_attempt(job, node=Node.objects.get(), pid=os.getpid(), pid_started=1)
        assert self.said()[0] == f"Job {job.pk}, attempt 1: its worker here:4711 is gone; failed."
        assert ErrorRecord.objects.get().code == "worker_lost"

    def test_what_is_finished_is_left_alone(self) -> None:
        make_failed_job()
        assert self.said() == ["Nothing is lost."]

    def test_a_database_that_is_away_is_one_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_args: Any, **_kwargs: Any) -> Any:
            raise OperationalError("the server\nis gone")

        monkeypatch.setattr(rescue, "running", away)
        with pytest.raises(CommandError, match="The sweep cannot go on: the server is gone"):
            self.said()
