"""Nodes can be looked at, and say whether they live."""

from __future__ import annotations

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from tests.factories import make_node
from uploads.models import Node

URL = "/admin/uploads/node/"


def test_the_list_tells_the_living_from_the_silent_and_the_stopped(at: Client) -> None:
    now = timezone.now()
    make_node("a")
    make_node("b", beat_at=now - timedelta(minutes=2))
    make_node("c", stopped_at=now)

    page = at.get(URL).content.decode()

    for word in ("live", "silent", "stopped"):
        assert page.count(f'class="wf-state wf-{word}"') == 1


def test_a_node_is_read_only(at: Client) -> None:
    node = make_node("dock")

    assert at.get(f"{URL}{node.pk}/change/").status_code == 200
    assert at.get(f"{URL}add/").status_code == 403
    assert at.post(f"{URL}{node.pk}/change/", {"name": "other"}).status_code == 403
    assert at.post(f"{URL}{node.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Node.objects.get().name == "dock"
