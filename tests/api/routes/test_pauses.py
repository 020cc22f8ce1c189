"""Pauses through the API, for operators."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.api.conftest import by_token, problem_of
from tests.factories import make_operator
from uploads.models import Pause

pytestmark = pytest.mark.django_db


def test_an_operator_pauses_sees_it_and_resumes(operator: User) -> None:
    client = by_token(operator)
    made = client.post(
        "/api/pauses", {"kind": "pdf", "note": "a new PDFium"}, content_type="application/json"
    )
    assert made.status_code == 201
    told = made.json()
    assert (told["kind"], told["note"], told["by"]) == ("pdf", "a new PDFium", "operator")
    assert client.get("/api/pauses").json() == {"items": [told]}
    assert 'wharfinger_paused{kind="pdf"} 1.0' in client.get("/metrics").content.decode()
    assert client.delete(f"/api/pauses/{told['id']}").status_code == 204
    assert client.get("/api/pauses").json() == {"items": []}
    problem_of(client.delete(f"/api/pauses/{told['id']}"), 404, "not_found")


def test_an_empty_object_pauses_all_once(operator: User) -> None:
    client = by_token(operator)
    assert client.post("/api/pauses", {}, content_type="application/json").json()["kind"] == ""
    again = client.post("/api/pauses", {}, content_type="application/json")
    assert problem_of(again, 409, "wrong_state")["detail"] == "All starts are paused already."


@pytest.mark.parametrize(
    "body", [{"kind": "poem"}, {"kind": "x" * 41}, {"who": "me"}, {"note": "\x00"}, [], 3]
)
def test_a_pause_that_makes_no_sense_is_refused(operator: User, body: object) -> None:
    problem_of(
        by_token(operator).post("/api/pauses", body, content_type="application/json"), 400, "invalid_request"
    )
    assert not Pause.objects.exists()


def test_who_may_only_look_changes_nothing() -> None:
    client = by_token(make_operator("", "view_pause"))
    pause = Pause.objects.create(kind="pdf")
    assert client.get("/api/pauses").status_code == 200
    problem_of(client.post("/api/pauses", {}, content_type="application/json"), 403, "not_allowed")
    problem_of(client.delete(f"/api/pauses/{pause.pk}"), 403, "not_allowed")
