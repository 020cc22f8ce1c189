"""Large files on bad days, from a real browser to a real server: nothing is lost, and little is sent twice."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Request, expect

from tests.journeys.conftest import Wharf, wait_for
from tests.journeys.page.browser import Visit
from tests.journeys.page.line import Line, line_to

pytestmark = [pytest.mark.journey, pytest.mark.browser]

MIB = 1 << 20
CHUNK = 16 * MIB  # what the server may lose of a cut upload, at most


@pytest.fixture
def line(wharf: Wharf) -> Iterator[Line]:
    with line_to(wharf.url) as line:
        yield line


@pytest.fixture
def visit(browser: Browser, wharf: Wharf, line: Line, sessions: Iterator[str]) -> Iterator[Visit]:
    """A tab, at the end of a line, of somebody whom no other test knows."""
    begun = Visit.begin(browser, replace(wharf, url=line.url), viewport={"width": 1280, "height": 900})
    begun.enter(next(sessions))
    yield begun
    begun.context.close()


def cargo(path: Path, size: int, seed: int = 1) -> str:
    """Write a file of noise; its SHA-256."""
    data = random.Random(seed).randbytes(MIB)
    digest = hashlib.sha256()
    with path.open("wb") as out:
        for number in range(-(-size // MIB)):
            piece = (number.to_bytes(8, "big") + data)[: min(MIB, size - number * MIB)]
            out.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def sending(visit: Visit, name: str) -> Locator:
    row = visit.page.locator("#sending .row")
    return row.filter(has=visit.page.get_by_text(name, exact=True))


def landed(visit: Visit, name: str, seconds: float = 60) -> dict[str, Any]:
    """The job of that name once it is done."""
    return wait_for(
        lambda: next((job for job in visit.jobs() if job["filename"] == name and job["sha256"]
                      and job["state"] == "succeeded"), None),
        seconds, f"{name} to be done",
    )  # fmt: skip


def test_a_cut_line_is_waited_out_and_the_file_goes_on_from_where_it_stood(
    visit: Visit, line: Line, tmp_path: Path
) -> None:
    large = tmp_path / "large.bin"
    digest = cargo(large, 60 * MIB)
    line.rate = 40 * MIB
    visit.page.locator("#files").set_input_files(large)
    line.wait_for(20 * MIB)
    line.cut()
    expect(sending(visit, "large.bin").locator(".said")).to_have_text(
        re.compile(r"The connection was lost\. Trying again in \d s\.")
    )
    visit.expect_accessible("held")
    line.mend()
    assert landed(visit, "large.bin")["sha256"] == digest
    expect(visit.row("large.bin").locator(".state")).to_have_text("Done")
    expect(visit.page.locator("#sending > li")).to_have_count(0)
    assert line.sent < 60 * MIB + CHUNK


def patches(visit: Visit) -> list[Request]:
    """The requests with bytes, as the tab makes them."""
    seen: list[Request] = []
    visit.page.on("request", lambda made: seen.append(made) if made.method == "PATCH" else None)
    return seen
