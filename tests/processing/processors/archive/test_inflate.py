"""Decompression in bounded pieces, whatever the stream would like."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable

import pytest

from uploads.processing.base import MIB, ProcessingError
from uploads.processing.processors.archive.budget import Budget, BudgetSpent
from uploads.processing.processors.archive.decoders import (
    STREAMS,
    Decoder,
    Stored,
    ZipLzma,
    ZlibDecoder,
    stream_kind,
)
from uploads.processing.processors.archive.inflate import Inflated, Peeked

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def stream_of(kind: str, packed: bytes, budget: Budget | None = None) -> Inflated:
    magic, new_decoder = STREAMS[kind]
    return Inflated(io.BytesIO(packed), new_decoder, budget or Budget(MIB, 60), "The stream", magic)


def pieces_of(stream: Inflated, size: int) -> list[bytes]:
    return list(iter(lambda: stream.read(size), b""))


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 30])
def test_no_piece_is_larger_than_asked_for_and_none_is_lost(kind: str, size: int) -> None:
    content = bytes(range(256)) * 10
    pieces = pieces_of(stream_of(kind, PACKERS[kind](content)), size)
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= size


@pytest.mark.parametrize("kind", PACKERS)
def test_a_megabyte_of_zeros_comes_in_pieces_of_64_kib_at_most(kind: str) -> None:
    pieces = pieces_of(stream_of(kind, PACKERS[kind](bytes(MIB))), 1 << 30)
    assert sum(map(len, pieces)) == MIB
    assert max(map(len, pieces)) <= 65536


@pytest.mark.parametrize("kind", PACKERS)
def test_a_stream_is_known_by_its_first_bytes(kind: str) -> None:
    assert stream_kind(PACKERS[kind](b"x")) == kind
    assert stream_kind(b"PK\x03\x04") == stream_kind(b"") == ""


@pytest.mark.parametrize("kind", PACKERS)
def test_every_cut_is_told_apart_from_the_end(kind: str) -> None:
    packed = PACKERS[kind](b"Ahoy, " * 20)
    for cut in range(1, len(packed)):
        stream = stream_of(kind, packed[:cut])
        with pytest.raises(ProcessingError, match=f"cut short at byte {cut} of its packed data") as caught:
            stream.drain()
        assert caught.value.code == "corrupt_file"


def test_a_decoder_of_stored_bytes_gives_what_it_got() -> None:
    stream = Inflated(io.BytesIO(b"abcdef"), lambda: Stored(6), Budget(6, 60), "It")
    assert pieces_of(stream, 4) == [b"abcd", b"ef"]
    assert pieces_of(Inflated(io.BytesIO(b""), lambda: Stored(0), Budget(1, 60), "It"), 4) == []


@pytest.mark.parametrize("piece", [1, 3, 100])
def test_zlib_and_lzma_of_zips_take_their_input_in_any_pieces(piece: int) -> None:
    content = b"Ahoy, " * 50
    squeeze = zlib.compressobj(wbits=-15)
    deflated = squeeze.compress(content) + squeeze.flush()
    alone = lzma.compress(content, lzma.FORMAT_ALONE)
    in_zip = b"\x09\x04\x05\x00" + alone[:5] + alone[13:]
    cases: list[tuple[bytes, Decoder]] = [(deflated, ZlibDecoder(-15)), (in_zip, ZipLzma(-1))]
    for packed, decoder in cases:
        source = io.BytesIO(packed)
        out = b""
        while not decoder.eof:
            out += decoder.decompress(source.read(piece) if decoder.needs_input else b"", 11)
        assert out == content


def test_what_is_left_inside_a_decoder_with_no_input_left_is_not_lost() -> None:
    for length in range(1, 60):  # at 21 and others the last byte of input is taken before the last of output
        squeeze = zlib.compressobj(wbits=-15)
        deflated = squeeze.compress(bytes(length)) + squeeze.flush()
        stream = Inflated(io.BytesIO(deflated), lambda: ZlibDecoder(-15), Budget(MIB, 60), "It")
        assert pieces_of(stream, 1) == [b"\0"] * length


def test_the_budget_ends_by_bytes_or_by_time() -> None:
    with pytest.raises(BudgetSpent):
        stream_of("gzip", gzip.compress(bytes(1000)), Budget(1000, 60, limit=500)).drain()
    with pytest.raises(BudgetSpent):
        stream_of("gzip", gzip.compress(bytes(1000)), Budget(1000, -1)).drain()


def test_a_peek_takes_nothing_away() -> None:
    peeked = Peeked(io.BytesIO(b"abcdefgh"), 3)
    assert peeked.head == b"abc"
    assert [peeked.read(2), peeked.read(2), peeked.read(9), peeked.read(9)] == [b"ab", b"c", b"defgh", b""]
