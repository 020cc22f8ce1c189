"""Run as a program: print what a sandbox of another kind of user does, as JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.paths import ROOT
from tests.processing.conftest import Bench, all_gone, hostile_config
from uploads.linux import syscalls
from uploads.processing.sandbox.client.sandbox import Done, Failed, Sandbox
from uploads.processing.sandbox.isolation import rootfs
from uploads.processing.sandbox.zygote import usage

NOBODY = 65534


def open_the_way() -> None:
    """Make Python and our code reachable to every user, though they may lie below a closed home."""
    places = [sys.base_prefix, sys.prefix, str(ROOT)]
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
    mounts = {place: syscalls.detached_mount(place) for place in places if not rootfs.open_to_all(place)}
    for closed in {"/".join(place.split("/")[:2]) for place in mounts}:
        syscalls.mount("tmpfs", closed, "tmpfs", data="mode=1777")
    for place, fd in mounts.items():
        Path(place).mkdir(parents=True, exist_ok=True)
        syscalls.attach_mount(fd, place)


def give_up_root() -> None:
    """Become nobody."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def nothing_left(bench: Bench) -> bool:
    """Whether every process is gone a moment after the zygote was killed in the middle of a job."""
    below: list[int] = []

    def kill(percent: float, note: str) -> None:
        below.extend(usage.descendants(bench.sandbox.pid or 0))
        os.kill(bench.sandbox.pid or 0, signal.SIGKILL)

    bench.run("sleep", on_progress=kill)
    return bool(below) and all_gone(below, 1)


def main(user: str, without: list[str]) -> None:
    """Print {action: code or result, "missing": […]}; `user` is "ordinary", or "root" to stay it."""
    if os.getuid() == 0:
        open_the_way()
        if user == "ordinary":
            give_up_root()
    with tempfile.TemporaryDirectory() as place:
        sandbox = Sandbox(hostile_config(), without=without)
        sandbox.start()
        bench = Bench(sandbox, Path(place))
        (bench.place / "db.sqlite3").write_text("rows")
        told: dict[str, object] = {"missing": sandbox.missing_fences, "uid": os.getuid()}
        for action, *rest in (
            ("previews",),
            ("allocate",),
            ("segfault",),
            ("fork_bomb",),
            ("write_many",),
            ("daemon",),
            ("inventory",),
            ("look", str(bench.place / "db.sqlite3"), f"/proc/{os.getpid()}/environ", "/etc/passwd"),
            ("reach", "1", str(os.getpid()), "nobody"),
            ("nothing",),
        ):
            outcome = bench.run(action, *rest)
            told[action] = outcome.result if isinstance(outcome, Done) else ""
            if isinstance(outcome, Failed):
                told[action] = outcome.code
        told["nothing left"] = nothing_left(bench)
        sandbox.close()
        kept, left = (bench.place / "kept").stat(), bench.artifacts.stat()
        told["owners"] = [kept.st_uid, kept.st_gid, left.st_uid, left.st_gid]
        told["mode"] = kept.st_mode & 0o777
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
