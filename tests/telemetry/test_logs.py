"""What is written down, and how."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from django.test import Client

from uploads.telemetry.logs import configure_logging, logging_config


@pytest.fixture
def said(settings: object) -> Iterator[io.StringIO]:
    """The lines of the product's own log, instead of standard error."""
    configure_logging(logging_config("INFO", "json"))
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    lines = io.StringIO()
    before = handler.setStream(lines)
    yield lines
    handler.setStream(before)
    configure_logging(logging_config("WARNING", "json"))


def test_a_wrong_host_is_one_line_without_a_traceback(client: Client, db: None, said: io.StringIO) -> None:
    client.get("/login/", headers={"Host": "elsewhere.example"})
    [line] = [json.loads(line) for line in said.getvalue().splitlines() if "elsewhere.example" in line]
    assert line["logger"] == "django.security.DisallowedHost"
    assert line["event"].startswith("Invalid HTTP_HOST header: 'elsewhere.example'")
    assert "exception" not in line and "Traceback" not in said.getvalue()


def test_other_errors_keep_their_traceback(said: io.StringIO) -> None:
    try:
        raise RuntimeError("on the rocks")
    except RuntimeError:
        logging.getLogger("django.security.Other").exception("What happened")
    line = json.loads(said.getvalue())
    assert "on the rocks" in line["exception"]


def test_a_failed_attempt_is_not_told_twice(said: io.StringIO) -> None:
    logging.getLogger("django-q").error('Failed \'uploads.jobs.worker.task.work\' (b0f4) - {"job": "b0f4"}')
    logging.getLogger("django-q").error('Failed \'uploads.jobs.worker.work\' (b0f4) - {"job": "b0f4"}')
    logging.getLogger("django-q").error("Failed 'math.sqrt' (mine) - domain error")
    [line] = [json.loads(line) for line in said.getvalue().splitlines()]
    assert "math.sqrt" in line["event"]


def test_what_no_view_has_caught_is_told_once_with_its_traceback_and_request(
    client: Client, db: None, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise RuntimeError("on the rocks")

    monkeypatch.setattr("django.contrib.auth.views.LoginView.get_context_data", broken)
    client.raise_request_exception = False
    answer = client.get("/login/")
    assert answer.status_code == 500
    [line] = [json.loads(line) for line in said.getvalue().splitlines() if "on the rocks" in line]
    assert (line["event"], line["level"]) == ("request.failed", "error")
    assert line["request"] == answer["X-Request-ID"]
    assert "RuntimeError" in line["exception"]
