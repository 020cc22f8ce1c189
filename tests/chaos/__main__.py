"""`python -m tests.chaos`: an instance under random faults, and a table of whether it kept its promises.

The exit status is 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import disk, verdict
from tests.chaos.accomplice import Accomplice
from tests.chaos.faults import Faults
from tests.chaos.ledger import Ledger
from tests.chaos.sender import Sender
from tests.chaos.servers import Absent, servers_for
from tests.chaos.site import Site
from tests.chaos.table import Table, markdown
from tests.chaos.timing import Timing

SETUPS = ("sqlite", "postgres", "redis")
LEASE = 10
CLOCK_OFFSET = 3600  # seconds by which the second host's clock is ahead
TRIES, TRIES_FULL = 3, 20
WRITERS, WRITERS_FULL = 300, 2000
HOSTS_FULL = 3
PACE = 0.7
FAULTS_FULL, SECONDS_FULL = 500, 900.0
# Delays between attempts are capped, so that a run ends in minutes; how many there may be is as shipped.
BUDGETS = '{"worker_lost": {"delay_cap": 2}, "processor_crashed": {"delay_cap": 2}, "internal_error": ' \
    '{"delay_cap": 2}, "storage_unavailable": {"delay_cap": 5}}'  # fmt: skip


def main() -> int:
    options = _options()
    options.mounts = disk.leave_mounts()
    tables = []
    for setup in options.setup or SETUPS:
        table = Table(setup)
        tables.append(table)
        try:
            _run(setup, table, options)
        except Absent as absent:
            print(f"{setup}: not run. {absent}", flush=True)
            if os.environ.get("CI") == "true":
                table.add("the set-up can be run", "yes", str(absent), False)
            else:
                tables.remove(table)
    print(f"\n{markdown(tables)}\n")
    for table in tables:
        for detail in table.details:
            print(f"{table.setup}: {detail}")
    return int(any(table.missed for table in tables))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--setup", action="append", choices=SETUPS, help="may be repeated; all without it")
    parser.add_argument("--faults", type=int, default=30, help="how many random faults at most")
    parser.add_argument("--seconds", type=float, default=25, help="for how long they are done at most")
    parser.add_argument("--pace", type=float, default=PACE, help="seconds between two of them, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="500 faults and 20 tries of each measurement")
    parser.add_argument("--no-timing", action="store_true", help="the random faults alone")
    parser.add_argument("--keep", type=Path, help="where logs and data are left, instead of nowhere")
    options = parser.parse_args()
    if options.full:
        options.faults, options.seconds = max(options.faults, FAULTS_FULL), max(options.seconds, SECONDS_FULL)
    return options


def _run(setup: str, table: Table, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="wharfinger-chaos-", ignore_cleanup_errors=True) as made:
        folder = options.keep / setup if options.keep else Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        Path(made).chmod(0o711)  # the servers run as somebody else, in directories of their own below
        with servers_for(setup, Path(made)) as (postgres, redis):
            (folder / "data").mkdir(exist_ok=True)
            with disk.own_disk(folder / "data", allowed=options.mounts) as own:
                settings = {
                    "UPLOADS_BUDGETS": BUDGETS,
                    "UPLOADS_WEB_WORKERS": "6" if setup == "sqlite" else "2",
                }
                # On SQLite the hosts have one clock: the kernel's. PostgreSQL's is the one that counts.
                skew = 0 if setup == "sqlite" else CLOCK_OFFSET
                site = Site(folder, setup, postgres, redis, LEASE, settings, clock_offset=skew)
                site.start()
                try:
                    kept = Ledger()
                    if not options.no_timing:
                        _measure(site, kept, table, options)
                    _storm(site, kept, table, options, own_disk=own)
                finally:
                    site.stop()


def _measure(site: Site, kept: Ledger, table: Table, options: argparse.Namespace) -> None:
    """The rows of the table that are measured one at a time."""
    sender = Sender(site, kept, options.seed, crashes=0, fells=0)
    timing = Timing(site, sender, table, random.Random(f"{options.seed}/timing"))
    tries = TRIES_FULL if options.full else TRIES
    timing.rescue(tries)
    timing.idle_worker(tries)
    timing.stops(tries)
    if site.setup == "sqlite":
        timing.writers(WRITERS_FULL if options.full else WRITERS)
    site.start_second_host()
    timing.host(HOSTS_FULL if options.full else 1)


def _storm(site: Site, kept: Ledger, table: Table, options: argparse.Namespace, *, own_disk: bool) -> None:
    """Faults at random while files are sent; then the verdict about every file that was acknowledged."""
    site.start_second_host()
    luck = random.Random(options.seed)
    faults = Faults(site, kept, own_disk=own_disk)
    sender = Sender(site, kept, options.seed, crashes=3, fells=2)
    with Accomplice(site):
        sender.start()
        ends = time.monotonic() + options.seconds
        while time.monotonic() < ends and faults.done.total() < options.faults:
            until = time.monotonic() + luck.uniform(0.5, 1.5) * options.pace
            while time.monotonic() < until:
                faults.tend()
                time.sleep(0.02)
            if name := faults.do_one(luck):
                print(f"{site.setup}: {name}", flush=True)
        sender.stop_soon()
        print(f"{site.setup}: ending lasting faults", flush=True)
        faults.end()
        print(f"{site.setup}: waiting for requests under way", flush=True)
        sender.stop()
        print(f"{site.setup}: waiting for the site to be ready", flush=True)
        site.wait_until_ready()
        print(f"{site.setup}: waiting for the end of all jobs", flush=True)
        jobs, seconds = verdict.wait_for_the_end(site, kept)
    _tell(faults, kept, table, options)
    table.add("all jobs terminal after the last fault", "≤ 60 s", f"{seconds:.0f} s", None)
    verdict.judge(site, kept, jobs, table)


def _tell(faults: Faults, kept: Ledger, table: Table, options: argparse.Namespace) -> None:
    """What was done and sent, and how it was answered; with --full, whether it was enough."""
    enough = faults.done.total() >= FAULTS_FULL if options.full else None
    table.add("faults done", "≥ 500" if options.full else "told", str(faults.done.total()), enough)
    told = ", ".join(f"{name} {count}" for name, count in sorted(faults.done.items()))
    table.details.append(f"faults: {told}")
    table.details.append(f"files sent: {len(kept.sent)}, acknowledged: {len(kept.acknowledged)}; "
                         f"requests answered otherwise: {dict(kept.refused)}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
