"""Two people at one browser: what the first one left is neither seen nor sent by the second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.journeys.conftest import wait_for
from tests.journeys.page.browser import Visit
from tests.journeys.page.engine.cargo import sending

pytestmark = [pytest.mark.journey, pytest.mark.browser]

KEPT = """() => new Promise((resolve) => {
    const open = indexedDB.open("wharfinger", 1);
    open.onsuccess = () => {
        const all = open.result.transaction("unfinished").objectStore("unfinished").getAll();
        all.onsuccess = () => {
            open.result.close();
            resolve(all.result.map((one) => [one.name, Boolean(one.file)]));
        };
    };
})"""


def leave_unfinished(visit: Visit, name: str = "secret.txt") -> None:
    """A small file that finds no way to the server, so that this browser keeps it whole."""
    visit.page.route("**/api/uploads/*", lambda route: route.abort())
    visit.send((name, b"Nobody else's business."))
    wait_for(lambda: visit.page.evaluate(KEPT) == [[name, True]], 10, "the file to be kept")


def somebody_else(visit: Visit, session: str) -> None:
    """Another person signs in, as the login leaves it: a new session, and a new CSRF token."""
    visit.context.clear_cookies()
    cookies = {"sessionid": session, "csrftoken": "a" * 32}
    visit.context.add_cookies([{"name": n, "value": v, "url": visit.wharf.url} for n, v in cookies.items()])


def names(page: Page) -> list[str]:
    found: list[str] = [job["filename"] for job in page.context.request.get("/api/jobs").json()["items"]]
    return found


def test_who_signs_out_leaves_nothing_in_the_browser_and_other_tabs_go_too(visit: Visit) -> None:
    page = visit.page
    leave_unfinished(visit)
    other = visit.context.new_page()
    other.goto("/")
    expect(other.get_by_role("heading", name="My uploads")).to_be_visible()

    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept() if len(asked) > 1 else dialog.dismiss()

    page.on("dialog", answer)
    page.get_by_role("button", name="Sign out").click()
    assert asked == ["What is not sent yet will be forgotten here. Sign out?"]
    expect(sending(visit, "secret.txt")).to_be_visible()  # thought better of it
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate(KEPT) == []


def test_somebody_else_finds_nothing_of_who_was_there_before(visit: Visit, sessions: Iterator[str]) -> None:
    leave_unfinished(visit)
    visit.page.close()  # and the login runs out
    somebody_else(visit, next(sessions))
    visit.page = visit.context.new_page()
    visit.page.goto("/")
    expect(visit.page.get_by_text("Nothing here yet.")).to_be_visible()
    wait_for(lambda: visit.page.evaluate(KEPT) == [], 10, "what was kept to be gone")
    expect(visit.page.locator("#sending > li")).to_have_count(0)


def test_an_open_tab_makes_way_as_soon_as_somebody_else_comes(visit: Visit, sessions: Iterator[str]) -> None:
    leave_unfinished(visit)
    somebody_else(visit, next(sessions))
    theirs = visit.context.new_page()
    theirs.goto("/")
    expect(visit.page.locator("#sending > li")).to_have_count(0)
    expect(visit.page.get_by_text("Nothing here yet.")).to_be_visible()
    wait_for(lambda: theirs.evaluate(KEPT) == [], 10, "what was kept to be gone")


@pytest.mark.parametrize("noticed", ["by the cookie", "by the server"])
def test_a_tab_that_heard_nothing_still_sends_nothing_in_another_name(
    visit: Visit, sessions: Iterator[str], noticed: str
) -> None:
    """The other one has just signed in, and has no page open yet."""
    page = visit.page
    token = next(one for one in visit.context.cookies() if one["name"] == "csrftoken")
    somebody_else(visit, next(sessions))
    if noticed == "by the server":  # as if the cookie were changed right after it was looked at
        page.evaluate(f"""() => Object.defineProperty(document, "cookie", {{
            get: () => "csrftoken={token["value"]}", set: () => {{}}}})""")
    puts: list[str] = []
    page.on("response", lambda answer: puts.append(f"{answer.request.method} {answer.status}"))
    visit.send(("secret.txt", b"Nobody else's business."))
    expect(page.locator("#sending > li")).to_have_count(0)
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    assert names(page) == []
    assert "PUT 202" not in puts
