"""What was sent, and what was acknowledged: kept by the sender alone, apart from the product."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sent:
    """A file under its name, which is unique. `order` is what is expected of it: see Order."""

    name: str
    sha256: str
    size: int
    order: str
    request: int  # files of one form share it: all of them are taken, or none


# The orders: how a file's job has to end.
INNOCENT, LIBRARY, CRASH, FELL, CORRUPT = "innocent", "library", "crash", "fell", "corrupt"
POISON = {CRASH: "processor_crashed", FELL: "worker_lost"}


@dataclass
class Ledger:
    """Filled by many threads."""

    sent: dict[str, Sent] = field(default_factory=dict)
    acknowledged: dict[str, Sent] = field(default_factory=dict)  # by job id
    unknown: set[str] = field(default_factory=set)  # names whose request ended without an answer
    refused: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _requests: int = 0

    def announce(self, files: list[tuple[str, str, int, str]]) -> list[Sent]:
        """Before a request: its files as (name, sha256, size, order)."""
        with self._lock:
            self._requests += 1
            sent = [Sent(*one, request=self._requests) for one in files]
            self.sent |= {one.name: one for one in sent}
        return sent

    def acknowledge(self, jobs: list[dict[str, object]], sent: list[Sent]) -> None:
        """After a 202: the jobs in the order of the files."""
        with self._lock:
            for job, one in zip(jobs, sent, strict=True):
                self.acknowledged[str(job["id"])] = one

    def refuse(self, reason: str) -> None:
        with self._lock:
            self.refused[reason] += 1

    def lose_touch(self, sent: list[Sent]) -> None:
        """The connection ended before the answer: the files may be there or not, but never half."""
        with self._lock:
            self.unknown |= {one.name for one in sent}
            self.refused["no answer"] += 1

    def of(self, order: str) -> dict[str, Sent]:
        return {job_id: one for job_id, one in self.acknowledged.items() if one.order == order}
