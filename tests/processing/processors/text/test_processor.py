"""A text goes in; its encoding, its measures and its beginning come out; JSON that breaks says where."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processing.processors.table import samples
from uploads.processing.base import ProcessingError
from uploads.processing.processors.text import json, processor
from uploads.processing.processors.text.count import Count

PLAIN, JSON, NDJSON = "text/plain", "application/json", "application/x-ndjson"
Read = Callable[..., dict[str, Any]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(data: bytes, content_type: str = PLAIN) -> dict[str, Any]:
        return samples.run(processor, data, content_type, tmp_path)

    return run


def refusal(read: Read, data: bytes, content_type: str = JSON) -> ProcessingError:
    with pytest.raises(ProcessingError) as caught:
        read(data, content_type)
    return caught.value


def test_a_text_is_counted(read: Read) -> None:
    assert read("Grüß Gott,\nzwei Wörter\n\nEnde".encode()) == {
        "encoding": "utf-8",
        "characters": 28,
        "words": 5,
        "lines": 4,
        "longest_line": 11,
        "newline": "lf",
        "preview": "Grüß Gott,\nzwei Wörter\n\nEnde",
        "findings": [],
    }


@pytest.mark.parametrize(
    ("data", "newline", "lines"),
    [
        (b"a\nb\n", "lf", 2),
        (b"a\r\nb", "crlf", 2),
        (b"a\rb\r", "cr", 2),
        (b"a\r\nb\nc", "mixed", 3),
        (b"a", "none", 1),
    ],
)
def test_line_ends_are_told_apart(read: Read, data: bytes, newline: str, lines: int) -> None:
    result = read(data)
    assert (result["newline"], result["lines"]) == (newline, lines)


def test_counting_is_the_same_wherever_the_pieces_are_cut() -> None:
    chance = random.Random(2)
    for alphabet in ("ab \n\r", "aü \n\r\u2003"):
        whole = "".join(chance.choice(alphabet) for _ in range(400))
        once, pieces = Count(), Count()
        once.feed(whole)
        for letter in whole:
            pieces.feed(letter)
        assert (once.lines, once.words, once.longest, once.newline) == (
            pieces.lines,
            pieces.words,
            pieces.longest,
            pieces.newline,
        )
        lines = whole.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert (once.words, once.longest) == (len(whole.split()), max(map(len, lines)))


@pytest.mark.parametrize(
    ("encoding", "label"), [("utf-16", "utf-16le"), ("utf-8-sig", "utf-8"), ("latin-1", "windows-1252")]
)
def test_encodings_are_found(read: Read, encoding: str, label: str) -> None:
    result = read("Grüße aus Köln\n".encode(encoding))
    assert (result["encoding"], result["preview"], result["characters"]) == (label, "Grüße aus Köln", 15)


def test_stray_bytes_and_nuls_are_reported(read: Read) -> None:
    result = read("ü\n".encode() * 9 + b"\xfc\nx\0y\n")
    assert result["findings"] == [
        "1 bytes are not UTF-8 (first on line 10); they were read as windows-1252.",
        "1 NUL bytes (first on line 11).",
    ]


def test_the_preview_is_bounded_and_harmless(read: Read) -> None:
    preview = read(("\u202e\x1b[31m" + "x" * 200 + "\n").encode() * 1000)["preview"]
    assert len(preview) <= 4000
    assert preview.count("\n") <= 39
    assert not {"\u202e", "\x1b"} & set(preview)


def test_entities_in_an_svg_do_nothing(read: Read) -> None:
    svg = b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY a "ha"><!ENTITY b "&a;&a;">]><svg>&x;&b;</svg>'
    result = read(svg, "image/svg+xml")
    assert (result["characters"], result["preview"]) == (len(svg), svg.decode())


def test_eicar_is_plain_text(read: Read) -> None:
    eicar = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    assert read(eicar)["lines"] == 1


# JSON


def test_valid_json_tells_its_top_depth_and_keys(read: Read) -> None:
    assert read(b'{"name": {"first": ["Ada"]}, "age": 36}', JSON)["json"] == {
        "checked": True,
        "valid": True,
        "top": "object",
        "depth": 3,
        "keys": ["name", "age"],
        "key_count": 2,
    }
    assert read(b'["[[[", 1e999, ' + b"9" * 9999 + b"]", JSON)["json"]["items"] == 3


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'{"a": 1,\n "b":}', "line 2, column 6"),
        (b'{"a": 1,}', "line 1, column"),
        (b"hello", "line 1, column 1"),
        (b"[1] [2]", "line 1, column 5"),
        (b'["open', "line 1, column 2"),
    ],
)
def test_broken_json_says_where_it_breaks(read: Read, data: bytes, place: str) -> None:
    error = refusal(read, data)
    assert error.code == "corrupt_file"
    assert place in error.message


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity"])
def test_numbers_that_json_does_not_know_are_broken(read: Read, number: bytes) -> None:
    assert refusal(read, b"[" + number + b"]").code == "corrupt_file"


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 600 + b"]" * 600])
def test_deep_json_is_too_complex_and_crashes_nothing(read: Read, data: bytes) -> None:
    assert refusal(read, data).code == "too_complex"


def test_a_quote_never_closed_takes_no_quadratic_time(read: Read) -> None:
    assert refusal(read, b'["' + b'\\"' * 500_000).code == "corrupt_file"


def test_json_with_too_many_lists_is_too_complex(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "CONTAINERS", 10)
    assert refusal(read, b"[" + b"[]," * 10 + b"[]]").code == "too_complex"


def test_lines_of_json_are_counted_by_type(read: Read) -> None:
    result = read(b'{"a": 1}\n\n{"b": 2}\n[1]\n', NDJSON)["json"]
    assert (result["records"], result["tops"]) == (3, {"object": 2, "array": 1})


def test_a_broken_line_of_json_is_named(read: Read) -> None:
    error = refusal(read, b'{"a": 1}\n{"b": }\n', NDJSON)
    assert (error.code, "line 2, column 7" in error.message) == ("corrupt_file", True)


def test_a_deep_line_of_json_is_too_complex(read: Read) -> None:
    assert refusal(read, b"{}\n" + b"[" * 100_000, NDJSON).code == "too_complex"


def test_one_endless_line_of_json_is_too_complex(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "LINE", 1000)
    assert refusal(read, b'"' + b"x" * 3_000_000, NDJSON).code == "too_complex"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file were too large to be parsed whole."""
    monkeypatch.setattr(json, "WHOLE", 10)


@pytest.mark.usefixtures("small")
def test_a_large_array_is_checked_item_by_item(read: Read) -> None:
    good = b"[" + b'{"a": 1},' * 5000 + b"{}]"
    assert read(good, JSON)["json"] == {"checked": True, "valid": True, "top": "array", "items": 5001}
    error = refusal(read, good[:-2] + b'"a" 1}]')
    assert (error.code, "item" in error.message) == ("corrupt_file", True)


@pytest.mark.usefixtures("small")
def test_a_large_object_says_honestly_that_it_was_not_parsed(read: Read) -> None:
    result = read(b'{"a": "' + b"x" * 100 + b'"}', JSON)["json"]
    assert (result["checked"], "valid" in result) == (False, False)


# Anything at all


@pytest.mark.parametrize("content_type", [PLAIN, JSON, NDJSON])
def test_a_damaged_text_ends_in_a_result_or_a_named_error(read: Read, content_type: str) -> None:
    chance = random.Random(5)
    sample = '{"name": ["Grüße", 1.5, {"x": null}], "ok": true}\n'.encode() * 3
    results = 0
    for _ in range(80):
        damaged = bytearray(sample)
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            results += bool(read(bytes(damaged[: chance.randrange(1, len(damaged) + 1)]), content_type))
        except ProcessingError as error:
            assert error.code in {"corrupt_file", "too_complex"}
    assert results or content_type != PLAIN


def test_a_large_text_takes_bounded_memory(tmp_path: Path) -> None:
    """96 MiB in a process of its own: the peak is that of the libraries and a few pieces."""
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        for _ in range(96):
            file.write(b"a line of some words\n" * (1024 * 1024 // 21))
    result, peak = samples.run_apart(processor, path, PLAIN, tmp_path)
    assert result["lines"] == 96 * (1024 * 1024 // 21)
    assert peak < 120
