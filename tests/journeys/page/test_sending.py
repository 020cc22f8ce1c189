"""Sending files from the page: dropped, chosen, stopped, refused, lost, and what is seen meanwhile."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Route, expect

from tests.journeys.conftest import wait_for
from tests.journeys.page.browser import Visit
from tests.journeys.page.conftest import jpeg

pytestmark = [pytest.mark.journey, pytest.mark.browser]


def pdf() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (620, 877), "white").save(out, "PDF", title="Bill of lading")
    return out.getvalue()


def packed() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("crates/salt.txt", "salt")
    return out.getvalue()


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


def test_a_pasted_picture_is_sent_and_pasted_words_are_left_alone(visit: Visit) -> None:
    page = visit.page
    paste = """(files) => {
        const data = new DataTransfer();
        for (const name of files) data.items.add(new File(["\x89PNG"], name, {type: "image/png"}));
        if (!files.length) data.setData("text/plain", "words");
        const event = new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
        return document.body.dispatchEvent(event);  // false: somebody took it
    }"""
    assert page.evaluate(paste, ["image.png"]) is False
    assert page.evaluate(paste, []) is True
    expect(visit.row("image.png").locator(".state")).to_have_text(re.compile("Done|Failed"))
    expect(page.locator("#sending > li")).to_have_count(0)
    assert [job["filename"] for job in visit.jobs()] == ["image.png"]


def test_a_phone_offers_its_camera_and_a_desk_does_not(
    visit: Visit, browser: Browser, sessions: Iterator[str]
) -> None:
    expect(visit.page.get_by_text("Use the camera")).to_be_hidden()
    expect(visit.page.get_by_text("Choose a folder")).to_be_visible()
    phone = Visit.begin(
        browser, visit.wharf, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True
    )
    page = phone.enter(next(sessions))
    camera = page.locator("#camera")
    assert camera.get_attribute("accept") == "image/*,video/*"
    assert camera.get_attribute("capture") == "environment"
    with page.expect_file_chooser() as chosen:
        page.get_by_text("Use the camera").tap()
    chosen.value.set_files({"name": "IMG_0001.jpg", "mimeType": "image/jpeg", "buffer": jpeg()})
    expect(phone.row("IMG_0001.jpg").locator(".state")).to_have_text("Done")
    phone.expect_accessible("on a phone")
    phone.expect_no_sideways_scrolling()
    phone.context.close()


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
    wait_for(lambda: visit.jobs() == [], 20, "the cut upload to be gone")
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
