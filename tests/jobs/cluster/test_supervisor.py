"""The supervisor and what it stands on, one process at a time; whole clusters are in tests/journeys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from uploads.jobs.cluster import sentinel, supervisor
from uploads.jobs.cluster.node import NodeIdentity, beat, register, sign_off
from uploads.jobs.cluster.shared_state import Board
from uploads.jobs.cluster.supervisor import Supervisor
from uploads.linux import processes
from uploads.models import Node

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


class TestRelaxedDatabase:
    @pytest.fixture
    def conf(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
        """The settings of the default database, as this test changes them."""
        conf = dict(connections.settings["default"])
        monkeypatch.setitem(connections.settings, "default", conf)
        monkeypatch.setattr(connections, "close_all", lambda: None)
        yield conf

    def test_sqlite_commits_without_waiting_for_the_disk_and_keeps_its_other_settings(
        self, conf: dict[str, Any]
    ) -> None:
        conf |= {
            "ENGINE": "django.db.backends.sqlite3",
            "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", "timeout": 20},
        }
        sentinel.relax_database()
        commands = [part.strip() for part in conf["OPTIONS"]["init_command"].split(";")]
        assert commands[0] == "PRAGMA journal_mode=WAL"
        assert [part for part in commands if "synchronous" in part][-1] == "PRAGMA synchronous=NORMAL"
        assert conf["OPTIONS"]["timeout"] == 20
        assert (conf["CONN_MAX_AGE"], conf["CONN_HEALTH_CHECKS"]) == (60, True)

    def test_postgresql_goes_without_a_pool_and_commits_asynchronously(self, conf: dict[str, Any]) -> None:
        conf |= {
            "ENGINE": "django.db.backends.postgresql",
            "OPTIONS": {"pool": {"max_size": 10}, "options": "-c statement_timeout=0"},
        }
        sentinel.relax_database()
        assert conf["OPTIONS"] == {"options": "-c statement_timeout=0 -c synchronous_commit=off"}
        assert conf["CONN_MAX_AGE"] == 60

    @pytest.mark.django_db
    def test_a_connection_made_afterwards_is_relaxed(self, conf: dict[str, Any]) -> None:
        if connections["default"].vendor != "sqlite":
            conf["OPTIONS"] = {}
        sentinel.relax_database()
        fresh = connections.create_connection("default")
        try:
            with fresh.cursor() as cursor:
                if fresh.vendor == "sqlite":
                    cursor.execute("PRAGMA synchronous")
                    assert cursor.fetchone() == (1,)  # NORMAL
                else:
                    cursor.execute("SHOW synchronous_commit")
                    assert cursor.fetchone() == ("off",)
        finally:
            fresh.close()


@pytest.mark.django_db
class TestNode:
    def test_it_is_registered_beats_and_signs_off(self) -> None:
        node = NodeIdentity(workers=3)
        register(node)
        row = Node.objects.get()
        assert (row.boot_id, row.pid_namespace) == (processes.boot_id(), processes.pid_namespace())
        assert (row.pid, row.workers, row.stopped_at) == (os.getpid(), 3, None)
        beat(node, 2, "It hung.")
        after = Node.objects.get()
        assert (after.restarts, after.note) == (2, "It hung.")
        assert after.beat_at >= row.beat_at
        sign_off(node, "It hung.")
        assert Node.objects.get().stopped_at is not None

    def test_a_row_that_was_deleted_comes_back_with_the_next_beat(self) -> None:
        node = NodeIdentity()
        beat(node, 0, "")
        assert Node.objects.get().pk == node.id


def test_a_note_on_the_board_is_bounded_and_whole_characters() -> None:
    board = Board()
    board.note = "ü" * 1000
    assert set(board.note) == {"ü"}
    assert 100 < len(board.note) < 151
    board.note = "short"
    assert board.note == "short"


class TestRestarts:
    """A cluster that ends is started anew at once; one that ends again and again, ever later."""

    @pytest.fixture
    def supervised(self, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
        one = Supervisor()
        monkeypatch.setattr(one, "_end_cluster", lambda: None)
        return one

    def delay(self, supervised: Supervisor, lived: float) -> float:
        now = time.monotonic()
        supervised._started = now - lived
        supervised._restart("It ended.")
        assert supervised._main_due is not None
        return round(supervised._main_due - now, 1)

    def test_the_first_is_at_once(self, supervised: Supervisor) -> None:
        assert self.delay(supervised, lived=3600) == 0
        assert self.delay(supervised, lived=1) == 0

    def test_further_ones_back_off_to_a_cap_and_a_long_life_forgives_all(
        self, supervised: Supervisor
    ) -> None:
        delays = [self.delay(supervised, lived=1) for _ in range(12)]
        assert delays == sorted(delays)
        assert delays[1] == 1
        assert delays[-1] == supervisor.DELAY_CAP
        assert self.delay(supervised, lived=3600) == 0

    def test_each_is_counted_and_explained_on_the_board(self, supervised: Supervisor) -> None:
        self.delay(supervised, lived=1)
        self.delay(supervised, lived=1)
        assert (supervised.board.restarts.value, supervised.board.note) == (2, "It ended.")


class TestProcesses:
    def test_a_session_is_ended_whole_and_others_are_not(self) -> None:
        shell = subprocess.Popen(
            ["sh", "-c", "sleep 60 & sleep 60 & echo; wait"], start_new_session=True, stdout=subprocess.PIPE
        )
        with shell, subprocess.Popen(SLEEPER) as bystander:
            assert shell.stdout is not None
            shell.stdout.readline()
            assert len(processes.session_members(shell.pid)) == 3
            processes.kill_session(shell.pid)
            assert processes.session_members(shell.pid) == []
            assert bystander.poll() is None
            bystander.kill()

    def test_a_reused_pid_is_another_process(self) -> None:
        me = processes.look_up(os.getpid())
        assert me is not None
        assert processes.alive(me.pid, me.started)
        assert not processes.alive(me.pid, me.started - 1)

    def test_two_signals_within_a_second_are_one_stop_and_later_ones_mean_hurry(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with processes.StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            signals.wait(1)
            assert (signals.requested, signals.hurry) == (True, False)
            monkeypatch.setattr(processes.time, "monotonic", lambda: (signals.requested_at or 0) + 1.5)
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.hurry

    def test_the_last_stop_signals_of_a_process_leave_its_exit_status_alone(self) -> None:
        script = (
            "import os, signal, sys\n"
            "from uploads.linux.processes import StopSignals\n"
            "with StopSignals(last=True): pass\n"
            "os.kill(os.getpid(), signal.SIGTERM)\n"
            "sys.exit(7)\n"
        )
        assert subprocess.run([sys.executable, "-c", script]).returncode == 7

    def test_forks_of_forks_die_with_the_process_that_bound_them(self) -> None:
        script = (
            "import os, time\n"
            "from uploads.linux.processes import bind_forks\n"
            "bind_forks()\n"
            "if os.fork() == 0:\n"
            "    pid = os.fork()\n"
            "    if pid:\n"
            "        print(os.getpid(), pid, flush=True)\n"
            "    time.sleep(60)\n"
            "time.sleep(60)\n"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            family = [int(pid) for pid in process.stdout.readline().split()]
            assert len(family) == 2
            process.kill()
        deadline = time.monotonic() + 2
        while any(processes.look_up(pid) for pid in family):
            assert time.monotonic() < deadline, "they outlived it"
            time.sleep(0.01)
