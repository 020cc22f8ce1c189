"""A processor that does what its file says, good or bad: its first line names a function here."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import mmap
import os
import re
import resource
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from uploads.processing.base import MIB, Context, Json, Limits, ProcessingError
from uploads.processing.sandbox import protocol

TYPES = ("text/plain",)
LIMITS = Limits(
    memory_bytes=64 * MIB, cpu_seconds=20, wall_seconds=30, output_bytes=4 * MIB, processes=8, open_files=64
)


def process(job: Context) -> dict[str, Json]:
    """Do what the file says."""
    action, *rest = job.path.read_text().splitlines()
    result = globals()["do_" + action](job, *rest)
    return result if isinstance(result, dict) else {"got": result}


def do_nothing(job: Context) -> dict[str, Json]:
    return {"size": job.size, "filename": job.filename, "type": job.content_type}


def do_previews(job: Context) -> dict[str, Json]:
    job.add_artifact("small.txt", "text/plain", b"small")
    job.add_artifact("large.bin", "application/octet-stream", b"x" * MIB)
    return {"pages": 2}


def do_progress(job: Context, seconds: str = "0") -> None:
    for percent in (10, 50, 90):
        job.progress(percent, f"at {percent}\x00")
        time.sleep(float(seconds))


def do_chatter(job: Context) -> None:
    for _ in range(100_000):
        job.progress(50, "row")


# What a result may be


def do_odd_result(job: Context) -> dict[str, Json]:
    nan, infinity = float("nan"), float("inf")
    return {"nan": nan, "inf": [infinity], "nul": "a\x00b", "half": "x\ud800y", "huge": 1 << 80, "a\x00": 1}


def do_big_result(job: Context) -> dict[str, Json]:
    return {"text": "x" * 2 * MIB}


def do_deep_result(job: Context) -> dict[str, Json]:
    deep: Json = 1
    for _ in range(500):
        deep = [deep]
    return {"deep": deep}


def do_no_json(job: Context) -> dict[str, Json]:
    return {"bytes": b"x"}  # type: ignore[dict-item]


# What goes wrong


def do_refuse(job: Context) -> None:
    raise ProcessingError("corrupt_file", "Page 3 is cut off.", detail="xref at 0x30")


def do_bug(job: Context) -> None:
    job.add_artifact("half.txt", "text/plain", b"half")
    raise KeyError("column")


def do_recurse(job: Context) -> None:
    do_recurse(job)


def do_allocate(job: Context) -> None:
    hoard = []
    while True:
        hoard.append(bytearray(MIB))


def do_allocate_at_once(job: Context) -> None:
    bytearray(8 << 30)


def do_allocate_some(job: Context) -> None:
    bytearray(100 * MIB)


def do_native_allocation_failure(job: Context) -> None:
    hoard = bytearray(60 * MIB)
    hoard[:: mmap.PAGESIZE] = b"x" * len(hoard[:: mmap.PAGESIZE])
    os.abort()


def do_shared_memory(job: Context) -> None:
    room = mmap.mmap(-1, 8 << 30)
    while True:
        room.write(b"x" * MIB)


def do_loop(job: Context) -> None:
    while True:
        pass


def do_sleep(job: Context) -> None:
    job.progress(1, "asleep")
    time.sleep(600)


def do_c_call(job: Context) -> None:
    job.progress(1, "in C")
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", (1 << 31) - 1)


def do_regular_expression(job: Context) -> None:
    job.progress(1, "in C")
    re.match("(a+)+$", "a" * 64 + "b")


def do_segfault(job: Context) -> None:
    os.write(2, b"about to read address 0\n")
    ctypes.string_at(0)


def do_abort(job: Context) -> None:
    os.abort()


def do_kill_itself(job: Context) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def do_exit(job: Context) -> None:
    sys.exit(0)


def do_exit_at_once(job: Context) -> None:
    os._exit(0)


def do_ignore_cpu_limit(job: Context) -> None:
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    do_loop(job)


# Many processes


def do_fork_bomb(job: Context) -> None:
    while True:
        with contextlib.suppress(OSError):
            os.fork()


def do_polite_fork_bomb(job: Context) -> None:
    while True:
        if not os.fork():
            time.sleep(600)


def do_daemon(job: Context) -> None:
    """Leave a double-forked process behind that keeps writing to its directory."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    while True:
        (job.artifacts_dir / "left").write_text("still here")
        time.sleep(0.001)


def do_copy_returns(job: Context) -> str:
    """Both copies of this process come back."""
    return "child" if not os.fork() else "parent"


# Much output


def do_print(job: Context) -> str:
    for _ in range(100):
        sys.stdout.write("x" * MIB)
        os.write(2, b"e" * MIB)
    return "printed"


def do_write_one(job: Context) -> None:
    with (job.artifacts_dir / "large").open("wb") as file:
        for _ in range(10_000):
            file.write(b"x" * MIB)


def do_write_many(job: Context) -> None:
    for number in range(10_000):
        (job.artifacts_dir / str(number)).write_bytes(b"x" * MIB)


def do_write_empty_files(job: Context) -> None:
    for number in range(100_000):
        (job.artifacts_dir / str(number)).touch()


def do_write_and_unlink(job: Context) -> None:
    for number in range(10_000):
        (job.artifacts_dir / str(number)).write_bytes(b"x" * MIB)
        (job.artifacts_dir / str(number)).unlink()


def do_write_memory_files(job: Context) -> None:
    files = [os.memfd_create(str(number)) for number in range(40)]
    while True:
        for file in files:
            os.write(file, b"x" * MIB)
            os.lseek(file, 0, os.SEEK_SET)


# Directories full of traps


def do_litter(job: Context) -> None:
    job.add_artifact("kept.txt", "text/plain", b"kept")
    (job.artifacts_dir / "undeclared").write_text("x")
    (job.artifacts_dir / ".hidden").write_text("x")
    here, long = os.open(job.artifacts_dir, os.O_RDONLY), "d" * 200
    for _ in range(30):  # deeper than any path may be long
        os.mkdir(long, dir_fd=here)
        inner = os.open(long, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    (job.artifacts_dir / long).chmod(0)


def do_link(job: Context, target: str) -> None:
    """Declare an artifact, then put a link to something else in its place."""
    job.add_artifact("a.txt", "text/plain", b"x")
    (job.artifacts_dir / "a.txt").unlink()
    (job.artifacts_dir / "a.txt").symlink_to(target)


def do_grow(job: Context) -> None:
    job.add_artifact("a.txt", "text/plain", b"x")
    (job.artifacts_dir / "a.txt").write_bytes(b"xxx")


# Frames of its own making: descriptors above 2 are the only way out


def _forge(data: bytes) -> None:
    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(fd, data)


def do_forge_garbage(job: Context) -> None:
    _forge(b"\xff" * 1000)


def do_forge_result(job: Context) -> None:
    _forge(protocol.pack(protocol.DONE, {"result": {}, "artifacts": [{"name": "../../x", "size": 1}]}))
    os._exit(0)


def do_forge_kind(job: Context) -> None:
    _forge(protocol.pack(protocol.KIND, {"kind": "text", "content_type": "x", "contradiction": ""}))


def do_forge_huge(job: Context) -> None:
    _forge(protocol.HEADER.pack(protocol.DONE, 1 << 31))
    time.sleep(600)


def do_forge_end(job: Context) -> None:
    _forge(protocol.pack(protocol.END, {"cause": "exited", "exit": 0}))


def do_forge_nesting(job: Context) -> None:
    _forge(protocol.frame(protocol.DONE, b"[" * MIB))
    os._exit(0)


def do_result_then_hang(job: Context) -> None:
    _forge(protocol.pack(protocol.DONE, {"result": {}, "artifacts": []}))
    time.sleep(600)


# Reaching out


def do_look(job: Context, *places: str) -> dict[str, Json]:
    """Try to read each place: the bytes or names found, or the error's name."""
    return {place: _attempt(lambda place=place: _look(place)) for place in places}


def _look(place: str) -> str:
    found = Path(place)
    return ",".join(one.name for one in found.iterdir()) if found.is_dir() else found.read_bytes()[:99].hex()


def do_write(job: Context, *places: str) -> dict[str, Json]:
    """Try to open each for writing, and leave it as it is: where a fence is down, this is somebody's file."""

    def touch(place: str) -> None:
        Path(place).open("ab").close()

    return {place: _attempt(lambda place=place: touch(place)) for place in (*places, str(job.path))}


def do_reach(job: Context, port: str, worker: str, abstract: str) -> dict[str, Json]:
    """Try the network, signals, other people's sockets and privileges."""

    def connect() -> None:
        socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()

    def whisper() -> None:
        with socket.socket(socket.AF_UNIX) as one:
            one.connect("\0" + abstract)

    def spray() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(b"x", ("127.0.0.1", int(port)))

    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *values: object) -> None:
        if getattr(libc, name)(*values) < 0:
            raise OSError(ctypes.get_errno(), name)

    return {
        "tcp": _attempt(connect),
        "udp": _attempt(spray),
        "abstract": _attempt(whisper),
        "signal": _attempt(lambda: os.kill(int(worker), 0)),
        "trace": _attempt(lambda: call("ptrace", 16, int(worker), 0, 0)),
        "become root": _attempt(lambda: os.setuid(0)) if os.getuid() else "PermissionError",
        "new user namespace": _attempt(lambda: call("unshare", 0x10000000)),
        "mount": _attempt(lambda: call("mount", b"tmpfs", b"/", b"tmpfs", 0, None)),
        "chroot": _attempt(lambda: os.chroot("/")),
        "raise limits": _attempt(lambda: resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, 1 << 40))),
    }


def _attempt(action: object) -> Json:
    try:
        done = action()  # type: ignore[operator]
    except (OSError, ValueError) as error:
        return type(error).__name__
    return done if isinstance(done, str) else "done"


def do_inventory(job: Context) -> dict[str, Json]:
    """What this process sees of itself."""
    descriptors = []
    for fd in range(256):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            descriptors.append(fd)
    return {
        "uid": os.getuid(), "pid": os.getpid(), "groups": os.getgroups(), "environ": dict(os.environ),
        "descriptors": len(descriptors), "cwd": str(Path.cwd()), "path": str(job.path),
        "temporary": tempfile.gettempdir(),
        "limits": {
            name: resource.getrlimit(which)[0]
            for name, which in vars(resource).items()
            if name.startswith("RLIMIT_")
        },
    }  # fmt: skip


def do_lazy_imports(job: Context) -> None:
    import sqlite3
    import xml.dom.minidom
    import zoneinfo

    "ä".encode("cp1252")
    sqlite3.connect(":memory:").close()
    xml.dom.minidom.parseString("<a/>")
    zoneinfo.ZoneInfo("Europe/Berlin")


def do_message_queue(job: Context) -> Json:
    """Leave a System V shared memory segment behind, and say how many there were."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = libc.shmget(0x5EED, 4096, 0)
    libc.shmget(0x5EED, 4096, 0o1600)
    return "there was one" if found >= 0 else "none"
