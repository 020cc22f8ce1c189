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
from tests.chaos.faults import Accomplice, Faults
from tests.chaos.ledger import Ledger
from tests.chaos.sender import Sender
from tests.chaos.servers import Absent, servers_for
from tests.chaos.site import Site
from tests.chaos.table import Table, markdown

SETUPS = ("sqlite", "postgres", "redis")
LEASE = 10
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
    parser.add_argument("--faults", type=int, default=40, help="how many random faults at most")
    parser.add_argument("--seconds", type=float, default=30, help="for how long they are done at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where logs and data are left, instead of nowhere")
    return parser.parse_args()


def _run(setup: str, table: Table, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="wharfinger-chaos-", ignore_cleanup_errors=True) as made:
        folder = options.keep / setup if options.keep else Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        Path(made).chmod(0o711)  # the servers run as somebody else, in directories of their own below
        with servers_for(setup, Path(made)) as (postgres, redis):
            (folder / "data").mkdir(exist_ok=True)
            with disk.own_disk(folder / "data", allowed=options.mounts) as own:
                site = Site(folder, setup, postgres, redis, LEASE, {"UPLOADS_BUDGETS": BUDGETS})
                site.start()
                try:
                    _storm(site, table, options, own_disk=own)
                finally:
                    site.stop()


def _storm(site: Site, table: Table, options: argparse.Namespace, *, own_disk: bool) -> None:
    kept, luck = Ledger(), random.Random(options.seed)
    faults = Faults(site, kept, own_disk=own_disk)
    sender = Sender(site, kept, options.seed, crashes=3, fells=2)
    pause = options.seconds / max(1, options.faults)
    with Accomplice(site):
        sender.start()
        ends = time.monotonic() + options.seconds
        while time.monotonic() < ends and faults.done.total() < options.faults:
            until = time.monotonic() + luck.uniform(0.5, 1.5) * pause
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
    table.add("faults done", "told", str(faults.done.total()), None)
    table.add("all jobs terminal after the last fault", "≤ 60 s", f"{seconds:.0f} s", None)
    verdict.judge(site, kept, jobs, table)
    print(f"{site.setup}: {dict(faults.done)}; refused: {dict(kept.refused)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
