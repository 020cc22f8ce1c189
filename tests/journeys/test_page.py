"""The page in a real browser, before a real server and cluster: what a person does, and sees."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Route, expect

from tests.journeys.browser import Visit, chromium
from tests.journeys.conftest import Wharf, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.browser]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


# People are made with a session each, since forty good password hashes would take half a minute.
MAKE_PEOPLE = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
for number in range(40):
    user = User.objects.create_user(f"person{number}")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    print(session.session_key)
"""


@pytest.fixture(scope="module")
def sessions(wharf: Wharf) -> Iterator[str]:
    """Sessions of people who have no files yet, one for each story."""
    return iter(wharf.manage("shell", "--no-imports", "-c", MAKE_PEOPLE).split())


@pytest.fixture
def visit(browser: Browser, wharf: Wharf, sessions: Iterator[str]) -> Iterator[Visit]:
    """A tab of somebody whom no other test knows."""
    begun = Visit.begin(browser, wharf, viewport={"width": 1280, "height": 900})
    begun.enter(next(sessions))
    yield begun
    begun.context.close()


def jpeg(size: tuple[int, int] = (320, 200)) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def pdf() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (620, 877), "white").save(out, "PDF", title="Bill of lading")
    return out.getvalue()


def packed() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("crates/salt.txt", "salt")
    return out.getvalue()


def jobs_of(visit: Visit) -> list[dict[str, Any]]:
    """What the API says of this person's jobs, asked with their own session."""
    found: list[dict[str, Any]] = visit.context.request.get("/api/jobs").json()["items"]
    return found


def refuse_once(page: Page, status: int, code: str, detail: str, **headers: str) -> list[Request]:
    """Let the first upload be refused with a problem; the rest goes through. Returns what was sent."""
    sent: list[Request] = []

    def answer(route: Route) -> None:
        sent.append(route.request)
        if len(sent) > 1:
            route.continue_()
            return
        problem = {"status": status, "code": code, "title": "No.", "detail": detail}
        route.fulfill(
            status=status, headers=headers, content_type="application/problem+json",
            body=json.dumps(problem),
        )  # fmt: skip

    page.route("**/api/uploads/*", answer)
    return sent


def test_files_of_every_kind_are_dropped_in_together_and_each_shows_what_became_of_it(visit: Visit) -> None:
    page = visit.page
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    visit.expect_accessible("empty")

    visit.send(
        ("photo.jpg", jpeg()), ("bill.pdf", pdf()), ("ledger.csv", b"ship,tonnes\nAda,3\nBo,4\n"),
        ("crates.zip", packed()), ("notes.json", b'{"port": "Bremen"}'), ("readme.txt", b"Ships in.\n"),
        ("nothing.bin", b""), ("cut.png", jpeg()[:400]), ("bytes.dat", bytes(range(256)) * 8),
    )  # fmt: skip
    for name in ("photo.jpg", "bill.pdf", "ledger.csv", "crates.zip", "notes.json", "readme.txt"):
        expect(visit.row(name).locator(".state")).to_have_text("Done", timeout=30_000)
    expect(visit.row("cut.png").locator(".state")).to_have_text("Failed", timeout=30_000)
    expect(page.locator("#sending > li")).to_have_count(0)
    expect(page.locator("#rows > .row")).to_have_count(9)

    photo = visit.row("photo.jpg")
    photo.get_by_text("Result").click()
    expect(photo.get_by_text("320 × 200 pixels", exact=True)).to_be_visible()
    picture = photo.get_by_role("img", name="Preview of photo.jpg")
    expect(picture).to_be_visible()
    assert picture.evaluate("async (img) => (await img.decode(), img.naturalWidth)") > 0

    ledger = visit.row("ledger.csv")
    ledger.get_by_text("Result").click()
    expect(ledger.get_by_role("cell", name="Ada")).to_be_visible()
    crates = visit.row("crates.zip")
    crates.get_by_text("Result").click()
    expect(crates.get_by_role("cell", name="crates/salt.txt")).to_be_visible()
    expect(visit.row("bill.pdf").get_by_text("1 page · Bill of lading")).to_be_visible()

    failed = visit.row("cut.png")
    expect(failed.get_by_text("Open it on your computer to check")).to_be_visible()
    expect(failed.get_by_role("button", name="Retry")).to_have_count(0)

    visit.expect_accessible("done and failed")
    page.set_viewport_size({"width": 320, "height": 700})
    visit.expect_no_sideways_scrolling()
    visit.expect_accessible("on a small phone")
    assert visit.complaints == []


def test_a_file_dropped_anywhere_is_sent(visit: Visit) -> None:
    drop = """() => {
        const data = new DataTransfer();
        data.items.add(new File(["Ships in."], "dropped.txt"));
        for (const type of ["dragenter", "dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
    }"""
    visit.page.evaluate(drop)
    expect(visit.row("dropped.txt").locator(".state")).to_have_text("Done")
    expect(visit.page.locator("#veil")).to_be_hidden()


def test_a_dropped_folder_is_sent_file_by_file(visit: Visit) -> None:
    visit.page.evaluate("""() => {
        const file = (name) => ({isFile: true, file: (done) => done(new File(["x"], name))});
        const folder = (name, inside) => ({isDirectory: true, createReader: () => {
            const batches = [inside, []];
            return {readEntries: (done) => done(batches.shift())};
        }});
        const event = new DragEvent("drop", {bubbles: true, cancelable: true});
        const entry = folder("cargo", [file("one.txt"), folder("deep", [file("two.txt")])]);
        Object.defineProperty(event, "dataTransfer", {value: {
            types: ["Files"], files: [], items: [{webkitGetAsEntry: () => entry}]}});
        document.body.dispatchEvent(event);
    }""")
    expect(visit.row("one.txt").locator(".state")).to_have_text("Done")
    expect(visit.row("two.txt").locator(".state")).to_have_text("Done")


def test_a_file_on_its_way_shows_progress_and_can_be_stopped_and_leaves_nothing(
    visit: Visit, tmp_path: Path
) -> None:
    page = visit.page
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(20 << 20))
    line = visit.context.new_cdp_session(page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2_000_000}
    line.send("Network.emulateNetworkConditions", slow)
    page.locator("#files").set_input_files(large)
    row = page.locator("#sending .row")
    expect(row.locator(".facts")).to_have_text(re.compile(r"[\d.]+\sMB of 20\.0\sMB · [\d.]+\s[KM]B/s"))
    visit.expect_accessible("sending")
    value = row.get_by_role("progressbar", name="Progress of large.bin").evaluate("(bar) => bar.value")
    assert 0 < value < 100
    # The receiving job is the same file seen from the other side, so it is not shown beside it.
    expect(page.locator("#rows > .row:visible")).to_have_count(0)
    row.get_by_role("button", name="Cancel: large.bin").click()
    expect(page.locator("#sending > li")).to_have_count(0)
    wait_for(lambda: jobs_of(visit) == [], 20, "the cut upload to be gone")
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()


def test_a_full_queue_is_waited_for_without_a_click(visit: Visit) -> None:
    sent = refuse_once(visit.page, 503, "queue_full", "The queue is full.", **{"Retry-After": "2"})
    visit.send(("patient.txt", b"Ships in."))
    row = visit.page.locator("#sending .row")
    expect(row.locator(".said")).to_have_text(re.compile(r"The queue is full\. Trying again in [12] s\."))
    expect(visit.row("patient.txt").locator(".state")).to_have_text("Done")
    assert len(sent) == 2


def test_a_refusal_is_said_in_words_and_can_be_retried(visit: Visit) -> None:
    refuse_once(visit.page, 507, "disk_full", "There is not enough disk space for this file.")
    visit.send(("refused.txt", b"Ships in."))
    row = visit.page.locator("#sending .row")
    expect(row.get_by_text("There is not enough disk space for this file.")).to_be_visible()
    expect(visit.page.locator("#announcement")).to_have_text(
        "refused.txt was not taken: There is not enough disk space for this file."
    )
    visit.expect_accessible("refused")
    row.get_by_role("button", name="Retry: refused.txt").click()
    expect(visit.row("refused.txt").locator(".state")).to_have_text("Done")


def test_a_lost_connection_is_said_in_words_and_can_be_retried(visit: Visit) -> None:
    page = visit.page
    page.route("**/api/uploads/*", lambda route: route.abort(), times=1)
    visit.send(("lost.txt", b"Ships in."))
    expect(page.get_by_text("The connection was lost.")).to_be_visible()
    page.get_by_role("button", name="Retry: lost.txt").click()
    expect(visit.row("lost.txt").locator(".state")).to_have_text("Done")


def test_who_is_signed_out_meanwhile_signs_in_elsewhere_and_goes_on(visit: Visit) -> None:
    page = visit.page
    cookies = visit.context.cookies()
    visit.context.clear_cookies(name="sessionid")
    visit.send(("late.txt", b"Ships in."))
    expect(page.locator("#sending").get_by_text("You are signed out.")).to_be_visible()
    visit.context.add_cookies([one for one in cookies if one["name"] == "sessionid"])  # type: ignore[list-item]
    page.get_by_role("button", name="Retry: late.txt").click()
    expect(visit.row("late.txt").locator(".state")).to_have_text("Done")


def test_a_hostile_name_is_only_a_name(visit: Visit) -> None:
    visit.send(("<img src=x onerror=alert(1)>‮gpj.txt", b"x"), ("n" * 250 + ".txt", b"x"))
    expect(visit.page.locator("#rows > .row")).to_have_count(2)
    assert visit.page.locator("#rows img[src=x]").count() == 0
    visit.page.set_viewport_size({"width": 320, "height": 700})
    visit.expect_no_sideways_scrolling()
    assert visit.complaints == []


def test_many_files_at_once_all_arrive_and_the_list_is_shown_in_pages(visit: Visit) -> None:
    visit.send(*[(f"n{number:02}.txt", b"x") for number in range(60)])
    expect(visit.page.locator("#rows .is-succeeded")).to_have_count(60, timeout=60_000)
    assert len({job["filename"] for job in jobs_of(visit)}) >= 50
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
    assert jobs_of(visit) == []
    assert visit.complaints == []


def test_a_slow_file_shows_its_progress_and_is_cancelled_and_a_failure_of_ours_is_retried(
    browser: Browser, own_wharf: Callable[..., Wharf]
) -> None:
    wharf = own_wharf(
        UPLOADS_PROCESSORS="hostile=tests.processing.hostile",
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
    job = jobs_of(visit)[0]
    assert (job["error"]["code"], job["attempt"]) == ("internal_error", 1)
    page.get_by_role("button", name="Retry stumble.txt").press("Enter")
    expect(page.locator("#announcement")).to_have_text(re.compile("stumble.txt"))
    expect(visit.row("stumble.txt")).to_be_focused()  # the button has gone, its row has the focus
    wait_for(lambda: jobs_of(visit)[0]["attempt"] == 2, 20, "the second attempt")
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
    wait_for(lambda: {job["state"] for job in jobs_of(visit)} == {"succeeded"}, 20, "both to be done")
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
