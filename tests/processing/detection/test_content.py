"""What a file is comes from its content, the same with and without libmagic; a name that lies is noted."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.processing.processors.table import samples
from uploads.processing.detection import content as module
from uploads.processing.detection.content import HEAD, Detected, detect

OFFICE = "application/vnd.openxmlformats-officedocument."
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><svg><text>&b;</text></svg>'
)


def picture(kind: str) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (9, 9)).save(target, kind)
    return target.getvalue()


def zipped(*names: str, mimetype: str = "") -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        if mimetype:
            archive.writestr(zipfile.ZipInfo("mimetype"), mimetype)
        for name in names:
            archive.writestr(name, "x" * 300)
    return target.getvalue()


def tarred() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    return target.getvalue()


NOISE = random.Random(1).randbytes(3000)
SAMPLES: list[tuple[str, bytes, str]] = [
    ("a.png", picture("PNG"), "image/png"),
    ("a.jpg", picture("JPEG"), "image/jpeg"),
    ("a.jpeg", picture("JPEG"), "image/jpeg"),
    ("a.gif", picture("GIF"), "image/gif"),
    ("a.webp", picture("WEBP"), "image/webp"),
    ("a.bmp", picture("BMP"), "image/bmp"),
    ("a.tiff", picture("TIFF"), "image/tiff"),
    ("a.ico", picture("ICO"), "image/x-icon"),
    ("a.pdf", picture("PDF"), "application/pdf"),
    ("a.rtf", rb"{\rtf1 hello}", "application/rtf"),
    ("a.zip", zipped("a.txt"), "application/zip"),
    ("none.zip", zipped(), "application/zip"),
    ("a.xlsx", samples.price_list(), OFFICE + "spreadsheetml.sheet"),
    ("cut.xlsx", samples.price_list()[:900], OFFICE + "spreadsheetml.sheet"),
    ("a.docx", zipped("[Content_Types].xml", "word/document.xml"), OFFICE + "wordprocessingml.document"),
    ("fake.zip", zipped("word/notes.txt"), "application/zip"),
    ("a.ods", zipped("x", mimetype="application/vnd.oasis.opendocument.spreadsheet"),
     "application/vnd.oasis.opendocument.spreadsheet"),
    ("a.epub", zipped("x", mimetype="application/epub+zip"), "application/epub+zip"),
    ("a.jar", zipped("META-INF/MANIFEST.MF"), "application/java-archive"),
    ("locked.xlsx", samples.locked_workbook(), "application/encrypted"),
    ("a.parquet", b"PAR1....PAR1", "application/vnd.apache.parquet"),
    ("a.tar", tarred(), "application/x-tar"),
    ("a.tar.gz", gzip.compress(tarred()), "application/gzip"),
    ("a.tgz", gzip.compress(tarred()), "application/gzip"),
    ("a.bz2", bz2.compress(b"hello"), "application/x-bzip2"),
    ("a.tar.xz", lzma.compress(tarred()), "application/x-xz"),
    ("a.csv", b"a,b\n1,2\n", "text/csv"),
    ("nul.csv", b"a,b\n1,\x00\n3,4\n", "text/csv"),
    ("wide.csv", "a,ü\n1,2\n".encode("utf-16"), "text/csv"),
    ("unmarked.csv", "a,b\n1,2\n".encode("utf-16-le"), "text/csv"),
    ("a.tsv", b"a\tb\n", "text/tab-separated-values"),
    ("unnamed", b"a;b;c\n1;2;3\n4;5;6\n", "text/csv"),
    ("prose", b"Dear all,\nplease come,\nand bring cake.\n", "text/plain"),
    ("notes.txt", b"a,b,c\n1,2,3\n4,5,6\n", "text/plain"),
    ("old.txt", "Grüße aus Köln\n".encode("latin-1"), "text/plain"),
    ("bm.txt", b"BM is not a bitmap here", "text/plain"),
    ("setup.ini", b"[section]\na=1\n", "text/plain"),
    ("foot.txt", b"[1] See below.\n", "text/plain"),
    ("script", b"#!/bin/sh\necho\n", "text/plain"),
    ("eicar.com", EICAR, "text/plain"),
    ("a.json", b'{"a": 1}', "application/json"),
    ("unnamed", b'{"a": 1}', "application/json"),
    ("broken.json", b'{"a": 1,}', "application/json"),
    ("hello.json", b"hello", "application/json"),
    ("long.json", b'[{"a": "' + b"x" * HEAD + b'"}]', "application/json"),
    ("deep.json", b"[" * 100_000, "application/json"),
    ("lines", b'{"a": 1}\n{"a": 2}\n', "application/x-ndjson"),
    ("a.jsonl", b'{"a": 1}\n', "application/x-ndjson"),
    ("a.html", b"<!DOCTYPE html><html></html>", "text/html"),
    ("a.xml", b'<?xml version="1.0"?><r/>', "application/xml"),
    ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
    ("laughs.svg", LAUGHS, "image/svg+xml"),
    ("empty.png", b"", "application/x-empty"),
    ("noise", NOISE, "application/octet-stream"),
]  # fmt: skip


@pytest.fixture(params=["libmagic", "filetype"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test that asks for this runs with libmagic, where the machine has it, and without."""
    if request.param == "filetype":
        monkeypatch.setattr(module, "magic", None)
    elif module.magic is None:
        pytest.skip("libmagic is not on this machine")
    return str(request.param)


def ask(folder: Path, data: bytes, name: str) -> Detected:
    path = folder / "upload"
    path.write_bytes(data)
    return detect(path, name)


@pytest.mark.parametrize(
    ("name", "data", "content_type"), SAMPLES, ids=[f"{one[0]}-{one[2][-12:]}" for one in SAMPLES]
)
def test_the_content_tells_the_type_and_an_honest_name_is_no_contradiction(
    tmp_path: Path, library: str, name: str, data: bytes, content_type: str
) -> None:
    assert ask(tmp_path, data, name) == Detected(content_type, "")


@pytest.mark.parametrize(
    ("name", "data", "content_type"),
    [
        ("x.png", b"<html><body>hi", "text/html"),
        ("x.txt", NOISE, "application/octet-stream"),
        ("x.pdf", picture("PNG"), "image/png"),
        ("x.csv", samples.price_list(), OFFICE + "spreadsheetml.sheet"),
        ("x.jpg", LAUGHS, "image/svg+xml"),
        ("x.xls", b"a,b\n", "text/plain"),
        ("x.docx", picture("PNG"), "image/png"),
    ],
)
def test_a_name_of_another_family_is_a_contradiction(
    tmp_path: Path, library: str, name: str, data: bytes, content_type: str
) -> None:
    sentence = f'Named "{name}", but its content is {content_type}.'
    assert ask(tmp_path, data, name) == Detected(content_type, sentence)


@pytest.mark.parametrize(
    "name", ["", "x", ".png", "x.", "x.unknown", "x.csv", "x.md", "x.LOG", "photo.png.txt"]
)
def test_a_name_that_promises_nothing_else_contradicts_nothing(
    tmp_path: Path, library: str, name: str
) -> None:
    assert ask(tmp_path, b"plain words, no more\n", name).contradiction == ""


def test_a_hostile_name_is_cleaned_in_the_sentence(tmp_path: Path) -> None:
    found = ask(tmp_path, b"<html>", "a\x00\u202egnp\n" + "x" * 300 + ".png")
    assert found.contradiction
    assert not {"\x00", "\u202e", "\n"} & set(found.contradiction)
    assert len(found.contradiction) < 200


def test_an_enormous_zip_directory_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = zipped("[Content_Types].xml", *(f"word/{number:0200}" for number in range(20)))
    monkeypatch.setattr(module, "ZIP_DIRECTORY", 1000)
    # The first local headers still say enough.
    assert ask(tmp_path, data, "x.docx").content_type == OFFICE + "wordprocessingml.document"


def test_a_large_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n" * HEAD)
        file.truncate(1 << 40)  # a terabyte, had anyone the patience
    assert detect(path, "large.csv") == Detected("text/csv", "")


def test_a_storage_that_fails_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        detect(tmp_path / "gone", "gone.txt")


def test_damaged_files_always_have_some_type(tmp_path: Path, library: str) -> None:
    chance = random.Random(3)
    for _ in range(300):
        name, data, _ = chance.choice(SAMPLES)
        damaged = bytearray(data[:4000] or b"x")
        for _ in range(chance.randrange(1, 9)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        del damaged[chance.randrange(1, len(damaged) + 1) :]
        found = ask(tmp_path, bytes(damaged), name)
        assert found.content_type.count("/") == 1
