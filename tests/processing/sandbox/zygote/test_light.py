"""Two zygotes: the light one does what needs no native library, the full one the rest. Nobody outside can tell."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from uploads.processing.registry import Registry
from uploads.processing.sandbox.client.sandbox import Done, Failed, Sandbox, SandboxConfig, Stopped
from uploads.processing.sandbox.client.zygote import ZygoteProcess


@pytest.fixture(scope="module")
def png() -> bytes:
    drawn = io.BytesIO()
    Image.new("RGB", (8, 8), "navy").save(drawn, "png")
    return drawn.getvalue()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    one = Sandbox(SandboxConfig(processors={}, limits={}))
    one.start()
    yield one
    one.close()


@dataclass
class Quay:
    """Works on files, and knows which zygotes were asked."""

    sandbox: Sandbox
    place: Path
    asked: list[str]

    def work(self, data: bytes, filename: str) -> Done | Failed | Stopped:
        path = self.place / "kept"
        path.write_bytes(data)
        return self.sandbox.run(path, filename, self.place / "out", on_progress=lambda percent, note: None)


@pytest.fixture
def quay(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Quay:
    asked: list[str] = []
    names = {id(sandbox._full): "full", id(sandbox._light): "light"}
    work = ZygoteProcess.work

    def listened(self: ZygoteProcess, *args: object) -> object:
        asked.append(names[id(self)])
        return work(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(ZygoteProcess, "work", listened)
    return Quay(sandbox, tmp_path, asked)


@pytest.mark.parametrize(
    ("data", "filename", "kind"),
    [
        (b"one\ntwo\n", "notes.txt", "text"),
        (b'{"a": 1}', "a.json", "text"),
        (b"\x00\x01\x02\x03", "thing", "default"),
        (b"PK\x05\x06" + bytes(18), "empty.zip", "archive"),
    ],
)
def test_what_needs_no_library_is_done_in_the_light_one(
    quay: Quay, data: bytes, filename: str, kind: str
) -> None:
    outcome = quay.work(data, filename)
    assert isinstance(outcome, Done), outcome
    assert (outcome.kind, quay.asked) == (kind, ["light"])


def test_a_picture_goes_straight_to_the_full_one(quay: Quay, png: bytes) -> None:
    outcome = quay.work(png, "dot.png")
    assert isinstance(outcome, Done), outcome
    assert (outcome.kind, quay.asked) == ("image", ["full"])
    assert outcome.artifacts


def test_a_picture_under_a_texts_name_is_passed_on_with_the_same_result(quay: Quay, png: bytes) -> None:
    outcome = quay.work(png, "notes.txt")
    assert isinstance(outcome, Done), outcome
    assert (outcome.kind, quay.asked) == ("image", ["light", "full"])
    assert outcome.artifacts and "notes.txt" in outcome.contradiction


def test_a_text_under_a_pictures_name_is_a_text_all_the_same(quay: Quay) -> None:
    outcome = quay.work(b"one\ntwo\n", "dot.png")
    assert isinstance(outcome, Done), outcome
    assert (outcome.kind, quay.asked) == ("text", ["full"])


def test_the_light_one_holds_no_native_library(sandbox: Sandbox) -> None:
    mapped = Path(f"/proc/{sandbox._light.pid}/maps").read_text()
    assert not [one for one in ("duckdb", "PIL", "pdfium", "calamine") if one in mapped]


def test_there_is_none_where_somebody_else_takes_texts() -> None:
    assert Registry({}).light_kinds() == ("archive", "text", "default")
    assert Registry({"archive": "team.zips"}).light_kinds() == ("text", "default")
    assert Registry({"text": "team.texts"}).light_kinds() == ()
