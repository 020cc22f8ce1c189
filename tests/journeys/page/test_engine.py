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
from playwright.sync_api import Browser, Locator, Request, Route, expect

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


def test_a_closed_tab_is_taken_up_by_the_next_one_once_the_same_file_is_there(
    visit: Visit, line: Line, tmp_path: Path
) -> None:
    large = tmp_path / "large.bin"
    digest = cargo(large, 60 * MIB, seed=2)
    line.rate = 40 * MIB
    visit.page.locator("#files").set_input_files(large)
    line.wait_for(36 * MIB)  # 60 %
    visit.page.close()

    visit.page = visit.context.new_page()
    visit.page.goto("/")
    row = sending(visit, "large.bin")
    expect(row.locator(".said")).to_have_text(
        "Not finished. Choose or drop the same file, and it goes on from there."
    )
    expect(row.locator(".facts")).to_have_text(re.compile(r"[234]\d\.\d\sMB of 60\.0\sMB"))
    expect(visit.page.locator("#rows > .row:visible")).to_have_count(0)
    visit.expect_accessible("left over")
    seen = patches(visit)
    visit.page.locator("#files").set_input_files(large)
    assert landed(visit, "large.bin")["sha256"] == digest
    assert [int(one.headers["upload-offset"]) > 20 * MIB for one in seen] == [True]
    assert line.sent < 60 * MIB + CHUNK
    expect(row).to_have_count(0)
    visit.page.reload()
    expect(visit.row("large.bin").locator(".state")).to_have_text("Done")
    expect(visit.page.locator("#sending > li")).to_have_count(0)


def test_what_is_already_here_is_noticed_before_it_is_sent(visit: Visit) -> None:
    page = visit.page
    visit.send(("first.txt", b"Ships in."))
    expect(visit.row("first.txt").locator(".state")).to_have_text("Done")
    visit.send(("again.txt", b"Ships in."), ("other.txt", b"Ships out."), ("more.txt", b"Ships in."))
    expect(visit.row("other.txt").locator(".state")).to_have_text("Done")
    again, more = sending(visit, "again.txt"), sending(visit, "more.txt")
    expect(again.locator(".said")).to_have_text("This is already here, as first.txt.")
    expect(more.locator(".said")).to_have_text("This is already here, as first.txt.")
    visit.expect_accessible("asking")
    again.get_by_role("button", name="Skip: again.txt").click()
    expect(again).to_have_count(0)
    expect(more.get_by_role("button", name="Skip: more.txt")).to_be_focused()
    more.get_by_role("button", name="Send anyway: more.txt").click()
    expect(visit.row("more.txt").locator(".state")).to_have_text("Done")
    assert sorted(job["filename"] for job in visit.jobs()) == ["first.txt", "more.txt", "other.txt"]
    expect(page.locator("#sending > li")).to_have_count(0)


def test_an_expired_login_is_asked_for_in_place_and_the_file_goes_on(
    browser: Browser, wharf: Wharf, line: Line, tmp_path: Path
) -> None:
    visit = Visit.begin(browser, replace(wharf, url=line.url))
    page = visit.sign_in(wharf.username, wharf.password)
    large = tmp_path / "large.bin"
    digest = cargo(large, 40 * MIB, seed=3)
    line.rate = 40 * MIB
    page.locator("#files").set_input_files(large)
    line.wait_for(12 * MIB)
    visit.context.clear_cookies()  # session and CSRF token
    line.cut()
    expect(page.get_by_text("The connection was lost.")).to_be_visible()
    line.mend()
    form = page.get_by_role("form", name="You were signed out. Sign in, and sending goes on.")
    expect(form).to_be_visible()
    visit.expect_accessible("signed out")
    form.get_by_label("Password").fill("wrong")
    form.get_by_role("button", name="Sign in and go on").click()
    expect(form.get_by_text("That password is not right.")).to_be_visible()
    form.get_by_role("button", name="I am signed in again").click()
    expect(form.get_by_text("You are signed out.")).to_be_visible()
    form.get_by_label("Password").fill(wharf.password)
    form.get_by_label("Password").press("Enter")
    expect(form).to_be_hidden()
    assert landed(visit, "large.bin")["sha256"] == digest
    assert line.sent < 40 * MIB + CHUNK
    visit.context.close()


def test_a_file_that_changes_on_its_way_is_noticed_and_sent_anew(
    visit: Visit, line: Line, tmp_path: Path
) -> None:
    page = visit.page
    large = tmp_path / "large.bin"
    cargo(large, 40 * MIB, seed=4)
    line.rate = 40 * MIB
    page.locator("#files").set_input_files(large)
    line.wait_for(12 * MIB)
    digest = cargo(large, 39 * MIB, seed=5)
    line.cut()
    row = sending(visit, "large.bin")
    expect(row.locator(".said")).to_have_text(
        "The file cannot be read any more. Was it moved or changed? Choose it again."
    )
    line.mend()
    line.rate = 0
    with page.expect_file_chooser() as chosen:
        row.get_by_role("button", name="Choose the file: large.bin").click()
    chosen.value.set_files(large)
    expect(sending(visit, "large.bin").locator(".said")).to_have_text(re.compile("sent from the start"))
    assert landed(visit, "large.bin")["sha256"] == digest
    wait_for(lambda: len(visit.jobs()) == 1, 10, "the first half to be gone")


def test_all_is_paused_and_after_a_reload_taken_up_again(visit: Visit, line: Line, tmp_path: Path) -> None:
    page = visit.page
    files = [tmp_path / f"crate{number}.bin" for number in range(5)]
    digests = {path.name: cargo(path, 10 * MIB, seed=10 + n) for n, path in enumerate(files)}
    small = tmp_path / "note.txt"
    small.write_text("Ships in.")
    line.rate = 4 * MIB
    page.locator("#files").set_input_files([*files, small])
    line.wait_for(6 * MIB)
    page.get_by_role("button", name="Pause all").click()
    expect(page.locator("#sending").get_by_text("Paused")).to_have_count(6)
    visit.expect_accessible("paused")
    page.reload()  # asks nothing: nothing is being sent
    rows = page.locator("#sending .row")
    expect(rows).to_have_count(6)
    expect(sending(visit, "note.txt").locator(".facts")).to_have_text(re.compile("Paused"))
    line.rate = 0
    sending(visit, "note.txt").get_by_role("button", name="Resume").click()
    landed(visit, "note.txt")
    page.locator("#files").set_input_files(files)
    for name, digest in digests.items():
        assert landed(visit, name)["sha256"] == digest
    expect(rows).to_have_count(0)
    assert line.sent < 50 * MIB + 3 * CHUNK


def test_300_small_files_all_arrive(visit: Visit) -> None:
    page = visit.page
    files = [(f"n{number:03}.txt", b"Ship %d" % number) for number in range(300)]
    visit.send(*files)
    expect(page.locator("#total-text")).to_have_text(re.compile(r"\d+ of 300 files sent"))
    expect(page.locator("#sending > li")).to_have_count(0, timeout=60_000)
    assert names_of_all(visit) == {name for name, _data in files}
    assert visit.complaints == []


def names_of_all(visit: Visit) -> set[str]:
    names: set[str] = set()
    cursor: str | None = ""
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        answer = visit.context.request.get(f"/api/jobs?limit=100{more}").json()
        names |= {job["filename"] for job in answer["items"]}
        cursor = answer["next_cursor"]
    return names


# Files in the browser's own file system: their handles are kept, and may be read, like those of a picker.
WITH_HANDLE = """async ({name, size}) => {
    const root = await navigator.storage.getDirectory();
    const handle = await root.getFileHandle(name, {create: true});
    const out = await handle.createWritable();
    await out.write(new Uint8Array(size).fill(7));
    await out.close();
    window.picked = [handle];
}"""


def test_a_file_the_browser_can_read_again_goes_on_by_itself(visit: Visit, line: Line) -> None:
    page = visit.page
    page.add_init_script("window.showOpenFilePicker = async () => window.picked")
    page.goto("/")
    page.evaluate(WITH_HANDLE, {"name": "kept.bin", "size": 30 * MIB})
    line.rate = 20 * MIB
    page.locator("#files").evaluate("(input) => input.click()")
    line.wait_for(10 * MIB)
    page.close()
    visit.page = visit.context.new_page()
    visit.page.goto("/")
    expected = hashlib.sha256(b"\x07" * (30 * MIB)).hexdigest()
    assert landed(visit, "kept.bin")["sha256"] == expected
    assert line.sent < 30 * MIB + CHUNK


@pytest.mark.parametrize("locks", [True, False], ids=["with locks", "over plain HTTP"])
def test_two_tabs_do_not_send_the_same_upload_twice_and_one_takes_over_from_the_other(
    visit: Visit, line: Line, tmp_path: Path, locks: bool
) -> None:
    if not locks:
        visit.context.add_init_script(
            "Object.defineProperty(Navigator.prototype, 'locks', {value: undefined})"
        )
        visit.page.reload()
    large = tmp_path / "large.bin"
    digest = cargo(large, 40 * MIB, seed=6)
    line.rate = 8 * MIB
    visit.page.locator("#files").set_input_files(large)
    line.wait_for(4 * MIB)
    other = visit.context.new_page()
    other.goto("/")
    expect(other.locator("#rows .row .state")).to_have_text("Receiving")
    expect(other.locator("#sending > li")).to_have_count(0)
    visit.page.close()
    rows = other.locator("#sending .row")
    if not locks:  # then it shows as soon as somebody looks at the tab
        wait_for(lambda: other.evaluate("dispatchEvent(new Event('focus'))") and rows.count(), 20, "the row")
    expect(other.locator("#sending .row .said")).to_have_text(re.compile("Not finished"))
    line.rate = 0
    visit.page = other
    other.locator("#files").set_input_files(large)
    assert landed(visit, "large.bin")["sha256"] == digest
    assert line.sent < 40 * MIB + CHUNK


def only_job(visit: Visit, wharf: Wharf) -> str:
    """The id of this person's one job, asked beside the line."""
    (job,) = visit.context.request.get(f"{wharf.url}/api/jobs").json()["items"]
    return str(job["id"])


def test_an_upload_the_server_has_given_up_starts_anew_and_says_so(
    visit: Visit, wharf: Wharf, line: Line, tmp_path: Path
) -> None:
    large = tmp_path / "large.bin"
    digest = cargo(large, 20 * MIB, seed=7)
    line.rate = 10 * MIB
    visit.page.locator("#files").set_input_files(large)
    line.wait_for(4 * MIB)
    line.cut()
    line.rate = 4 * MIB
    row = sending(visit, "large.bin")
    expect(row.locator(".said")).to_have_text(re.compile("lost"))
    token = next(one["value"] for one in visit.context.cookies() if one["name"] == "csrftoken")
    given_up = visit.context.request.delete(
        f"{wharf.url}/api/tus/{only_job(visit, wharf)}",
        headers={"Tus-Resumable": "1.0.0", "X-CSRFToken": token},
    )
    assert given_up.status == 204
    line.mend()
    expect(row.locator(".said")).to_have_text(
        "The server no longer had what was sent before, so it is sent from the start."
    )
    line.rate = 0
    assert landed(visit, "large.bin")["sha256"] == digest


def test_a_file_that_arrived_although_its_answer_was_lost_is_not_sent_again(visit: Visit) -> None:
    sent: list[str] = []

    def lose_the_answer(route: Route) -> None:
        sent.append(route.request.method)
        route.fetch()
        route.abort()

    visit.page.route("**/api/uploads/*", lose_the_answer)
    visit.send(("once.txt", b"Ships in, once."))
    expect(visit.row("once.txt").locator(".state")).to_have_text("Done")
    expect(visit.page.locator("#sending > li")).to_have_count(0)
    assert (sent, len(visit.jobs())) == (["PUT"], 1)


def test_a_stale_token_is_renewed_without_a_question(visit: Visit) -> None:
    visit.page.evaluate("document.cookie = 'csrftoken=stale; path=/'")
    visit.send(("late.txt", b"Ships in."))
    expect(visit.row("late.txt").locator(".state")).to_have_text("Done")


def test_leaving_warns_while_something_is_being_sent_and_only_then(
    visit: Visit, line: Line, tmp_path: Path
) -> None:
    page = visit.page
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    large = tmp_path / "large.bin"
    cargo(large, 20 * MIB, seed=8)
    line.rate = 4 * MIB
    page.locator("#files").set_input_files(large)
    line.wait_for(2 * MIB)
    page.locator("h2").click()  # browsers ask only where somebody has touched the page
    page.close(run_before_unload=True)
    wait_for(lambda: page.evaluate("true") and asked == ["beforeunload"], 10, "the question")
    sending(visit, "large.bin").get_by_role("button", name="Pause").click()
    page.reload()
    expect(sending(visit, "large.bin").locator(".said")).to_have_text(re.compile("Not finished"))
    assert asked == ["beforeunload"]
    sending(visit, "large.bin").get_by_role("button", name="Remove").click()
    wait_for(lambda: visit.jobs() == [], 10, "what was sent to be gone")


def test_a_folder_of_too_many_files_is_cut_short_and_says_so(visit: Visit) -> None:
    """With the rest of the page away: nobody wants five thousand files sent."""
    page = visit.page
    page.route("**/js/main.js", lambda route: route.abort())
    page.reload()
    hauls = page.evaluate("""async () => {
        const { watch } = await import("/static/uploads/js/pick.js");
        const hauls = [];
        watch(({found, missed, more}) => hauls.push([found.length, missed, more, found[0]?.path]));
        const file = (name) => ({isFile: true, fullPath: `/cargo/${name}`,
            file: (done) => done(new File(["x"], name))});
        const locked = {isFile: true, file: (_, fail) => fail(new DOMException("no", "NotReadableError"))};
        const drop = async (...inside) => {
            const entry = {isDirectory: true, createReader: () => {
                const batches = [inside, []];
                return {readEntries: (done) => done(batches.shift())};
            }};
            const event = new DragEvent("drop", {bubbles: true, cancelable: true});
            Object.defineProperty(event, "dataTransfer", {value: {
                types: ["Files"], files: [], items: [{webkitGetAsEntry: () => entry}]}});
            document.body.dispatchEvent(event);
            const before = hauls.length;
            while (hauls.length === before) await new Promise((resolve) => setTimeout(resolve, 5));
        };
        await drop(...Array.from({length: 5001}, (_, n) => file(`${n}.txt`)));
        await drop(file("a.txt"), locked, file("b.txt"));
        await drop();
        return hauls;
    }""")
    assert hauls == [[5000, 0, True, "cargo/0.txt"], [2, 1, False, "cargo/a.txt"], [0, 0, False, None]]
