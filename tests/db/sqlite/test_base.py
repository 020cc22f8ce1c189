"""A pool of SQLite connections: what is given back is given out again, unless something is wrong with it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError

from uploads.db.sqlite import base
from uploads.db.sqlite.base import MOST_IDLE, DatabaseWrapper, drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    conf = settings.DATABASES["default"]
    if "sqlite" not in conf["ENGINE"]:
        pytest.skip("the pool is SQLite's")
    monkeypatch.setattr(base, "_keeper", 0)
    base.keep_idle()
    yield {
        **conf, "NAME": str(tmp_path / "pooled.sqlite3"), "TIME_ZONE": None, "CONN_HEALTH_CHECKS": False,
        "CONN_MAX_AGE": 0, "AUTOCOMMIT": True,
        "OPTIONS": conf["OPTIONS"] | {"timeout": 0.1},
    }  # fmt: skip
    drain()
    while _raws:
        _raws.pop().close()


_raws: list[sqlite3.Connection] = []


def opened(database: dict[str, Any]) -> DatabaseWrapper:
    wrapper = DatabaseWrapper(database)
    wrapper.ensure_connection()
    _raws.append(wrapper.connection)
    return wrapper


def test_a_connection_given_back_is_given_to_the_next_thread(database: dict[str, Any]) -> None:
    first = opened(database)
    raw = first.connection
    first.close()
    seen = []

    def elsewhere() -> None:
        second = opened(database)
        second.cursor().execute("SELECT 1")
        seen.append(second.connection)
        second.close()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()

    assert seen == [raw]


def test_it_keeps_the_settings_it_was_opened_with(database: dict[str, Any]) -> None:
    opened(database).close()

    with opened(database).cursor() as cursor:
        (synchronous,) = cursor.execute("PRAGMA synchronous").fetchone()
        (foreign_keys,) = cursor.execute("PRAGMA foreign_keys").fetchone()

    assert (synchronous, foreign_keys) == (2, 1)


def test_two_at_once_never_share_one(database: dict[str, Any]) -> None:
    opened(database).close()

    assert opened(database).connection is not opened(database).connection


def test_one_that_is_closed_within_a_transaction_takes_the_transaction_with_it(
    database: dict[str, Any],
) -> None:
    first = opened(database)
    raw = first.connection
    first.cursor().execute("CREATE TABLE t (x)")
    first.cursor().execute("BEGIN IMMEDIATE")
    first.cursor().execute("INSERT INTO t VALUES (1)")
    first.close()

    second = opened(database)
    assert second.connection is not raw
    with second.cursor() as cursor:
        assert cursor.execute("SELECT count(*) FROM t").fetchone() == (0,)
        cursor.execute("INSERT INTO t VALUES (2)")  # nobody holds the lock any more


def test_one_that_has_failed_is_not_used_again(database: dict[str, Any]) -> None:
    first = opened(database)
    raw = first.connection
    with pytest.raises(DatabaseError):
        first.cursor().execute("SELECT * FROM nowhere")
    assert first.errors_occurred
    first.close()

    assert opened(database).connection is not raw


def test_no_more_are_kept_than_are_useful(database: dict[str, Any]) -> None:
    many = [opened(database) for _n in range(MOST_IDLE + 3)]
    raws = {id(one.connection) for one in many}
    for one in many:
        one.close()

    again = [opened(database) for _n in range(MOST_IDLE + 3)]
    assert len(raws & {id(one.connection) for one in again}) == MOST_IDLE
    for one in again:
        one.close()


def test_a_child_process_does_not_use_its_parents(
    database: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(database)
    raw = first.connection
    first.close()
    monkeypatch.setattr("uploads.db.sqlite.base.os.getpid", lambda: -1)

    assert opened(database).connection is not raw


def test_a_process_that_has_not_asked_for_it_keeps_none(
    database: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_keeper", 0)
    first = opened(database)
    raw = first.connection
    first.close()

    assert opened(database).connection is not raw
