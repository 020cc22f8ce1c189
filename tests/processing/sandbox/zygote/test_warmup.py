"""What is gone through in the zygote before any file comes: only code of our own."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from uploads.processing.base import Context, Json
from uploads.processing.registry import Registry
from uploads.processing.sandbox.zygote.warmup import rehearse


def test_a_strangers_processor_of_texts_is_not_run_outside_its_sandbox(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[str] = []

    def process(job: Context) -> dict[str, Json]:
        ran.append(job.filename)
        return {}

    stranger = ModuleType("stranger")
    stranger.TYPES, stranger.process = ("text/plain",), process  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stranger", stranger)
    rehearse(Registry({"voyage": "stranger"}))
    assert ran == []
