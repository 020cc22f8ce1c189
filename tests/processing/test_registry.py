"""A content type goes in, a kind of file and its processor come out; strangers' processors come first."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.paths import ROOT
from uploads.processing import registry
from uploads.processing.base import Context, Limits, ProcessingError
from uploads.processing.detection.content import detect
from uploads.processing.registry import BUILTIN, Registry


class Music:
    """A processor as a stranger writes it: an object in a module."""

    TYPES = ("audio/flac", "audio/*")
    LIMITS = Limits(memory_bytes=1000, cpu_seconds=7)

    def process(self, job: Context) -> dict[str, str]:
        return {"heard": job.filename}


music = Music()
shelf = SimpleNamespace(
    record=music, silent=SimpleNamespace(TYPES=("audio/*",)), typeless=SimpleNamespace(process=len)
)
HERE = "tests.processing.test_registry"


def test_every_kind_of_ours_can_be_loaded() -> None:
    ours = Registry({})
    ours.preload(ours.kinds())
    assert ours.kinds() == tuple(BUILTIN)
    assert ours.kinds()[-1] == "default"


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("text/csv", "table"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "table"),
        ("application/vnd.apache.parquet", "table"),
        ("application/encrypted", "table"),
        ("application/json", "text"),
        ("text/html; charset=utf-8", "text"),
        ("TEXT/PLAIN", "text"),
        ("image/svg+xml", "text"),
        ("image/png", "image"),
        ("application/pdf", "pdf"),
        ("application/zip", "archive"),
        ("application/gzip", "archive"),
        ("application/x-empty", "default"),
        ("application/octet-stream", "default"),
        ("nonsense", "default"),
    ],
)
def test_each_type_finds_its_kind(content_type: str, kind: str) -> None:
    assert Registry({}).for_type(content_type)[0] == kind


def test_an_exact_type_beats_a_wildcard_whoever_comes_first() -> None:
    both = Registry({"greedy": f"{HERE}:everything", "music": f"{HERE}:music"})
    assert both.for_type("audio/flac")[0] == "music"
    assert both.for_type("audio/ogg")[0] == "greedy"


everything = SimpleNamespace(TYPES=("audio/*",), process=lambda job: {})


def test_a_processor_of_the_setting_replaces_ours_of_the_same_kind() -> None:
    kind, processor = Registry({"text": f"{HERE}:shelf.record"}).for_type("audio/flac")
    assert (kind, processor) == ("text", music)


def test_an_entry_point_is_found_and_the_setting_wins_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        EntryPoint(name, f"{HERE}:{value}", registry.GROUP)
        for name, value in (("music", "everything"), ("noise", "everything"))
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points.select(group=group))

    installed = Registry({"music": f"{HERE}:music"})

    assert installed.kinds() == ("music", "noise", *BUILTIN)
    assert installed.get("music") is music
    assert installed.get("noise") is everything


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    script = (
        "import sys; from uploads.processing.registry import Registry; Registry({'x': 'not.there'}).kinds(); "
        "print([one for one in sys.modules if 'processors' in one or one in ('duckdb', 'PIL', 'django')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no.such.module", "ModuleNotFoundError"),
        (f"{HERE}:absent", "AttributeError"),
        (f"{HERE}:shelf.silent", "no function process"),
        (f"{HERE}:shelf.typeless", "no TYPES"),
        (f"{HERE}:wasteful", "LIMITS"),
    ],
)
def test_a_broken_processor_is_named_when_all_are_loaded(path: str, reason: str) -> None:
    with pytest.raises(ImportError, match=reason) as caught:
        Registry({"broken": path}).preload(["broken"])
    assert f"broken={path}" in str(caught.value)


wasteful = SimpleNamespace(TYPES=("audio/*",), LIMITS={"memory_bytes": 1}, process=lambda job: {})


@pytest.mark.parametrize(
    ("kind", "path"), [("Bad Kind", "a.b"), ("../x", "a.b"), ("x", "not a path"), ("x", "")]
)
def test_a_kind_or_path_that_cannot_be_one_is_refused_at_once(kind: str, path: str) -> None:
    with pytest.raises(ValueError, match=r"kind of file|not a path"):
        Registry({kind: path})


def test_limits_are_the_processors_own_then_everyones_then_the_kinds() -> None:
    installed = Registry({"music": f"{HERE}:music"})
    overrides = {
        "*": {"memory_bytes": 2000, "processes": 3},
        "music": {"memory_bytes": 3000, "wall_seconds": 0.5},
    }

    limits = installed.limits("music", overrides)

    assert (limits.memory_bytes, limits.processes, limits.wall_seconds) == (3000, 3, 0.5)
    assert limits.cpu_seconds == 7
    assert limits.open_files == Limits().open_files


def test_a_processor_without_limits_has_the_default_ones() -> None:
    assert Registry({"noise": f"{HERE}:everything"}).limits("noise", {}) == Limits()


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"*": {"memory": 1}}, "'memory'"),
        ({"music": {"processes": 1.5}}, "processes"),
        ({"music": {"cpu_seconds": 0}}, "cpu_seconds"),
        ({"music": {"cpu_seconds": True}}, "cpu_seconds"),
        ({"music": {"wall_seconds": float("inf")}}, "wall_seconds"),
        ({"musik": {}}, "'musik'"),
        ({"music": 5}, "'music'"),
    ],
)
def test_a_limit_that_makes_no_sense_is_named(overrides: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Registry({"music": f"{HERE}:music"}).limits("music", overrides)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [({"*": {"memory": 1}}, "'memory'"), ({"musik": {}}, "'musik'"), ({"pdf": 5}, "'pdf'"),
     ({"image": {"memory_bytes": "1"}}, "memory_bytes")],
)  # fmt: skip
def test_wrong_limits_are_found_before_the_first_file(overrides: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Registry({}).check(overrides)


@pytest.mark.parametrize("path", ["no.such.module", "uploads.nothing", f"{HERE}.deeper:thing"])
def test_a_module_that_is_not_there_is_found_before_the_first_file(path: str) -> None:
    with pytest.raises(ImportError, match=f"music={path}"):
        Registry({"music": path}).check({})


@pytest.mark.parametrize(
    ("path", "reason"),
    [("os.path", "no TYPES"), ("tests.processing.no_such", "No module"), ("this:x", "AttributeError")],
)
def test_a_strangers_processor_is_tried_in_a_process_of_its_own(path: str, reason: str) -> None:
    with pytest.raises(ImportError, match=f"music={path}.*{reason}"):
        Registry({"music": path}).try_strangers()
    assert "this" not in sys.modules


def test_nobody_is_started_to_try_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    Registry({}).try_strangers()
    Registry({"image": "uploads.processing.processors.image"}).try_strangers()


def test_sensible_limits_and_modules_pass_the_check() -> None:
    Registry({"music": f"{HERE}:music"}).check({"*": {"processes": 3}, "music": {"wall_seconds": 0.5}})


# The example of the docs


@pytest.fixture
def harbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The first Python block of docs/processors.md, installed as the module it says it is."""
    page = (ROOT / "docs" / "processors.md").read_text()
    code = page.split("```python\n", 1)[1].split("```", 1)[0]
    assert len(code.splitlines()) < 40
    (tmp_path / "harbour").mkdir()
    (tmp_path / "harbour" / "waves.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    setting = page.split("UPLOADS_PROCESSORS=", 1)[1].split("`", 1)[0]
    yield setting
    for name in ("harbour.waves", "harbour"):
        sys.modules.pop(name, None)


def sound(path: Path) -> bytes:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\1" * 8000)
    return path.read_bytes()


def hear(registry: Registry, path: Path, folder: Path) -> tuple[str, Context, Mapping[str, object]]:
    content_type = detect(path, "one.wav").content_type
    kind, processor = registry.for_type(content_type)
    limits = registry.limits(kind, {})
    job = Context(path, "one.wav", content_type, path.stat().st_size, limits, folder)
    return kind, job, processor.process(job)


def test_the_processor_of_the_docs_takes_its_file(harbour: str, tmp_path: Path) -> None:
    kind, _, path = harbour.partition("=")
    installed = Registry({kind: path})
    sound(tmp_path / "one.wav")

    heard, job, result = hear(installed, tmp_path / "one.wav", tmp_path)

    assert (heard, result) == ("waves", {"channels": 1, "rate": 8000, "seconds": 1.0})
    assert [(one.name, one.size) for one in job.artifacts] == [("start.raw", 2000)]
    assert job.limits.cpu_seconds == 10


def test_the_processor_of_the_docs_names_a_damaged_file(harbour: str, tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(sound(tmp_path / "one.wav")[:30])
    with pytest.raises(ProcessingError) as caught:
        hear(Registry({"waves": "harbour.waves"}), path, tmp_path)
    assert caught.value.code == "corrupt_file"


def test_the_limits_of_the_docs_are_limits() -> None:
    page = (ROOT / "docs" / "processors.md").read_text()
    overrides = json.loads(page.split("```json\n", 1)[1].split("```", 1)[0])
    limits = Registry({}).limits("image", overrides)
    assert (limits.memory_bytes, limits.wall_seconds) == (1 << 30, 60)
