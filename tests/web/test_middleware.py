"""What a browser is allowed to do on our pages."""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from uploads.web.middleware import POLICY, ContentSecurityPolicyMiddleware


@pytest.mark.parametrize("path", ["/login/", "/nowhere/", "/admin/login/", "/api/jobs"])
def test_every_answer_has_a_policy_without_inline_code(client: Client, db: None, path: str) -> None:
    policy = client.get(path)["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_an_answer_that_has_its_own_policy_keeps_it() -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"Content-Security-Policy": "sandbox"})

    answer = ContentSecurityPolicyMiddleware(view)(RequestFactory().get("/"))
    assert answer["Content-Security-Policy"] == "sandbox"


def test_frames_objects_and_foreign_forms_are_forbidden() -> None:
    for part in ("frame-ancestors 'none'", "object-src 'none'", "base-uri 'none'", "form-action 'self'"):
        assert part in POLICY
