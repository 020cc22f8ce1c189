"""One act on many rows: each in a transaction of its own, counted honestly, in bounded time and memory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import make_job
from uploads.admin import bulk_actions
from uploads.codes import Refused
from uploads.models import UploadJob

pytestmark = pytest.mark.django_db


def rename(job: UploadJob) -> None:
    UploadJob.objects.filter(pk=job.pk).update(filename="moved")


def test_a_row_whose_act_is_refused_is_as_it_was_and_the_others_are_not() -> None:
    jobs = [make_job(size=size) for size in (1, 2, 3)]

    def act(job: UploadJob) -> None:
        rename(job)
        if job.size == 2:
            raise Refused("wrong_state", "Not this one.")
        if job.size == 3:
            raise bulk_actions.Skipped("nor this")

    tally = bulk_actions.on_each(UploadJob.objects.all(), act)

    assert (tally.moved, tally.skipped, tally.cut_short) == (1, {"Not this one.": 1, "nor this": 1}, False)
    assert [job.filename == "moved" for job in UploadJob.objects.order_by("size")] == [True, False, False]
    assert len(jobs) == 3


def test_an_error_of_ours_is_not_mistaken_for_a_reason_to_skip() -> None:
    make_job()

    def act(job: UploadJob) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        bulk_actions.on_each(UploadJob.objects.all(), act)


def test_rows_are_read_a_chunk_at_a_time_though_the_acts_take_them_out_of_the_filter(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(bulk_actions, "_CHUNK", 4)
    for _ in range(10):
        make_job(filename="waits")
    seen: list[str] = []

    def act(job: UploadJob) -> None:
        rename(job)
        seen.append(str(job.pk))

    with django_assert_num_queries(3 + 10 * 3):  # three chunks; savepoint, update, release
        tally = bulk_actions.on_each(UploadJob.objects.filter(filename="waits"), act)

    assert tally.moved == 10
    assert len(set(seen)) == 10


def test_time_that_is_up_ends_the_work_between_two_rows() -> None:
    for _ in range(3):
        make_job()

    tally = bulk_actions.on_each(UploadJob.objects.all(), rename, seconds=-1)

    assert (tally.moved, tally.cut_short) == (0, True)
    assert not UploadJob.objects.filter(filename="moved").exists()


def test_rows_in_the_wrong_state_are_counted_by_one_query(django_assert_num_queries: Any) -> None:
    for state in ("failed", "queued", "queued", "running"):
        make_job(state)

    with django_assert_num_queries(1):
        rows, reasons = bulk_actions.in_states(UploadJob.objects.all(), ("failed",))

    assert reasons == {"the job is queued": 2, "the job is running": 1}
    assert [job.state for job in rows] == ["failed"]
