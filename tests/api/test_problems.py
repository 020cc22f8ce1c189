"""Whatever goes wrong, the answer is a problem with a stable code, and tells no secrets."""

from __future__ import annotations

import logging
import re
from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.test import Client

from tests.api.conftest import by_token, problem_of
from tests.factories import make_error
from tests.paths import ROOT
from uploads.api import openapi, problems
from uploads.api.api import api
from uploads.codes import REFUSALS, Refused
from uploads.jobs.lifecycle import permissions
from uploads.models import ApiToken
from uploads.storage.fsync import StorageUnavailable


@pytest.fixture
def broken(program: Client, monkeypatch: pytest.MonkeyPatch) -> object:
    """Makes GET /api/jobs raise something; gives its answer."""

    def ask(wrong: Exception) -> object:
        def raise_it(_user: object) -> None:
            raise wrong

        monkeypatch.setattr(permissions, "own", raise_it)
        return program.get("/api/jobs")

    return ask


@pytest.mark.parametrize("code", REFUSALS)
def test_each_refusal_keeps_its_code_status_and_sentence(code: str, broken: object) -> None:
    body = problem_of(broken(Refused(code, "Because.")), REFUSALS[code].status, code)  # type: ignore[operator]
    assert (body["title"], body["detail"]) == (REFUSALS[code].title, "Because.")


def test_a_refusal_says_when_to_come_back(broken: object) -> None:
    response = broken(Refused("queue_full", retry_after=60))  # type: ignore[operator]
    assert response["Retry-After"] == "60"
    assert "Retry-After" not in broken(Refused("not_found"))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        (OperationalError("database is locked at /secret"), 503, "database_unavailable"),
        (InterfaceError("connection already closed"), 503, "database_unavailable"),
        (StorageUnavailable("/secret"), 503, "storage_unavailable"),
        (StorageUnavailable("/secret", full=True), 507, "disk_full"),
        (Http404("/secret"), 404, "not_found"),
        (KeyError("secret"), 500, "internal_error"),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_what_breaks_is_a_problem_without_secrets_even_when_debugging(
    wrong: Exception, status: int, code: str, debug: bool, broken: object, settings: object
) -> None:
    settings.DEBUG = debug  # type: ignore[attr-defined]
    response = broken(wrong)  # type: ignore[operator]
    problem_of(response, status, code)
    assert b"secret" not in response.content
    assert ("Retry-After" in response) == (status in (503, 507))


def test_thousands_of_parameters_are_refused(program: Client) -> None:
    problem_of(
        program.get("/api/jobs?" + "&".join("state=queued" for _ in range(5001))), 400, "invalid_request"
    )


def test_a_client_that_goes_away_in_mid_body_is_no_bug_of_ours(operator: User) -> None:
    class Gone(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("gone")

    response = by_token(operator).generic(
        "POST",
        f"/api/errors/{make_error().pk}/resolve",
        content_type="application/json",
        **{"wsgi.input": Gone(), "CONTENT_LENGTH": "10"},
    )
    problem_of(response, 400, "incomplete_body")


def test_a_bug_is_logged_with_its_traceback(broken: object, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        broken(KeyError("what went wrong"))  # type: ignore[operator]
    assert "request.failed" in caplog.text
    assert "what went wrong" in caplog.text


def test_a_database_that_is_gone_while_signing_in_is_a_problem(
    program: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_token: str) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(ApiToken, "user_of", gone)
    problem_of(program.get("/api/jobs"), 503, "database_unavailable")


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/jobs/", "/api/%0a", "/api/tus/x"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD"])
def test_an_unknown_address_is_a_problem(method: str, path: str) -> None:
    response = Client().generic(method, path)
    assert (response.status_code, response["Content-Type"]) == (404, problems.CONTENT_TYPE)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/jobs", "GET, HEAD"),
        ("PUT", "/api/jobs/x", "DELETE, GET, HEAD"),
        ("OPTIONS", "/api/jobs", "GET, HEAD"),
        ("GET", "/api/jobs/x/retry", "POST"),
        ("HEAD", "/api/jobs/x/retry", "POST"),
        ("POST", "/api/docs", "GET, HEAD"),
        ("PUT", "/api/openapi.json", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("DELETE", "/metrics", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_a_problem_that_names_the_right_ones(
    method: str, path: str, allowed: str, db: None
) -> None:
    response = Client().generic(method, path)
    assert (response.status_code, response["Allow"]) == (405, allowed)
    assert response["Content-Type"] == problems.CONTENT_TYPE


def test_head_is_answered_wherever_get_is(program: Client) -> None:
    for path in ("/api/jobs", "/healthz", "/metrics", "/api/openapi.json"):
        response = program.head(path)
        assert (response.status_code, response.content) == (200, b""), path


def test_no_shared_cache_keeps_anybodys_jobs(program: Client) -> None:
    response = program.get("/api/jobs")
    assert response["Cache-Control"] == "private, no-cache"
    assert {"Cookie", "Authorization"} <= set(response["Vary"].split(", "))


@pytest.mark.django_db
def test_refusals_are_counted_by_reason() -> None:
    def seen() -> float:
        text = Client().get("/metrics").content.decode()
        lines = [
            line
            for line in text.splitlines()
            if line.startswith('wharfinger_refusals_total{code="not_found"}')
        ]
        return float(lines[0].split()[1]) if lines else 0

    before = seen()
    Client().get("/api/nothing")
    assert seen() == before + 1


def test_the_documentation_lists_each_code_with_its_status() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| (.*) \|$", text, re.MULTILINE)
    listed = {(code, int(status)) for status, codes in rows for code in re.findall(r"`([a-z_]+)`", codes)}
    assert listed == {(row.code, row.status) for row in problems.TABLE.values()}


def test_the_description_speaks_of_problems_as_problems() -> None:
    schema = api.get_openapi_schema()
    assert set(schema["components"]["schemas"]["Problem"]["properties"]) >= {"code", "errors"}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                if status >= 400:
                    assert list(response["content"]) == [problems.CONTENT_TYPE], (method, path, status)
            assert 401 in operation["responses"], (method, path)
            assert (403 in operation["responses"]) or method == "get", (method, path)
    assert openapi.answers("not_found")["responses"][404]["description"] == "Not Found: `not_found`"


def test_a_problem_is_told_in_the_language_asked_for(client: Client, db: None) -> None:
    body = client.get("/api/jobs", headers={"Accept-Language": "de"}).json()
    assert body["title"] == "Melden Sie sich an oder senden Sie ein gültiges API-Token."
    assert body["code"] == "not_signed_in"
