"""Cuts connections over which nothing moves, or a request comes in too slowly (promise 7).

The web server's body read has no time-out, returns only when it has all the bytes it was asked for, and
does not say which socket it reads. So one thread in each web worker looks at all sockets that were accepted
on a port this process listens on, and shuts down those that are stuck; the blocked read then ends short.
It never closes one, since the descriptor is the server's.

What has moved is told by the kernel: `bytes_received` and `bytes_acked` of `struct tcp_info` (linux/tcp.h,
since Linux 4.2) count payload that came in and payload the other side has acknowledged. They see a client
that vanished, one that stalls in mid-body and one that takes nothing of its answer alike.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from uploads.telemetry.logs import get_logger

TICK = 1.0
# A worker that listens no more is stopping: silence is not waited for any longer.
STOPPING_TIMEOUT = 1.0

Verdict = Literal["idle", "slow"]

_TCP_INFO_SIZE = 256
# Offsets in struct tcp_info of unacked; bytes_acked and bytes_received; notsent_bytes.
_UNACKED = struct.Struct("=24xI")
_MOVED = struct.Struct("=120xQQ")
_NOT_SENT = struct.Struct("=144xI")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a connection.

    Payload bytes `received` and `acked` since it began, bytes that wait `unread` for our own process, and
    whether some of ours are still `unsent`: not yet taken by the other side.
    """

    received: int
    acked: int
    unread: int = 0
    unsent: bool = False


@dataclass(slots=True)
class Watched:
    """What is remembered of a connection between looks; times are seconds of the monotonic clock.

    A *stretch* is a time in which bytes came and none of ours was acknowledged: a request on its way in.
    """

    last: Reading
    moved: float
    stretch_began: float | None = None
    stretch_base: int = 0

    @property
    def resting(self) -> bool:
        """Whether nothing is under way: no request that came in part, no answer not yet taken."""
        return self.stretch_began is None and not self.last.unsent

    def judge(self, now: float, seen: Reading, idle_timeout: float, min_rate: float) -> Verdict | None:
        """Take in a new look; why the connection is to be cut, or None.

        Bytes that we ourselves have not read are no fault of the client's, unless it does not read either.
        """
        came, went = seen.received != self.last.received, seen.acked != self.last.acked
        if went:
            self.stretch_began = None
        elif came and self.stretch_began is None:
            self.stretch_began, self.stretch_base = now, self.last.received
        if came or went:
            self.moved = now
        self.last = seen
        if seen.unread and not seen.unsent:
            self.moved, self.stretch_began = now, None
            return None
        if now - self.moved >= idle_timeout:
            return "idle"
        # Judged when a byte comes: a request that is in, and is being worked on, is not a slow one.
        if came and self.stretch_began is not None and (length := now - self.stretch_began) >= idle_timeout:
            if seen.received - self.stretch_base < min_rate * length:
                return "slow"
            self.stretch_began, self.stretch_base = now, seen.received
        return None


@dataclass(slots=True)
class Watchdog:
    """Looks at this process's own accepted sockets, and cuts those that are stuck.

    `idle_timeout` in seconds; `min_rate` in bytes a second, judged over each idle time-out, 0 for none.
    """

    idle_timeout: float
    min_rate: float = 0
    ports: set[int] = field(default_factory=set)
    watched: dict[int, Watched] = field(default_factory=dict)

    def look(self, now: float) -> int:
        """Look once at every connection; how many were cut."""
        accepted: dict[int, tuple[int, int, Reading]] = {}
        listening: set[int] = set()
        for fd, inode in _sockets():
            with _borrowed(fd) as sock:
                if sock is None:
                    continue
                port = sock.getsockname()[1]
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    listening.add(port)
                    self.ports.add(port)
                elif port in self.ports and (reading := read(sock)):
                    accepted[inode] = fd, port, reading
        stopping_timeout = min(self.idle_timeout, STOPPING_TIMEOUT)
        self.watched = {
            inode: self.watched.get(inode) or Watched(reading, now)
            for inode, (_fd, _port, reading) in accepted.items()
        }
        cut = 0
        for inode, (fd, port, reading) in accepted.items():
            one = self.watched[inode]
            idle_timeout = self.idle_timeout if port in listening else stopping_timeout
            if (verdict := one.judge(now, reading, idle_timeout, self.min_rate)) and _cut(fd, inode):
                cut += 1
                # A browser's connection that rests between two requests is nothing to report.
                say = log.debug if one.resting else log.info
                say("connection.cut", reason=verdict, silent_seconds=round(now - one.moved, 1))
        return cut

    def run(self, stop: threading.Event) -> None:
        """Look every second, oftener for a shorter time-out, until `stop` is set."""
        while not stop.wait(min(TICK, self.idle_timeout / 4)):
            self.look(time.monotonic())


_starting = threading.Lock()
_started_in = 0


def start(idle_timeout: float, min_rate: float = 0, *, port: int | None = None) -> None:
    """Watch this process's connections from now on, in a daemon thread; a second call does nothing.

    `port` is where it will listen, if that is known; other ports are found when it does.
    A process forked from this one has to call it again. Where the kernel keeps no counts (some sandboxes fill
    in zeros), a warning is logged and nothing is watched, since every live upload would look idle.
    """
    global _started_in
    with _starting:
        if _started_in == os.getpid():
            return
        _started_in = os.getpid()
    if not kernel_counts():
        log.warning("watchdog.unavailable", detail="The kernel does not count a connection's bytes.")
        return
    dog = Watchdog(idle_timeout, min_rate, set() if port is None else {port})
    threading.Thread(target=dog.run, args=(threading.Event(),), name="watchdog", daemon=True).start()


def kernel_counts() -> bool:
    """Whether TCP_INFO says how many bytes came, tried on a connection to ourselves."""
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), timeout=1) as client,
            server.accept()[0] as accepted,
        ):
            accepted.settimeout(1)
            client.sendall(b"x")
            accepted.recv(1)
            reading = read(accepted)
    except OSError:
        return False
    return reading is not None and reading.received > 0


def read(sock: socket.socket) -> Reading | None:
    """The counts of a connected TCP socket; None where the kernel gives fewer fields than are needed."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    if len(info) < _MOVED.size:
        return None
    acked, received = _MOVED.unpack_from(info)
    unsent = _UNACKED.unpack_from(info)[0] > 0
    # Since Linux 4.6; before, a closed window goes unseen while nothing is in flight.
    if len(info) >= _NOT_SENT.size:
        unsent = unsent or _NOT_SENT.unpack_from(info)[0] > 0
    unread = struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]  # SIOCINQ, tcp(7)
    return Reading(received, acked, unread, unsent)


def _sockets() -> Iterator[tuple[int, int]]:
    """(descriptor, inode) of every socket this process has open."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # numbers, not paths
        fd = int(name)
        try:
            status = os.fstat(fd)
        except OSError:
            continue  # closed meanwhile
        if stat.S_ISSOCK(status.st_mode):
            yield fd, status.st_ino


@contextlib.contextmanager
def _borrowed(fd: int) -> Iterator[socket.socket | None]:
    """`fd` as a socket that is not closed at the end; None, or an early end, where it is no TCP socket.

    It is looked at in place, not through a duplicate: the number may by now stand for a database file, and
    closing any duplicate of a file drops the process's POSIX locks on it (fcntl(2)), which SQLite relies on.
    """
    sock = None
    try:
        sock = socket.socket(fileno=fd)
        tcp = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM
        yield sock if tcp else None
    except OSError as wrong:
        if wrong.errno not in (errno.EBADF, errno.ENOTSOCK, errno.ENOTCONN, errno.EINVAL, errno.EOPNOTSUPP):
            raise
        if sock is None:
            yield None
    finally:
        if sock is not None:
            sock.detach()


def _cut(fd: int, inode: int) -> bool:
    """Shut down the socket with this inode if `fd` still stands for it; whether it was."""
    try:
        pinned = os.dup(fd)  # so that the number cannot change its meaning between the look and the cut
    except OSError as wrong:
        if wrong.errno == errno.EBADF:
            return False
        raise
    status = os.fstat(pinned)
    if not stat.S_ISSOCK(status.st_mode):
        # In the last microseconds it became a file. One lost descriptor is better than lost locks (above).
        return False
    with socket.socket(fileno=pinned) as sock:
        if status.st_ino != inode:
            return False
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError as wrong:
            if wrong.errno != errno.ENOTCONN:  # the other side was first
                raise
            return False
    return True
