"""Programs that call the API: in somebody's name by token or by session, or in nobody's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from uploads.models import ApiToken, UploadJob

Caller = Callable[[User | None], Client]


def by_token(user: User | None) -> Client:
    """A program with a token of this user's, or without any."""
    return Client(headers={"Authorization": f"Bearer {ApiToken.issue(user)[1]}"} if user else {})


def by_session(user: User | None) -> Client:
    """A page of our site, with its CSRF token, on which this user, or nobody, is signed in."""
    secret = "a" * 32
    client = Client(enforce_csrf_checks=True, headers={"X-CSRFToken": secret})
    client.cookies["csrftoken"] = secret
    if user:
        client.force_login(user)
    return client


@pytest.fixture
def program(owner: User) -> Client:
    """A program of the owner's."""
    return by_token(owner)


def problem_of(response: HttpResponse, status: int, code: str) -> dict[str, Any]:
    """The problem that a response is, after a look that it is a well-formed one."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.content)
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "code"}
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:wharfinger:{code}")
    assert "Traceback" not in body["detail"]
    return body


def url(job: UploadJob, rest: str = "") -> str:
    return f"/api/jobs/{job.pk}{rest}"


def body(response: HttpResponse) -> bytes:
    """All bytes of an answer, streamed or not."""
    return b"".join(response) if response.streaming else response.content
