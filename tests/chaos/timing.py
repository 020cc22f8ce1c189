"""What is measured one at a time, on a calm site: how soon lost work runs again, and whether a stop stops."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import httpx

from tests.chaos import ledger, processor
from tests.chaos.sender import Sender, text
from tests.chaos.site import Cluster, Service, Site, below, cluster_of, name_of
from tests.chaos.table import Table
from uploads.linux import processes

T = TypeVar("T")
STALL_SECONDS = 15.0
STOP_GRACE = 20.0  # UPLOADS_STOP_GRACE as shipped
GONE_SECONDS = 2.0
PATIENCE = 60.0
_STOPS: tuple[tuple[str, signal.Signals, bool], ...] = (
    ("SIGTERM to main", signal.SIGTERM, False),
    ("SIGTERM to the group", signal.SIGTERM, True),
    ("Ctrl-C", signal.SIGINT, True),
)


@dataclass
class Timing:
    """Fills rows of the table by way of one site, whose ledger the sender keeps."""

    site: Site
    sender: Sender
    table: Table
    luck: random.Random

    # ------------------------------------------------------------ rows

    def rescue(self, tries: int) -> None:
        """SIGKILL of the worker of a running job until the job's next attempt runs."""
        seconds = []
        for number in range(tries):
            job_id, digest = self._send(f"rescue-{number}.txt", "sleep 1.5")
            worker = self._wait(partial(self._worker_of, digest), f"job {job_id} to run")
            os.kill(worker, signal.SIGKILL)
            seconds.append(self._until_attempt(job_id, 2))
        median, worst = statistics.median(seconds), max(seconds)
        self.table.add(
            "worker SIGKILLed in mid-job → the job runs again, median / worst",
            "< 2 s / < 5 s", f"{median:.1f} s / {worst:.1f} s of {tries}", median < 2 and worst < 5,
        )  # fmt: skip

    def idle_worker(self, tries: int) -> None:
        """SIGKILL of an idle worker, then a job: it may have died with the queue's lock in its hands."""
        seconds = []
        for number in range(tries):
            self._wait(self._all_idle, "idle workers")
            os.kill(self.luck.choice(self.site.clusters()[0].workers), signal.SIGKILL)
            began = time.monotonic()
            job_id, _digest = self._send(f"idle-{number}.txt", "sleep 0")
            self._wait(partial(self._has_succeeded, job_id), f"job {job_id} to succeed")
            seconds.append(time.monotonic() - began)
        stalls = sum(one > STALL_SECONDS for one in seconds)
        self.table.add(
            "idle worker SIGKILLed: stalls longer than 15 s", "0",
            f"{stalls} of {tries}, worst {max(seconds):.1f} s", not stalls,
        )  # fmt: skip

    def stops(self, tries: int) -> None:
        """Stops of a cluster beside the instance's own, some with a job running in it."""
        good = 0
        for number in range(tries):
            how, wanted, whole_group = _STOPS[number % len(_STOPS)]
            wrong = self._stop_once(number, wanted, whole_group)
            good += not wrong
            if wrong:
                self.table.details.append(f"{how}, number {number}: {wrong}")
        self.table.add(
            "SIGTERM to main, to group, Ctrl-C: ends in order within grace, nothing left", "all",
            f"{good} of {tries}", good == tries,
        )  # fmt: skip

    def host(self, tries: int) -> None:
        """SIGKILL of all processes of the second host until its jobs run on the first."""
        seconds: list[float] = []
        for number in range(tries):
            self.site.wait_until_both_work()
            self._wait(self._all_idle, "idle workers")
            sent = dict(self._send(f"host-{number}-{n}.txt", "sleep 6") for n in range(4))
            other = self._wait(partial(self._there, sent), "a job on the second host")
            supervisor = self.site.clusters()[-1].supervisor
            for pid in below(supervisor):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            seconds += [self._until_attempt(job_id, 2, tend=False) for job_id in other]
        limit = self.site.lease + 5
        self.table.add(
            "whole host SIGKILLed, another alive → its jobs run again, worst", "< lease + 5 s",
            f"{max(seconds):.1f} s of {len(seconds)} jobs (lease {self.site.lease} s)", max(seconds) < limit,
        )  # fmt: skip

    def writers(self, uploads: int) -> None:
        """Many small uploads at once through all web workers."""

        def one(number: int) -> bool:
            data = text("sleep 0", 900, random.Random(f"writers/{number}"))
            return bool(self.sender.send(f"writers-{number}.txt", data, ledger.INNOCENT))

        began = time.monotonic()
        with ThreadPoolExecutor(12) as clients:
            accepted = sum(clients.map(one, range(uploads)))
        seconds = time.monotonic() - began
        logs = [one.log for one in (self.site.serve, self.site.host_a, self.site.host_b) if one.log.exists()]
        locked = sum(log.read_text().count("database is locked") for log in logs)
        self.table.add(
            f'{self.site.env["UPLOADS_WEB_WORKERS"]} web workers on SQLite: "database is locked" seen, or not accepted',
            "0", f"{locked + uploads - accepted} of {uploads} uploads ({uploads / seconds:.0f}/s)",
            not locked and accepted == uploads,
        )  # fmt: skip
        self._wait(self._all_idle, "the writers' jobs to end", seconds=180)

    # ------------------------------------------------------------ steps

    def _stop_once(self, number: int, wanted: signal.Signals, whole_group: bool) -> str:
        """What went wrong, "" for nothing."""
        service = Service("host C", self.site.host_a.command, self.site.env,
                          self.site.folder / "c.log")  # fmt: skip
        service.start()
        assert service.process is not None
        pid = service.process.pid
        self._wait(lambda: len(_team(pid)) == 2, "the cluster to be up")
        if number % 2:
            for n in range(4):
                self._send(f"stop-{number}-{n}.txt", "sleep 1")
            self._wait(lambda: any(_busy(worker) for worker in _team(pid)) or self._all_idle(), "a job in it")
        family = [entry for one in below(pid) if (entry := processes.look_up(one))]
        if whole_group:
            os.killpg(pid, wanted)
        else:
            os.kill(pid, wanted)
        began = time.monotonic()
        while service.process.poll() is None:
            if time.monotonic() - began > STOP_GRACE:
                service.process.kill()
                service.process.wait()
                return f"it had not ended after {STOP_GRACE:g} s"
            time.sleep(0.02)
        if service.process.returncode:
            return f"it ended with status {service.process.returncode}"
        gone_by = time.monotonic() + GONE_SECONDS
        while any(processes.alive(one.pid, one.started) for one in family):
            if time.monotonic() > gone_by:
                return "processes of it were left"
            time.sleep(0.02)
        return ""

    def _send(self, name: str, line: str) -> tuple[str, str]:
        """A job of a small file, and the file's SHA-256 as its child bears it."""
        job_id = self.sender.send(name, text(line, 100, self.luck), ledger.INNOCENT)
        if not job_id:
            raise RuntimeError(f"{name} was not accepted on a calm site")
        return job_id, self.sender.ledger.acknowledged[job_id].sha256[: processor.NAME_DIGITS]

    def _worker_of(self, digest: str, clusters: list[Cluster] | None = None) -> int:
        for cluster in clusters or self.site.clusters():
            for worker in cluster.workers:
                if any(name_of(pid) == processor.WORKING + digest for pid in below(worker)):
                    return worker
        return 0

    def _there(self, sent: dict[str, str]) -> list[str]:
        """Those of the jobs that run on the second host."""
        other = self.site.clusters()[-1:]
        return [job_id for job_id, digest in sent.items() if self._worker_of(digest, other)]

    def _all_idle(self) -> bool:
        with self.site.client() as client:
            page = client.get("/api/jobs", params={"state": ["queued", "running"], "limit": 1})
        full = all(len(one.workers) == 2 for one in self.site.clusters(expected=True))
        return full and page.status_code == 200 and not page.json()["items"]

    def _has_succeeded(self, job_id: str) -> bool:
        return bool(self._job(job_id).get("state") == "succeeded")

    def _until_attempt(self, job_id: str, number: int, *, tend: bool = True) -> float:
        """Seconds until the job has begun its attempt of this number."""
        began = time.monotonic()
        self._wait(
            lambda: self._job(job_id).get("attempt", 0) >= number, f"job {job_id} to run again", tend=tend
        )
        return time.monotonic() - began

    def _job(self, job_id: str) -> dict[str, Any]:
        with self.site.client() as client:
            answer = client.get(f"/api/jobs/{job_id}")
        job: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return job

    def _wait(self, look: Callable[[], T], what: str, *, seconds: float = PATIENCE, tend: bool = True) -> T:
        """Ask until the answer is true. Raises RuntimeError after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            if tend:
                self.site.tend()
            with contextlib.suppress(httpx.TransportError, ProcessLookupError):
                if found := look():
                    return found
            if time.monotonic() > deadline:
                raise RuntimeError(f"waited {seconds:g} s for {what}")
            time.sleep(0.02)


def _team(supervisor: int) -> list[int]:
    return cluster_of(supervisor).workers


def _busy(worker: int) -> bool:
    return any(name_of(pid).startswith(processor.WORKING) for pid in below(worker))
