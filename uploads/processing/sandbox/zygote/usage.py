"""What the processes of a job use at this moment, read from /proc."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

# Files and directories that a job may have at once.
MAX_ENTRIES = 2_000


@dataclass(frozen=True, slots=True)
class Census:
    """Sums over some processes: count, bytes of memory of their own, bytes written to disk and to anything.

    `data_bytes` is the largest that a single process has under RLIMIT_DATA.
    """

    processes: int
    memory_bytes: int
    data_bytes: int
    disk_bytes: int
    written_bytes: int


def take(pids: Iterable[int], shared_bytes: int) -> Census:
    """Count these processes, of which each has `shared_bytes` in common with the zygote."""
    count = memory = data = disk = written = 0
    for pid in pids:
        status = _fields(pid, "status")
        if not status:
            continue  # gone meanwhile
        io = _fields(pid, "io")
        count += 1
        own = 1024 * (status.get("RssAnon", 0) + status.get("RssShmem", 0))
        memory += max(0, own - shared_bytes)
        data = max(data, 1024 * status.get("VmData", 0))
        disk += io.get("write_bytes", 0)
        written += io.get("wchar", 0)
    return Census(count, memory, data, disk, written)


def disk_usage(directory: str) -> tuple[int, int]:
    """(bytes, entries) below `directory`, looking at MAX_ENTRIES at most.

    Beside `Census.disk_bytes`, which counts nothing on tmpfs, and is not in every kernel.
    """
    size = entries = 0
    todo = [directory]
    while todo and entries < MAX_ENTRIES:
        try:
            with os.scandir(todo.pop()) as found:
                for one in islice(found, MAX_ENTRIES - entries):
                    entries += 1
                    if one.is_dir(follow_symlinks=False):
                        todo.append(one.path)
                    else:
                        size += one.stat(follow_symlinks=False).st_blocks * 512
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # gone meanwhile, or closed by the child
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
    return size, entries


def written_bytes(pid: int) -> int:
    """What this process has written to anything, also when it has ended and nobody has waited for it yet."""
    return _fields(pid, "io").get("wchar", 0)


def own_memory() -> tuple[int, int]:
    """(bytes of data, bytes resident that are not of files) of this process: what each child starts with."""
    status = _fields(os.getpid(), "status")
    return 1024 * status.get("VmData", 0), 1024 * (status.get("RssAnon", 0) + status.get("RssShmem", 0))


def all_but(pids: Iterable[int]) -> list[int]:
    """Every process that /proc shows, less `pids`: inside a PID namespace of ours, all of the job's."""
    mine = set(pids)
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if pid not in mine]  # noqa: PTH208


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, nearest first; orphans are among them if it is a subreaper."""
    found: list[int] = []
    todo = [pid]
    while todo:
        parent = todo.pop()
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                children = (task / "children").read_text().split()
                found += map(int, children)
                todo += map(int, children)
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone meanwhile
    return found


def _fields(pid: int, name: str) -> dict[str, int]:
    try:
        fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(fd, 1 << 14).decode()
        finally:
            os.close(fd)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}  # gone meanwhile, or a kernel without this file
    pairs = (line.split()[:2] for line in text.splitlines())
    return {pair[0].rstrip(":"): int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
