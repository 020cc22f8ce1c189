"""The queue on a broker outside the database that is down."""

from __future__ import annotations

import time

import pytest
from django.db import transaction
from django_q.brokers.redis_broker import Redis
from django_q.conf import Conf

from tests.factories import make_job
from uploads.jobs.queue import producer
from uploads.models import UploadJob

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]


class TestRedisThatIsDown:
    def test_it_costs_a_wake_up_and_no_upload_and_is_not_asked_again_at_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        class Down(Redis):
            def enqueue(self, task: str) -> object:
                asked.append(task)
                return super().enqueue(task)

        monkeypatch.setattr(Conf, "REDIS", "redis://127.0.0.1:1/0?socket_connect_timeout=0.2")
        down = Down("wharfinger")
        monkeypatch.setattr(producer, "_broker", lambda: down)
        monkeypatch.setattr(producer, "_away_until", 0.0)
        began = time.monotonic()
        for _ in range(5):
            with transaction.atomic():
                producer.wake(make_job().pk)
        assert UploadJob.objects.count() == 5
        assert len(asked) == 1
        assert time.monotonic() - began < 5
