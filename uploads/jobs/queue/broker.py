"""Our broker for django-q2 (`broker_class`): quick, ordered by priority and due time, woken at the commit.

What waits is in messages.py, how a pusher is woken in notify.py. There is no acknowledgement: a message
is gone when it is taken, and the sweep wakes a job again whose message went with its taker.
"""

from __future__ import annotations

import contextlib
import pydoc
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections, transaction
from django.utils import timezone
from django_q import core_signing
from django_q.brokers import Broker
from django_q.conf import Conf
from django_q.signing import BadSignature, PickleSerializer, SignedPackage

from uploads.jobs.queue import messages, notify
from uploads.models import Message
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

TASK = "uploads.jobs.worker.task.work"
HOOK = "uploads.jobs.worker.failure_hook.record_failure"

LOOK_SECONDS = 1.0  # between two looks without a bell
SLICE_SECONDS = 0.25  # dequeue() returns so often, so that the pusher sees a stop
AWAY_SECONDS = 0.5  # between two tries while the database is away

# A pusher fetches ahead what its workers finish in so many seconds, and one message for each at least: slow
# jobs are started in the order of their priority, and quick ones never wait for a pusher.
AHEAD_SECONDS = 0.05
TOGETHER = 20

# What every task of django-q2 has; a worker dies of one without.
_FIELDS = {"id", "name", "func", "args", "kwargs", "started"}


class Pace:
    """How fast workers are, and so how far ahead of them to fetch: from one each up to `limit`.

    Nothing is fetched for less than half of that, or TOGETHER: many messages at once cost hardly more than one.
    """

    def __init__(self, workers: int, limit: int) -> None:
        self.workers, self.limit = workers, limit
        self.handed = 0  # messages in all
        self._done = 0
        self._since = time.monotonic()
        self._rate = 0.0  # messages a second
        self._wanted, self._step = workers, 1

    def room(self, ahead: int) -> int:
        """How many more to hand over while `ahead` are in the workers' queue."""
        now = time.monotonic()
        passed, done = now - self._since, self.handed - ahead
        if passed >= AHEAD_SECONDS:
            self._rate = (self._rate + (done - self._done) / passed) / 2
            self._since, self._done = now, done
        self._wanted = min(self.limit, max(self.workers, int(self._rate * AHEAD_SECONDS * 2)))
        self._step = max(1, min(TOGETHER, self._wanted // 2))
        room = self._wanted - ahead
        return room if room >= self._step else 0

    def pause(self) -> float:
        """Seconds until it makes sense to ask again."""
        return min(0.02, max(0.001, self._step / self._rate / 2)) if self._rate else 0.02


class QuickBroker(Broker):
    """Messages in a table of ours, in the default database."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._ear: notify.Ear | None = None  # made in the process that listens
        self._look_at = 0.0
        self._pace = Pace(Conf.WORKERS, Conf.QUEUE_LIMIT)
        # How many messages are in the workers' queue; the sentinel that has this queue tells it.
        self.ahead: Callable[[], int] = lambda: 0

    def enqueue(self, task: str) -> None:
        """Queue a signed task, such as a team's own async_task() makes. Jobs are woken by queue.wake()."""
        messages.put_payload(self.list_key, task)

    def dequeue(self) -> list[tuple[None, str]] | None:
        """Signed tasks that are due, at most Conf.BULK; None after at most SLICE_SECONDS without any."""
        room = self._wait_for_room()
        if not room:
            return None
        if self._ear is None:
            self._ear = notify.ear()
            self._ear.wait(0)
        left = self._look_at - time.monotonic()
        if left > 0 and not self._ear.wait(min(left, SLICE_SECONDS)) and time.monotonic() < self._look_at:
            return None
        try:
            if not transaction.get_connection().in_atomic_block:
                close_old_connections()
            taken, wait = messages.take(self.list_key, min(room, Conf.BULK))
        except (DatabaseError, InterfaceError) as wrong:
            # Raising would end the pusher, and its sentinel takes ten seconds to start another.
            log.warning("queue.away", reason=" ".join(str(wrong).split()))
            connections.close_all()
            self._look_at = time.monotonic() + AWAY_SECONDS
            return None
        if not taken:
            self._look_at = time.monotonic() + min(LOOK_SECONDS, LOOK_SECONDS if wait is None else wait)
            return None
        self._look_at = 0.0
        self._pace.handed += len(taken)
        packages = [package_of(one) for one in taken]
        return [(None, package) for package in packages if package] or None

    def _wait_for_room(self) -> int:
        """How many messages the workers can be handed; 0 after SLICE_SECONDS without room for any."""
        until = time.monotonic() + SLICE_SECONDS
        while not (room := self._pace.room(self.ahead())) and time.monotonic() < until:
            time.sleep(self._pace.pause())
        return room

    def queue_size(self) -> int:
        return Message.objects.filter(queue=self.list_key, due__lte=timezone.now()).count()

    def lock_size(self) -> int:
        """Messages that are not due yet."""
        return Message.objects.filter(queue=self.list_key, due__gt=timezone.now()).count()

    def purge_queue(self) -> None:
        Message.objects.filter(queue=self.list_key).delete()

    def delete_queue(self) -> None:
        self.purge_queue()

    def ping(self) -> bool:
        return True

    def info(self) -> str:
        return "Wharfinger's broker"

    # A message that is taken is gone: there is nothing to delete, acknowledge or fail.

    def delete(self, task_id: object) -> None:
        """Nothing to do."""

    def acknowledge(self, task_id: object) -> None:
        """Nothing to do."""

    def fail(self, task_id: object) -> None:
        """Nothing to do."""


def package_of(message: messages.Taken) -> str:
    """The signed task that a pusher can load, "" for a message that no worker could do anything with."""
    return _wake_up(message.job) if message.job else _checked(message.payload)


def _wake_up(job_id: UUID) -> str:
    # Signed as it is taken: a message needs no key while it waits, so that a new SECRET_KEY loses none.
    return str(
        SignedPackage.dumps(
            {
                "id": uuid4().hex, "name": str(job_id), "func": TASK, "args": (str(job_id),), "kwargs": {},
                "hook": HOOK, "started": timezone.now(), "ack_failure": True,
            }
        )
    )  # fmt: skip


def _checked(payload: str) -> str:
    """A payload that a pusher can load and a worker can run, signed anew if it was signed with an old key."""
    try:
        task, current = read(payload)
        func = task["func"] if task.keys() >= _FIELDS else None
        if isinstance(func, str):
            func = pydoc.locate(func)  # what raises here would end a worker
    except BadSignature as wrong:
        return _lost(str(wrong))
    except Exception as wrong:
        # Unpickling names code, which may have gone or may raise anything as it is imported.
        log.exception("queue.message_unreadable")
        return _lost(f"{type(wrong).__name__}: {wrong}")
    if not callable(func):
        return _lost(f"it names no function: {task.get('func')!r}")
    return payload if current else str(SignedPackage.dumps(task))


def read(payload: str) -> tuple[dict[str, Any], bool]:
    """The task in a signed payload, and whether the current key signed it. Fallback keys are tried too.

    Raises BadSignature, and whatever unpickling raises.
    """
    try:
        return _loaded(payload, settings.SECRET_KEY), True
    except BadSignature:
        for key in settings.SECRET_KEY_FALLBACKS:
            with contextlib.suppress(BadSignature):
                return _loaded(payload, key), False
        raise


def _loaded(payload: str, key: str) -> dict[str, Any]:
    task = core_signing.loads(payload, key=key, salt=Conf.PREFIX, serializer=PickleSerializer)
    if not isinstance(task, dict):
        raise TypeError("a task is a dictionary")
    return task


def _lost(reason: str) -> str:
    log.error("queue.message_lost", reason=reason[:500])
    return ""
