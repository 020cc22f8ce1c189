"""A PostgreSQL and a Redis of the harness's own: on free ports, over directories of their own, as nobody."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from uploads.linux import syscalls

READY_SECONDS = 30.0


class Absent(Exception):
    """A server that a set-up needs is not installed."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _binary(name: str) -> str:
    found = shutil.which(name) or next(
        (str(one) for one in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), ""
    )
    if not found:
        raise Absent(f"{name} is not installed here.")
    return found


class Server:
    """One server process; `start` waits until it answers. Call it from the main thread: it dies with that."""

    port: int

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._user = "nobody" if os.geteuid() == 0 else None
        folder.mkdir(mode=0o700)
        if self._user:
            nobody = pwd.getpwnam(self._user)
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Raises TimeoutError where it does not answer."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            if self.process is None or self.process.poll() is not None:
                # Again, too: what is left of a killed one may hold its directory for a moment.
                with (self.folder / "server.log").open("ab") as log:
                    self.process = self._run(self.command(), log)
            if self.answers():
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.command()[0]} does not answer on port {self.port}")
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal and wait for its end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.process.kill()
            self.process.wait()

    def _run(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            user=self._user, group="nogroup" if self._user else None, extra_groups=[] if self._user else None,
            start_new_session=True, preexec_fn=lambda: syscalls.die_with_parent(int(signal.SIGINT)),
        )  # fmt: skip


class Postgres(Server):
    def __init__(self, folder: Path) -> None:
        self._postgres, initdb = _binary("postgres"), _binary("initdb")
        super().__init__(folder)
        with (folder / "initdb.log").open("wb") as log:
            made = self._run(
                [initdb, "-D", "data", "-U", "chaos", "-A", "trust", "-E", "UTF8", "--no-sync"], log
            )
        if made.wait(60):
            raise Absent(f"initdb failed: {(folder / 'initdb.log').read_text()[-500:]}")

    @property
    def url(self) -> str:
        return f"postgres://chaos@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.folder),
                   "max_connections": "200"}  # fmt: skip
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [self._postgres, "-D", "data", "-p", str(self.port), *settings]

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class Redis(Server):
    """It keeps nothing on disk: a restart loses every message."""

    def __init__(self, folder: Path) -> None:
        self._server = _binary("redis-server")
        super().__init__(folder)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [self._server, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", "."]

    def answers(self) -> bool:
        return self.call(b"PING\r\n").startswith(b"+PONG")

    def call(self, words: bytes) -> bytes:
        """One inline command; the start of its answer, b"" where there is none."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(words)
                return connection.recv(1000)
        except OSError:
            return b""


@contextlib.contextmanager
def servers_for(setup: str, folder: Path) -> Iterator[tuple[Postgres | None, Redis | None]]:
    """The servers of a set-up, running: none for sqlite, PostgreSQL for postgres, both for redis."""
    database = Postgres(folder / "postgres") if setup != "sqlite" else None
    broker = Redis(folder / "redis") if setup == "redis" else None
    running = [one for one in (database, broker) if one is not None]
    try:
        for one in running:
            one.start()
        yield database, broker
    finally:
        for one in running:
            one.stop(signal.SIGINT)
