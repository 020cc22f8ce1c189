"""The list of one's files on the page: long, searched, quiet, acted upon, and without script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Wharf, wait_for
from tests.journeys.page.browser import Visit
from tests.journeys.page.conftest import jpeg

pytestmark = [pytest.mark.journey, pytest.mark.browser]


def test_many_files_at_once_all_arrive_and_the_list_is_shown_in_pages(visit: Visit) -> None:
    visit.send(*[(f"n{number:02}.txt", b"%d" % number) for number in range(60)])
    expect(visit.page.locator("#rows .is-succeeded")).to_have_count(60, timeout=60_000)
    assert len({job["filename"] for job in visit.jobs()}) >= 50
    visit.page.reload()
    rows = visit.page.locator("#rows > .row")
    expect(rows).to_have_count(25)
    visit.page.get_by_role("link", name="Show older").click()
    expect(rows).to_have_count(50)
    visit.page.get_by_role("link", name="Show older").click()
    expect(rows).to_have_count(60)
    expect(visit.page.get_by_role("link", name="Show older")).to_have_count(0)


def test_the_list_is_searched_and_filtered_without_reloading(visit: Visit) -> None:
    page = visit.page
    visit.send(("apple.txt", b"x"), ("pear.txt", b"x"), ("apple.jpg", jpeg()[:400]))
    expect(visit.row("pear.txt").locator(".state")).to_have_text("Done")
    expect(visit.row("apple.jpg").locator(".state")).to_have_text("Failed")
    page.evaluate("window.same = true")
    page.get_by_role("searchbox").fill("apple")
    expect(page.locator("#rows > .row")).to_have_count(2)
    page.get_by_role("link", name="Failed").click()
    expect(page.locator("#rows .name")).to_have_text(["apple.jpg"])
    expect(page.get_by_role("link", name="Failed")).to_have_attribute("aria-current", "true")
    assert set(page.url.partition("?")[2].split("&")) == {"state=failed", "q=apple"}
    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.get_by_text("No upload matches.")).to_be_visible()
    assert page.evaluate("window.same") is True


def test_a_quiet_page_asks_nothing(visit: Visit) -> None:
    page = visit.page
    page.clock.install()
    visit.send(("quiet.txt", b"x"))
    expect(visit.row("quiet.txt").locator(".state")).to_have_text("Done")
    expect(page.locator("#announcement")).to_have_text("quiet.txt is done.")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(120_000)
    assert asked == []


def test_a_file_is_deleted_by_keyboard_after_a_question(visit: Visit) -> None:
    page = visit.page
    visit.send(("doomed.txt", b"x"))
    expect(visit.row("doomed.txt").locator(".state")).to_have_text("Done")
    page.get_by_role("link", name="Delete doomed.txt").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Delete this file for good?")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    visit.expect_accessible("asked")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="Delete doomed.txt")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Delete")).to_be_focused()
    page.keyboard.press("Enter")
    expect(visit.row("doomed.txt")).to_have_count(0)
    expect(page.locator("#announcement")).to_have_text("doomed.txt was deleted.")
    expect(page.get_by_role("heading", name="My uploads")).to_be_focused()
    assert visit.jobs() == []
    assert visit.complaints == []


def test_a_slow_file_shows_its_progress_and_is_cancelled_and_a_failure_of_ours_is_retried(
    browser: Browser, own_wharf: Callable[..., Wharf]
) -> None:
    wharf = own_wharf(
        UPLOADS_PROCESSORS="hostile=tests.processing.sandbox.hostile",
        UPLOADS_BUDGETS='{"internal_error": {"budget": 1}}',
        UPLOADS_MAX_SIZE="1000",
    )
    visit = Visit.begin(browser, wharf)
    page = visit.sign_in(wharf.username, wharf.password)

    visit.send(("slow.txt", b"progress\n20"))
    slow = visit.row("slow.txt")
    expect(slow.locator(".state")).to_have_text("Working")
    bar = slow.get_by_role("progressbar", name="Progress of slow.txt")
    expect(bar).to_have_attribute("value", "10")
    expect(slow.locator(".said")).to_have_text(re.compile("at 10"))
    visit.expect_accessible("busy")
    slow.get_by_role("button", name="Cancel slow.txt").click()
    expect(slow.locator(".state")).to_have_text("Cancelled")
    expect(slow.get_by_role("button", name="Retry")).to_be_visible()

    visit.send(("stumble.txt", b"stumble"))
    expect(visit.row("stumble.txt").locator(".state")).to_have_text("Failed")
    job = visit.jobs()[0]
    assert (job["error"]["code"], job["attempt"]) == ("internal_error", 1)
    page.get_by_role("button", name="Retry stumble.txt").press("Enter")
    expect(page.locator("#announcement")).to_have_text(re.compile("stumble.txt"))
    expect(visit.row("stumble.txt")).to_be_focused()  # the button has gone, its row has the focus
    wait_for(lambda: visit.jobs()[0]["attempt"] == 2, 20, "the second attempt")
    expect(visit.row("stumble.txt").locator(".state")).to_have_text("Failed")

    visit.send(("large.txt", b"x" * 1001))
    said = page.locator("#sending .row").get_by_text("The file is larger than the 1,000 bytes accepted here.")
    expect(said).to_be_visible()
    page.get_by_role("button", name="Dismiss: large.txt").click()
    expect(page.locator("#sending > li")).to_have_count(0)
    visit.context.close()


def test_without_script_files_are_sent_cancelled_and_deleted_by_plain_forms(
    browser: Browser, wharf: Wharf, sessions: Iterator[str]
) -> None:
    visit = Visit.begin(browser, wharf, java_script_enabled=False)
    page = visit.enter(next(sessions))
    page.get_by_label("Choose files").set_input_files(
        [{"name": name, "mimeType": "text/plain", "buffer": b"Ships in."} for name in ("a.txt", "b.txt")]
    )
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("2 files are here.")).to_be_visible()
    wait_for(lambda: {job["state"] for job in visit.jobs()} == {"succeeded"}, 20, "both to be done")
    page.reload()
    expect(visit.row("a.txt").locator(".state")).to_have_text("Done")
    page.get_by_role("link", name="Delete a.txt").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("a.txt was deleted.")).to_be_visible()
    expect(page.locator("#rows > .row")).to_have_count(1)
    page.get_by_role("link", name="Failed").click()
    expect(page.get_by_text("No upload matches.")).to_be_visible()
    visit.context.close()


def test_the_page_is_served_with_a_policy_under_which_it_works(wharf: Wharf) -> None:
    policy = httpx.get(f"{wharf.url}/login/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
