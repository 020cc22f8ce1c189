"""Addresses that browsers and strangers ask for by themselves."""

from __future__ import annotations

from django.contrib.staticfiles import finders
from django.test import Client


def test_a_browser_that_asks_for_an_icon_is_led_to_it(client: Client) -> None:
    answer = client.get("/favicon.ico")
    assert (answer.status_code, answer["Location"]) == (302, "/static/uploads/icon.svg")
    assert finders.find("uploads/icon.svg")


def test_the_admin_names_the_icon_so_that_nobody_has_to_ask(client: Client, db: None) -> None:
    page = client.get("/admin/login/").content.decode()
    assert '<link rel="icon" href="/static/uploads/icon.svg" type="image/svg+xml">' in page


def test_a_wrong_host_gets_a_short_page_that_names_nothing(client: Client, db: None) -> None:
    answer = client.get("/login/", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "The request could not be understood" in page
    assert "elsewhere.example" not in page and "ALLOWED_HOSTS" not in page
    assert len(page) < 2_000
