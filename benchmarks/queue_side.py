"""The side of the queue's benchmark that speaks to a database: `python -m benchmarks.queue_side ACT NUMBER`."""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any
from uuid import uuid4

import django

MANY = 5_000


def fill(count: int) -> None:
    """Queue no-ops, all at once, for whichever broker the settings name."""
    from django.utils import timezone
    from django_q.conf import Conf
    from django_q.models import OrmQ
    from django_q.signing import SignedPackage

    from uploads.models import Message

    def package(number: int) -> str:
        task = {
            "id": uuid4().hex, "name": str(number), "func": "benchmarks.noop.noop", "args": (number,),
            "kwargs": {}, "started": timezone.now(), "ack_failure": True,
        }  # fmt: skip
        return str(SignedPackage.dumps(task))

    for start in range(0, count, MANY):
        numbers = range(start, min(count, start + MANY))
        now = timezone.now()
        if Conf.ORM:
            OrmQ.objects.bulk_create(
                OrmQ(key=Conf.CLUSTER_NAME, payload=package(n), lock=now) for n in numbers
            )
        else:
            Message.objects.bulk_create(
                Message(queue=Conf.CLUSTER_NAME, priority=5, due=now, payload=package(n)) for n in numbers
            )


def trickle(count: int) -> None:
    """Queue no-ops one at a time into an idle queue, and print when each was queued."""
    from django_q.tasks import async_task

    sent = []
    for number in range(count):
        async_task("benchmarks.noop.noop", number)
        sent.append(time.monotonic())
        time.sleep(random.uniform(0.03, 0.13))
    print(json.dumps(sent))


def jobs(count: int) -> None:
    """Accept real jobs of 1 KiB of text each."""
    from django.contrib.auth.models import User

    from uploads.jobs.lifecycle import execution
    from uploads.storage.kept.local import Incoming

    owner, _new = User.objects.get_or_create(username="bench")
    text = "\n".join("the quick brown fox jumps over the lazy dog" for _ in range(24))[:1024].encode()
    for start in range(0, count, 100):
        landed = []
        for _ in range(start, min(count, start + 100)):
            incoming = Incoming(uuid4())
            incoming.write(text)
            incoming.keep()
            landed.append(
                execution.Landed(incoming.job_id, "note.txt", "text/plain", incoming.size, incoming.sha256)
            )
        execution.accept(owner.pk, landed)


def finished(_count: int) -> None:
    """Print how many jobs have succeeded, and in how many seconds from the first start to the last end."""
    from django.db.models import Count, Max, Min

    from uploads.models import UploadJob

    rows: dict[str, Any] = UploadJob.objects.filter(state="succeeded").aggregate(
        count=Count("pk"), first=Min("started_at"), last=Max("finished_at")
    )
    seconds = (rows["last"] - rows["first"]).total_seconds() if rows["count"] else 0.0
    print(json.dumps([rows["count"], seconds]))


def verbs(waiting: int) -> None:
    """Print the median seconds that taking, starting and finishing a job costs, with so many waiting behind it."""
    import statistics

    from django.contrib.auth.models import User
    from django.db import connection
    from django.utils import timezone
    from django_q.conf import Conf

    from uploads.jobs.cluster import sentinel
    from uploads.jobs.lifecycle import execution
    from uploads.jobs.lifecycle.worker_id import this_worker
    from uploads.jobs.queue import messages, producer
    from uploads.models import UploadJob
    from uploads.processing.sandbox.client.sandbox import Done, Usage

    owner, _new = User.objects.get_or_create(username="bench")
    samples = min(waiting, 1_000)
    for start in range(0, waiting, MANY):
        now = timezone.now()
        rows = [
            UploadJob(
                owner=owner, filename="note.txt", size=1024, state="queued", kind="text",
                queued_at=now, run_after=now, woken_at=now,
            )
            for _ in range(start, min(waiting, start + MANY))
        ]  # fmt: skip
        UploadJob.objects.bulk_create(rows)
        producer.wake_all([row.pk for row in rows])
    sentinel.relax_database()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    me, done = this_worker(), Done(kind="text", content_type="text/plain", contradiction="", result={"lines": 1},
                                   artifacts=(), usage=Usage(1 << 20, 0.001, 0, 0.004))  # fmt: skip
    spent = []
    while len(spent) < samples:
        began = time.perf_counter()
        taken, _wait = messages.take(Conf.CLUSTER_NAME, 20)
        for one in taken:
            job = execution.start(one.job, me) if one.job else None
            assert job is not None
            execution.succeed(job.pk, job.attempt, done)
        spent += [(time.perf_counter() - began) / len(taken)] * len(taken)
    print(json.dumps(statistics.median(spent)))


if __name__ == "__main__":
    django.setup()
    globals()[sys.argv[1]](int(sys.argv[2]))
