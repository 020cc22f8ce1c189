"""A line between the browser and the server, and a tab at its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser

from tests.journeys.conftest import Wharf
from tests.journeys.page.browser import Visit
from tests.journeys.page.engine.line import Line, line_to


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
