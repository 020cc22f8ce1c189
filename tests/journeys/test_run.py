"""One command starts all of it, and whatever ends it, nothing is left running."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.conftest import PASSWORD, ROOT, Wharf, free_port, start_wharf, wait_for
from uploads.linux.processes import Entry, alive, living, look_up

pytestmark = pytest.mark.journey

STOP_SECONDS = 10.0


def family(pid: int) -> list[Entry]:
    """A process and all that descend from it."""
    everyone = list(living())
    members = [entry for entry in everyone if entry.pid == pid]
    for one in members:  # grows while it is gone through
        members.extend(entry for entry in everyone if entry.parent == one.pid)
    return members


def left_of(members: list[Entry]) -> list[str]:
    """The command lines of those still there, for a message that helps."""
    left = []
    for one in members:
        if alive(one.pid, one.started):
            try:
                left.append(Path(f"/proc/{one.pid}/cmdline").read_text().replace("\0", " "))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return left


def child_of(wharf: Wharf, command: str) -> int | None:
    """The pid of `up`'s child that runs this management command."""
    for entry in living():
        if entry.parent == wharf.process.pid:
            line = Path(f"/proc/{entry.pid}/cmdline").read_text().split("\0")
            if command in line:
                return entry.pid
    return None


def signs_in(wharf: Wharf, password: str) -> bool:
    """Whether the first admin has this password."""
    check = (
        "from django.contrib.auth import authenticate; "
        f"print(authenticate(username='admin', password={password!r}) is not None)"
    )
    return wharf.manage("shell", "-v", "0", "-c", check) == "True"


def stalled_upload(wharf: Wharf) -> socket.socket:
    """A signed-in upload of a mebibyte of which a kilobyte came."""
    sock = socket.create_connection(("127.0.0.1", int(wharf.url.rpartition(":")[2])))
    sock.sendall(
        "PUT /api/uploads/stalled.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {wharf.token}\r\nContent-Length: 1048576\r\n\r\n".encode()
        + b"x" * 1024
    )
    return sock


@pytest.fixture
def wharf_at(tmp_path: Path) -> Iterator[Callable[..., Wharf]]:
    """Starts an instance over this test's one data directory, again and again."""
    started: list[Wharf] = []

    def start(**settings: str) -> Wharf:
        started.append(start_wharf(tmp_path / "data", **settings))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop()


def test_the_first_start_makes_an_admin_and_says_the_password_once(wharf_at: Callable[..., Wharf]) -> None:
    first = wharf_at(ADMIN_USERNAME="admin", ADMIN_PASSWORD="")
    said = first.log.read_text()
    assert first.url in said
    found = re.search(r"Sign in as admin with the password (\S+)", said)
    assert found, said
    assert signs_in(first, found[1])
    assert first.stop() == 0

    second = wharf_at(ADMIN_PASSWORD="")
    assert second.log.read_text().count("with the password") == 1
    assert second.stop() == 0


def test_a_given_password_is_used_and_not_printed(wharf: Wharf) -> None:
    assert PASSWORD not in wharf.log.read_text()
    assert signs_in(wharf, PASSWORD)


def test_no_child_is_told_the_admins_password(wharf: Wharf) -> None:
    children = [one for one in family(wharf.process.pid) if one.pid != wharf.process.pid]
    assert children
    for one in children:
        assert PASSWORD.encode() not in Path(f"/proc/{one.pid}/environ").read_bytes()


@pytest.mark.parametrize(
    ("number", "whole_group"),
    [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)],
    ids=["SIGTERM", "SIGTERM to the group", "Ctrl-C"],
)
def test_a_stop_signal_ends_all_within_seconds_also_during_a_stalled_upload(
    own_wharf: Callable[..., Wharf], number: signal.Signals, whole_group: bool
) -> None:
    wharf = own_wharf()
    members = family(wharf.process.pid)
    with stalled_upload(wharf):
        began = time.monotonic()
        if whole_group:
            os.killpg(wharf.process.pid, number)
        else:
            wharf.process.send_signal(number)
        assert wharf.process.wait(STOP_SECONDS) == 0, wharf.log.read_text()[-3000:]
        assert time.monotonic() - began < STOP_SECONDS
    assert left_of(members) == []


def test_when_it_is_killed_all_it_started_is_gone(own_wharf: Callable[..., Wharf]) -> None:
    wharf = own_wharf()
    members = family(wharf.process.pid)
    assert len(members) > 6
    wharf.process.kill()
    wharf.process.wait()
    wait_for(lambda: not left_of(members), 2, "the descendants to be gone")


def test_a_part_that_dies_is_replaced_and_that_is_said(own_wharf: Callable[..., Wharf]) -> None:
    wharf = own_wharf(UPLOADS_WEB_WORKERS="1")

    def ready() -> bool:
        with wharf.client as client:
            return bool(client.get("/readyz").status_code == 200)

    serve = child_of(wharf, "serve")
    [worker] = [entry for entry in living() if entry.parent == serve]
    os.kill(worker.pid, signal.SIGKILL)
    wait_for(lambda: not alive(worker.pid, worker.started) and ready(), 10, "another worker to answer")
    assert child_of(wharf, "serve") == serve  # the web server saw to it by itself

    before = {command: child_of(wharf, command) for command in ("serve", "qcluster")}
    for pid in before.values():
        assert pid
        os.kill(pid, signal.SIGKILL)

    def replaced() -> bool:
        return all(child_of(wharf, command) not in (None, pid) for command, pid in before.items())

    wait_for(replaced, 10, "both to be started again")
    wait_for(ready, 30, "the instance to be ready again")
    assert wharf.finished(wharf.put("after.txt", b"all the same")["id"])["state"] == "succeeded"
    said = wharf.log.read_text()
    assert said.count("The web server was ended by SIGKILL; it starts again in 0.5 s.") == 1
    assert said.count("The cluster was ended by SIGKILL; it starts again in 0.5 s.") == 1


# ------------------------------------------------------------ what stops it from starting


def up(tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DATA_DIR": str(tmp_path / "data"), "PORT": str(free_port())} | settings
    env["DJANGO_SETTINGS_MODULE"] = "project.settings"
    return subprocess.run(
        [sys.executable, "manage.py", "up"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line it says before it gives up."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = complaint(up(tmp_path, PORT=port))
    assert f"127.0.0.1:{port} is in use by another process." in said
    assert not (tmp_path / "data" / "wharfinger.sqlite3").exists()


def test_a_port_shared_by_another_wharfinger_is_in_use_too(wharf: Wharf, tmp_path: Path) -> None:
    """Granian's sockets would let two servers share a port."""
    assert "is in use" in complaint(up(tmp_path, PORT=wharf.url.rpartition(":")[2]))


def test_a_data_dir_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    assert "DATA_DIR" in complaint(up(tmp_path, DATA_DIR=str(tmp_path / "file" / "data")))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PORT": "eighty"}, "PORT must be a whole number"),
        ({"HOST": "no.such.host.invalid"}, "HOST 'no.such.host.invalid' is not an address"),
        ({"HOST": "192.0.2.1"}, "HOST '192.0.2.1' is not an address of this machine"),
        ({"DATABASE_URL": "mysql://x/y"}, "DATABASE_URL must name SQLite or PostgreSQL"),
        ({"DATABASE_URL": "postgres://x@127.0.0.1:1/y"}, "Connection refused"),
        ({"UPLOADS_PROCESSORS": "music=os.path"}, "music=os.path has no TYPES"),
        ({"UPLOADS_LIMITS": '{"image": {"memory": 1}}'}, "there is no limit 'memory'"),
    ],
)
def test_a_bad_setting_is_one_sentence(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    assert said in complaint(up(tmp_path, **settings))


# ------------------------------------------------------------ make run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_make_run_ends_with_make(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    env = {**os.environ, "DATA_DIR": str(tmp_path / "data"), "PORT": str(port)}
    env["DJANGO_SETTINGS_MODULE"] = "project.settings"
    log = tmp_path / "make.log"
    with log.open("wb") as out:
        make = subprocess.Popen(
            # The tests run in the environment that make would make.
            ["make", "run", f"PY={sys.executable}", "-o", ".venv/.requirements"],
            cwd=ROOT, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:

        def ready() -> bool:
            assert make.poll() is None, log.read_text()[-3000:]
            return "Wharfinger answers at" in log.read_text() and len(family(make.pid)) > 6

        wait_for(ready, 60, "make run to be ready")
        members = family(make.pid)
        make.send_signal(number)
        make.wait(STOP_SECONDS)
        wait_for(lambda: not left_of(members), STOP_SECONDS, "all to be gone")
    finally:
        for entry in family(make.pid):
            os.kill(entry.pid, signal.SIGKILL)
        make.wait()
        assert look_up(make.pid) is None


def test_counters_of_earlier_runs_do_not_pile_up(own_wharf: Callable[..., Wharf]) -> None:
    first = own_wharf()
    assert first.stop() == 0
    old = {path.name for path in (first.data_dir / "metrics").glob("*.db")}
    assert old
    second = start_wharf(first.data_dir)
    left = {path.name for path in (first.data_dir / "metrics").glob("*.db")} & old
    assert second.stop() == 0
    assert not left
