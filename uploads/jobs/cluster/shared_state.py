"""What the processes of one node tell each other: plain shared numbers, each with one writer."""

from __future__ import annotations

import ctypes
import multiprocessing
from dataclasses import dataclass, field
from typing import Any

_NOTE_BYTES = 300


def _number(kind: str) -> Any:
    return multiprocessing.get_context("fork").RawValue(kind, 0)


@dataclass(slots=True)
class Board:
    """Made by the supervisor before its first fork. Times are seconds of CLOCK_MONOTONIC, 0: not yet.

    Nothing has a lock: a writer may be killed at any moment, and a torn read of a number cannot happen.
    """

    restarts: Any = field(default_factory=lambda: _number("i"))  # the supervisor's
    started_at: Any = field(default_factory=lambda: _number("d"))  # the cluster's, 0 while it is down
    pusher: Any = field(default_factory=lambda: _number("i"))  # the sentinel's: pid of its pusher
    deaths: Any = field(default_factory=lambda: _number("i"))  # the sentinel's: workers that died on it
    round_at: Any = field(default_factory=lambda: _number("d"))  # the keeper's: the end of its last round
    _note: Any = field(
        default_factory=lambda: multiprocessing.get_context("fork").RawArray(ctypes.c_char, _NOTE_BYTES)
    )

    @property
    def note(self) -> str:
        """A sentence for operators about the last restart, or ""."""
        return bytes(self._note.value).decode("utf-8", "ignore")

    @note.setter
    def note(self, sentence: str) -> None:
        self._note.value = sentence.encode()[: _NOTE_BYTES - 1]
