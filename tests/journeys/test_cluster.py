"""Real clusters: work is done, whoever is killed is replaced, and a stop leaves nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from tests.journeys.cluster import GONE_WITHIN, RunningCluster, send
from uploads.linux import processes
from uploads.models import Attempt, ErrorRecord, Node, Outcome, State, UploadJob

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
Start = Callable[..., RunningCluster]


@pytest.fixture
def start(tmp_path: Path, settings: Settings) -> Iterator[Start]:
    """Starts clusters over storage of the test's own, and sees that none outlives the test."""
    settings.DATA_DIR = tmp_path / "data"
    settings.DATA_DIR.mkdir()
    started: list[RunningCluster] = []

    def start_one(*options: str, wait: bool = True, **environment: str) -> RunningCluster:
        started.append(RunningCluster(tmp_path / f"cluster-{len(started)}.log", *options, **environment))
        if wait:
            started[-1].wait_until_up()
        return started[-1]

    yield start_one
    for cluster in started:
        cluster.kill()


def state(job: UploadJob) -> str:
    return UploadJob.objects.values_list("state", flat=True).get(pk=job.pk)


def work_is_done(cluster: RunningCluster, owner: User, seconds: float = 20) -> None:
    job = send(owner, "hello")
    cluster.wait_for(lambda: state(job) == State.SUCCEEDED, f"job {job.pk} to succeed", seconds)


def test_a_job_is_worked_on_by_a_worker_of_the_node(start: Start, owner: User) -> None:
    cluster = start()
    work_is_done(cluster, owner)
    attempt = Attempt.objects.select_related("node").get()
    assert attempt.pid in cluster.workers()
    assert attempt.node is not None
    assert (attempt.node.pid, attempt.node.workers, attempt.node.restarts) == (cluster.pid, 2, 0)
    assert attempt.deadline is not None and attempt.deadline > attempt.started_at


def test_a_stop_signal_to_the_whole_group_ends_it_in_order_and_leaves_nothing(
    start: Start, owner: User
) -> None:
    cluster = start()
    cluster.signal_group(signal.SIGTERM)
    assert cluster.end() == 0
    assert Node.objects.get().stopped_at is not None
    assert "Traceback" not in cluster.log.read_text()


def test_a_stop_lets_a_running_job_finish_and_starts_no_other(start: Start, owner: User) -> None:
    cluster = start(WORKERS="1", wait=False, UPLOADS_STOP_GRACE="10")
    running, waiting = send(owner, "sleep 1.5"), send(owner, "hello")
    cluster.wait_for(lambda: state(running) == State.RUNNING, "the start")
    cluster.signal_group(signal.SIGINT)
    assert cluster.end() == 0
    assert (state(running), state(waiting)) == (State.SUCCEEDED, State.QUEUED)


def test_a_job_that_outlasts_the_grace_is_released_without_an_error(start: Start, owner: User) -> None:
    cluster = start(UPLOADS_STOP_GRACE="1")
    job = send(owner, "sleep 60")
    cluster.wait_for(lambda: state(job) == State.RUNNING, "the start")
    os.kill(cluster.pid, signal.SIGTERM)
    assert cluster.end() == 0
    assert state(job) == State.QUEUED
    assert Attempt.objects.get().outcome == Outcome.RELEASED
    assert not ErrorRecord.objects.exists()


def test_a_second_signal_kills_at_once_and_still_gives_the_job_back(start: Start, owner: User) -> None:
    cluster = start(UPLOADS_STOP_GRACE="60")
    job = send(owner, "sleep 60")
    cluster.wait_for(lambda: state(job) == State.RUNNING, "the start")
    os.kill(cluster.pid, signal.SIGTERM)
    cluster.wait_for(lambda: "cluster.stopping" in cluster.log.read_text(), "the stop to begin")

    def ended() -> bool:
        os.kill(cluster.pid, signal.SIGTERM)  # those within the first second are taken for the same one
        return cluster.process.poll() is not None

    cluster.wait_for(ended, "the end", 8)
    assert cluster.end() == 1
    assert state(job) == State.QUEUED
    assert Attempt.objects.get().outcome == Outcome.RELEASED


def test_when_the_supervisor_is_killed_all_its_descendants_are_gone_with_it(
    start: Start, owner: User
) -> None:
    cluster = start()
    job = send(owner, "sleep 60")
    cluster.wait_for(lambda: state(job) == State.RUNNING, "the start")
    family = cluster.family()
    assert (
        len(family) >= 9
    )  # supervisor, keeper, main, sentinel, monitor, pusher, two workers, their sandboxes
    os.kill(cluster.pid, signal.SIGKILL)
    cluster.wait_for(lambda: not set(family) & set(_pids()), "all to be gone", GONE_WITHIN)


def test_a_job_whose_worker_is_killed_runs_again_within_seconds(start: Start, owner: User) -> None:
    cluster = start()
    job = send(owner, "sleep 60")
    first = cluster.wait_for(lambda: Attempt.objects.filter(job=job, number=1).first(), "the first attempt")
    os.kill(first.pid, signal.SIGKILL)
    second = cluster.wait_for(
        lambda: Attempt.objects.filter(job=job, number=2).first(), "the second attempt", 5
    )
    assert second.pid != first.pid
    record = ErrorRecord.objects.get(job=job)
    assert (record.code, record.attempt, record.will_retry) == ("worker_lost", 1, True)


def test_whichever_process_of_the_cluster_is_killed_the_next_job_is_done(start: Start, owner: User) -> None:
    cluster = start()
    for role, find in (
        ("pusher", lambda: cluster.helpers()[-1]),
        ("monitor", lambda: cluster.helpers()[0]),
        ("keeper", cluster.keeper),
        ("worker", lambda: cluster.workers()[0]),
        ("sentinel", cluster.sentinel),
        ("main", cluster.main),
    ):
        cluster.wait_for(cluster.whole, f"all to be there before the {role} is killed")
        os.kill(find(), signal.SIGKILL)
        work_is_done(cluster, owner)
    node = Node.objects.get()
    cluster.wait_for(lambda: Node.objects.get().restarts >= 2, "the restarts to be told")
    assert node.pid == cluster.pid
    assert "ended" in Node.objects.get().note
    cluster.signal_group(signal.SIGTERM)
    assert cluster.end() == 0


def test_after_a_monitor_was_killed_failures_are_recorded_as_what_they_are(start: Start, owner: User) -> None:
    cluster = start()
    monitor = cluster.helpers()[0]
    os.kill(monitor, signal.SIGKILL)
    cluster.wait_for(
        lambda: len(cluster.helpers()) == 2 and monitor not in cluster.helpers(), "another monitor"
    )
    job = send(owner, "sleep badly")  # no number: a bug of the processor's
    record = cluster.wait_for(lambda: ErrorRecord.objects.filter(job=job).first(), "its record", 5)
    assert record.code == "internal_error"
    os.kill(cluster.pid, signal.SIGTERM)
    assert cluster.end() == 0


def test_whichever_idle_worker_is_killed_the_others_go_on_at_once(start: Start, owner: User) -> None:
    cluster = start()
    for number in range(6):
        cluster.wait_for(lambda: len(cluster.workers()) == 2, "both workers")
        os.kill(cluster.workers()[number % 2], signal.SIGKILL)
        work_is_done(cluster, owner, 5)
    assert Node.objects.get().restarts == 0
    os.kill(cluster.pid, signal.SIGTERM)
    assert cluster.end() == 0


def test_a_cluster_that_starts_no_job_is_started_anew(start: Start, owner: User) -> None:
    cluster = start()
    # Stopped, not dead: the sentinel sees nothing wrong with a pusher that hands over nothing.
    os.kill(cluster.helpers()[-1], signal.SIGSTOP)
    work_is_done(cluster, owner)
    cluster.wait_for(lambda: Node.objects.get().restarts == 1, "the restart to be told")
    assert "No job was started" in Node.objects.get().note


def test_two_long_jobs_and_a_backlog_are_not_a_hang(start: Start, owner: User) -> None:
    cluster = start()
    long, short = [send(owner, "sleep 7") for _ in range(2)], send(owner, "hello")
    cluster.wait_for(lambda: state(short) == State.SUCCEEDED, "the backlog")
    assert [state(job) for job in long].count(State.SUCCEEDED) >= 1
    assert Node.objects.get().restarts == 0


def test_run_once_ends_by_itself(start: Start, owner: User) -> None:
    assert start("--run-once", wait=False).end() == 0


def test_a_database_that_cannot_be_used_is_one_sentence(start: Start, tmp_path: Path) -> None:
    cluster = start(wait=False, DATABASE_URL=f"sqlite:///{tmp_path}/absent/nothing.sqlite3")
    assert cluster.process.wait(20) == 1
    assert cluster.log.read_text().strip().startswith("CommandError: The database cannot be used")


def _pids() -> list[int]:
    return [entry.pid for entry in processes.living()]
