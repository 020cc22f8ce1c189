"""Alive and ready: what a machine that watches us is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from tests.factories import make_node
from uploads.api.routes import health
from uploads.models import Node


def checks(client: Client) -> tuple[int, dict[str, str]]:
    response = client.get("/readyz")
    return response.status_code, response.json()["checks"]


def test_alive_is_answered_without_a_database() -> None:
    response = Client().get("/healthz")  # this test may not use one
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_needs_database_storage_and_a_live_cluster(db: None) -> None:
    make_node()
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {"database": "ok", "storage": "ok", "cluster": "ok"},
    }
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("node", "live"),
    [
        ({"beat_at": timedelta(seconds=-13)}, True),
        ({"beat_at": timedelta(seconds=-17)}, False),
        ({"stopped_at": timedelta()}, False),
    ],
)
def test_a_cluster_lives_while_its_heart_beats(node: dict[str, timedelta], live: bool, db: None) -> None:
    make_node(**{name: timezone.now() + ago for name, ago in node.items()})
    status, said = checks(Client())
    assert (status == 200) == (said["cluster"] == "ok") == live


def test_one_live_cluster_among_dead_ones_is_enough(db: None) -> None:
    make_node(stopped_at=timezone.now())
    make_node()
    assert checks(Client())[0] == 200


def test_storage_that_takes_no_files_is_said_without_its_path(db: None, settings: object) -> None:
    make_node()
    settings.DATA_DIR = Path("/nonexistent/secret")  # type: ignore[attr-defined]
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["storage"] == "Storage takes no files."
    assert b"secret" not in response.content


def test_a_database_that_is_gone_is_said_without_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def cursor(self) -> None:
            raise OperationalError("no route to secret-host")

    def gone() -> Any:
        raise OperationalError("no route to secret-host")

    monkeypatch.setattr(health, "connection", Gone())
    monkeypatch.setattr(Node.objects, "live", gone)
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == "The database does not answer."
    assert response.json()["checks"]["cluster"] == "Unknown: the database does not answer."
    assert b"secret" not in response.content
