"""The quick queue: who is taken when, by whom, and what no message can break."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as configured
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from django_q import core_signing
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import PickleSerializer, SignedPackage
from django_q.tasks import async_task

from tests.factories import make_job
from uploads.db.sql import dialect
from uploads.jobs.queue import broker as broker_module
from uploads.jobs.queue import messages, notify, producer
from uploads.jobs.queue.broker import TASK, QuickBroker
from uploads.models import Message, Pause

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]

POSTGRESQL = "postgres://postgres@127.0.0.1:5432"


@pytest.fixture(autouse=True)
def no_messages(db: None) -> None:
    Message.objects.all().delete()


@pytest.fixture
def pusher() -> Iterator[QuickBroker]:
    """The broker as a pusher holds it."""
    broker = QuickBroker(Conf.CLUSTER_NAME)
    broker.dequeue()
    yield broker
    if broker._ear:
        broker._ear.close()


def taken(broker: QuickBroker, seconds: float = 2.0) -> list[dict[str, Any]]:
    """What a pusher gets first within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := broker.dequeue():
            return [SignedPackage.loads(package) for _ack, package in found]
    return []


def job_ids(tasks: list[dict[str, Any]]) -> list[UUID]:
    return [UUID(task["args"][0]) for task in tasks]


def drained(broker: QuickBroker) -> list[UUID]:
    found: list[UUID] = []
    while some := taken(broker, 0.3):
        found += job_ids(some)
    return found


def signed(task: object, key: str | None = None) -> str:
    return str(
        core_signing.dumps(
            task, key=key or configured.SECRET_KEY, salt=Conf.PREFIX, serializer=PickleSerializer
        )
    )


def a_task(**fields: Any) -> dict[str, Any]:
    task = {"id": uuid4().hex, "name": "theirs", "func": "math.floor", "args": (1.5,), "kwargs": {}}
    return task | {"started": timezone.now()} | fields


def in_thread(act: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class TestOrder:
    def test_the_most_urgent_go_first_and_among_equals_who_has_waited_longest(
        self, pusher: QuickBroker
    ) -> None:
        now = timezone.now()
        jobs = {
            name: make_job(priority=priority).pk
            for name, priority in (("late", 5), ("urgent", 9), ("early", 5), ("idle", 0))
        }
        producer.wake_all(list(jobs.values()))
        for name, minutes in (("late", 1), ("urgent", 2), ("early", 3), ("idle", 4)):
            Message.objects.filter(job=jobs[name]).update(due=now - timedelta(minutes=minutes))
        assert drained(pusher) == [jobs[name] for name in ("urgent", "early", "late", "idle")]

    def test_an_operator_lets_a_waiting_job_go_before_others(self, pusher: QuickBroker) -> None:
        from uploads.jobs.lifecycle import execution

        first, second = make_job(), make_job()
        producer.wake_all([first.pk, second.pk])
        execution.prioritise(second.pk, 9)
        assert drained(pusher) == [second.pk, first.pk]

    def test_urgent_jobs_that_are_not_due_hold_nobody_up(self, pusher: QuickBroker) -> None:
        later, now = make_job(priority=9), make_job(priority=1)
        producer.wake(later.pk, 60)
        producer.wake(now.pk)
        assert drained(pusher) == [now.pk]

    def test_looking_reads_an_index_and_no_more_than_a_few_rows_of_it(self) -> None:
        with connection.cursor() as cursor:
            explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
            if connection.vendor == "postgresql":
                cursor.execute("SET enable_seqscan = off")
            until = dialect().until
            cursor.execute(explain + messages._LOOK.format(until=until), ["wharfinger"])
            plan = str(cursor.fetchall())
        assert "message_next" in plan
        assert "TEMP B-TREE" not in plan
        assert "Sort" not in plan


class TestTaking:
    def test_a_message_is_taken_once_by_however_many_takers(self) -> None:
        ids = [make_job().pk for _ in range(120)]
        producer.wake_all(ids)
        found: list[UUID] = []
        lock = threading.Lock()

        def take_all() -> None:
            empty = 0
            while empty < 3:
                some, _wait = messages.take(Conf.CLUSTER_NAME, 7)
                empty = 0 if some else empty + 1
                with lock:
                    found.extend(one.job for one in some if one.job)

        for thread in [in_thread(take_all) for _ in range(3)]:
            thread.join()
        assert sorted(found) == sorted(ids)
        assert not Message.objects.exists()

    def test_nothing_is_left_to_acknowledge(self, pusher: QuickBroker) -> None:
        producer.wake(make_job().pk)
        assert taken(pusher)
        assert producer.depth() == 0

    def test_a_job_without_a_row_has_no_message(self) -> None:
        producer.wake(uuid4())
        assert not Message.objects.exists()

    def test_a_rollback_takes_the_message_along(self) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            producer.wake(make_job().pk)
            raise ZeroDivisionError
        assert not Message.objects.exists()

    def test_a_team_may_queue_tasks_of_its_own(self, pusher: QuickBroker) -> None:
        async_task("math.floor", 2.5, broker=pusher)
        (task,) = taken(pusher)
        assert (task["func"], task["args"]) == ("math.floor", (2.5,))

    def test_queues_of_other_names_are_left_alone(self, pusher: QuickBroker) -> None:
        messages.put_jobs("another", [make_job().pk])
        assert taken(pusher, 0.3) == []

    def test_a_database_that_is_away_does_not_end_the_pusher(
        self, pusher: QuickBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_args: object) -> object:
            raise OperationalError("the server closed the connection")

        job = make_job()
        producer.wake(job.pk)
        with monkeypatch.context() as patch:
            patch.setattr(messages, "take", away)
            patch.setattr(broker_module, "AWAY_SECONDS", 0.01)
            assert taken(pusher, 0.1) == []
        assert job_ids(taken(pusher)) == [job.pk]


class TestTime:
    def test_a_delayed_message_comes_at_its_time(self, pusher: QuickBroker) -> None:
        job = make_job()
        began = time.monotonic()
        producer.wake(job.pk, 0.6)
        assert job_ids(taken(pusher)) == [job.pk]
        assert 0.6 <= time.monotonic() - began < 0.9

    def test_the_wait_ends_when_a_message_is_committed_not_at_the_next_look(
        self, pusher: QuickBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker_module, "LOOK_SECONDS", 60.0)
        assert taken(pusher, 0.3) == []
        job = make_job()
        committed = threading.Event()
        got: list[tuple[list[UUID], bool]] = []
        thread = in_thread(lambda: got.append((job_ids(taken(pusher, 5)), committed.is_set())))
        with transaction.atomic():
            producer.wake(job.pk)
            thread.join(0.3)
            assert not got
            committed.set()
        began = time.monotonic()
        thread.join(5)
        assert got == [([job.pk], True)]
        assert time.monotonic() - began < 0.5

    def test_without_a_bell_it_looks_by_itself(
        self, pusher: QuickBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notify, "ring", lambda: None)
        job = make_job()
        producer.wake(job.pk)
        assert job_ids(taken(pusher)) == [job.pk]

    def test_an_idle_pusher_sees_a_stop_within_half_a_second(self, pusher: QuickBroker) -> None:
        for _ in range(6):
            began = time.monotonic()
            assert pusher.dequeue() is None
            assert time.monotonic() - began < 0.5


class TestGarbage:
    def test_messages_that_nobody_can_read_or_run_harm_no_other(self, pusher: QuickBroker) -> None:
        class Gone:
            """Pickles as a function of a module that is not there any more."""

            @staticmethod
            def dumps(_task: object) -> bytes:
                return b"cgone_module\ngone_function\n."

        job = make_job()
        gone = core_signing.dumps(None, key=configured.SECRET_KEY, salt=Conf.PREFIX, serializer=Gone)
        for payload in (
            "garbage", "a:b:c", "\u2603", gone, signed("no task"), signed({"func": "math.floor"}),
            signed(a_task(func="gone.module.function")), signed(a_task(func="math.gone")),
            signed(a_task(func="tests.jobs.queue.broken_import.work")), signed(a_task(), key="not ours"),
            signed(a_task(), key=configured.SECRET_KEY)[:-1] + "?",
        ):  # fmt: skip
            messages.put_payload(Conf.CLUSTER_NAME, payload)
        producer.wake(job.pk)
        messages.put_payload(Conf.CLUSTER_NAME, signed(a_task(name="good")))
        names = []
        while some := taken(pusher, 0.3):
            names += [task["name"] for task in some]
        assert names == [str(job.pk), "good"]
        assert not Message.objects.exists()

    def test_a_new_key_loses_no_job_and_with_a_fallback_no_task(
        self, pusher: QuickBroker, settings: Any
    ) -> None:
        job = make_job()
        producer.wake(job.pk)
        messages.put_payload(Conf.CLUSTER_NAME, signed(a_task(), key="the key of yesterday"))
        messages.put_payload(Conf.CLUSTER_NAME, signed(a_task(), key="the key of the year before"))
        settings.SECRET_KEY_FALLBACKS = ["another", "the key of yesterday"]
        names = []
        while some := taken(pusher, 0.3):  # loaded with the present key alone, as django-q2 does
            names += [task["name"] for task in some]
        assert names == [str(job.pk), "theirs"]

    def test_messages_of_the_last_version_are_taken_over(self, pusher: QuickBroker) -> None:
        job = make_job()
        old = a_task(func=TASK, args=(str(job.pk),), name=str(job.pk))
        for payload in (signed(old), signed(a_task()), "garbage", ""):
            OrmQ.objects.create(key=Conf.CLUSTER_NAME, payload=payload, lock=timezone.now())
        assert producer.adopt() == 4
        assert not OrmQ.objects.exists()
        names = []
        while some := taken(pusher, 0.3):
            names += [task["name"] for task in some]
        assert names == [str(job.pk), "theirs"]
        assert producer.adopt() == 0


class TestPause:
    def test_while_all_is_paused_messages_wait(self, pusher: QuickBroker) -> None:
        pause = Pause.objects.create(kind="")
        job = make_job()
        producer.wake(job.pk)
        assert taken(pusher, 0.4) == []
        pause.delete()
        assert job_ids(taken(pusher)) == [job.pk]
