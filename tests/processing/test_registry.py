"""A content type goes in, a kind of file and its processor come out; strangers' processors come first."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from types import SimpleNamespace

import pytest

from uploads.processing import registry
from uploads.processing.base import Context, Limits
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
    ours.preload()
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
    monkeypatch.setattr(registry, "entry_points", lambda group: points.select(group=group))

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
        Registry({"broken": path}).preload()
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
