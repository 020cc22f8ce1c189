"""Group commit: requests that come together write in one transaction, each answered for itself.

A commit that survives a power cut costs an fsync, and on SQLite the lock that only one writer has at a
time, for which others ask again and again. So whoever gets to commit takes along all that wait behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connection, transaction

from uploads.codes import Refused

_MOST_TOGETHER = 64
_T = TypeVar("_T")
BeforeCommit = Callable[[Sequence[Any]], object]


@dataclass(eq=False, slots=True)
class _Request:
    """What one request wants written, and what became of it: a result, or what is to be raised where it waits."""

    act: Callable[[], Any]
    moves: bool
    before_commit: BeforeCommit | None
    keys: Sequence[Any]
    result: Any = None
    wrong: Exception | None = None
    decided: bool = False


_waiting: list[_Request] = []
_waiting_lock = threading.Lock()
_committing = threading.Lock()


def commit(
    act: Callable[[], _T], *, moves: bool, before_commit: BeforeCommit | None = None, keys: Sequence[Any] = ()
) -> _T:  # fmt: skip
    """Run `act` in a transaction and commit it, durably, perhaps in another thread; what it returned.

    `before_commit` is called within the transaction, once for all that share it, with the `keys` of those that were
    not refused. Where `act` raises Refused this harms no other; anything else undoes
    all that are committed together. With `moves` it changes rows that were there: what it has written is undone when it
    is refused, and on PostgreSQL, where two such could each wait for the other's rows, it commits alone.
    """
    mine = _Request(act, moves, before_commit, keys)
    if moves and connection.vendor != "sqlite":
        _commit([mine])
    else:
        with _waiting_lock:
            _waiting.append(mine)
        with _committing:
            if not mine.decided:  # nobody took it along
                _commit(_those_that_wait(mine))
    if mine.wrong:
        raise mine.wrong
    result: _T = mine.result
    return result


def _those_that_wait(mine: _Request) -> list[_Request]:
    with _waiting_lock:
        others = [one for one in _waiting if one is not mine][: _MOST_TOGETHER - 1]
        together = [mine, *others]
        _waiting[:] = [one for one in _waiting if one not in together]
    return together


def _commit(together: list[_Request]) -> None:
    try:
        with transaction.atomic():
            for one in together:
                _run(one, alone=len(together) == 1)
            for before_commit in {one.before_commit: None for one in together if one.before_commit}:
                mine = [one for one in together if one.wrong is None and one.before_commit == before_commit]
                if keys := [key for one in mine for key in one.keys]:
                    before_commit(keys)
    except Exception as wrong:
        for one in together:
            one.wrong = one.wrong or wrong
        raise
    finally:
        for one in together:
            one.decided = True


def _run(one: _Request, *, alone: bool) -> None:
    try:
        if one.moves and not alone:
            with transaction.atomic():
                one.result = one.act()
        else:
            one.result = one.act()
    except Refused as refused:
        one.wrong = refused
        if alone:
            transaction.set_rollback(True)
