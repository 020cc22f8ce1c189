"""Forking without the hooks of the standard library: threads, locks and logging are as they were.

`threading`, `logging` and `random` have each fork repaired, for a parent whose other threads may hold locks. The
zygote has one thread, and these repairs touch two hundred pages, each of which is then copied: a third of what
a fork costs. So the zygote keeps the hooks back, and its children get them for forks of their own.

Nothing is imported here but `os`: `hold_back` must come before what registers hooks.
"""

from __future__ import annotations

import os
from typing import Any

_register: Any = os.register_at_fork
_kept: list[dict[str, Any]] = []


def hold_back() -> None:
    """From now on keep what modules want done at a fork. For a process that never starts a thread."""
    setattr(os, "register_at_fork", _keep)  # noqa: B010 - typed as what it was


def _keep(**hooks: Any) -> None:
    _kept.append(hooks)


def fork() -> int:
    """os.fork, for a child whose random numbers are its own."""
    import random  # registers a hook

    # Here, where its pages are our own already; the hook would do so in the child, and at ten times the cost.
    random.seed(int.from_bytes(os.urandom(16), "big"))
    pid = os.fork()
    if not pid:
        setattr(os, "register_at_fork", _register)  # noqa: B010
        for hooks in _kept:
            _register(**hooks)
    return pid
