"""The verdict after the faults: by the public API, the files, and the product's own read-only reports."""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.chaos import ledger, processor
from tests.chaos.ledger import Ledger, Sent
from tests.chaos.site import Site
from tests.chaos.table import Table
from uploads.codes import FAILURE_CODES

TERMINAL = {"succeeded", "failed", "cancelled"}
END_SECONDS = 60.0
READERS = 4
Jobs = dict[str, dict[str, Any]]


def wait_for_the_end(site: Site, kept: Ledger) -> tuple[Jobs, float]:
    """Wait until all acknowledged jobs are terminal, at most END_SECONDS; all jobs, and how long it took."""
    began = time.monotonic()
    with site.client() as client:
        while True:
            site.tend()
            jobs = _all_jobs(client)
            waited = time.monotonic() - began
            open_ones = [one for one in kept.acknowledged if jobs.get(one, {}).get("state") not in TERMINAL]
            if waited >= END_SECONDS or (jobs and not [one for one in open_ones if one in jobs]):
                return jobs, waited
            time.sleep(0.5)


def _all_jobs(client: httpx.Client) -> Jobs:
    """Every job of the API, {} while it does not answer."""
    found: Jobs = {}
    cursor = None
    try:
        while True:
            page = client.get("/api/jobs", params={"limit": 100} | ({"cursor": cursor} if cursor else {}))
            if page.status_code != 200:
                return {}
            told = page.json()
            found |= {job["id"]: job for job in told["items"]}
            cursor = told["next_cursor"]
            if not cursor:
                return found
    except httpx.TransportError:
        return {}


def judge(site: Site, kept: Ledger, jobs: Jobs, table: Table) -> None:
    """Fill the table's rows about jobs."""
    there = {job_id: one for job_id, one in kept.acknowledged.items() if job_id in jobs}
    with site.client() as client, ThreadPoolExecutor(READERS) as readers:
        files = readers.map(lambda job_id: _file_fault(client, job_id, there[job_id], jobs), there)
        results = readers.map(lambda job_id: _result_fault(site, client, jobs[job_id], there[job_id]), there)
        errors = dict(zip(there, readers.map(lambda job_id: _errors(client, job_id), there), strict=True))
        lost = [f"{one.name} ({job_id}) is not listed" for job_id, one in kept.acknowledged.items()
                if job_id not in jobs]  # fmt: skip
        table.zero("acknowledged uploads lost", [*lost, *filter(None, files)], str(len(kept.acknowledged)))
        table.zero(
            "jobs not terminal 60 s after the last fault",
            [f"{one.name} ({job_id}) is {jobs[job_id]['state']}, attempt {jobs[job_id]['attempt']}"
             for job_id, one in there.items() if jobs[job_id]["state"] not in TERMINAL],
        )  # fmt: skip
        table.zero(
            "succeeded jobs whose result or artifacts are missing, doubled or of another attempt",
            [*filter(None, results)],
        )
    table.zero(
        "attempts without an outcome, or failed without exactly one error record", _history(site, jobs)
    )
    table.zero("innocent jobs failed", _innocent(kept, jobs, errors))
    _poison(kept, jobs, errors, table)
    table.zero("uploads kept by half, or not as they were sent", _half(kept, jobs))


def _file_fault(client: httpx.Client, job_id: str, sent: Sent, jobs: Jobs) -> str:
    if jobs[job_id]["sha256"] != sent.sha256:
        return f"{sent.name} ({job_id}) has another SHA-256"
    digest = hashlib.sha256()
    with client.stream("GET", f"/api/jobs/{job_id}/file") as answer:
        if answer.status_code != 200:
            return f"the file of {sent.name} ({job_id}) is answered with {answer.status_code}"
        for piece in answer.iter_bytes():
            digest.update(piece)
    return "" if digest.hexdigest() == sent.sha256 else f"{sent.name} ({job_id}) has other bytes"


def _result_fault(site: Site, client: httpx.Client, job: dict[str, Any], sent: Sent) -> str:
    """What is wrong with what a job that succeeded gives, "" for nothing."""
    if job["state"] != "succeeded":
        return ""
    names = [one["name"] for one in job["artifacts"]]
    where = site.data_dir / "artifacts" / job["id"].replace("-", "")[:2] / job["id"] / str(job["attempt"])
    on_disk = sorted(one.name for one in where.iterdir()) if where.is_dir() else []
    if on_disk != sorted(names):
        return f"{sent.name} ({job['id']}) tells of artifacts {names}, its attempt left {on_disk}"
    bodies = {}
    for name in names:
        answer = client.get(f"/api/jobs/{job['id']}/artifacts/{name}")
        if answer.status_code != 200:
            return f"artifact {name} of {sent.name} ({job['id']}) is answered with {answer.status_code}"
        bodies[name] = answer.text
    if sent.order == ledger.LIBRARY or not sent.size:
        return "" if job["result"] is not None else f"{sent.name} ({job['id']}) has no result"
    result = job["result"] or {}
    wanted = {"digest.txt": sent.sha256, "nonce.txt": result.get("nonce")}
    if sorted(names) != sorted(processor.ARTIFACTS) or bodies != wanted or result["sha256"] != sent.sha256:
        return f"{sent.name} ({job['id']}): result {result}, artifacts {bodies}"
    return ""


def _errors(client: httpx.Client, job_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/api/jobs/{job_id}/errors")
    items: list[dict[str, Any]] = answer.json()["items"] if answer.status_code == 200 else []
    return items


def _history(site: Site, jobs: Jobs) -> list[str]:
    """Attempts are not in the API: read them with Django's own dumpdata."""
    dumped = json.loads(site.manage("dumpdata", "uploads.attempt", "uploads.errorrecord"))
    attempts: dict[str, list[tuple[int, str]]] = defaultdict(list)
    records: dict[tuple[str, int], int] = defaultdict(int)
    for row in dumped:
        fields = row["fields"]
        if row["model"] == "uploads.attempt":
            attempts[fields["job"]].append((fields["number"], fields["outcome"]))
        else:
            records[fields["job_uuid"], fields["attempt"]] += 1
    wrong = []
    for job_id, job in jobs.items():
        mine = sorted(attempts.pop(job_id, []))
        if [number for number, _outcome in mine] != list(range(1, job["attempt"] + 1)):
            wrong.append(f"{job_id} is at attempt {job['attempt']}, and there are rows of {mine}")
        for number, outcome in mine:
            running = job["state"] == "running" and number == job["attempt"]
            found = records.pop((job_id, number), 0)
            if (not outcome and not running) or found != (outcome == "failed"):
                wrong.append(f"attempt {number} of {job_id}: outcome {outcome!r}, error records: {found}")
    wrong += [
        f"an error record of attempt {number} of {job_id}, which is not there" for job_id, number in records
    ]
    return wrong


def _innocent(kept: Ledger, jobs: Jobs, errors: dict[str, list[dict[str, Any]]]) -> list[str]:
    wanted = {ledger.INNOCENT: "succeeded", ledger.LIBRARY: "succeeded", ledger.CORRUPT: "failed"}
    wrong = []
    for job_id, sent in kept.acknowledged.items():
        job = jobs.get(job_id)
        if job is None or job["state"] not in TERMINAL or sent.order not in wanted:
            continue
        codes = [one["code"] for one in errors[job_id]]
        if job["state"] != wanted[sent.order] or (
            sent.order == ledger.CORRUPT and codes[-1:] != ["corrupt_file"]
        ):
            wrong.append(f"{sent.name} ({job_id}) is {job['state']}: {codes}")
    return wrong


def _poison(kept: Ledger, jobs: Jobs, errors: dict[str, list[dict[str, Any]]], table: Table) -> None:
    for order, what in (
        (ledger.CRASH, "files that kill their child: failed after exactly the budget, a record for each"),
        (ledger.FELL, "files that kill their worker: failed after exactly the budget, a record for each"),
    ):
        code = ledger.POISON[order]
        files = {job_id: one for job_id, one in kept.of(order).items() if job_id in jobs}
        good = 0
        for job_id, sent in files.items():
            codes = [one["code"] for one in errors[job_id]]
            if jobs[job_id]["state"] == "failed" and codes.count(code) == FAILURE_CODES[code].budget:
                good += 1
            else:
                table.details.append(f"{what}: {sent.name} ({job_id}) is {jobs[job_id]['state']}, {codes}")
        if files:
            table.add(what, "all", f"{good} of {len(files)}", good == len(files))


def _half(kept: Ledger, jobs: Jobs) -> list[str]:
    """Jobs that nobody was told of must be whole all the same, and a form's files are all there or none."""
    wrong = []
    there: dict[int, set[str]] = defaultdict(set)
    for job_id, job in jobs.items():
        sent = kept.sent.get(job["filename"])
        if sent is None:
            wrong.append(f"job {job_id} has the name {job['filename']}, which nobody sent")
        elif job["state"] != "receiving":
            there[sent.request].add(sent.name)
            if (job["sha256"], job["size"]) != (sent.sha256, sent.size):
                wrong.append(f"{sent.name} ({job_id}) is kept with {job['size']} of {sent.size} bytes")
    forms: dict[int, set[str]] = defaultdict(set)
    for sent in kept.sent.values():
        forms[sent.request].add(sent.name)
    wrong += [
        f"of a form, only {names} were kept" for request, names in there.items() if names != forms[request]
    ]
    return wrong
