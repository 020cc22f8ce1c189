"""Resumable uploads through real servers: cut, raced, taken over, killed and gone on with."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tusclient.client import TusClient

from tests.journeys.conftest import ROOT, Wharf, free_port, wait_for
from tests.journeys.tus_wire import CuttingNetwork, Tus, answer_on, chunk
from uploads.linux.processes import living

pytestmark = pytest.mark.journey

MIB = 1 << 20
TAKEOVER_SECONDS = 1.0


@pytest.fixture
def closing() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def noise(size: int, seed: int = 7) -> bytes:
    return random.Random(seed).randbytes(size)


def stored(wharf: Wharf, upload: Tus) -> bytes:
    with wharf.client as client:
        return client.get(f"/api/jobs/{upload.id}/file").content


def came_whole(wharf: Wharf, upload: Tus, data: bytes) -> None:
    """The job was done once, and its bytes and digest are those that were sent."""
    job = wharf.finished(upload.id)
    assert (job["state"], job["size"], job["attempt"]) == ("succeeded", len(data), 1), job
    assert job["sha256"] == hashlib.sha256(data).hexdigest()
    assert stored(wharf, upload) == data


def nothing_left(wharf: Wharf) -> None:
    wait_for(
        lambda: not [*wharf.data_dir.glob("spool/*"), *wharf.data_dir.glob("fences/*")], 5, "an empty spool"
    )


class TestTakeover:
    def test_a_newer_request_goes_on_while_the_older_one_hangs(self, wharf: Wharf) -> None:
        data = noise(4 * MIB)
        upload = Tus(wharf, len(data))
        with upload.begin_patch(0, len(data), data[:MIB]) as hanging:
            reached = wait_for(
                lambda: (at := upload.offset()) >= MIB - (256 << 10) and at, 10, "the bytes sent"
            )
            began = time.monotonic()
            assert upload.patch(reached, data[reached:]).status_code == 204
            assert time.monotonic() - began < TAKEOVER_SECONDS
            hanging.sendall(bytes(len(data) - MIB))  # what it says now must not count
            assert answer_on(hanging) in (0, 409)
        came_whole(wharf, upload, data)

    def test_takeover_after_takeover_loses_and_mixes_nothing(self, wharf: Wharf) -> None:
        data = noise(6 * MIB)
        upload = Tus(wharf, len(data))
        with contextlib.ExitStack() as hanging:
            at = 0
            for _ in range(6):
                line = hanging.enter_context(upload.begin_patch(at, len(data) - at, data[at : at + MIB]))
                before, at = at, wait_for(lambda: (n := upload.offset()) > at and n, 10, "progress")  # noqa: B023
                assert before < at <= before + MIB
                with contextlib.suppress(ConnectionError):
                    line.sendall(b"wrong" * 1000)
            at = upload.offset()
            assert upload.patch(at, data[at:]).status_code in (204, 409)
            while upload.offset() < len(data):
                at = upload.offset()
                upload.patch(at, data[at:])
        job = wharf.finished(upload.id)
        assert job["size"] == len(data)

    def test_two_servers_on_one_data_directory(self, wharf: Wharf) -> None:
        data = noise(3 * MIB)
        with second_server(wharf) as other:
            upload = Tus(wharf, len(data))
            with upload.begin_patch(0, len(data), data[:MIB]) as hanging:
                reached = wait_for(
                    lambda: (at := upload.offset(other)) >= MIB - (256 << 10) and at, 10, "the bytes sent"
                )
                began = time.monotonic()
                assert upload.patch(reached, data[reached : 2 * MIB], other).status_code == 204
                assert time.monotonic() - began < TAKEOVER_SECONDS
                hanging.sendall(bytes(len(data) - MIB))
                assert answer_on(hanging) in (0, 409)
            assert upload.patch(2 * MIB, data[2 * MIB :]).status_code == 204
            came_whole(wharf, upload, data)


class TestRaces:
    def test_of_many_at_one_offset_the_bytes_of_one_count(self, wharf: Wharf) -> None:
        upload = Tus(wharf, 8 * 100_000)
        sent = []
        with ThreadPoolExecutor(6) as clients:
            for offset in range(0, 800_000, 100_000):
                tries = [bytes([offset // 100_000 * 10 + n]) * 100_000 for n in range(6)]
                answers = list(clients.map(lambda piece, at=offset: upload.patch(at, piece), tries))
                assert {one.status_code for one in answers} <= {204, 409}
                at = upload.offset()
                if at == offset:  # each was overtaken before its last byte
                    assert upload.patch(offset, tries[0]).status_code == 204
                sent.append(tries)
        data = stored(wharf, upload)
        for number, tries in enumerate(sent):
            assert data[number * 100_000 : (number + 1) * 100_000] in tries, f"piece {number} is a mixture"

    def test_the_last_request_twice_at_once_makes_one_job(self, wharf: Wharf) -> None:
        for seed in range(5):
            data = noise(300_000, seed)
            upload = Tus(wharf, len(data))
            upload.patch(0, data[:100_000])
            with ThreadPoolExecutor(4) as clients:
                answers = list(clients.map(lambda _: upload.patch(100_000, data[100_000:]), range(4)))  # noqa: B023
            assert {one.status_code for one in answers} <= {204, 409}
            while upload.offset() < len(data):
                upload.patch(upload.offset(), data[upload.offset() :])
            came_whole(wharf, upload, data)

    def test_looking_while_it_is_sent_disturbs_nobody(self, wharf: Wharf) -> None:
        data = noise(24 * MIB)
        upload = Tus(wharf, len(data))
        seen: list[int] = []
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                seen.append(upload.offset())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            assert upload.patch(0, data).status_code == 204
        finally:
            stop.set()
            watcher.join()
        assert seen == sorted(seen)
        came_whole(wharf, upload, data)

    def test_a_cancel_in_mid_upload_stops_it_and_removes_its_bytes(self, wharf: Wharf) -> None:
        upload = Tus(wharf, 4 * MIB)
        with upload.begin_patch(0, 4 * MIB, bytes(MIB)) as line:
            wait_for(lambda: upload.offset() > 0, 10, "the first bytes")
            with wharf.client as client:
                assert client.post(f"/api/jobs/{upload.id}/cancel").status_code == 200
            with contextlib.suppress(ConnectionError):
                line.sendall(bytes(3 * MIB))
            assert answer_on(line) in (0, 409, 410)
        assert upload.head().status_code == 410
        assert not (wharf.data_dir / "spool" / upload.id).exists()


class TestBadManners:
    def test_a_stalled_client_is_cut_its_bytes_are_kept_and_its_place_is_free(
        self, own_wharf: Callable[..., Wharf]
    ) -> None:
        wharf = own_wharf(UPLOADS_IDLE_TIMEOUT="5", UPLOADS_WEB_WORKERS="1", UPLOADS_WEB_THREADS="4")
        uploads = [Tus(wharf, MIB) for _ in range(3)]
        lines = [one.begin_patch(0, MIB, b"x" * 200_000) for one in uploads]
        extra = Tus(wharf, 3)
        wait_for(lambda: all(one.offset() > 0 for one in uploads), 20, "bytes of all three")
        busy = extra.patch(0, b"abc")
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "5")
        for line in lines:
            answer_on(line)
            line.close()
        wait_for(lambda: extra.patch(0, b"abc").status_code == 204, 20, "a free place")
        assert [one.offset() for one in uploads] == [200_000] * 3

    def test_300_that_drip_are_cut_or_turned_away_and_others_are_served(
        self, own_wharf: Callable[..., Wharf], closing: contextlib.ExitStack
    ) -> None:
        """More than there are threads: three quarters of these may read bodies, the rest answer."""
        wharf = own_wharf(UPLOADS_IDLE_TIMEOUT="2", UPLOADS_MIN_RATE="1024")
        uploads = [Tus(wharf, 300) for _ in range(300)]
        lines = [closing.enter_context(one.begin_patch(0, 300, b"x")) for one in uploads]
        gone: set[int] = set()
        deadline = time.monotonic() + 60
        while len(gone) < len(lines) and time.monotonic() < deadline:
            for number, line in enumerate(lines):
                try:
                    line.sendall(b"x")
                except OSError:
                    gone.add(number)
            began = time.monotonic()
            assert httpx.get(f"{wharf.url}/healthz").status_code == 200
            assert time.monotonic() - began < 2
            time.sleep(0.5)  # the rate of the drip
        assert len(gone) == len(lines)
        came = [one.offset() for one in uploads]
        assert max(came) < 60 and sum(offset > 0 for offset in came) >= 64

    @pytest.mark.parametrize("size", [0, 100_000])
    def test_a_chunked_body_that_goes_on_past_the_end_is_refused(self, wharf: Wharf, size: int) -> None:
        upload = Tus(wharf, 200_000)
        with upload.begin_patch(0, None, bytes(size) or b"x") as line:
            line.sendall(chunk(bytes(300_000)))
            line.sendall(chunk(b""))
            assert answer_on(line) == 413
        assert upload.offset() < 200_000
        assert (wharf.data_dir / "spool" / upload.id).stat().st_size <= 200_000

    def test_a_chunked_body_of_the_right_length_is_taken(self, wharf: Wharf) -> None:
        data = noise(300_000)
        upload = Tus(wharf, len(data))
        with upload.begin_patch(0, None, data[:100]) as line:
            line.sendall(chunk(data[100:]) + chunk(b""))
            assert answer_on(line) == 204
        came_whole(wharf, upload, data)

    def test_headers_sent_twice_are_refused(self, wharf: Wharf) -> None:
        upload = Tus(wharf, 10)
        for twice in ("Upload-Offset: 0", "Upload-Offset: 5"):
            with upload.begin_patch(0, 3, b"abc", twice) as line:
                assert answer_on(line) == 400, twice
        assert upload.offset() == 0

    def test_a_client_that_sends_less_than_it_says_keeps_what_came(self, wharf: Wharf) -> None:
        upload = Tus(wharf, 10)
        with upload.begin_patch(0, 10, b"12345"):
            pass
        wait_for(lambda: upload.offset() == 5, 10, "what came before the cut")
        assert upload.patch(5, b"67890").status_code == 204
        came_whole(wharf, upload, b"1234567890")

    def test_bytes_with_a_checksum_that_are_cut_do_not_count(self, wharf: Wharf) -> None:
        upload = Tus(wharf, 10)
        with upload.begin_patch(0, 10, b"12345", "Upload-Checksum: md5 " + "A" * 22 + "=="):
            assert upload.offset() == 0
        assert upload.patch(0, b"abcdefghij").status_code == 204
        came_whole(wharf, upload, b"abcdefghij")


class TestKilledServers:
    def test_what_was_told_is_there_after_a_kill_and_the_client_goes_on(
        self, own_wharf: Callable[..., Wharf]
    ) -> None:
        wharf = own_wharf(UPLOADS_WEB_WORKERS="1")
        data = noise(40 * MIB)
        upload = Tus(wharf, len(data))
        with upload.begin_patch(0, len(data), data[: 20 * MIB]):
            told = wait_for(lambda: (at := upload.offset()) > 16 * MIB and at, 20, "most of the bytes")
            os.kill(web_worker(wharf), signal.SIGKILL)
        reached = wait_for(lambda: upload.offset() >= told and upload.offset(), 20, "the server to be back")
        assert upload.patch(reached, data[reached:]).status_code == 204
        came_whole(wharf, upload, data)
        nothing_left(wharf)


# Set it to 1024 for the whole story; the suite sends less.
CLIENT_MIB = int(os.environ.get("TUS_CLIENT_MIB", "64"))
CUTS = 10


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of CLIENT_MIB MiB in which no two MiB are alike."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    with path.open("wb") as file:
        for number in range(CLIENT_MIB):
            file.write(noise(MIB, number))
    return path


@pytest.fixture
def cutting(wharf: Wharf) -> Iterator[CuttingNetwork]:
    """A network that is cut ten times while the large file goes through it."""
    each = CLIENT_MIB * MIB // (2 * CUTS)
    with CuttingNetwork(wharf.url, (each // 2, each), CUTS) as network:
        yield network
    assert network.cuts == CUTS


def is_the_same(wharf: Wharf, url: str, path: Path) -> dict[str, Any]:
    """The job behind an upload's address, done, with the digest of the file that was sent."""
    job = wharf.finished(url.rpartition("/")[2], 60 + CLIENT_MIB)
    with path.open("rb") as file:
        assert job["sha256"] == hashlib.file_digest(file, "sha256").hexdigest()
    assert (job["state"], job["filename"], job["attempt"]) == ("succeeded", path.name, 1)
    return job


class TestClientsThatOthersWrote:
    @pytest.mark.parametrize("checked", [False, True])
    def test_tuspy_through_a_network_that_cuts(
        self, wharf: Wharf, cutting: CuttingNetwork, large: Path, checked: bool
    ) -> None:
        client = TusClient(f"{cutting.url}/api/tus/", headers={"Authorization": f"Bearer {wharf.token}"})
        with large.open("rb") as file:
            uploader = client.uploader(
                file_stream=file, chunk_size=CLIENT_MIB * MIB // (32 if checked else 4), retries=100,
                retry_delay=0, metadata={"filename": large.name}, upload_checksum=checked,
            )  # fmt: skip
            uploader.upload()
        is_the_same(wharf, uploader.url, large)

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"chunkSize": 5 * MIB},
            {"uploadDataDuringCreation": True, "chunkSize": 5 * MIB},
            {"overridePatchMethod": True, "chunkSize": 9 * MIB},
        ],
        ids=lambda options: " ".join(options) or "plain",
    )
    def test_tus_js_client_through_a_network_that_cuts(
        self, wharf: Wharf, cutting: CuttingNetwork, large: Path, node: Node, options: dict[str, Any]
    ) -> None:
        is_the_same(wharf, node(cutting.url, wharf.token, large, options), large)

    def test_tus_js_client_in_parallel_parts(self, wharf: Wharf, large: Path, node: Node) -> None:
        job = is_the_same(wharf, node(wharf.url, wharf.token, large, {"parallelUploads": 4}), large)
        assert job["size"] == large.stat().st_size
        assert not list(wharf.data_dir.glob("parts/*"))
        with wharf.client as programs:
            listed = programs.get("/api/jobs", params={"state": "receiving"}).json()["items"]
        assert not [one for one in listed if one["note"] == "part of a larger upload"]

    def test_tus_js_client_that_does_not_know_the_length(self, wharf: Wharf, large: Path, node: Node) -> None:
        options = {"uploadLengthDeferred": True, "chunkSize": 7 * MIB}
        is_the_same(wharf, node(wharf.url, wharf.token, large, options), large)


Node = Callable[[str, str, Path, dict[str, Any]], str]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Runs tus-js-client; the address of what it sent. It is installed for the test run alone."""
    npm = shutil.which("npm")
    if npm is None:
        if os.environ.get("CI") == "true":
            pytest.fail("npm is needed for tus-js-client under CI")
        pytest.skip("there is no npm here to install tus-js-client with")
    home = tmp_path_factory.mktemp("js")
    for source in ("package.json", "upload.mjs"):
        shutil.copy(ROOT / "tests" / "js" / source, home)
    subprocess.run([npm, "install", "--no-audit", "--no-fund", "--silent"], cwd=home, check=True, timeout=180)

    def send(url: str, token: str, path: Path, options: dict[str, Any]) -> str:
        done = subprocess.run(
            ["node", "upload.mjs", f"{url}/api/tus/", token, str(path), json.dumps(options)],
            cwd=home, capture_output=True, text=True, timeout=120 + 2 * CLIENT_MIB,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return send


def web_worker(wharf: Wharf) -> int:
    """The pid of the one process that serves."""
    everyone = list(living())
    for one in everyone:
        if one.parent == wharf.process.pid and "serve" in Path(f"/proc/{one.pid}/cmdline").read_text().split(
            "\0"
        ):
            return next(child.pid for child in everyone if child.parent == one.pid)
    raise AssertionError("no web worker")


@contextlib.contextmanager
def second_server(wharf: Wharf) -> Iterator[str]:
    """Another web tier over the same data directory; its address."""
    port = free_port()
    with (wharf.data_dir / "second.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"], cwd=ROOT, env=wharf.env | {"PORT": str(port)},
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: httpx.get(f"{url}/healthz").status_code == 200, 30, "the second server")
        yield url
    finally:
        process.terminate()
        process.wait(20)
