"""Every route, asked by everybody, by token and by session."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from tests.api.conftest import body, by_session, by_token, problem_of
from tests.factories import make_artifact, make_error, make_job, make_operator
from uploads.api.api import api
from uploads.models import ErrorRecord, Pause, UploadJob
from uploads.storage.kept import local


@dataclass(frozen=True)
class Route:
    """A method and a path; the status for the owner, a colleague, an operator and nobody; a fitting state."""

    method: str
    path: str
    owner: int
    colleague: int
    operator: int
    anonymous: int
    state: str = "succeeded"
    resolved: bool = False


TABLE = [
    Route("POST", "/api/uploads", 202, 202, 202, 401),
    Route("PUT", "/api/uploads/{filename}", 202, 202, 202, 401),
    Route("GET", "/api/jobs", 200, 200, 200, 401),
    Route("GET", "/api/jobs/{job_id}", 200, 404, 200, 401),
    Route("DELETE", "/api/jobs/{job_id}", 204, 404, 204, 401),
    Route("POST", "/api/jobs/{job_id}/retry", 200, 404, 200, 401, state="failed"),
    Route("POST", "/api/jobs/{job_id}/cancel", 200, 404, 200, 401, state="queued"),
    Route("GET", "/api/jobs/{job_id}/errors", 200, 404, 200, 401),
    Route("GET", "/api/jobs/{job_id}/file", 200, 404, 200, 401),
    Route("GET", "/api/jobs/{job_id}/artifacts/{name}", 200, 404, 200, 401),
    Route("GET", "/api/errors", 403, 403, 200, 401),
    Route("GET", "/api/errors/{error_id}", 403, 403, 200, 401),
    Route("POST", "/api/errors/{error_id}/retry", 403, 403, 200, 401, state="failed"),
    Route("POST", "/api/errors/{error_id}/resolve", 403, 403, 200, 401),
    Route("POST", "/api/errors/{error_id}/reopen", 403, 403, 200, 401, resolved=True),
    Route("GET", "/api/pauses", 403, 403, 200, 401),
    Route("POST", "/api/pauses", 403, 403, 201, 401),
    Route("DELETE", "/api/pauses/{pause_id}", 403, 403, 204, 401),
    Route("GET", "/api/docs", 200, 200, 200, 200),
    Route("GET", "/api/openapi.json", 200, 200, 200, 200),
    Route("GET", "/healthz", 200, 200, 200, 200),
    Route("GET", "/readyz", 503, 503, 503, 503),  # no cluster runs here
    Route("GET", "/metrics", 200, 200, 200, 200),
]
UNDESCRIBED = {"/api/docs", "/api/openapi.json", "/healthz", "/readyz", "/metrics"}
CODES = {401: "not_signed_in", 403: "not_allowed", 404: "not_found"}


def ask(client: Client, route: Route, job: UploadJob, error: ErrorRecord) -> HttpResponse:
    pause = Pause.objects.get_or_create(kind="pdf")[0]
    path = route.path.format(
        job_id=job.pk, error_id=error.pk, pause_id=pause.pk, name="thumbnail.webp", filename="a.txt"
    )
    if route.method == "PUT":
        return client.put(path, b"bytes", content_type="application/octet-stream")
    if path == "/api/uploads":
        return client.post(path, {"file": SimpleUploadedFile("a.txt", b"bytes")})
    if path == "/api/pauses" and route.method == "POST":
        return client.post(path, {"kind": "image"}, content_type="application/json")
    if path.endswith("/resolve"):
        return client.post(path, {"note": "seen"}, content_type="application/json")
    response = client.generic(route.method, path)
    body(response)
    return response


@pytest.mark.parametrize("door", [by_token, by_session])
@pytest.mark.parametrize("who", ["owner", "colleague", "operator", "anonymous"])
@pytest.mark.parametrize("route", TABLE, ids=lambda route: f"{route.method} {route.path}")
def test_each_caller_gets_what_is_theirs(
    route: Route, who: str, door: Callable[[User | None], Client], owner: User, colleague: User,
    operator: User, data_dir: Path,
) -> None:  # fmt: skip
    job = make_job(route.state, owner, data=b"bytes")
    error = make_error(job, resolved_at=timezone.now() if route.resolved else None)
    artifact = make_artifact(job)
    path = local.artifact_path(job.pk, artifact.attempt, artifact.name)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"picture")
    caller = {"owner": owner, "colleague": colleague, "operator": operator, "anonymous": None}[who]
    response = ask(door(caller), route, job, error)
    expected = getattr(route, who)
    assert response.status_code == expected, response.content
    if expected in CODES:
        problem_of(response, expected, CODES[expected])


def test_the_table_holds_every_route_of_the_description() -> None:
    paths = api.get_openapi_schema()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == {(one.method, one.path) for one in TABLE if one.path not in UNDESCRIBED}


def test_the_list_shows_nobody_elses_jobs(owner: User, operator: User) -> None:
    make_job("queued", owner)
    assert by_token(operator).get("/api/jobs").json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("route", [one for one in TABLE if re.search("job_id|error_id", one.path)])
def test_staff_without_a_permission_are_nobody_special(route: Route, owner: User, data_dir: Path) -> None:
    job = make_job(route.state, owner, data=b"bytes")
    response = ask(by_token(make_operator()), route, job, make_error(job))
    assert response.status_code == (403 if "error_id" in route.path else 404)


@pytest.mark.parametrize("act", ["retry", "cancel", "delete"])
def test_staff_who_may_only_look_may_only_look(act: str, owner: User, data_dir: Path) -> None:
    job = make_job("failed" if act == "retry" else "queued", owner, data=b"bytes")
    client = by_token(make_operator("", "view_uploadjob"))
    path = f"/api/jobs/{job.pk}"
    assert client.get(path).status_code == 200
    response = client.delete(path) if act == "delete" else client.post(f"{path}/{act}")
    assert problem_of(response, 403, "not_allowed")["detail"] == f"You may not {act} other people's jobs."
    job.refresh_from_db()
    assert job.state in ("failed", "queued")


@pytest.mark.parametrize("act", ["retry", "resolve", "reopen"])
def test_staff_who_may_only_look_at_errors_change_none(act: str, owner: User) -> None:
    error = make_error(make_job("failed", owner))
    client = by_token(make_operator("", "view_errorrecord"))
    assert client.get(f"/api/errors/{error.pk}").status_code == 200
    response = client.post(f"/api/errors/{error.pk}/{act}", {}, content_type="application/json")
    problem_of(response, 403, "not_allowed")
