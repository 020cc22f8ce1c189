"""What a child cannot reach, with every fence up and with each of the strong ones alone."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.paths import ROOT
from tests.processing.conftest import Bench, hostile_config
from tests.processing.sandbox.hostile import LIMITS
from uploads.processing.base import MIB
from uploads.processing.sandbox.client.sandbox import Sandbox
from uploads.processing.sandbox.isolation import jail

EVERY = tuple(jail.FENCES)
ALONE = {
    "every fence": (),
    "a private root without Landlock": ("landlock",),
    "Landlock without a private root": ("root",),
    "Landlock and nothing else": ("root", "namespaces", "user"),
}


@pytest.fixture(scope="module", params=ALONE.values(), ids=ALONE.keys())
def fenced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    sandbox = Sandbox(hostile_config(), without=request.param)
    sandbox.start()
    yield Bench(sandbox, tmp_path_factory.mktemp("fenced"))
    sandbox.close()


@pytest.fixture
def secrets(fenced: Bench) -> list[str]:
    """What the worker can read and a child must not."""
    kept = fenced.place / "others"
    kept.mkdir(exist_ok=True)
    (kept / "upload").write_text("somebody else's")
    (fenced.place / "db.sqlite3").write_text("rows")
    (fenced.place / ".env").write_text("SECRET_KEY=x")
    return [
        str(kept),
        str(kept / "upload"),
        str(fenced.place),
        str(fenced.place / "db.sqlite3"),
        str(fenced.place / ".env"),
        str(fenced.place / "kept"),
        f"/proc/{os.getpid()}/environ",
        f"/proc/{os.getpid()}/mem",
        f"/proc/{os.getpid()}/root/etc/passwd",
        f"/proc/{fenced.sandbox.pid}/environ",
        "/proc/1/environ",
        "/etc/shadow",
        "/etc/passwd",
        str(ROOT / "manage.py"),
        str(ROOT / "project"),
    ]


def test_a_child_reads_neither_database_nor_other_uploads_nor_anyones_environment(
    fenced: Bench, secrets: list[str]
) -> None:
    found = fenced.done("look", *secrets).result

    readable = {
        place for place, told in found.items() if told not in {"PermissionError", "FileNotFoundError"}
    }
    # Where the path is the same inside as outside, its own file is what a child may read.
    assert readable <= {str(fenced.place / "kept")}


def test_a_child_reads_its_libraries(fenced: Bench) -> None:
    places = [os.__file__, json.__file__, jail.__file__, "/dev/null"]

    found = fenced.done("look", *places).result

    assert not set(found.values()) & {"PermissionError", "FileNotFoundError"}


def test_a_child_writes_nowhere_but_among_its_artifacts(fenced: Bench, secrets: list[str]) -> None:
    places = [
        "/etc/new", "/tmp/new", "/new", "/in/new", "/dev/shm/new", os.__file__, jail.__file__,
        str(fenced.place / "new"), str(fenced.place / "db.sqlite3"), "/proc/self/oom_score_adj",
    ]  # fmt: skip

    found = fenced.done("write", *places).result

    assert set(found.values()) <= {"PermissionError", "FileNotFoundError", "OSError"}, found
    assert (fenced.place / "kept").read_text().startswith("write\n")


@pytest.fixture
def listeners() -> Iterator[tuple[int, str]]:
    """A TCP port and an abstract socket that anybody may connect to."""
    name = f"wharfinger-test-{os.getpid()}"
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as abstract:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        abstract.bind("\0" + name)
        abstract.listen()
        yield tcp.getsockname()[1], name


def test_a_child_reaches_no_network_and_no_process(
    make_bench: Callable[..., Bench], listeners: tuple[int, str]
) -> None:
    bench = make_bench()
    port, name = listeners

    found = bench.done("reach", str(port), str(os.getpid()), name).result

    if bench.sandbox.missing_fences == ():
        assert "done" not in found.values(), found


def test_landlock_alone_keeps_a_child_from_tcp_signals_and_abstract_sockets(
    make_bench: Callable[..., Bench], listeners: tuple[int, str]
) -> None:
    bench = make_bench(without=("root", "namespaces", "user"))
    port, name = listeners

    found = bench.done("reach", str(port), str(os.getpid()), name).result

    if bench.sandbox.missing_fences == tuple(jail.FENCES[one] for one in ("user", "namespaces", "root")):
        refused = {"tcp", "abstract", "signal", "trace", "mount"}
        assert {found[one] for one in refused} == {"PermissionError"}, found


def test_inside_the_private_root_landlock_keeps_a_child_from_making_links(bench: Bench) -> None:
    outcome = bench.failed("link", "/etc/passwd")

    if bench.sandbox.missing_fences == ():  # rules made once, for every child's directory
        assert outcome.exception_type == "builtins.PermissionError", outcome


def test_a_child_inherits_nothing(bench: Bench) -> None:
    found = bench.done("inventory").result

    assert set(found["environ"]) <= {"TMPDIR", "LC_CTYPE"}  # type: ignore[call-overload]
    assert found["groups"] in ([], os.getgroups())
    assert found["descriptors"] <= 5  # type: ignore[operator]  # three streams, its frames, a sign of life
    assert found["cwd"] == "/"


def test_a_child_is_under_the_limits_of_its_kind(bench: Bench) -> None:
    soft: Any = bench.done("inventory").result["limits"]

    assert soft["RLIMIT_FSIZE"] == LIMITS.output_bytes
    assert soft["RLIMIT_NOFILE"] == LIMITS.open_files
    assert soft["RLIMIT_CPU"] == LIMITS.cpu_seconds
    assert soft["RLIMIT_CORE"] == 0
    assert LIMITS.memory_bytes <= soft["RLIMIT_DATA"] < LIMITS.memory_bytes + 100 * MIB
    if not bench.sandbox.missing_fences:  # elsewhere the kernel would count all processes of our user
        assert soft["RLIMIT_NPROC"] in range(LIMITS.processes, LIMITS.processes + 6)


def test_as_root_two_zygotes_use_two_unused_users(make_bench: Callable[..., Bench]) -> None:
    one, other = make_bench(), make_bench()
    uids = [bench.done("inventory").result["uid"] for bench in (one, other)]

    if os.getuid() == 0 and not one.sandbox.missing_fences:
        assert uids[0] != uids[1]
        assert min(uids) >= jail.FIRST_UID  # type: ignore[type-var]
    else:
        assert set(uids) == {os.getuid()}


def test_shared_memory_of_one_job_is_not_there_for_the_next(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    if bench.sandbox.missing_fences == ():
        assert [bench.done("message_queue").result["got"] for _ in range(2)] == ["none", "none"]


@pytest.mark.parametrize("fence", EVERY)
def test_a_missing_fence_is_named_in_plain_words(make_bench: Callable[..., Bench], fence: str) -> None:
    missing = make_bench(without=(fence,)).sandbox.missing_fences

    assert jail.FENCES[fence] in missing or (fence == "user" and os.getuid() != 0)
