"""How a web worker treats its database connections."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.db import connections as django_connections

from uploads.db import connections
from uploads.db.sqlite import base
from uploads.db.sqlite.base import DatabaseWrapper, drain

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has Django's own pool")


@pytest.mark.django_db(transaction=True)
def test_a_web_worker_opens_no_connection_where_another_thread_has_given_one_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base, "_keeper", 0)  # given back after the test
    used: list[object] = []

    def ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert isinstance(django_connections["default"], DatabaseWrapper)
        used.append(connection.connection)
        connections.let_go()
        assert connection.connection is None

    def worker() -> None:
        connections.pool()
        ask()

    for act in (worker, ask):
        thread = threading.Thread(target=act)
        thread.start()
        thread.join()
    drain()

    assert len(used) == 2 and used[0] is used[1]
