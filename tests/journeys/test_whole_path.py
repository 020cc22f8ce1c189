"""The whole path through real processes: a file goes in, is worked on, and a failure is reviewed and retried."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.journeys.conftest import Wharf, alive, descendants, wait_for
from tests.paths import ROOT

pytestmark = pytest.mark.journey


def picture(size: tuple[int, int] = (64, 64)) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(out, "PNG")
    return out.getvalue()


def test_a_good_file_comes_back_as_a_result_with_artifacts(wharf: Wharf) -> None:
    data = picture()
    job = wharf.put("dot.png", data)
    assert job["state"] in ("queued", "running") and job["sha256"] == hashlib.sha256(data).hexdigest()

    done = wharf.finished(job["id"])
    assert (done["state"], done["content_type"], done["result"]["width"]) == ("succeeded", "image/png", 64)
    with wharf.client as client:
        assert client.get(f"/api/jobs/{job['id']}/file").content == data
        thumbnail = client.get(f"/api/jobs/{job['id']}/artifacts/thumbnail.webp")
        assert Image.open(io.BytesIO(thumbnail.content)).format == "WEBP"


def test_several_files_in_one_form(wharf: Wharf) -> None:
    with wharf.client as client:
        answer = client.post(
            "/api/uploads", files=[("file", ("a.csv", b"a,b\n1,2\n")), ("file", ("b.txt", b"hello\n"))]
        )
    assert answer.status_code == 202
    states = [wharf.finished(job["id"])["state"] for job in answer.json()["jobs"]]
    assert states == ["succeeded", "succeeded"]


def test_a_failure_is_recorded_reviewed_in_the_admin_and_retried_there(wharf: Wharf) -> None:
    job = wharf.put("half.png", picture()[:200])
    failed = wharf.finished(job["id"])
    assert (failed["state"], failed["error"]["code"]) == ("failed", "corrupt_file")
    assert failed["error"]["advice"] and "Traceback" not in str(failed)

    with signed_in(wharf) as browser:
        listed = browser.get("/admin/uploads/errorrecord/?q=half.png")
        assert listed.status_code == 200 and "half.png" in listed.text
        record = re.search(r"/admin/uploads/errorrecord/(\d+)/", listed.text)
        assert record
        token = browser.cookies["csrftoken"]
        moved = browser.post(
            "/admin/uploads/errorrecord/",
            data={"action": "retry", "_selected_action": record[1], "csrfmiddlewaretoken": token},
            headers={"Referer": wharf.url + "/admin/"},
        )
        assert moved.status_code == 302, moved.text[:2000]
    again = wait_for(
        lambda: (now := wharf.job(job["id"]))["attempt"] == 2 and now["state"] == "failed" and now,
        30, "the second attempt",
    )  # fmt: skip
    with wharf.client as client:
        errors = client.get(f"/api/jobs/{again['id']}/errors").json()["items"]
    assert len(errors) == 2


@contextmanager
def signed_in(wharf: Wharf) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=wharf.url, timeout=30) as browser:
        _sign_in(browser, wharf)
        yield browser


def _sign_in(browser: httpx.Client, wharf: Wharf) -> None:
    browser.get("/admin/login/")
    answer = browser.post(
        "/admin/login/?next=/admin/",
        data={
            "username": wharf.username, "password": wharf.password,
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        },
        headers={"Referer": wharf.url + "/admin/"},
    )  # fmt: skip
    assert answer.status_code == 302, answer.text[:500]


def test_a_running_job_is_cancelled_and_nothing_of_it_stays(own_wharf: Any) -> None:
    wharf = own_wharf(UPLOADS_PROCESSORS="hostile=tests.processing.sandbox.hostile")
    job = wharf.put("slow.txt", b"progress\n20")
    wait_for(lambda: wharf.job(job["id"])["state"] == "running", 30, "the job to run")
    with wharf.client as client:
        assert client.post(f"/api/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
        # The worker is free again within 2 s: the next job runs although both could have been busy.
        others = [wharf.put(f"{n}.txt", b"nothing")["id"] for n in range(4)]
    assert [wharf.finished(other, 20)["state"] for other in others] == ["succeeded"] * 4
    assert not list((wharf.data_dir / "artifacts").rglob("*.*"))


def test_make_run_s_command_stops_at_once_while_an_upload_stalls_and_loses_nothing(own_wharf: Any) -> None:
    wharf = own_wharf()
    host, port = wharf.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(
            f"PUT /api/uploads/stalled.bin HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n"
            f"Authorization: Bearer {wharf.token}\r\n\r\nonly this".encode()
        )
        job = wharf.put("whole.txt", b"whole\n")
        children = descendants(wharf.process.pid)
        assert len(children) > 5
        assert wharf.stop() == 0
    assert not [child for child in children if alive(child)]
    with contextlib.closing(sqlite3.connect(wharf.data_dir / "wharfinger.sqlite3")) as database:
        rows = database.execute("SELECT replace(id, '-', ''), state FROM uploads_uploadjob").fetchall()
    assert [row[0] for row in rows] == [job["id"].replace("-", "")]
    assert rows[0][1] in ("queued", "succeeded")
    assert not list((wharf.data_dir / "spool").glob("*"))


def test_logs_are_one_json_object_a_line_with_job_and_request(wharf: Wharf) -> None:
    with wharf.client as client:
        answer = client.put("/api/uploads/logged.txt", content=b"x\n", headers={"X-Request-ID": "find-me"})
    wharf.finished(answer.json()["id"])
    lines = [line for line in wharf.log.read_text().splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    mine = [event for event in events if event.get("job") == answer.json()["id"]]
    assert {"job.accepted", "attempt.started", "attempt.succeeded"} <= {event["event"] for event in mine}
    assert next(e for e in mine if e["event"] == "job.accepted")["request"] == "find-me"


def test_metrics_count_right_across_processes(wharf: Wharf) -> None:
    def accepted() -> float:
        text = httpx.get(f"{wharf.url}/metrics").text
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith('wharfinger_uploads_total{door="put"}')
        )

    before = accepted()
    jobs = [wharf.put(f"{n}.txt", b"x")["id"] for n in range(10)]
    for job in jobs:
        wharf.finished(job)
    assert accepted() == before + 10
    text = httpx.get(f"{wharf.url}/metrics").text
    assert 'wharfinger_attempt_seconds_count{kind="text",outcome="succeeded"}' in text
    assert 'wharfinger_jobs{state="succeeded"}' in text


def test_the_demo_ends_as_it_says(tmp_path: Path) -> None:
    outer = {"DJANGO_SETTINGS_MODULE", "MAKEFLAGS", "MAKELEVEL", "ARGS"}  # of the make that runs the tests
    env = {k: v for k, v in os.environ.items() if k not in outer} | {"DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        ["make", "demo", f"PY={sys.executable}"],
        env=env, capture_output=True, text=True, cwd=ROOT, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bomb.zip" in done.stdout and "Every file ended as it should." in done.stdout
