from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from uploads.codes import FAILURE_CODES
from uploads.jobs.lifecycle import retry_policy


@pytest.fixture(autouse=True)
def _fresh_table() -> Iterator[None]:
    retry_policy.table.cache_clear()
    yield
    retry_policy.table.cache_clear()


@pytest.mark.parametrize("code", sorted(FAILURE_CODES))
def test_the_last_attempt_of_a_budget_has_no_successor(code: str) -> None:
    assert retry_policy.delay_after(code, FAILURE_CODES[code].budget) is None


@pytest.mark.parametrize(
    "code", [c.code for c in FAILURE_CODES.values() if c.budget > 1 and c.code != "worker_lost"]
)
def test_delays_grow_to_their_cap_and_are_never_nothing(code: str) -> None:
    row = FAILURE_CODES[code]
    for failures in range(1, row.budget):
        delays = [retry_policy.delay_after(code, failures) for _try in range(50)]
        ceiling = min(row.delay_cap, row.first_delay * 2 ** (failures - 1))
        assert all(delay is not None and ceiling / 2 <= delay <= ceiling for delay in delays)
        assert len(set(delays)) > 40, "a thousand jobs must not come back as one"


def test_a_lost_worker_is_made_up_for_at_once_and_then_backs_off() -> None:
    assert retry_policy.delay_after("worker_lost", 1) == 0
    assert 2 <= (retry_policy.delay_after("worker_lost", 2) or 0) <= 5


def test_a_setting_can_override_a_row(settings: Any) -> None:
    settings.UPLOADS_BUDGETS = {"corrupt_file": {"budget": 3, "first_delay": 1, "delay_cap": 1}}
    assert retry_policy.delay_after("corrupt_file", 2) is not None
    assert retry_policy.delay_after("corrupt_file", 3) is None


@pytest.mark.parametrize(
    "wrong",
    [{"no_such_code": {"budget": 1}}, {"timed_out": {"attempts": 1}}, {"timed_out": 3}, [],
     {"timed_out": {"budget": "two"}}, {"timed_out": {"budget": -1}},
     {"timed_out": {"budget": 0}}, {"timed_out": {"budget": True}}, {"timed_out": {"budget": 1.5}},
     {"timed_out": {"delay_cap": float("inf")}}, {"timed_out": {"delay_cap": float("nan")}}],
)  # fmt: skip
def test_a_wrong_setting_is_one_sentence(settings: Any, wrong: Any) -> None:
    settings.UPLOADS_BUDGETS = wrong
    with pytest.raises(ImproperlyConfigured, match="UPLOADS_BUDGETS"):
        retry_policy.table()
