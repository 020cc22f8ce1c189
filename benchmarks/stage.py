"""Servers to measure, each on a free port over a directory of its own, and clients that cost little."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MIB = 1 << 20
_PIECE = os.urandom(MIB)
# A time-out's signal must not leave servers running: every `with` below is left in order.
signal.signal(signal.SIGTERM, lambda *_told: sys.exit(128 + signal.SIGTERM))


@dataclass
class Server:
    """A running server: `folder` holds its data, `token` is "" for a bare one."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    token: str = ""

    @property
    def headers(self) -> str:
        return f"Authorization: Bearer {self.token}\r\n" if self.token else ""

    def workers(self) -> list[int]:
        """Process ids of the web workers: the children of Granian's main process that serve."""
        return [pid for pid in _below(self.process.pid) if "resource_tracker" not in _command(pid)]

    def peak_rss(self) -> int:
        """The largest VmHWM of the web workers, in bytes."""
        return max(_status(pid, "VmHWM:") for pid in self.workers())

    def peak_rss_together(self) -> int:
        """The VmHWM of all web workers in one sum, in bytes."""
        return sum(_status(pid, "VmHWM:") for pid in self.workers())

    def reset_peaks(self) -> None:
        for pid in self.workers():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def bytes_written(self) -> int:
        """Bytes that the web workers caused to be sent to storage (proc(5), io: write_bytes)."""
        total = 0
        for pid in self.workers():
            for line in Path(f"/proc/{pid}/io").read_text().splitlines():
                if line.startswith("write_bytes:"):
                    total += int(line.split()[1])
        return total


def _below(pid: int) -> list[int]:
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, listed.read_text().split()):
            found += [child, *_below(child)]
    return found


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(folder: Path, port: int, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("UPLOADS_", "DATABASE_", "REDIS_"))}
    return kept | {
        "DATA_DIR": str(folder), "PORT": str(port), "HOST": "127.0.0.1", "LOG_LEVEL": "WARNING",
        "ADMIN_PASSWORD": "for-the-benchmark", "SECRET_KEY": "bench" * 12, "UPLOADS_MIN_FREE": "0",
        "UPLOADS_MAX_QUEUED": "1000000", "UPLOADS_USER_MAX_QUEUED": "1000000", "PYTHONPATH": str(ROOT),
        "BARE_FOLDER": str(folder),
    } | more  # fmt: skip


def manage(env: dict[str, str], *arguments: str) -> str:
    """Run a management command to its end; what it printed."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=env,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@contextmanager
def folder() -> Iterator[Path]:
    """A directory beside the product's own data: on a disk, not in memory."""
    (ROOT / "var").mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "var"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def wharfinger(command: str = "serve", **settings: str) -> Iterator[Server]:
    """The product's web tier (`serve`), or all of it (`up`), with a token of an administrator."""
    with folder() as path:
        env = environment(path, free_port(), **settings)
        manage(env, "migrate", "-v0")
        manage(env, "shell", "-v0", "-c", _MAKE_ADMIN)
        token = manage(env, "create_token", "admin")
        with running([sys.executable, "manage.py", command], env, path, token) as server:
            yield server


_MAKE_ADMIN = (
    "from django.contrib.auth.models import User; User.objects.create_superuser('admin', password='bench')"
)


@contextmanager
def granian(application: str) -> Iterator[Server]:
    """A bare application on the same Granian with the same workers and threads as ours."""
    with folder() as path:
        port = free_port()
        env = environment(path, port)
        command = [
            sys.executable, "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws", "--workers", "2",
            "--blocking-threads", "128", "--backlog", "1024", "--backpressure", "1024", "--port", str(port),
            "--log-level", "error", application,
        ]  # fmt: skip
        with running(command, env, path, "") as server:
            yield server


@contextmanager
def running(
    command: list[str], env: dict[str, str], path: Path, token: str, *, cwd: Path = ROOT
) -> Iterator[Server]:
    """Run a server's command over the directory `path` until the block ends. `env` names its PORT."""
    with (path / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    server = Server(int(env["PORT"]), path, process, token)
    try:
        _wait(server)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(server: Server) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            get(server, "/healthz" if server.token else "/")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit((server.folder / "server.log").read_text()[-3000:])


def get(server: Server, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", path, headers={"Authorization": f"Bearer {server.token}"})
    answer = connection.getresponse()
    got = answer.status, answer.read()
    connection.close()
    return got


def send(server: Server, head: str, size: int, before: bytes = b"", after: bytes = b"") -> float:
    """Send one request whose body is `before`, `size` random bytes, `after`; seconds until its answer.

    `head` is the request line and headers without Content-Length. Exits where it is not acknowledged.
    """
    length = len(before) + size + len(after)
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        line.sendall(
            f"{head}Host: 127.0.0.1\r\n{server.headers}Content-Length: {length}\r\n\r\n".encode() + before
        )
        left = size
        while left:
            piece = memoryview(_PIECE)[: min(left, MIB)]
            line.sendall(piece)
            left -= len(piece)
        line.sendall(after)
        answer = line.recv(65536)
        spent = time.perf_counter() - began
    if b" 202 " not in answer[:20]:
        raise SystemExit(f"not acknowledged: {answer[:500]!r}")
    return spent


def at_once(act: Callable[[int], object], count: int) -> float:
    """Run `act(n)` in `count` threads; seconds until the last has ended. Raises what one of them raised."""
    wrong: list[BaseException] = []

    def run(number: int) -> None:
        try:
            act(number)
        except BaseException as raised:  # noqa: BLE001  # raised again below, in the thread that asked
            wrong.append(raised)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]
    return time.perf_counter() - began


def median(values: list[float]) -> float:
    return statistics.median(values)


def row(what: str, ours: str, peer: str, ratio: str, goal: str, met: bool | None) -> None:
    """Print one line of the table; `met` None where there is no goal."""
    mark = "" if met is None else ("yes" if met else "NO")
    print(f"{what:<44}{ours:>14}{peer:>14}{ratio:>9}  {goal:<10}{mark}", flush=True)


def heading() -> None:
    row("what", "ours", "peer", "ratio", "goal", None)
