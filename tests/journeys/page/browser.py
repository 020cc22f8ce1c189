"""A real Chromium for the journeys through the page, found where the machine has it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.journeys.conftest import Wharf

SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

# Machines that run tests are slow at times; what is expected comes within moments elsewhere.
expect.set_options(timeout=20_000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser named by CHROMIUM, or Debian's; without one the tests are skipped, in CI they fail."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not path:
        missing = "no Chromium here: install chromium, or name it in CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    # Ends with its module: Playwright's event loop would keep Django's database from later tests.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=SWITCHES)
        yield browser
        browser.close()


@dataclass
class Visit:
    """One person's tab. `complaints` is what the browser's console said in anger."""

    wharf: Wharf
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, browser: Browser, wharf: Wharf, **options: Any) -> Visit:
        context = browser.new_context(base_url=wharf.url, reduced_motion="reduce", **options)
        context.set_default_timeout(20_000)
        visit = cls(wharf, context, context.new_page())
        visit.page.on(
            "console",
            lambda said: visit.complaints.append(said.text) if said.type in ("error", "warning") else None,
        )
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        return visit

    def sign_in(self, username: str, password: str) -> Page:
        self.page.goto("/login/")
        self.page.get_by_label("User name").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", name="My uploads")).to_be_visible()
        return self.page

    def enter(self, session: str) -> Page:
        """Come in with a session that is open already."""
        self.context.add_cookies([{"name": "sessionid", "value": session, "url": self.wharf.url}])
        self.page.goto("/")
        expect(self.page.get_by_role("heading", name="My uploads")).to_be_visible()
        return self.page

    def row(self, name: str) -> Any:
        """The server's row of the file called `name`."""
        return self.page.locator("#rows > .row").filter(has=self.page.get_by_text(name, exact=True))

    def send(self, *files: tuple[str, bytes]) -> None:
        self.page.locator("#files").set_input_files(
            [{"name": name, "mimeType": "", "buffer": data} for name, data in files]
        )

    def expect_accessible(self, where: str) -> None:
        found = Axe().run(self.page)
        assert not found.response["violations"], f"{where}: {found.generate_report()}"

    def expect_no_sideways_scrolling(self) -> None:
        wide, window = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= window

    def jobs(self) -> list[dict[str, Any]]:
        """What the API says of this person's jobs, asked with their own session."""
        found: list[dict[str, Any]] = self.context.request.get("/api/jobs").json()["items"]
        return found
