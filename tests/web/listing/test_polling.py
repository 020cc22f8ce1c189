"""Many open pages together ask no more often than a few could."""

from __future__ import annotations

import heapq

from uploads.web.listing.polling import LONGEST, Pace


def looks(pages: int, wish: int, seconds: float, rate: float = 50) -> tuple[list[float], int]:
    """Let pages come back as they are told; when they looked, and the last pause."""
    pace, told, times = Pace(rate), 0, []
    due = [n / pages for n in range(pages)]
    heapq.heapify(due)
    start = pace._then
    while (now := due[0]) < seconds:
        told = pace.pause(wish, start + now)
        heapq.heapreplace(due, now + told / 1000)
        times.append(now)
    return times, told


def test_a_few_pages_wait_as_long_as_they_would_best() -> None:
    _times, told = looks(pages=20, wish=1000, seconds=60)
    assert told == 1000


def test_many_pages_share_what_there_is() -> None:
    times, told = looks(pages=500, wish=1000, seconds=120)
    settled = [one for one in times if one > 60]
    assert 40 < len(settled) / 60 < 62
    assert 7_000 < told < 13_000


def test_when_the_many_have_gone_the_few_are_quick_again() -> None:
    pace = Pace(50)
    now = pace._then
    for n in range(500):
        pace.pause(1000, now + n / 500)
    assert pace.pause(1000, now + 2) > 0
    assert pace.pause(1000, now + 60) == 1000


def test_a_page_that_has_nothing_to_wait_for_is_told_so_and_not_counted() -> None:
    pace = Pace(1)
    now = pace._then
    assert {pace.pause(0, now) for _ in range(1000)} == {0}
    assert pace.pause(1000, now) == 1000


def test_no_page_waits_longer_than_half_a_minute() -> None:
    pace = Pace(1)
    assert max(pace.pause(1000, pace._then) for _ in range(5000)) <= LONGEST
