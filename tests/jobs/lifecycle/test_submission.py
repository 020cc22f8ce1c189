"""Requests that come together are committed together, and each is answered for itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection

from uploads.codes import Refused
from uploads.db import group_commit as together_module
from uploads.jobs.lifecycle import execution
from uploads.jobs.lifecycle.execution import Landed, accept
from uploads.jobs.queue import producer
from uploads.models import Message, State, UploadJob

pytestmark = pytest.mark.django_db(transaction=True)


def landed(name: str, **more: Any) -> Landed:
    return Landed(
        **{"job_id": uuid4(), "filename": name, "declared_type": "", "size": 1, "sha256": "ab" * 32} | more
    )


def together(acts: list[Callable[[], Any]]) -> list[Any]:
    """Run `acts` so that all that can wait do so behind the first one's commit; what each returned or raised."""

    def run(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except Refused as refused:
            return refused
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        with together_module._committing:
            running = [pool.submit(run, act) for act in acts]
            until = time.monotonic() + (
                10 if connection.vendor == "sqlite" else 0.2
            )  # there, some never wait
            while len(together_module._waiting) < len(acts) and time.monotonic() < until:
                threading.Event().wait(0.001)
        return [one.result() for one in running]


def test_those_that_wait_share_one_commit_and_get_their_own_rows(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = []
    wake_all = producer.wake_all
    monkeypatch.setattr(producer, "wake_all", lambda ids: (commits.append(len(ids)), wake_all(ids)))
    answers = together([lambda n=n: accept(owner.pk, [landed(f"{n}.txt")]) for n in range(8)])

    assert [jobs[0].filename for jobs in answers] == [f"{n}.txt" for n in range(8)]
    assert UploadJob.objects.filter(state=State.QUEUED).count() == Message.objects.count() == 8
    assert commits == [8], "whoever commits takes along all that wait"


def test_a_refused_one_among_them_harms_no_other(owner: User, colleague: User, settings: Any) -> None:
    settings.UPLOADS_USER_MAX_QUEUED = 2
    gone = execution.open_upload(colleague.pk, "gone.bin", "", 1)
    execution.cancel(gone)
    answers = together(
        [
            lambda: accept(owner.pk, [landed("fits.txt")]),
            lambda: accept(owner.pk, [landed("a"), landed("b"), landed("too many")]),
            lambda: accept(
                colleague.pk, [landed("with it.txt"), landed("gone.bin", job_id=gone, opened=True)]
            ),
            lambda: accept(colleague.pk, [landed("also fits.txt")]),
        ]
    )
    assert answers[0][0].filename == "fits.txt" and answers[3][0].filename == "also fits.txt"
    assert (answers[1].code, answers[2].code) == ("quota_exceeded", "wrong_state")
    names = UploadJob.objects.filter(state=State.QUEUED).values_list("filename", flat=True)
    assert sorted(names) == ["also fits.txt", "fits.txt"]
    assert Message.objects.count() == 2


def test_a_commit_that_fails_fails_all_of_them_and_queues_none(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any) -> None:
        raise DatabaseError("the disk is on fire")

    monkeypatch.setattr(producer, "wake_all", broken)

    def act() -> Any:
        with pytest.raises(DatabaseError):
            accept(owner.pk, [landed("a")])
        return "failed"

    assert together([act, act, act]) == ["failed"] * 3
    assert not UploadJob.objects.exists() and not together_module._waiting
