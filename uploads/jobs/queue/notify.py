"""Being woken when a message is committed, instead of asking again and again.

On SQLite, where all processes share a host, a bell is an empty datagram to every Unix socket in
DATA_DIR/wake: one of each pusher. On PostgreSQL it is NOTIFY, which reaches every host at the commit.
A bell may be lost or rung in vain: who listens also looks by himself about once a second.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import select
import socket
import time
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction

from uploads.telemetry.logs import get_logger

log = get_logger(__name__)

CHANNEL = "wharfinger_queue"
RECONNECT_SECONDS = 1.0


class Ear(Protocol):
    """What a pusher waits with."""

    def wait(self, seconds: float) -> bool:
        """Wait for a bell, at most so long; whether there was one. Bells before the call count."""

    def close(self) -> None: ...


def ring() -> None:
    """Wake all pushers when the present transaction commits, or now where there is none."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
    else:
        transaction.on_commit(_ring_sockets, robust=True)


def ear() -> Ear:
    return ListenEar() if connection.vendor == "postgresql" else SocketEar()


# ---------------------------------------------------------------- SQLite: Unix datagrams


def _folder() -> Path:
    return Path(settings.DATA_DIR) / "wake"


def _open_folder() -> int:
    """A descriptor of the sockets' directory: DATA_DIR may be longer than the 107 bytes of an address."""
    return os.open(_folder(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _ring_sockets() -> None:
    """Never blocks and never fails; what a killed pusher has left behind is removed."""
    try:
        names = os.listdir(_folder())  # noqa: PTH208 - names are wanted, not paths
    except OSError:
        return  # no pusher has ever run here
    if not names:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.setblocking(False)
        folder = _open_folder()
        try:
            for name in names:
                try:
                    bell.sendto(b"", f"/proc/self/fd/{folder}/{name}")
                except OSError as wrong:
                    # Full: it has bells enough. Refused: nobody is there any more.
                    if wrong.errno == errno.ECONNREFUSED:
                        os.unlink(name, dir_fd=folder)
        finally:
            os.close(folder)


class SocketEar:
    """A Unix datagram socket in DATA_DIR/wake."""

    def __init__(self) -> None:
        _folder().mkdir(mode=0o700, exist_ok=True)
        self._name = f"{os.getpid()}.{secrets.token_hex(8)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        folder = _open_folder()
        try:
            self._socket.bind(f"/proc/self/fd/{folder}/{self._name}")
        finally:
            os.close(folder)

    def wait(self, seconds: float) -> bool:
        if not select.select([self._socket], [], [], max(seconds, 0))[0]:
            return False
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(1)
        return True

    def close(self) -> None:
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            (_folder() / self._name).unlink()


# ---------------------------------------------------------------- PostgreSQL: LISTEN


class ListenEar:
    """A connection of its own that listens; while there is none, waiting is just waiting."""

    def __init__(self) -> None:
        self._wrapper: Any = None
        self._retry_at = 0.0

    def wait(self, seconds: float) -> bool:
        seconds = max(seconds, 0)
        if self._wrapper is None and not self._connect():
            time.sleep(seconds)
            return False
        try:
            raw = self._wrapper.connection
            if not select.select([raw.fileno()], [], [], seconds)[0]:
                return False
            with self._wrapper.wrap_database_errors:
                return bool(list(raw.notifies(timeout=0)))
        except (DatabaseError, InterfaceError, OSError) as wrong:
            log.warning("wakeup.deaf", reason=" ".join(str(wrong).split()))
            self.close()
            return False

    def _connect(self) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        wrapper = connection.copy()
        # No pool: this connection is kept, and a pool's threads do not survive a fork.
        wrapper.settings_dict["OPTIONS"] = {
            name: value for name, value in wrapper.settings_dict["OPTIONS"].items() if name != "pool"
        }
        try:
            wrapper.ensure_connection()
            wrapper.connection.execute(f"LISTEN {CHANNEL}")
        except (DatabaseError, InterfaceError) as wrong:
            self._retry_at = time.monotonic() + RECONNECT_SECONDS
            log.warning("wakeup.deaf", reason=" ".join(str(wrong).split()))
            wrapper.close()
            return False
        self._wrapper = wrapper
        return True

    def close(self) -> None:
        if self._wrapper is not None:
            self._wrapper.close()
            self._wrapper = None
        self._retry_at = time.monotonic() + RECONNECT_SECONDS
