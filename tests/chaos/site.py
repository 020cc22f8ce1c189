"""An instance under chaos: web and cluster on one host, a second cluster that stands for another host.

Each is a service of its own; what a service manager does on a real host (start again what has ended) is
done here by `tend`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.servers import Postgres, Redis, free_port
from tests.paths import ROOT
from uploads.linux import processes, syscalls

READY_SECONDS = 60.0
RESTART_SECONDS = 1.0
_OURS = {"DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR", "DATABASE_URL", "REDIS_URL", "SECRET_KEY"}


@dataclass
class Service:
    """A command that is started again when it ends, as `Restart=always` does."""

    name: str
    command: list[str]
    env: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    ended_at: float = 0.0
    restarts: int = 0

    @property
    def pid(self) -> int:
        """Of its main process; 0 while it does not run."""
        return self.process.pid if self.process is not None and self.process.poll() is None else 0

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.env, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                start_new_session=True, preexec_fn=lambda: syscalls.die_with_parent(int(signal.SIGKILL)),
            )  # fmt: skip

    def tend(self) -> None:
        """Start it again a second after its end."""
        if self.process is None or self.process.poll() is None:
            return
        self.ended_at = self.ended_at or time.monotonic()
        if time.monotonic() - self.ended_at >= RESTART_SECONDS:
            self.ended_at = 0.0
            self.restarts += 1
            self.start()

    def stop(self, leader: int = 0) -> int:
        """Stop it for good by a SIGTERM to it, or to the child `leader`; its exit status."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader or process.pid, signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                processes.kill_session(process.pid)
        return process.wait()


@dataclass
class Cluster:
    """The processes of one running cluster by their roles, as /proc shows them; pids."""

    supervisor: int
    keeper: list[int] = field(default_factory=list)
    main: list[int] = field(default_factory=list)
    sentinel: list[int] = field(default_factory=list)
    helpers: list[int] = field(default_factory=list)  # monitor and pusher, in the order of their start
    workers: list[int] = field(default_factory=list)


@dataclass
class Site:
    """The instance. `lease` in seconds; `settings` go into the environment of both hosts.

    The second host is there from `start_second_host` on.
    """

    folder: Path
    setup: str
    postgres: Postgres | None
    redis: Redis | None
    lease: int
    settings: dict[str, str]
    clock_offset: int = 0  # seconds, of the second host

    def __post_init__(self) -> None:
        self.data_dir = self.folder / "data"
        self.data_dir.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            name: value
            for name, value in os.environ.items()
            if name not in _OURS and not name.startswith("UPLOADS_")
        } | {
            "DATA_DIR": str(self.data_dir), "PORT": str(self.port),
            "DJANGO_SUPERUSER_PASSWORD": "correct-horse-battery",
            "SECRET_KEY": "chaos-" + "k" * 50, "PYTHONPATH": str(ROOT), "LOG_LEVEL": "INFO", "WORKERS": "2",
            "UPLOADS_MIN_FREE": "0", "UPLOADS_LEASE_SECONDS": str(self.lease),
            "UPLOADS_PROCESSORS": "text=tests.chaos.processor",
        } | self.settings  # fmt: skip
        if self.postgres:
            self.env["DATABASE_URL"] = self.postgres.url
        if self.redis:
            self.env["REDIS_URL"] = self.redis.url
        manage = [sys.executable, "manage.py"]
        self.serve = Service("web server", [*manage, "serve"], self.env, self.folder / "web.log")
        self.host_a = Service("host A", [*manage, "qcluster"], self.env, self.folder / "a.log")
        self.host_b = Service(
            "host B", [*_namespace(), *manage, "qcluster"], self.env | self._skew(), self.folder / "b.log"
        )
        self.token = ""

    def _skew(self) -> dict[str, str]:
        if not self.clock_offset:
            return {}
        return {"DJANGO_SETTINGS_MODULE": "tests.chaos.skewed", "CHAOS_CLOCK_OFFSET": str(self.clock_offset)}

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Start the first host and wait until it is ready. Raises RuntimeError with the log's end where it is not."""
        self.manage("migrate")
        self.manage("createsuperuser", "--noinput", "--username", "admin", "--email", "admin@example.org")
        self.serve.start()
        self.host_a.start()
        self.wait_until_ready()
        self.token = self.manage("create_token", "admin")

    def start_second_host(self) -> None:
        """Start it, if it does not run yet, and wait until both work."""
        if self.host_b.process is None:
            self.host_b.start()
        self.wait_until_both_work()

    def tend(self) -> None:
        for service in (self.serve, self.host_a, self.host_b):
            service.tend()

    def stop(self) -> list[int]:
        """Stop all in order; their exit statuses."""
        other = self._other_supervisor()  # unshare(1) passes no signal on
        return [self.serve.stop(), self.host_a.stop(), self.host_b.stop(other)]

    def wait_until_ready(self) -> None:
        self._wait(lambda: httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200, "ready")

    def wait_until_both_work(self) -> None:
        self._wait(lambda: all(len(one.workers) == 2 for one in self.clusters(expected=True)), "at work")

    def _wait(self, look: Any, what: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            self.tend()
            with contextlib.suppress(httpx.TransportError):
                if look():
                    return
            if time.monotonic() > deadline:
                said = "".join(one.log.read_text()[-2000:] for one in (self.serve, self.host_a))
                raise RuntimeError(f"The site is not {what}:\n{said}")
            time.sleep(0.1)

    def manage(self, *arguments: str, check: bool = True) -> str:
        """Run a management command beside it; its standard output. Raises RuntimeError where it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.env, capture_output=True, text=True
        )
        if check and done.returncode:
            raise RuntimeError(f"manage.py {arguments[0]}: {done.stderr[-2000:]}")
        return done.stdout.strip()

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=httpx.Timeout(60),
            verify=False,  # plain HTTP: reading the certificates takes longer than a request
        )  # fmt: skip

    # ------------------------------------------------------------ who is who

    def clusters(self, *, expected: bool = False) -> list[Cluster]:
        """Those that run now; with `expected`, an empty one stands for each that should and does not."""
        found = [cluster_of(self.host_a.pid)]
        if self.host_b.process is not None:
            found.append(cluster_of(self._other_supervisor()))
        return found if expected else [one for one in found if one.supervisor]

    def web(self) -> tuple[int, list[int]]:
        """Granian's main process and its workers."""
        return self.serve.pid, _children(self.serve.pid)

    def _other_supervisor(self) -> int:
        if "unshare" in self.host_b.command[0]:
            return next(iter(_children(self.host_b.pid)), 0)
        return self.host_b.pid


def _namespace() -> list[str]:
    """A PID namespace of its own, so that neither host sees the other's processes; [] where not allowed."""
    for words in (["unshare", "-p", "-f", "--mount-proc", "--kill-child"], ["unshare", "-Ur", "-p", "-f"]):
        words = words if "--kill-child" in words else [*words, "--mount-proc", "--kill-child"]
        with contextlib.suppress(OSError):
            if subprocess.run([*words, "true"], capture_output=True).returncode == 0:
                return words
    return []


def cluster_of(supervisor: int) -> Cluster:
    found = Cluster(supervisor)
    if not supervisor:
        return found
    below = _children(supervisor)
    found.main = [pid for pid in below if _children(pid)]
    found.keeper = [pid for pid in below if pid not in found.main]
    found.sentinel = [pid for main in found.main for pid in _children(main)]
    team = [pid for sentinel in found.sentinel for pid in _children(sentinel)]
    found.workers = [pid for pid in team if _children(pid)]
    found.helpers = [pid for pid in team if pid not in found.workers]
    return found


def _children(pid: int) -> list[int]:
    """In the order of their start."""
    found: list[int] = []
    with contextlib.suppress(OSError):  # it has ended, or its thread has
        for thread in os.listdir(f"/proc/{pid}/task") if pid else []:  # noqa: PTH208 - names are wanted
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    alive = [entry for child in found if (entry := processes.look_up(child))]
    return [entry.pid for entry in sorted(alive, key=lambda entry: (entry.started, entry.pid))]


def below(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for one in found:
        found += _children(one)
    return found


def name_of(pid: int) -> str:
    """What a process calls itself, "" where it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
