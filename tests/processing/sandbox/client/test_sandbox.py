"""A file goes into the sandbox; a result, artifacts and costs come back."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processing.conftest import HOSTILE, Bench
from uploads.processing.base import MIB, ArtifactFile
from uploads.processing.sandbox.client.sandbox import Done, Failed, Sandbox, SandboxBroken, SandboxConfig


def test_a_result_comes_back_with_the_kind_and_the_type_that_were_found(bench: Bench) -> None:
    outcome = bench.run("nothing", filename="notes.txt")

    assert isinstance(outcome, Done)
    assert outcome.result == {"size": 8, "filename": "notes.txt", "type": "text/plain"}
    assert (outcome.kind, outcome.content_type, outcome.contradiction) == ("text", "text/plain", "")
    assert outcome.artifacts == ()


def test_a_name_that_lies_about_the_content_is_told(bench: Bench) -> None:
    outcome = bench.run("nothing", filename="picture.png")

    assert isinstance(outcome, Done)
    assert "picture.png" in outcome.contradiction


def test_artifacts_are_ours_and_nobody_elses(bench: Bench) -> None:
    outcome = bench.done("previews")

    assert outcome.artifacts == (
        ArtifactFile("small.txt", "text/plain", 5),
        ArtifactFile("large.bin", "application/octet-stream", MIB),
    )
    assert (bench.artifacts / "small.txt").read_bytes() == b"small"
    ours = bench.place.stat()
    for one in bench.artifacts.iterdir():
        assert stat.S_IMODE(one.stat().st_mode) == 0o600
        assert (one.stat().st_uid, one.stat().st_gid) == (ours.st_uid, ours.st_gid)


def test_the_file_itself_is_left_as_it_was(bench: Bench) -> None:
    bench.done("nothing")
    before = (bench.place / "kept").stat()
    bench.sandbox.run(bench.place / "kept", "a.txt", bench.artifacts, on_progress=lambda percent, note: None)
    after = (bench.place / "kept").stat()

    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


def test_progress_is_told_as_it_happens_and_made_safe(bench: Bench) -> None:
    bench.done("progress", "0.11")

    assert bench.progress == [(10, "at 10\ufffd"), (50, "at 50\ufffd"), (90, "at 90\ufffd")]


def test_a_processor_that_tells_of_every_row_is_heard_now_and_then(bench: Bench) -> None:
    outcome = bench.done("chatter")

    assert 1 <= len(bench.progress) <= 2 + outcome.usage.wall_seconds / 0.05


def test_what_a_run_cost_is_plausible(bench: Bench) -> None:
    idle, busy = bench.done("nothing").usage, bench.done("previews").usage

    assert 5 * MIB < idle.peak_memory_bytes < 200 * MIB
    assert busy.peak_memory_bytes > idle.peak_memory_bytes
    assert 0 < idle.cpu_seconds < 0.5
    assert idle.cpu_seconds <= idle.wall_seconds + 0.1
    assert idle.bytes_written == 0
    assert MIB + 5 <= busy.bytes_written < MIB + 64


def test_numbers_and_characters_that_a_database_refuses_are_replaced(bench: Bench) -> None:
    assert bench.done("odd_result").result == {
        "nan": None,
        "inf": [None],
        "nul": "a\ufffdb",
        "half": "x\ufffdy",
        "huge": str(1 << 80),
        "a\ufffd": 1,
    }


@pytest.mark.parametrize("action", ["big_result", "deep_result"])
def test_a_result_that_is_too_much_to_store_is_too_complex(bench: Bench, action: str) -> None:
    assert bench.failed(action).code == "too_complex"


def test_a_refusal_carries_its_words_to_both_faces(bench: Bench) -> None:
    outcome = bench.failed("refuse")

    assert (outcome.code, outcome.message, outcome.detail) == (
        "corrupt_file",
        "Page 3 is cut off.",
        "xref at 0x30",
    )
    assert (outcome.kind, outcome.content_type) == ("text", "text/plain")
    assert outcome.traceback == ""


def test_a_bug_brings_its_traceback_and_leaves_no_artifacts(bench: Bench) -> None:
    outcome = bench.failed("bug")

    assert (outcome.code, outcome.exception_type) == ("internal_error", "builtins.KeyError")
    assert "do_bug" in outcome.traceback
    assert "column" in outcome.detail
    assert list(bench.artifacts.iterdir()) == []


def test_a_result_that_is_no_json_is_a_bug_of_ours(bench: Bench) -> None:
    assert bench.failed("no_json").code == "internal_error"


def test_a_file_that_has_gone_is_missing(bench: Bench) -> None:
    gone = bench.place / "gone"

    outcome = bench.sandbox.run(gone, "a.txt", bench.artifacts, on_progress=lambda percent, note: None)

    assert isinstance(outcome, Failed)
    assert outcome.code == "file_missing"


def test_an_artifacts_directory_that_cannot_be_made_is_a_fault_of_our_storage(bench: Bench) -> None:
    path = bench.write("nothing")

    outcome = bench.sandbox.run(path, "a.txt", path / "out", on_progress=lambda percent, note: None)

    assert isinstance(outcome, Failed)
    assert outcome.code == "storage_unavailable"


def test_a_type_outside_the_allowed_ones_is_refused_before_its_processor_runs(tmp_path: Path) -> None:
    sandbox = Sandbox(SandboxConfig(processors=HOSTILE, limits={}, allowed_types=("image/*", "text/csv")))
    sandbox.start()
    outcome = Bench(sandbox, tmp_path).failed("segfault")
    sandbox.close()

    assert (outcome.code, outcome.kind, outcome.content_type) == ("unsupported_type", "text", "text/plain")
    assert "text/plain" in outcome.message


def test_a_processor_may_import_late_and_finds_its_libraries(bench: Bench) -> None:
    bench.done("lazy_imports")


def test_the_limits_of_a_kind_can_be_overridden_in_both_directions(
    make_bench: Callable[..., Bench],
) -> None:
    assert make_bench().failed("allocate_some").code == "out_of_memory"
    assert make_bench(output_bytes=1000).failed("previews").code == "too_complex"
    assert isinstance(make_bench(memory_bytes=256 * MIB).run("allocate_some"), Done)


def test_a_processor_that_cannot_be_imported_stops_the_start_with_a_sentence() -> None:
    sandbox = Sandbox(SandboxConfig(processors={"x": "no.such.module"}, limits={}, allowed_types=()))

    with pytest.raises(SandboxBroken, match=r"no\.such\.module"):
        sandbox.start()


def test_a_limit_that_is_none_stops_the_start_with_a_sentence() -> None:
    sandbox = Sandbox(SandboxConfig(processors=HOSTILE, limits={"*": {"colour": 1}}, allowed_types=()))

    with pytest.raises(SandboxBroken, match="colour"):
        sandbox.start()


def test_it_starts_in_the_main_thread_only_since_it_dies_with_the_thread() -> None:
    raised: list[BaseException] = []

    def start() -> None:
        try:
            Sandbox(SandboxConfig({}, {}, ())).start()
        except SandboxBroken as error:
            raised.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert "main thread" in str(raised[0])
