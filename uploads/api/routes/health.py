"""For machines that watch us: alive, ready, and numbers. Open to all: keep them behind your proxy."""

from __future__ import annotations

from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from uploads.models import Node
from uploads.storage.fsync import StorageUnavailable
from uploads.storage.kept import local
from uploads.telemetry.logs import get_logger

log = get_logger(__name__)


def healthz(request: HttpRequest) -> HttpResponse:
    """Whether this process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 where uploads can be taken and worked on, else 503; each check is `ok` or a sentence."""
    checks = {name: check() for name, check in CHECKS.items()}
    ready = all(said == "ok" for said in checks.values())
    return JsonResponse(
        {"status": "ready" if ready else "not ready", "checks": checks},
        status=200 if ready else 503,
        headers={"Cache-Control": "no-store"},
    )


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as wrong:
        log.error("readyz.database", reason=str(wrong))
        return "The database does not answer."
    return "ok"


def _storage() -> str:
    try:
        local.writable()
    except (StorageUnavailable, FileNotFoundError) as wrong:
        log.error("readyz.storage", reason=str(wrong))
        return "Storage takes no files."
    return "ok"


def _cluster() -> str:
    try:
        live = Node.objects.live().exists()
    except (DatabaseError, InterfaceError):
        return "Unknown: the database does not answer."
    return "ok" if live else "No cluster has given a sign of life lately."


CHECKS: dict[str, Callable[[], str]] = {"database": _database, "storage": _storage, "cluster": _cluster}
