"""The queue against django-q2's own ORM broker: jobs a second, pick-up when idle, and a long backlog.

Run as `python -m benchmarks.queue [sqlite] [postgresql]`. Two workers each. *tuned* is the stock broker with the
settings of our cluster, *default* with django-q2's own. PostgreSQL is one on 127.0.0.1:5432 that trusts `postgres`;
where none answers, that half is left out. Machines differ: read the ratios.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

from benchmarks.stage import ROOT, environment, folder, manage, row

SERVER = "postgres://postgres@127.0.0.1:5432"
NOOPS = {"ours": 20_000, "tuned": 4_000, "default": 400}
JOBS = 5_000
BACKLOG = 200_000
PICK_UPS = 150
PATIENCE = 300.0

Env = dict[str, str]


@contextmanager
def stage(vendor: str, broker: str) -> Iterator[Env]:
    """The environment of a migrated installation of its own, whose cluster uses this broker."""
    with folder() as path, _database(vendor, path) as url:
        settings = "project.settings" if broker == "ours" else "benchmarks.stock_settings"
        env = environment(
            path, 1, DATABASE_URL=url, DJANGO_SETTINGS_MODULE=settings, WORKERS="2", STOCK=broker,
            NOOP_LOG=str(path / "noop.log"), LOG_LEVEL="ERROR",
        )  # fmt: skip
        manage(env, "migrate", "-v0")
        yield env


@contextmanager
def _database(vendor: str, path: Path) -> Iterator[str]:
    if vendor == "sqlite":
        yield f"sqlite:///{path / 'bench.sqlite3'}"
        return
    name = f"wharfinger_bench_{uuid4().hex[:12]}"
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{SERVER}/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def cluster(env: Env) -> Iterator[None]:
    """Ours under its supervisor, or django-q2's own."""
    ours = env["DJANGO_SETTINGS_MODULE"] == "project.settings"
    command = ["manage.py", "qcluster"] if ours else ["-m", "benchmarks.stock_cluster"]
    with (Path(env["DATA_DIR"]) / "cluster.log").open("ab") as log:
        running = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def side(env: Env, act: str, number: int) -> str:
    """What an act of queue_side printed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.queue_side", act, str(number)],
        cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def told(env: Env, at_least: int) -> list[tuple[int, float]]:
    """What at least so many no-ops have written: number and time, in the order in which they were run."""
    path, until = Path(env["NOOP_LOG"]), time.monotonic() + PATIENCE
    while not path.exists() or path.stat().st_size < 16 * at_least:
        if time.monotonic() > until:
            raise SystemExit((Path(env["DATA_DIR"]) / "cluster.log").read_text()[-3000:])
        time.sleep(0.1)
    return sorted(struct.iter_unpack("=qd", path.read_bytes()), key=lambda one: one[1])


def noop_rate(env: Env, waiting: int, counted: int) -> float:
    """No-ops a second over the first `counted` of `waiting`."""
    side(env, "fill", waiting)
    with cluster(env):
        times = [when for _number, when in told(env, counted)][:counted]
    return (counted - 1) / (times[-1] - times[0])


def pick_up(env: Env) -> tuple[float, float]:
    """Milliseconds from the commit of a message to the start of its task in an idle cluster: p50 and p99."""
    with cluster(env):
        side(env, "fill", 1)
        told(env, 1)
        Path(env["NOOP_LOG"]).write_bytes(b"")
        sent = json.loads(side(env, "trickle", PICK_UPS))
        run = told(env, PICK_UPS)
    waits = sorted((when - sent[number]) * 1000 for number, when in run)
    return statistics.median(waits), waits[int(len(waits) * 0.99)]


def job_rate(env: Env) -> float:
    """Real jobs of 1 KiB of text a second, from the first start to the last end."""
    side(env, "jobs", JOBS)
    until = time.monotonic() + PATIENCE
    with cluster(env):
        while True:
            # Each look starts a Django of its own, which is a second of one core: look seldom. The rate is
            # told by the rows' times, not by when we look.
            time.sleep(15)
            count, seconds = json.loads(side(env, "finished", 0))
            if count == JOBS:
                return float(JOBS / seconds)
            if time.monotonic() > until:
                raise SystemExit((Path(env["DATA_DIR"]) / "cluster.log").read_text()[-3000:])


def compare(vendor: str) -> None:
    print(f"\n{vendor}")
    row("what", "ours", "peer", "ratio", "goal", None)
    rates = {}
    for broker, count in NOOPS.items():
        with stage(vendor, broker) as env:
            rates[broker] = noop_rate(env, count, count)
    for broker, goal in (("tuned", 4.0), ("default", 0.0)):
        ratio = rates["ours"] / rates[broker]
        row(
            f"no-ops/s against the stock broker, {broker}", f"{rates['ours']:,.0f}", f"{rates[broker]:,.0f}",
            f"{ratio:.1f}", f">= {goal:g}" if goal else "", ratio >= goal if goal else None,
        )  # fmt: skip
    waits = {}
    for broker in ("ours", "tuned"):
        with stage(vendor, broker) as env:
            waits[broker] = pick_up(env)
    for number, name in enumerate(("p50", "p99")):
        mine, peer = waits["ours"][number], waits["tuned"][number]
        goal = number == 0
        row(
            f"idle pick-up {name}, ms", f"{mine:.1f}", f"{peer:.1f}", f"{mine / peer:.2f}",
            "<= 10 ms" if goal else "", mine <= 10 if goal else None,
        )  # fmt: skip
    costs = []
    for waiting in (BACKLOG, 100):
        with stage(vendor, "ours") as env:
            costs.append(float(side(env, "verbs", waiting)) * 1000)
    row(
        f"ms a job: take, start, succeed; {BACKLOG:,} / 100 wait", f"{costs[0]:.3f}", f"{costs[1]:.3f}",
        f"{costs[0] / costs[1]:.2f}", "<= 1.2", costs[0] / costs[1] <= 1.2,
    )  # fmt: skip
    with stage(vendor, "ours") as env:
        long = noop_rate(env, BACKLOG, NOOPS["ours"])
    row(
        f"no-ops/s, {BACKLOG:,} / {NOOPS['ours']:,} wait", f"{long:,.0f}", f"{rates['ours']:,.0f}",
        f"{rates['ours'] / long:.2f}", "<= 1.2", rates["ours"] / long <= 1.2,
    )  # fmt: skip
    with stage(vendor, "ours") as env:
        real = job_rate(env)
    row(
        f"{JOBS:,} text jobs/s against stock no-ops, default", f"{real:,.0f}", f"{rates['default']:,.0f}",
        f"{real / rates['default']:.1f}", ">= 3", real / rates["default"] >= 3,
    )  # fmt: skip


def main() -> int:
    chosen = [one for one in ("sqlite", "postgresql") if one in sys.argv[1:] or len(sys.argv) == 1]
    for vendor in chosen:
        if vendor == "postgresql":
            try:
                psycopg.connect(f"{SERVER}/postgres", connect_timeout=2).close()
            except psycopg.OperationalError:
                print("\npostgresql: none answers at 127.0.0.1:5432")
                continue
        compare(vendor)
    return 0


if __name__ == "__main__":
    sys.exit(main())
