"""The page as everybody can use it: every state, every width, any language, many files at once, only by keyboard."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Wharf
from tests.journeys.page.browser import Visit
from tests.journeys.page.conftest import jpeg
from tests.journeys.pictures import SETTINGS, begin, states

pytestmark = [pytest.mark.journey, pytest.mark.browser]


def test_no_state_of_the_page_shuts_anybody_out_or_scrolls_sideways(
    browser: Browser, own_wharf: Callable[..., Wharf]
) -> None:
    visit = begin(browser, own_wharf(**SETTINGS))
    for state in states(visit):
        visit.expect_accessible(state)
        visit.page.emulate_media(color_scheme="dark")
        visit.page.set_viewport_size({"width": 320, "height": 700})
        if state in ("list", "cards", "chosen", "dialog"):  # the others have no colour of their own
            visit.expect_accessible(f"{state}, dark, on a small phone")
        visit.expect_no_sideways_scrolling()
        visit.page.evaluate("document.documentElement.dir = 'rtl'")
        visit.expect_no_sideways_scrolling()
        visit.page.evaluate("document.documentElement.dir = 'ltr'")
        if state == "list":  # longer words, and a row that waits
            german = {"name": "django_language", "value": "de", "url": visit.wharf.url}
            visit.context.add_cookies([german])  # type: ignore[list-item]
            visit.page.reload()
            expect(visit.row("tides.txt").get_by_text("Als Nächstes dran")).to_be_visible()
            visit.expect_accessible("in German, dark, on a small phone")
            visit.expect_no_sideways_scrolling()
            visit.context.clear_cookies(name="django_language")
            visit.page.reload()
        visit.page.emulate_media(color_scheme="light")
        visit.page.set_viewport_size({"width": 1280, "height": 900})
    visit.context.close()


def test_everything_that_can_be_hit_is_large_enough_to_be_hit(visit: Visit) -> None:
    visit.send(("photo.jpg", jpeg()), ("cut.jpg", jpeg()[:400]))
    expect(visit.row("photo.jpg").locator(".state")).to_have_text("Done")
    expect(visit.row("cut.jpg").locator(".state")).to_have_text("Failed")
    visit.row("photo.jpg").get_by_text("Result").click()
    small = visit.page.evaluate("""() => [...document.querySelectorAll("a, button, input, summary, label.pick")]
        .filter((one) => one.checkVisibility() && !one.closest("label.pick > *") && !one.matches(".skip, .picker"))
        .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
        .filter(([, box]) => box.width > 1 && (box.width < 24 || box.height < 24))
        .map(([html, box]) => `${html} ${box.width} x ${box.height}`)""")
    assert small == []


def test_many_files_are_chosen_downloaded_and_deleted_by_keyboard_alone(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    visit.send(("a.txt", b"first"), ("b.txt", b"second"), ("c.txt", b"third"))
    for name in ("a.txt", "b.txt", "c.txt"):
        expect(visit.row(name).locator(".state")).to_have_text("Done")
    for name in ("a.txt", "b.txt"):
        page.get_by_role("checkbox", name=f"Select {name}").focus()
        page.keyboard.press("Space")
    expect(page.locator("#picked")).to_have_text("2 chosen")

    with page.expect_download() as coming:
        page.get_by_role("button", name="Download as zip").press("Enter")
    coming.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "a.txt": b"first",
            "b.txt": b"second",
        }

    page.get_by_role("button", name="Delete…").press("Enter")
    dialog = page.get_by_role("dialog", name="Delete these 2 files for good?")
    expect(dialog.get_by_role("button", name="Keep them")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#rows .name")).to_have_text(["c.txt"])
    expect(page.locator("#notices")).to_have_text(re.compile("2 files were deleted."))
    expect(page.locator("#picked")).to_be_empty()
    assert [job["filename"] for job in visit.jobs()] == ["c.txt"]
    assert visit.complaints == []


def test_all_that_a_search_shows_is_chosen_with_one_click(visit: Visit) -> None:
    page = visit.page
    visit.send(("apple.txt", b"x"), ("pear.txt", b"x"), ("apple pie.txt", b"x"))
    for name in ("apple.txt", "pear.txt", "apple pie.txt"):
        expect(visit.row(name).locator(".state")).to_have_text("Done")
    page.get_by_role("searchbox").fill("apple")
    expect(page.locator("#rows > .row")).to_have_count(2)
    page.get_by_label("Select all").check()
    expect(page.locator("#rows :checked")).to_have_count(2)
    page.locator("#delete-many").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No upload matches.")).to_be_visible()
    assert [job["filename"] for job in visit.jobs()] == ["pear.txt"]


def test_without_script_many_files_are_deleted_after_a_question_on_a_page(
    browser: Browser, wharf: Wharf, sessions: Iterator[str]
) -> None:
    visit = Visit.begin(browser, wharf, java_script_enabled=False)
    page = visit.enter(next(sessions))
    page.get_by_label("Choose files").set_input_files(
        [{"name": name, "mimeType": "text/plain", "buffer": b"x"} for name in ("a.txt", "b.txt", "c.txt")]
    )
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("3 files are here.")).to_be_visible()
    page.get_by_label("Select a.txt").check()
    page.get_by_label("Select b.txt").check()
    page.locator("#delete-many").click()
    expect(page.get_by_role("heading", name="Delete these 2 files for good?")).to_be_visible()
    visit.page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("2 files were deleted.")).to_be_visible()
    expect(page.locator("#rows > .row")).to_have_count(1)
    visit.context.close()


def test_a_german_browser_reads_german_from_the_login_to_the_reason_of_a_failure(
    browser: Browser, wharf: Wharf, sessions: Iterator[str]
) -> None:
    visit = Visit.begin(browser, wharf, locale="de-DE", viewport={"width": 1280, "height": 900})
    page = visit.page
    page.goto("/login/")
    expect(page.get_by_role("heading", name="Anmelden")).to_be_visible()
    visit.context.add_cookies([{"name": "sessionid", "value": next(sessions), "url": wharf.url}])
    page.goto("/")
    expect(page.get_by_role("heading", name="Meine Uploads")).to_be_visible()
    visit.send(("gut.txt", b"Moin.\n"), ("kaputt.pdf", b"%PDF-1.4\nnothing"))
    expect(visit.row("gut.txt").locator(".state")).to_have_text("Fertig")
    expect(visit.row("kaputt.pdf").locator(".state")).to_have_text("Fehlgeschlagen")
    expect(visit.row("kaputt.pdf").get_by_text("heile Kopie")).to_be_visible()
    visit.expect_accessible("in German")
    page.set_viewport_size({"width": 320, "height": 700})
    visit.expect_no_sideways_scrolling()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="My uploads")).to_be_visible()
    expect(visit.row("gut.txt").locator(".state")).to_have_text("Done")
    visit.context.close()
