"""What the page notices while it sends, what it asks, and what it does without asking."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.journeys.conftest import Wharf, wait_for
from tests.journeys.page.browser import Visit
from tests.journeys.page.engine.cargo import CHUNK, MIB, cargo, landed, names_of_all, sending
from tests.journeys.page.engine.line import Line

pytestmark = [pytest.mark.journey, pytest.mark.browser]


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


def test_300_small_files_all_arrive_and_are_compared_many_at_a_time(visit: Visit) -> None:
    page = visit.page
    questions: list[str] = []
    page.on("request", lambda made: questions.append(made.url) if "sha256=" in made.url else None)
    files = [(f"n{number:03}.txt", b"Ship %d" % number) for number in range(300)]
    visit.send(*files)
    expect(page.locator("#total-text")).to_have_text(re.compile(r"\d+ of 300 files sent"))
    expect(page.locator("#sending > li")).to_have_count(0, timeout=150_000)
    assert names_of_all(visit) == {name for name, _data in files}
    assert sum(url.count("sha256=") for url in questions) == 300
    assert len(questions) < 60
    assert visit.complaints == []


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
