"""What a browser is allowed to do on our pages."""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from uploads.web.security_headers import POLICY, ContentSecurityPolicyMiddleware


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


@pytest.mark.parametrize("path", ["/logout/", "/admin/logout/"])
def test_who_signs_out_leaves_nothing_in_a_browser_that_heeds_it(at: Client, path: str) -> None:
    assert "Clear-Site-Data" not in at.post("/language/", {"language": "de"}, secure=True)
    assert at.post(path, secure=True)["Clear-Site-Data"] == '"storage"'
    assert "Clear-Site-Data" not in at.post(path)  # on plain HTTP browsers only complain of it


def test_frames_objects_and_foreign_forms_are_forbidden() -> None:
    for part in ("frame-ancestors 'none'", "object-src 'none'", "base-uri 'none'", "form-action 'self'"):
        assert part in POLICY
