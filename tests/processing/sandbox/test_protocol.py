"""Frames survive any cut, and refuse what no honest side sends."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.processing.base import Json
from uploads.processing.sandbox import protocol

KINDS = protocol.KIND + protocol.DONE


@given(
    st.lists(st.tuples(st.sampled_from([protocol.KIND, protocol.DONE]), st.binary(max_size=50))), st.data()
)
def test_frames_come_out_whole_however_they_are_cut(
    frames: list[protocol.Frame], data: st.DataObject
) -> None:
    stream = b"".join(protocol.frame(kind, body) for kind, body in frames)
    cut = data.draw(st.integers(0, len(stream)))
    reader = protocol.Frames(KINDS)

    assert [*reader.feed(stream[:cut]), *reader.feed(stream[cut:])] == frames


@pytest.mark.parametrize(
    "start",
    [
        protocol.HEADER.pack(protocol.DONE, protocol.FRAME_BYTES + 1),
        protocol.HEADER.pack(protocol.END, 0),
        b"\xff" * 5,
    ],
    ids=["too long", "a kind that this side does not send", "noise"],
)
def test_a_header_that_lies_is_refused_before_its_body_is_read(start: bytes) -> None:
    with pytest.raises(protocol.BadFrame):
        list(protocol.Frames(KINDS).feed(start))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[1]", b"null", b"\xff", b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' * 50 + b"1" + b"}" * 50,
    ],
    ids=["empty", "cut", "a list", "null", "no text", "deep", "a huge number", "deep objects"],
)  # fmt: skip
def test_a_body_that_is_no_plain_object_is_refused(body: bytes) -> None:
    with pytest.raises((protocol.BadFrame, protocol.TooLarge)):
        protocol.load(body)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=()), max_size=5), json_like, max_size=4))
def test_whatever_a_processor_returns_can_be_stored_and_stays_the_same(result: dict[str, object]) -> None:
    body = protocol.dump_result(result)  # type: ignore[arg-type]

    stored = json.loads(body, parse_constant=lambda word: pytest.fail(word))
    assert "\\u0000" not in body.decode()
    json.dumps(stored, ensure_ascii=False).encode()  # raises for a lone surrogate
    assert protocol.load(body) == stored


def test_numbers_outside_64_bits_become_text_and_beyond_all_measure_nothing() -> None:
    assert protocol.clean([1 << 63, -(1 << 63), 1 << 5000]) == [str(1 << 63), -(1 << 63), None]


def test_a_result_as_deep_as_allowed_passes_the_frame_around_it_too() -> None:
    result: dict[str, Json] = {}
    for _ in range(protocol.MAX_DEPTH - 1):
        result = {"a": result}

    assert protocol.load(b'{"result":' + protocol.dump_result(result) + b"}") == {"result": result}
    with pytest.raises(protocol.TooLarge):
        protocol.dump_result({"a": result})


def test_tuples_are_lists_and_bytes_are_no_json() -> None:
    assert protocol.clean({"a": (1, 2)}) == {"a": [1, 2]}
    with pytest.raises(TypeError, match="bytes"):
        protocol.clean({"a": b"x"})


def test_a_result_that_contains_itself_is_too_deep() -> None:
    loop: dict[str, object] = {}
    loop["me"] = loop

    with pytest.raises(protocol.TooLarge):
        protocol.clean(loop)
