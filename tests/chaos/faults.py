"""The faults. Each finds its victim among the processes that run now, and says what it did, or "" for nothing."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.chaos import processor
from tests.chaos.ledger import INNOCENT, Ledger
from tests.chaos.site import Cluster, Site, below, name_of
from uploads.linux import processes

LOCK_SECONDS = 10.0
FULL_SECONDS = 6.0
REDIS_DOWN_SECONDS = 30.0
STOPPED_LEASES = 1.3  # a stopped process stays so for this many leases
FILLER = "filler"

Fault = Callable[["Faults", random.Random], str]
# What is done how often, by weight, and in which set-ups ("" is all).
WEIGHTS: dict[str, tuple[int, str]] = {
    "kill a worker": (14, ""),
    "kill a sandbox child": (8, ""),
    "kill a sandbox's zygote": (4, ""),
    "kill the monitor or pusher": (12, ""),
    "kill a sentinel": (5, ""),
    "kill a cluster's main process": (5, ""),
    "kill a keeper": (4, ""),
    "kill a supervisor": (2, ""),
    "kill a whole host's processes": (2, ""),
    "kill a web worker": (6, ""),
    "kill the web server": (2, ""),
    "kill the web workers in mid-upload": (3, ""),
    "stop a supervisor in order": (2, ""),
    "freeze a worker for longer than the lease": (3, ""),
    "freeze a cluster for longer than the lease": (1, ""),
    "lock SQLite for 10 s": (2, "sqlite"),
    "fill the disk": (2, "disk"),
    "restart PostgreSQL": (2, "postgres redis"),
    "crash PostgreSQL": (2, "postgres redis"),
    "flush Redis": (5, "redis"),
    "restart Redis": (3, "redis"),
    "take Redis down for 30 s": (1, "redis"),
}
LASTING = {"freeze a worker for longer than the lease", "freeze a cluster for longer than the lease",
           "lock SQLite for 10 s", "fill the disk", "take Redis down for 30 s"}  # fmt: skip


class Faults:
    """Does faults to a site. Servers are started again by the main thread only, in `tend`."""

    def __init__(self, site: Site, kept: Ledger, *, own_disk: bool) -> None:
        self.site, self.ledger = site, kept
        self.done: Counter[str] = Counter()
        self._hit_children: Counter[str] = Counter()
        self._lasting: dict[str, threading.Thread] = {}
        self._redis_up_at = 0.0
        self.weights = {
            name: weight
            for name, (weight, where) in WEIGHTS.items()
            if not where or site.setup in where or (where == "disk" and own_disk)
        }

    def do_one(self, luck: random.Random) -> str:
        """One fault by chance; another where the first finds no victim. Its name, "" where there is none at all."""
        for _ in range(8):
            name = luck.choices(list(self.weights), list(self.weights.values()))[0]
            if self.do(name, luck):
                return name
        return ""

    def do(self, name: str, luck: random.Random) -> bool:
        """Whether there was a victim. A lasting fault goes on beside others, but not beside its like."""
        if name in self._lasting and self._lasting[name].is_alive():
            return False
        with contextlib.suppress(ProcessLookupError):
            if _FAULTS[name](self, luck):
                self.done[name] += 1
                return True
        return False

    def tend(self) -> None:
        """What a service manager does for hosts and servers."""
        self.site.tend()
        redis = self.site.redis
        if redis and self._redis_up_at and time.monotonic() >= self._redis_up_at:
            self._redis_up_at = 0.0
            redis.start()

    def end(self) -> None:
        """Wait for lasting faults to end."""
        while any(one.is_alive() for one in self._lasting.values()) or self._redis_up_at:
            self.tend()
            time.sleep(0.1)

    # ------------------------------------------------------------ victims

    def _some(self, luck: random.Random, role: Callable[[Cluster], list[int]]) -> int:
        pids = [pid for cluster in self.site.clusters() for pid in role(cluster)]
        return luck.choice(pids) if pids else 0

    def _kill(self, luck: random.Random, role: Callable[[Cluster], list[int]]) -> bool:
        pid = self._some(luck, role)
        if pid:
            os.kill(pid, signal.SIGKILL)
        return bool(pid)

    def kill_child(self, luck: random.Random) -> bool:
        """Of a job, once: a second crash is the job's budget, and nobody could tell it from the file's fault."""
        children = [
            pid
            for cluster in self.site.clusters()
            for pid in below(cluster.supervisor)
            if name_of(pid).startswith(processor.WORKING) and not self._hit_children[name_of(pid)]
        ]
        if not children:
            return False
        pid = luck.choice(children)
        self._hit_children[name_of(pid)] += 1
        os.kill(pid, signal.SIGKILL)
        return True

    def kill_zygote(self, luck: random.Random) -> bool:
        """Of an idle worker only: with a file in it, it is a crash of that file's child."""
        zygotes = [below(worker)[1:] for cluster in self.site.clusters() for worker in cluster.workers]
        idle = [one for some in zygotes if all(len(below(pid)) == 1 for pid in some) for one in some]
        if idle:
            os.kill(luck.choice(idle), signal.SIGKILL)
        return bool(idle)

    def kill_host(self, luck: random.Random) -> bool:
        cluster = luck.choice(self.site.clusters() or [Cluster(0)])
        for pid in below(cluster.supervisor) if cluster.supervisor else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(cluster.supervisor)

    def kill_web(self, luck: random.Random, *, whole: bool) -> bool:
        main, workers = self.site.web()
        pid = main if whole else luck.choice(workers or [0])
        if pid:
            os.kill(pid, signal.SIGKILL)
        return bool(pid)

    def cut_upload(self, luck: random.Random) -> bool:
        """An upload of which a part has come in when every web worker is killed: it must leave no job behind."""
        size = luck.choice([200_000, 9 << 20])
        name = f"cut-{self.done['kill the web workers in mid-upload']}.txt"
        _main, workers = self.site.web()
        if not workers:
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.site.port), timeout=2) as client:
                client.sendall(
                    f"PUT /api/uploads/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n"
                    f"Authorization: Bearer {self.site.token}\r\n\r\n".encode()
                )
                self.ledger.lose_touch(self.ledger.announce([(name, "", size, INNOCENT)]))
                client.sendall(b"x" * (size // 2))
                for pid in workers:
                    os.kill(pid, signal.SIGKILL)
        except OSError:
            return False
        return True

    def stop_supervisor(self, luck: random.Random) -> bool:
        pid = self._some(luck, lambda cluster: [cluster.supervisor])
        if pid:
            os.kill(pid, signal.SIGTERM)
        return bool(pid)

    # ------------------------------------------------------------ what lasts

    def _last(
        self, name: str, seconds: float, begin: Callable[[], object], end: Callable[[], object]
    ) -> bool:
        """Begin now, end after `seconds` in a thread of its own."""
        begin()

        def later() -> None:
            time.sleep(seconds)
            end()

        self._lasting[name] = threading.Thread(target=later, daemon=True)
        self._lasting[name].start()
        return True

    def freeze(self, luck: random.Random, *, whole: bool) -> bool:
        name = f"freeze a {'cluster' if whole else 'worker'} for longer than the lease"
        pid = self._some(luck, (lambda one: one.main) if whole else (lambda one: one.workers))
        pids = below(pid) if whole and pid else [pid]
        known = [entry for one in pids if one and (entry := processes.look_up(one))]

        def send(number: signal.Signals) -> None:
            for entry in known:
                if processes.alive(entry.pid, entry.started):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(entry.pid, number)

        return bool(known) and self._last(
            name, self.site.lease * STOPPED_LEASES, lambda: send(signal.SIGSTOP), lambda: send(signal.SIGCONT)
        )

    def lock_sqlite(self, luck: random.Random) -> bool:
        path = self.site.data_dir / "wharfinger.sqlite3"

        def hold() -> None:
            with contextlib.closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as held:
                held.execute("BEGIN IMMEDIATE")
                time.sleep(LOCK_SECONDS)
                held.execute("ROLLBACK")

        self._lasting["lock SQLite for 10 s"] = thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        return True

    def fill_disk(self, luck: random.Random) -> bool:
        filler = self.site.data_dir / FILLER
        return self._last("fill the disk", FULL_SECONDS, lambda: fill(filler), filler.unlink)

    # ------------------------------------------------------------ servers

    def restart_postgres(self, luck: random.Random, number: signal.Signals) -> bool:
        if not self.site.postgres:
            return False
        self.site.postgres.stop(number)
        self.site.postgres.start()
        return True

    def flush_redis(self, luck: random.Random) -> bool:
        redis = self.site.redis
        return bool(redis and redis.call(b"FLUSHALL\r\n"))

    def stop_redis(self, luck: random.Random, seconds: float) -> bool:
        redis = self.site.redis
        if not redis or self._redis_up_at:
            return False
        redis.stop(signal.SIGKILL)
        self._redis_up_at = time.monotonic() + seconds
        return True


def fill(path: Path) -> None:
    """Write until the disk is full to the last byte."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        block = bytes(1 << 20)
        while True:
            if file.write(block) < len(block):
                return


_FAULTS: dict[str, Callable[[Faults, random.Random], bool]] = {
    "kill a worker": lambda faults, luck: faults._kill(luck, lambda one: one.workers),
    "kill a sandbox child": Faults.kill_child,
    "kill a sandbox's zygote": Faults.kill_zygote,
    "kill the monitor or pusher": lambda faults, luck: faults._kill(luck, lambda one: one.helpers),
    "kill a sentinel": lambda faults, luck: faults._kill(luck, lambda one: one.sentinel),
    "kill a cluster's main process": lambda faults, luck: faults._kill(luck, lambda one: one.main),
    "kill a keeper": lambda faults, luck: faults._kill(luck, lambda one: one.keeper),
    "kill a supervisor": lambda faults, luck: faults._kill(luck, lambda one: [one.supervisor]),
    "kill a whole host's processes": Faults.kill_host,
    "kill a web worker": lambda faults, luck: faults.kill_web(luck, whole=False),
    "kill the web workers in mid-upload": Faults.cut_upload,
    "kill the web server": lambda faults, luck: faults.kill_web(luck, whole=True),
    "stop a supervisor in order": Faults.stop_supervisor,
    "freeze a worker for longer than the lease": lambda faults, luck: faults.freeze(luck, whole=False),
    "freeze a cluster for longer than the lease": lambda faults, luck: faults.freeze(luck, whole=True),
    "lock SQLite for 10 s": Faults.lock_sqlite,
    "fill the disk": Faults.fill_disk,
    "restart PostgreSQL": lambda faults, luck: faults.restart_postgres(luck, signal.SIGINT),
    "crash PostgreSQL": lambda faults, luck: faults.restart_postgres(luck, signal.SIGKILL),
    "flush Redis": Faults.flush_redis,
    "restart Redis": lambda faults, luck: faults.stop_redis(luck, 0.5),
    "take Redis down for 30 s": lambda faults, luck: faults.stop_redis(luck, REDIS_DOWN_SECONDS),
}
