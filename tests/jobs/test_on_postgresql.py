"""The queue, pausing, the verbs and the sweep once more, on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from uuid import uuid4

import psycopg
import pytest
from django.db import connection

from tests.paths import ROOT

POSTGRESQL = "postgres://postgres@127.0.0.1:5432"


def test_all_of_this_holds_on_postgresql_too() -> None:
    """These files in a database of their own, where a server listens here."""
    if connection.vendor == "postgresql":
        pytest.skip("this is PostgreSQL")
    try:
        psycopg.connect(f"{POSTGRESQL}/postgres", connect_timeout=2).close()
    except psycopg.OperationalError as wrong:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no PostgreSQL at 127.0.0.1:5432: {wrong}")
    name = f"wharfinger_queue_{uuid4().hex[:12]}"  # tests make a database test_<name>, and drop it
    files = [f"tests/jobs/{where}" for where in ("queue", "lifecycle", "resumable", "repair/test_rescue.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files],
        cwd=ROOT, env=os.environ | {"DATABASE_URL": f"{POSTGRESQL}/{name}"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
