"""Pausing: what is held back, what goes on, and how it starts again."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.factories import make_attempt, make_job, make_node, make_operator
from uploads.codes import Refused
from uploads.jobs.cluster.hang import StallWatch
from uploads.jobs.cluster.node import NodeIdentity
from uploads.jobs.cluster.shared_state import Board
from uploads.jobs.lifecycle import execution, pauses
from uploads.jobs.lifecycle.worker_id import this_worker
from uploads.jobs.queue import producer
from uploads.jobs.queue.broker import QuickBroker
from uploads.jobs.repair import rescue
from uploads.models import Message, Pause, State
from uploads.processing.detection.by_name import guess_kind

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]


@pytest.fixture
def olga(db: None) -> User:
    return make_operator("olga")


def test_no_job_starts_while_all_are_paused(olga: User) -> None:
    job = make_job()
    pauses.pause("", olga, "moving house")
    assert execution.start(job.pk, this_worker()) is None
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.QUEUED, 0)


def test_a_paused_kind_waits_and_others_start(olga: User) -> None:
    pdf, text, unknown = (make_job(kind=kind) for kind in ("pdf", "text", ""))
    pauses.pause("pdf", olga)
    assert execution.start(pdf.pk, this_worker()) is None
    assert execution.start(text.pk, this_worker())
    assert execution.start(unknown.pk, this_worker())


def test_a_running_job_goes_on(olga: User) -> None:
    job = make_job(State.RUNNING)
    make_attempt(job)
    pauses.pause("", olga)
    assert execution.renew(job.pk, 1)


def test_resuming_wakes_those_whose_wake_up_was_spent_and_nobody_twice(olga: User) -> None:
    spent, waiting = make_job(kind="pdf"), make_job(kind="pdf")
    other, later = make_job(kind="text"), make_job(kind="pdf", run_after=timezone.now() + timedelta(hours=1))
    producer.wake(waiting.pk)
    pause = pauses.pause("pdf", olga)
    pauses.resume(pause.pk, olga)
    assert producer.waiting() == {spent.pk: 1, waiting.pk: 1}
    assert {other.pk, later.pk}.isdisjoint(producer.waiting() or {})


def test_jobs_are_at_hand_within_a_second_of_resuming(olga: User) -> None:
    broker = QuickBroker("wharfinger")
    broker.dequeue()
    job = make_job()
    pause = pauses.pause("", olga)
    producer.wake(job.pk)
    assert not any(broker.dequeue() for _ in range(2))
    pauses.resume(pause.pk, olga)
    began = time.monotonic()
    while not broker.dequeue():
        assert time.monotonic() - began < 1
    assert broker._ear is not None
    broker._ear.close()


def test_one_kind_stays_paused_when_all_are_resumed(olga: User) -> None:
    pdf, text = make_job(kind="pdf"), make_job(kind="text")
    pauses.pause("pdf", olga)
    pauses.resume(pauses.pause("", olga).pk, olga)
    assert producer.waiting() == {text.pk: 1}
    assert execution.start(pdf.pk, this_worker()) is None


def test_the_sweep_wakes_no_paused_job(olga: User) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    make_job(kind="pdf", run_after=long_ago, woken_at=long_ago)
    text = make_job(kind="text", run_after=long_ago, woken_at=long_ago)
    pauses.pause("pdf", olga)
    assert [one.job for one in rescue.lost_wake_ups(2)] == [text.pk]
    pauses.pause("", olga)
    text.woken_at = long_ago
    text.save()
    assert rescue.lost_wake_ups(2) == []


def test_a_paused_backlog_is_no_hang(olga: User, settings: object) -> None:
    make_job(kind="pdf", run_after=timezone.now() - timedelta(hours=1))
    node = NodeIdentity()
    make_node(id=node.id)
    watch = StallWatch(node, Board())
    assert watch._waiting()
    pauses.pause("pdf", olga)
    assert not watch._waiting()


def test_a_pause_is_made_once_and_for_kinds_there_are(olga: User) -> None:
    pauses.pause("pdf", olga)
    with pytest.raises(Refused, match="paused already"):
        pauses.pause("pdf", olga)
    with pytest.raises(Refused, match="no such kind"):
        pauses.pause("poem", olga)
    with pytest.raises(Refused, match="no such pause"):
        pauses.resume(Pause.objects.get().pk + 1, olga)


def test_an_upload_has_a_kind_by_its_name_before_anybody_opened_it(olga: User) -> None:
    from uuid import uuid4

    landed = execution.Landed(uuid4(), "paper.pdf", "", 1, "0" * 64)
    assert execution.accept(olga.pk, [landed])[0].kind == "pdf"
    assert Message.objects.get().job == landed.job_id


@pytest.mark.parametrize(
    ("filename", "declared", "kind"),
    [
        ("a.PDF", "", "pdf"), ("a.png", "text/plain", "image"), ("rows.csv", "", "table"),
        ("a.tar.gz", "", "archive"), ("a.zip", "", "archive"), ("a.json", "", "text"),
        ("noname", "application/pdf; x=1", "pdf"), ("a.docx", "", ""), ("noname", "", ""),
        ("a.mp3", "audio/mpeg", ""),
    ],
)  # fmt: skip
def test_names_and_declared_types_tell_kinds(filename: str, declared: str, kind: str) -> None:
    assert guess_kind(filename, declared) == kind
