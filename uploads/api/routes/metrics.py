"""/metrics: what all processes counted, and what the database knows, read at scrape time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from uploads.jobs.queue import producer
from uploads.models import ErrorRecord, Node, Pause, State, UploadJob
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)


def metrics(request: HttpRequest) -> HttpResponse:
    """In Prometheus' text format, or OpenMetrics where it is accepted."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(settings.METRICS_DIR))  # type: ignore[no-untyped-call]
    registry.register(DatabaseCollector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type, headers={"Cache-Control": "no-store"})


class DatabaseCollector(Collector):
    """Gauges of the database's rows; where it does not answer, `wharfinger_database_up` alone, as 0."""

    def describe(self) -> Iterable[Metric]:
        return []  # so that registering it reads nothing

    def collect(self) -> Iterator[Metric]:
        try:
            known = list(_gauges())
        except (DatabaseError, InterfaceError) as wrong:
            log.error("metrics.database", reason=str(wrong))
            known = []
        yield _gauge("wharfinger_database_up", "Whether the database answers.", 1 if known else 0)
        yield from known


def _gauges() -> Iterator[Metric]:
    states = GaugeMetricFamily("wharfinger_jobs", "Jobs by state.", labels=["state"])
    counts = dict(UploadJob.objects.order_by().values_list("state").annotate(Count("pk")))
    for state in State.values:
        states.add_metric([state], counts.get(state, 0))
    yield states
    due = UploadJob.objects.due().order_by().aggregate(count=Count("pk"), oldest=Min("run_after"))
    age = max(0.0, (datetime.now(UTC) - due["oldest"]).total_seconds()) if due["oldest"] else 0.0
    still_open = ErrorRecord.objects.filter(resolved_at__isnull=True).count()
    yield _gauge("wharfinger_queue_depth", "Messages in the queue, due or not.", producer.depth())
    yield _gauge("wharfinger_queue_due_jobs", "Queued jobs that may start now.", due["count"])
    yield _gauge("wharfinger_queue_oldest_seconds", "For how long the oldest due job has waited.", age)
    yield _gauge("wharfinger_errors_open", "Error records that nobody has resolved.", still_open)
    paused = GaugeMetricFamily("wharfinger_paused", 'Pauses of starts; kind "" is all.', labels=["kind"])
    for kind in Pause.objects.values_list("kind", flat=True):
        paused.add_metric([kind], 1)
    yield paused
    yield _gauge("wharfinger_nodes_live", "Clusters with a heartbeat.", Node.objects.live().count())


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)
