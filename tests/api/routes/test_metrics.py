"""/metrics: summed right across processes, and what the database knows at the moment of asking."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from tests.factories import make_error, make_job, make_node
from uploads.api.routes import metrics
from uploads.jobs.queue import producer


def scrape(client: Client | None = None) -> dict[str, float]:
    """Each sample as `name{label=value}`."""
    response = (client or Client()).get("/metrics")
    assert response.status_code == 200
    return {
        sample.name + "".join(f"{{{key}={value}}}" for key, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


@pytest.mark.django_db
def test_what_another_process_counted_is_in_the_sum() -> None:
    count = "from uploads.telemetry import metrics; metrics.FAILURES.labels('timed_out').inc(3)"
    before = scrape().get("wharfinger_failures_total{code=timed_out}", 0)
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", count],
            check=True,
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(settings.METRICS_DIR)},
            cwd=settings.BASE_DIR,
        )
    assert scrape()["wharfinger_failures_total{code=timed_out}"] == before + 6


@pytest.mark.django_db
def test_the_databases_numbers_are_those_of_now() -> None:
    make_job("queued", run_after=timezone.now() - timedelta(seconds=90))
    make_job("queued", run_after=timezone.now() + timedelta(hours=1))
    make_job("failed")
    make_error()
    make_error(resolved_at=timezone.now())
    make_node()
    make_node(stopped_at=timezone.now())
    producer.wake(make_job("running").pk)
    producer.wake(make_job("running").pk, 60)
    seen = scrape()
    assert seen["wharfinger_database_up"] == 1
    assert seen["wharfinger_jobs{state=queued}"] == 2
    assert seen["wharfinger_jobs{state=running}"] == 2
    assert seen["wharfinger_jobs{state=failed}"] == 3  # two of them for the error records
    assert seen["wharfinger_jobs{state=receiving}"] == 0
    assert seen["wharfinger_queue_due_jobs"] == 1
    assert 89 < seen["wharfinger_queue_oldest_seconds"] < 120
    assert seen["wharfinger_queue_depth"] == 2
    assert seen["wharfinger_errors_open"] == 1
    assert seen["wharfinger_nodes_live"] == 1


@pytest.mark.django_db
def test_an_empty_queue_has_no_age() -> None:
    assert scrape()["wharfinger_queue_oldest_seconds"] == 0


def test_without_a_database_the_rest_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(metrics, "_gauges", gone)
    seen = scrape()
    assert seen["wharfinger_database_up"] == 0
    assert "wharfinger_queue_depth" not in seen


@pytest.mark.django_db
def test_openmetrics_is_spoken_where_it_is_asked_for() -> None:
    response = Client().get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response["Content-Type"].startswith("application/openmetrics-text")
    assert response.content.endswith(b"# EOF\n")
