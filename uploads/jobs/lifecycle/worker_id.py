"""Who does the work: this process, as an attempt's row names it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID

# Set by the supervisor before it forks its cluster, so that every worker knows its node.
node_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process: `started` in clock ticks since boot, which tells a reused process id."""

    node: UUID | None
    name: str
    pid: int
    started: int


@cache
def _of(pid: int) -> Worker:
    return Worker(node_id, f"{socket.gethostname()}:{pid}"[:200], pid, process_started(pid))


def this_worker() -> Worker:
    return _of(os.getpid())


def process_started(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc(5), stat field 22); 0 where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The command's name may hold spaces and brackets: count from the last bracket.
    return int(stat.rpartition(")")[2].split()[19])
