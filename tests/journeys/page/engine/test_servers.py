"""Large files and servers that stop, refuse or are full: each has a server of its own to treat badly."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import ROOT, Wharf, wait_for
from tests.journeys.page.browser import Visit
from tests.journeys.page.conftest import jpeg
from tests.journeys.page.engine.cargo import CHUNK, MIB, cargo, landed, sending
from tests.journeys.page.engine.line import line_to

pytestmark = [pytest.mark.journey, pytest.mark.browser]


def kill(wharf: Wharf) -> None:
    """End web and cluster at once, as a power cut would."""
    os.killpg(wharf.process.pid, signal.SIGKILL)
    wharf.process.wait()


def start_again(wharf: Wharf, **settings: str) -> None:
    """The same place, data and port anew."""
    with wharf.log.open("ab") as out:
        wharf.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"], cwd=ROOT, env=wharf.env | settings, stdout=out, stderr=out,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    wait_for(lambda: httpx.get(f"{wharf.url}/readyz", timeout=5).status_code == 200, 60, "the restart")


@pytest.fixture
def tab(browser: Browser) -> Iterator[Callable[[Wharf], Visit]]:
    begun: list[Visit] = []

    def begin(wharf: Wharf) -> Visit:
        begun.append(Visit.begin(browser, wharf, viewport={"width": 1280, "height": 900}))
        begun[-1].sign_in(wharf.username, wharf.password)
        return begun[-1]

    yield begin
    for one in begun:
        one.context.close()


def test_200_megabytes_survive_a_cut_line_a_slow_one_and_a_server_that_is_killed_and_comes_back_full(
    own_wharf: Callable[..., Wharf], tab: Callable[[Wharf], Visit], tmp_path: Path
) -> None:
    wharf = own_wharf()
    large = tmp_path / "archive.bin"
    digest = cargo(large, 200 * MIB)
    with line_to(wharf.url) as line:
        visit = tab(replace(wharf, url=line.url))
        page = visit.page
        network = visit.context.new_cdp_session(page)
        network.send("Network.enable")

        def conditions(bytes_a_second: float, *, offline: bool = False) -> None:
            network.send(
                "Network.emulateNetworkConditions",
                {"offline": offline, "latency": 20, "downloadThroughput": -1,
                 "uploadThroughput": bytes_a_second},
            )  # fmt: skip

        conditions(60 * MIB)
        page.locator("#files").set_input_files(large)
        row = sending(visit, "archive.bin")
        line.wait_for(40 * MIB)

        conditions(0, offline=True)
        line.cut()
        expect(row.locator(".said")).to_have_text(re.compile("You are offline"))
        line.mend()
        conditions(10 * MIB)  # the browser says that it is online again: that is enough
        line.wait_for(70 * MIB)
        expect(row.locator(".facts")).to_have_text(re.compile(r"of 200\.0\sMB · [\d.]+\sMB/s"))

        conditions(60 * MIB)
        line.wait_for(110 * MIB)
        kill(wharf)
        expect(row.locator(".said")).to_have_text(re.compile("The connection was lost"))
        start_again(wharf, UPLOADS_MIN_FREE=str(1 << 60))

        assert landed(visit, "archive.bin")["sha256"] == digest
        expect(visit.row("archive.bin").locator(".state")).to_have_text("Done")
        assert line.sent < 200 * MIB + 2 * CHUNK

        # Room is asked for when a file begins: the large one had its own.
        visit.send(("note.txt", b"Ships in."))
        expect(sending(visit, "note.txt").locator(".said")).to_have_text(
            "There is not enough disk space for this file."
        )
        visit.expect_accessible("refused")
        # What a cut line says in the console is no fault of the page.
        assert [
            said for said in visit.complaints if not said.startswith(("Failed to load resource", "htmx:"))
        ] == []


def test_what_is_too_large_of_another_type_or_over_the_quota_is_not_taken_and_said_so(
    own_wharf: Callable[..., Wharf], tab: Callable[[Wharf], Visit], tmp_path: Path
) -> None:
    wharf = own_wharf(
        UPLOADS_MAX_SIZE=str(20 * MIB), UPLOADS_ALLOWED_TYPES="text/plain", UPLOADS_USER_QUOTA=str(9 * MIB)
    )
    visit = tab(wharf)
    page = visit.page
    huge, large = tmp_path / "huge.bin", tmp_path / "large.bin"
    cargo(huge, 21 * MIB)
    cargo(large, 10 * MIB)
    page.locator("#files").set_input_files([huge, large])
    expect(sending(visit, "huge.bin").locator(".said")).to_have_text(
        re.compile(r"The file is larger than the 20\.0\sMB accepted here\.")
    )
    expect(sending(visit, "large.bin").locator(".said")).to_have_text(
        re.compile(
            r"Your files may take [\d,]+ bytes in all\. Delete some, then try again\. Trying again in 60 min\."
        )
    )
    expect(sending(visit, "huge.bin").get_by_role("button")).to_have_text(["Dismiss"])
    visit.send(("photo.jpg", jpeg()))
    expect(visit.row("photo.jpg").locator(".reason")).to_be_visible()
    expect(visit.row("photo.jpg").locator(".advice")).to_have_text(
        re.compile("This kind of file is not accepted here")
    )
