"""The API against its own description, with requests nobody thought of: no 5xx, nothing undocumented."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from project.wsgi import application
from tests.factories import make_artifact, make_error, make_job
from uploads.models import ApiToken

schema = schemathesis.openapi.from_wsgi("/api/openapi.json", application)
bounded = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """Requests run inside the test's transaction, so none may close its connection (as in Django's client)."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def token(operator: User) -> str:
    job = make_job("failed", operator, data=b"some bytes")
    make_error(job)
    make_artifact(job)
    return ApiToken.issue(operator)[1]


def beyond_words(case: schemathesis.Case) -> list[Any]:
    """What a description cannot say: a cursor is one that we gave, any bytes are a file, a body has a length."""
    if case.operation.path.startswith("/api/uploads"):
        return [positive_data_acceptance, negative_data_rejection]
    return [positive_data_acceptance]


@pytest.mark.django_db
@schema.parametrize()
@bounded
def test_signed_in_it_answers_as_described(case: schemathesis.Case, token: str, data_dir: object) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, excluded_checks=beyond_words(case))


@pytest.mark.django_db
@schema.parametrize()
@bounded
def test_signed_out_it_answers_as_described(case: schemathesis.Case) -> None:
    response = case.call_and_validate()
    assert response.status_code in (401, 404, 405)
