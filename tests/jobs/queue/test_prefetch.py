"""How far ahead of its workers a pusher fetches."""

from __future__ import annotations

import pytest

from uploads.jobs.queue import broker as broker_module
from uploads.jobs.queue.broker import Pace


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(broker_module, "time", clock)
    return clock


class TestPace:
    """How far ahead of its workers a pusher fetches."""

    def test_slow_workers_have_one_message_each_in_hand(self, clock: Clock) -> None:
        pace = Pace(workers=2, limit=200)
        assert pace.room(0) == 2
        pace.handed = 2
        assert pace.room(2) == 0
        clock.now += 10
        assert pace.room(1) == 1

    def test_quick_workers_get_what_they_finish_in_a_moment_and_no_more_than_the_limit(
        self, clock: Clock
    ) -> None:
        pace = Pace(workers=2, limit=200)
        for _ in range(20):  # a thousand a second
            clock.now += 0.05
            pace.handed += 50
            room = pace.room(0)
        assert 90 <= room <= 110
        for _ in range(20):
            clock.now += 0.05
            pace.handed += 5000
            room = pace.room(0)
        assert room == 200

    def test_workers_that_become_slow_are_handed_less_again(self, clock: Clock) -> None:
        pace = Pace(workers=2, limit=200)
        for handed in [50] * 20 + [0] * 20:
            clock.now += 0.05
            pace.handed += handed
            room = pace.room(0)
        assert room == 2

    def test_nothing_is_fetched_while_half_of_it_is_still_there(self, clock: Clock) -> None:
        pace = Pace(workers=8, limit=200)
        assert [pace.room(ahead) for ahead in (8, 5, 4, 1)] == [0, 0, 4, 7]
