"""Whatever a processor does to itself has a name, within a second, and harms nothing but its own run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processing.conftest import Bench, hostile_config
from uploads.processing.base import MIB
from uploads.processing.sandbox.client.sandbox import Done, Sandbox
from uploads.processing.sandbox.zygote import usage

ENDINGS = {
    "allocate": "out_of_memory",
    "allocate_at_once": "out_of_memory",
    "native_allocation_failure": "out_of_memory",
    "shared_memory": "out_of_memory",
    "recurse": "too_complex",
    "segfault": "processor_crashed",
    "abort": "processor_crashed",
    "kill_itself": "processor_crashed",
    "exit": "processor_crashed",
    "exit_at_once": "processor_crashed",
    "fork_bomb": "processor_crashed",
    "polite_fork_bomb": "processor_crashed",
    "write_one": "too_complex",
    "write_many": "too_complex",
    "write_and_unlink": "too_complex",
    "write_memory_files": "too_complex",
    "grow": "processor_crashed",
    "forge_garbage": "processor_crashed",
    "forge_result": "processor_crashed",
    "forge_kind": "processor_crashed",
    "forge_huge": "processor_crashed",
    "forge_end": "processor_crashed",
    "forge_nesting": "processor_crashed",
    "result_then_hang": "processor_crashed",
}

# With which fences left out the failures must be told apart just as well.
FENCES = {"every fence": (), "limits alone": ("landlock", "root", "user", "namespaces")}


@pytest.fixture(scope="module", params=FENCES.values(), ids=FENCES.keys())
def fenced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    sandbox = Sandbox(hostile_config(), without=request.param)
    sandbox.start()
    yield Bench(sandbox, tmp_path_factory.mktemp("fenced"))
    sandbox.close()


@pytest.mark.parametrize(("action", "code"), ENDINGS.items())
def test_an_ending_has_its_code_within_a_second_and_the_next_job_runs(
    fenced: Bench, action: str, code: str
) -> None:
    zygote, began = fenced.sandbox.pid, time.monotonic()

    outcome = fenced.failed(action)

    # A second, and what a busy machine needs beside: alone it takes 0.3 s, or 1.05 after a forged result.
    assert time.monotonic() - began < 3
    assert outcome.code == code, outcome
    assert (outcome.kind, outcome.content_type) == ("text", "text/plain")
    assert list(fenced.artifacts.iterdir()) == []
    fenced.done("nothing")
    assert fenced.sandbox.pid == zygote


def test_a_directory_can_not_be_filled_with_empty_files(bench: Bench) -> None:
    assert bench.failed("write_empty_files").code == "too_complex"


@pytest.mark.parametrize(
    ("action", "limits"),
    [
        ("loop", {"cpu_seconds": 1}),
        ("loop", {"wall_seconds": 1}),
        ("sleep", {"wall_seconds": 1}),
        ("c_call", {"wall_seconds": 1}),
        ("regular_expression", {"wall_seconds": 1}),
        ("ignore_cpu_limit", {"cpu_seconds": 1}),
    ],
)
def test_what_does_not_end_is_ended(
    make_bench: Callable[..., Bench], action: str, limits: dict[str, float]
) -> None:
    outcome = make_bench(**limits).failed(action)

    assert outcome.code == "timed_out"


def test_a_deadline_ends_a_job_before_its_own_limit(bench: Bench) -> None:
    outcome = bench.run("sleep", deadline_seconds=0.2)

    assert outcome.code == "timed_out"  # type: ignore[union-attr]
    assert 0.2 <= outcome.usage.wall_seconds < 1.2


def test_what_a_crash_said_last_is_kept_for_operators(bench: Bench) -> None:
    detail = bench.failed("segfault").detail

    assert "SIGSEGV" in detail
    assert "about to read address 0" in detail


def test_printing_without_end_fills_nothing(make_bench: Callable[..., Bench]) -> None:
    outcome = make_bench(output_bytes=16 * MIB).run("print")

    assert isinstance(outcome, Done)
    assert outcome.result == {"got": "printed"}


def test_printing_too_much_is_ended_and_only_its_tail_kept(bench: Bench) -> None:
    outcome = bench.failed("print")

    assert outcome.code == "too_complex"
    assert len(outcome.detail) <= 4096


def test_a_daemon_left_behind_is_gone_before_the_run_returns(fenced: Bench) -> None:
    zygote = fenced.sandbox.pid
    assert zygote is not None
    before = usage.descendants(zygote)

    fenced.done("daemon")

    assert usage.descendants(zygote) == before
    assert list(fenced.artifacts.iterdir()) == []


def test_a_copy_that_walks_back_into_our_code_tells_nothing(fenced: Bench) -> None:
    assert fenced.done("copy_returns").result == {"got": "parent"}


def test_only_declared_artifacts_stay_however_deep_the_litter(fenced: Bench) -> None:
    fenced.done("litter")

    assert [one.name for one in fenced.artifacts.iterdir()] == ["kept.txt"]


def test_a_link_in_place_of_an_artifact_is_never_followed(fenced: Bench) -> None:
    secret = fenced.place / "secret"
    secret.write_text("the other upload")

    outcome = fenced.failed("link", str(secret))

    assert outcome.code in {"processor_crashed", "internal_error"}  # Landlock forbids the link itself
    assert secret.read_text() == "the other upload"
    assert not Path(fenced.artifacts / "a.txt").is_symlink()
