"""Large files on bad days, from a real browser to a real server: nothing is lost, and little is sent twice."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Wharf, wait_for
from tests.journeys.page.browser import Visit
from tests.journeys.page.engine.cargo import CHUNK, MIB, cargo, landed, patches, sending
from tests.journeys.page.engine.line import Line

pytestmark = [pytest.mark.journey, pytest.mark.browser]


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


# Files in the browser's own file system: their handles are kept, and may be read, like those of a picker.
WITH_HANDLE = """async ({name, size}) => {
    const root = await navigator.storage.getDirectory();
    const handle = await root.getFileHandle(name, {create: true});
    const out = await handle.createWritable();
    await out.write(new Uint8Array(size).fill(7));
    await out.close();
    window.picked = [handle];
}"""


def left_half_way(visit: Visit, line: Line) -> None:
    """A file of 30 MiB that the browser keeps a handle of, and its tab closed at a third."""
    page = visit.page
    page.add_init_script("window.showOpenFilePicker = async () => window.picked")
    page.goto("/")
    page.evaluate(WITH_HANDLE, {"name": "kept.bin", "size": 30 * MIB})
    line.rate = 20 * MIB
    page.locator("#files").evaluate("(input) => input.click()")
    line.wait_for(10 * MIB)
    page.close()


def test_a_file_the_browser_can_read_again_goes_on_by_itself(visit: Visit, line: Line) -> None:
    left_half_way(visit, line)
    visit.page = visit.context.new_page()
    visit.page.goto("/")
    expected = hashlib.sha256(b"\x07" * (30 * MIB)).hexdigest()
    assert landed(visit, "kept.bin")["sha256"] == expected
    assert line.sent < 30 * MIB + CHUNK


# A browser that wants to be asked before it reads a file of an earlier visit.
ASKS_FIRST = """() => {
    FileSystemHandle.prototype.queryPermission = async () => "prompt";
    FileSystemHandle.prototype.requestPermission = async () => window.answer;
}"""


def test_a_browser_that_wants_leave_to_read_the_file_again_is_asked_at_a_click(
    visit: Visit, line: Line, tmp_path: Path
) -> None:
    left_half_way(visit, line)

    visit.page = page = visit.context.new_page()
    page.add_init_script(f"({ASKS_FIRST})()")
    page.goto("/")
    row = sending(visit, "kept.bin")
    expect(row.locator(".said")).to_have_text(
        "Not finished. Your browser asks you before it reads the file again."
    )
    button = row.get_by_role("button", name="Choose the file: kept.bin")
    page.evaluate("window.answer = 'denied'")
    with page.expect_file_chooser():  # then somebody has to show it
        button.click()
    page.evaluate("window.answer = 'granted'")
    button.click()
    assert landed(visit, "kept.bin")["sha256"] == hashlib.sha256(b"\x07" * (30 * MIB)).hexdigest()
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
