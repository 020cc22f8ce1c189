"""Appending behind a fence: whoever comes last may write, and nobody waits for whoever was before."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from uploads.storage import fence, spool
from uploads.storage.fence import CLOSED, Superseded
from uploads.storage.kept import local
from uploads.storage.spool import Appender

pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.fixture
def job_id() -> UUID:
    made = uuid4()
    spool.create(made)
    return made


def stored(job_id: UUID) -> bytes:
    return local.spool_path(job_id).read_bytes()


def opened(job_id: UUID, generation: int, offset: int = 0, *, tentative: bool = False) -> Appender:
    return Appender(job_id, generation, offset, tentative=tentative)


@pytest.fixture
def first(job_id: UUID) -> Iterator[Appender]:
    made = opened(job_id, 1)
    yield made
    made.close()


def test_bytes_are_appended_in_order(job_id: UUID, first: Appender) -> None:
    first.write(b"one ")
    first.write(b"two")
    first.sync()
    assert (first.position, stored(job_id)) == (7, b"one two")


def test_a_newer_writer_cuts_off_what_it_does_not_know_and_the_older_one_writes_no_more(
    job_id: UUID, first: Appender
) -> None:
    first.write(b"one two")
    second = opened(job_id, 2, 4)
    with pytest.raises(Superseded):
        first.write(b" three")
    for late in (first.confirm, lambda: first.forget(0)):
        with pytest.raises(Superseded):
            late()
    second.write(b"2")
    assert stored(job_id) == b"one 2"
    second.close()


@pytest.mark.parametrize("generation", [0, 1])
def test_an_older_or_equal_writer_does_not_get_in(job_id: UUID, first: Appender, generation: int) -> None:
    first.write(b"abc")
    with pytest.raises(Superseded):
        opened(job_id, generation)
    assert stored(job_id) == b"abc"


def test_nobody_begins_beyond_the_bytes_that_are_there(job_id: UUID, first: Appender) -> None:
    first.write(b"abc")
    with pytest.raises(FileNotFoundError):
        opened(job_id, 2, 4)
    local.spool_path(job_id).unlink()
    with pytest.raises(FileNotFoundError):
        opened(job_id, 3, 3)


def test_a_writer_in_another_process_is_fenced_off_too(job_id: UUID, first: Appender) -> None:
    first.write(b"abc")
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_take_over, args=(job_id,))
    process.start()
    process.join(10)
    assert process.exitcode == 0
    with pytest.raises(Superseded):
        first.write(b"late")
    assert stored(job_id) == b"abcdef"


def _take_over(job_id: UUID) -> None:
    other = Appender(job_id, 2, 3)
    other.write(b"def")
    os._exit(0)


def test_writers_that_take_over_from_each_other_all_the_time_mix_nothing(job_id: UUID) -> None:
    """Each writer's bytes are its own number: the file is the last one's alone, whoever was in the middle."""
    begin = threading.Barrier(8)
    got_in: list[int] = []

    def write(number: int) -> None:
        begin.wait()
        try:
            appender = opened(job_id, number)
        except Superseded:
            return
        got_in.append(number)
        try:
            for _ in range(200):
                appender.write(bytes([number]) * 1000)
        except Superseded:
            pass
        finally:
            appender.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored(job_id) == bytes([max(got_in)]) * 200_000


class TestBeingFirst:
    """The first writer of an upload needs no row to say so."""

    @pytest.fixture
    def one(self) -> UUID:
        return uuid4()

    def test_of_many_at_once_one_is(self, one: UUID) -> None:
        begin = threading.Barrier(8)
        made: list[Appender | None] = []

        def try_it() -> None:
            begin.wait()
            made.append(Appender.first(one))

        threads = [threading.Thread(target=try_it) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (writer,) = filter(None, made)
        writer.write(b"abc")
        writer.close()
        assert stored(one) == b"abc"

    def test_whoever_takes_over_fences_it_off(self, one: UUID) -> None:
        first = Appender.first(one)
        assert first is not None
        first.write(b"abc")
        second = opened(one, 1)
        with pytest.raises(Superseded):
            first.write(b"late")
        first.close()
        second.close()
        assert Appender.first(one) is None

    def test_whoever_takes_over_before_it_has_said_so_keeps_what_was_written(
        self, one: UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the making of a fence and its first number."""
        locked, seconds = fence.Fence.locked, []

        def overtaken(mine: fence.Fence) -> contextlib.AbstractContextManager[fence.FenceState]:
            monkeypatch.setattr(fence.Fence, "locked", locked)
            seconds.append(opened(one, 1))
            seconds[0].write(b"abc")
            return locked(mine)

        fence._spares.clear()
        monkeypatch.setattr(fence.Fence, "locked", overtaken)
        assert Appender.first(one) is None
        seconds[0].write(b"def")
        seconds[0].close()
        assert stored(one) == b"abcdef"

    def test_what_an_earlier_life_left_in_the_spool_does_not_count(self, one: UUID) -> None:
        spool.create(one)
        local.spool_path(one).write_bytes(b"old and long")
        first = Appender.first(one)
        assert first is not None
        first.write(b"new")
        first.close()
        assert stored(one) == b"new"

    def test_withdrawn_it_leaves_nothing(self, one: UUID) -> None:
        first = Appender.first(one)
        assert first is not None
        first.withdraw()
        assert not local.spool_path(one).exists() and not fence.fence_path(one).exists()

    def test_a_fence_that_is_used_again_lets_nobody_of_its_last_upload_write(self, one: UUID) -> None:
        late = Appender.first(one)
        assert late is not None
        inode = fence.fence_path(one).stat().st_ino
        fence.remove(one)
        other = uuid4()
        first = Appender.first(other)
        assert first is not None and fence.fence_path(other).stat().st_ino == inode
        with pytest.raises(Superseded):
            late.write(b"late")
        late.close()
        fence.shut(one)
        first.write(b"abc")
        first.close()
        assert stored(other) == b"abc"

    def test_one_that_the_sweep_took_away_is_made_anew(self, one: UUID) -> None:
        fence.Fence.open(one, create=True).close()
        fence.remove(one)
        for spare in fence.spares_directory().iterdir():
            spare.unlink()
        first = Appender.first(one)
        assert first is not None
        first.close()


class TestArrived:
    def test_what_the_present_writer_has_written_counts(self, job_id: UUID, first: Appender) -> None:
        first.write(b"abc")
        assert spool.arrived(job_id) == (1, 3)

    def test_unverified_bytes_do_not_until_they_are(self, job_id: UUID) -> None:
        writer = opened(job_id, 1, tentative=True)
        writer.write(b"abc")
        assert spool.arrived(job_id) is None
        writer.confirm()
        assert spool.arrived(job_id) == (1, 3)
        writer.close()

    def test_bytes_from_before_a_restart_of_the_machine_do_not(
        self, job_id: UUID, first: Appender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first.write(b"abc")
        monkeypatch.setattr(fence, "_boot_id", lambda: b"another".ljust(36))
        assert spool.arrived(job_id) is None

    def test_where_nobody_wrote_there_is_nothing(self, job_id: UUID) -> None:
        assert spool.arrived(job_id) is None
        assert spool.arrived(uuid4()) is None

    def test_a_torn_fence_lets_nothing_count(self, job_id: UUID, first: Appender) -> None:
        first.write(b"abc")
        os.truncate(fence.fence_path(job_id), 4)
        assert spool.arrived(job_id) is None


class TestKeeping:
    def test_a_whole_file_gets_its_name_and_takes_no_more(self, job_id: UUID, first: Appender) -> None:
        first.write(b"abc")
        assert spool.keep(job_id) == 3
        with pytest.raises(Superseded):
            first.write(b"late")
        assert local.file_path(job_id).read_bytes() == b"abc"

    def test_it_may_be_done_again(self, job_id: UUID, first: Appender) -> None:
        first.write(b"abc")
        assert [spool.keep(job_id), spool.keep(job_id)] == [3, 3]

    def test_what_is_nowhere_is_told(self) -> None:
        assert spool.keep(uuid4()) is None

    def test_a_removed_upload_takes_no_more_though_a_writer_has_it_open(
        self, job_id: UUID, first: Appender
    ) -> None:
        local.remove_job(job_id)
        with pytest.raises(Superseded):
            first.write(b"late")
        assert not fence.fence_path(job_id).exists()
        assert not local.spool_path(job_id).exists()

    def test_what_was_closed_and_not_named_before_a_power_cut_is_begun_anew(
        self, job_id: UUID, first: Appender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first.write(b"abc")
        fence.shut(job_id)
        monkeypatch.setattr(fence, "_boot_id", lambda: b"another".ljust(36))
        second = opened(job_id, 2, 1)
        second.write(b"!")
        second.close()
        assert stored(job_id) == b"a!"

    def test_closed_fences_are_told_from_open_ones(self, job_id: UUID, first: Appender) -> None:
        assert not fence.is_shut(uuid4())
        assert not fence.is_shut(job_id)
        fence.shut(job_id)
        assert fence.is_shut(job_id)

    def test_no_generation_reaches_the_closed_one(self, job_id: UUID) -> None:
        spool.keep(job_id)
        fence.Fence.open(job_id, create=True).close()
        fence.shut(job_id)
        with pytest.raises(Superseded):
            opened(job_id, CLOSED - 1)


def test_no_descriptor_is_left_open(job_id: UUID, data_dir: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    opened(job_id, 1).close()
    with pytest.raises(Superseded):
        opened(job_id, 1)
    with pytest.raises(FileNotFoundError):
        opened(job_id, 2, 9)
    spool.arrived(job_id)
    spool.keep(job_id)
    local.remove_job(job_id)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
