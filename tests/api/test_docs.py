"""The page about the API: it works under our strict policy, and asks nobody else for anything."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from tests.journeys.page.browser import chromium


def test_the_page_loads_only_what_is_ours() -> None:
    response = Client().get("/api/docs")
    page = response.content.decode()
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert re.findall(r"<script(?![^>]*\b(?:src=|type=\"application/json\"))", page) == []
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(loaded) >= 4
    for path in loaded:
        assert path.startswith("/static/")
        assert finders.find(path.removeprefix("/static/")), path


def test_the_page_reads_our_description() -> None:
    page = Client().get("/api/docs").content.decode()
    found = re.search(r'id="swagger-settings">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    path = json.loads(found[1])["url"]
    assert Client().get(path).json()["info"]["title"] == "Wharfinger"


def test_the_page_sends_the_csrf_token_of_who_is_signed_in() -> None:
    page = Client().get("/api/docs").content.decode()
    assert 'data-api-csrf="true"' in page
    assert re.search(r'data-csrf-token="\w{64}"', page)


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_browser_draws_the_page_without_a_complaint(live_server: Any) -> None:
    with chromium() as browser:
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{live_server.url}/api/docs")
        page.locator(".opblock-summary", has_text="/api/uploads/{filename}").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").wait_for()
        paths = Client().get("/api/openapi.json").json()["paths"].values()
        assert page.locator(".opblock").count() == sum(len(operations) for operations in paths) > 10
        assert complaints == []
