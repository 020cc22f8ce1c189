"""The demo itself: send, watch, compare, retry."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TextIO

from uploads.management.demo.instance import DemoFailed, Instance, fresh_instance
from uploads.management.demo.samples import Sample, samples

FINISH_SECONDS = 120.0
TERMINAL = {"succeeded", "failed", "cancelled"}


def run(out: TextIO) -> list[str]:
    """Show the whole path on `out`; what differed from what it should be, one sentence each."""
    say = _speaker(out)
    say("Making sample files and starting a fresh instance …")
    files = samples()
    with fresh_instance() as instance:
        say(f"It answers at {instance.url}. Sending {len(files)} files.")
        jobs = [instance.send(file.filename, file.data)["id"] for file in files]
        done = _watch(instance, jobs, out)
        differences = _table(files, done, say)
        differences += _retry(instance, files, jobs, say)
    return differences


def _watch(instance: Instance, jobs: list[str], out: TextIO) -> list[dict[str, Any]]:
    """Follow all jobs to their ends; on a terminal the count is redrawn in place."""
    deadline, shown = time.monotonic() + FINISH_SECONDS, -1
    while True:
        states = [instance.job(job_id) for job_id in jobs]
        ended = sum(job["state"] in TERMINAL for job in states)
        if ended != shown:
            line = f"{ended} of {len(jobs)} finished"
            out.write(f"\r{line}" if out.isatty() else f"{line}\n")
            out.flush()
            shown = ended
        if ended == len(jobs):
            out.write("\n" if out.isatty() else "")
            return states
        if time.monotonic() > deadline:
            raise DemoFailed(f"Only {ended} of {len(jobs)} jobs finished in {FINISH_SECONDS:g} s.")
        time.sleep(0.2)


def _table(files: list[Sample], jobs: list[dict[str, Any]], say: Callable[[str], None]) -> list[str]:
    differences = []
    say(f"\n{'file':<22}{'state':<11}{'why, or what was found'}")
    for file, job in zip(files, jobs, strict=True):
        failure = job["error"] or {}
        told = failure.get("message") or job["note"] or _facts(job["result"] or {})
        say(f"{file.filename:<22}{job['state']:<11}{failure.get('code', ''):<20}{told[:90]}")
        got = (job["state"], failure.get("code", ""))
        if got != (file.state, file.outcome if file.state == "failed" else ""):
            differences.append(
                f"{file.filename} is {got[0]} {got[1]}, and should be {file.state} {file.outcome}."
            )
    return differences


def _facts(result: dict[str, Any]) -> str:
    plain = [f"{key} {value}" for key, value in result.items() if isinstance(value, str | int | float)]
    return ", ".join(plain[:5]).replace("\n", " ")


def _retry(instance: Instance, files: list[Sample], jobs: list[str], say: Callable[[str], None]) -> list[str]:
    """Retry one failure through the same door: it must run again, fail again, and keep both records."""
    place = next(n for n, file in enumerate(files) if file.outcome == "corrupt_file")
    job_id = jobs[place]
    instance.call("POST", f"/api/jobs/{job_id}/retry", b"")
    deadline = time.monotonic() + FINISH_SECONDS
    while (job := instance.job(job_id))["state"] not in TERMINAL and time.monotonic() < deadline:
        time.sleep(0.1)
    errors = instance.call("GET", f"/api/jobs/{job_id}/errors")
    kept = errors["items"] if isinstance(errors, dict) else errors
    say(
        f"\nRetried {files[place].filename}: attempt {job['attempt']}, {job['state']}, {len(kept)} error records kept."
    )
    if (job["attempt"], job["state"], len(kept)) != (2, "failed", 2):
        return [f"{files[place].filename} after its retry should have failed twice, with two error records."]
    return []


def _speaker(out: TextIO) -> Callable[[str], None]:
    def say(line: str) -> None:
        out.write(f"{line}\n")
        out.flush()

    return say
