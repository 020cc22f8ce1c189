"""Rows for tests: defaults only, so that each test names just what matters to it.

A job in any state satisfies the database's constraints; `make_job(state="running")` is leased, and so on.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django.contrib.auth.models import Permission, User
from django.utils import timezone

from uploads.models import TERMINAL, Artifact, Attempt, ErrorRecord, Node, Outcome, State, UploadJob
from uploads.storage.kept import local

_number = count(1)
PASSWORD = "a-long-passphrase-for-tests"


def make_user(username: str = "", *, permissions: tuple[str, ...] = (), **fields: Any) -> User:
    """A person who may sign in with PASSWORD; `permissions` are codenames such as "view_uploadjob"."""
    user = User.objects.create_user(username or f"person{next(_number)}", password=PASSWORD, **fields)
    if permissions:
        found = list(Permission.objects.filter(codename__in=permissions))
        missing = set(permissions) - {one.codename for one in found}
        if missing:
            raise ValueError(f"no such permissions: {missing}")
        user.user_permissions.set(found)
    return user


def make_operator(username: str = "", *permissions: str, **fields: Any) -> User:
    """Staff with exactly these permissions."""
    return make_user(username, is_staff=True, permissions=permissions, **fields)


def make_job(
    state: str = State.QUEUED, owner: User | None = None, *, data: bytes | None = None, **fields: Any
) -> UploadJob:
    """A job in `state`; with `data`, its kept file lies on disk (or in the spool while receiving)."""
    state = State(state)
    now = timezone.now()
    content = b"some bytes" if data is None else data
    values: dict[str, Any] = {
        "owner": owner or _owner(),
        "filename": f"file{next(_number)}.txt",
        "size": len(content),
        "sha256": "" if state == State.RECEIVING else hashlib.sha256(content).hexdigest(),
        "content_type": "text/plain",
        "kind": "text",
        "state": state,
        "created_at": now,
    }
    if state != State.RECEIVING:
        values["queued_at"] = now
    if state == State.QUEUED:
        # The database may count in milliseconds: what is due by our clock must be due by its too.
        values["run_after"] = now - timedelta(milliseconds=2)
    if state == State.RUNNING:
        values |= {"attempt": 1, "started_at": now, "lease_until": now + timedelta(seconds=30)}
    if state in TERMINAL:
        values["finished_at"] = now
    if state in (State.SUCCEEDED, State.FAILED):
        values |= {"attempt": 1, "started_at": now}
    if state == State.SUCCEEDED:
        values |= {"result": {"lines": 1}, "progress": 100}
    job: UploadJob = UploadJob.objects.create(**(values | fields))
    if data is not None:
        keep_bytes(job, data)
    return job


def make_attempt(job: UploadJob, number: int | None = None, outcome: str = "", **fields: Any) -> Attempt:
    """An attempt of `job`, by default its current one; finished where it has an outcome."""
    started: datetime = fields.pop("started_at", job.started_at or timezone.now())
    values: dict[str, Any] = {
        "job": job,
        "number": number or job.attempt or 1,
        "worker": "here:4711",
        "pid": 4711,
        "started_at": started,
        "outcome": outcome,
        "finished_at": started + timedelta(seconds=1) if outcome else None,
    }
    return Attempt.objects.create(**(values | fields))


def make_error(job: UploadJob | None = None, code: str = "internal_error", **fields: Any) -> ErrorRecord:
    """The error record of the current attempt of `job` (by default a failed job of its own)."""
    job = job or make_job(State.FAILED)
    values: dict[str, Any] = {
        "job": job,
        "job_uuid": job.pk,
        "attempt": job.attempt or 1,
        "code": code,
        "message": "It did not work.",
        "worker": "here:4711",
        "filename": job.filename,
        "sha256": job.sha256,
        "size": job.size,
        "kind": job.kind,
        "content_type": job.content_type,
        "owner": job.owner,
        "occurred_at": timezone.now(),
    }
    return ErrorRecord.objects.create(**(values | fields))


def make_failed_job(code: str = "internal_error", *, data: bytes | None = b"x", **fields: Any) -> UploadJob:
    """A job whose only attempt failed, with its attempt and error rows."""
    job = make_job(State.FAILED, data=data, **fields)
    make_attempt(job, outcome=Outcome.FAILED)
    make_error(job, code)
    return job


def make_artifact(job: UploadJob, name: str = "thumbnail.webp", **fields: Any) -> Artifact:
    values = {"job": job, "attempt": job.attempt or 1, "content_type": "image/webp", "size": 1234}
    return Artifact.objects.create(name=name, **(values | fields))


def make_node(name: str = "", **fields: Any) -> Node:
    """A node that has just sent its heartbeat."""
    now = timezone.now()
    values: dict[str, Any] = {
        "name": name or f"node{next(_number)}",
        "boot_id": "boot",
        "pid_namespace": "pid:[1]",
        "pid": 1,
        "workers": 2,
        "started_at": now,
        "beat_at": now,
    }
    return Node.objects.create(**(values | fields))


def keep_bytes(job: UploadJob, data: bytes) -> None:
    """Put the bytes of a job where storage keeps them. Point DATA_DIR at a temporary place first."""
    receiving = job.state == State.RECEIVING
    path = local.spool_path(job.pk) if receiving else local.file_path(job.pk)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(data)


def _owner() -> User:
    user, _new = User.objects.get_or_create(username="olive", defaults={"email": "olive@example.org"})
    return user
