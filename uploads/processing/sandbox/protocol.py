"""Frames between worker, zygote and child: one byte of kind, four of length (big-endian), then the body.

Bodies are JSON, made safe on both ends: what a child sends was perhaps written by a stranger's code.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence

from uploads.processing.base import Json

HEADER = struct.Struct("!cI")
RESULT_BYTES = 1 << 20
# A frame also holds names, types and a traceback beside the result.
FRAME_BYTES = RESULT_BYTES + (1 << 18)
TRACEBACK_BYTES = 64 * 1024
# With this exit status a child says that it has no memory left even to say so.
OUT_OF_MEMORY_STATUS = 77
MAX_DEPTH = 32
MAX_INTEGER = 1 << 63

# child -> zygote -> worker
KIND, PROGRESS, DONE, FAILED = b"k", b"p", b"d", b"f"
ELSEWHERE = b"o"  # the light zygote has no processor for this kind
TOLD = KIND + PROGRESS + DONE + FAILED + ELSEWHERE
# zygote -> worker
HELLO, END, BROKEN = b"h", b"e", b"b"
# worker -> zygote
SETUP, RUN, STOP = b"s", b"r", b"x"

Frame = tuple[bytes, bytes]
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode  # made once, not for every frame


class BadFrame(ValueError):
    """The other side does not keep to the format."""


class TooLarge(ValueError):
    """The result is larger, or nested deeper, than we store."""


class Frames:
    """Bytes in, whole frames out. Raises BadFrame as soon as a header announces too much."""

    def __init__(self, kinds: bytes, limit: int = FRAME_BYTES) -> None:
        self._kinds, self._limit = kinds, limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with `data`."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer)
            if kind not in self._kinds or length > self._limit:
                raise BadFrame("a frame of an unknown kind, or too long")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield kind, body


def frame(kind: bytes, body: bytes) -> bytes:
    """One frame, ready to send."""
    return HEADER.pack(kind, len(body)) + body


def pack(kind: bytes, value: Json) -> bytes:
    """One frame with a JSON body."""
    return frame(kind, dump(value))


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a blocking descriptor. Raises OSError when the other side has gone."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def dump(value: Json) -> bytes:
    """Compact JSON, ASCII only. Raises ValueError for NaN and infinities: clean first."""
    return _encode(value).encode()


def load(body: bytes) -> dict[str, Json]:
    """A JSON object, cleaned. Raises BadFrame for anything else."""
    try:
        # A result lies one deeper in its frame than by itself.
        value = clean(json.loads(body, parse_constant=lambda word: None), depth=-1)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadFrame("a body that is no JSON, or nested too deep") from error
    if not isinstance(value, dict):
        raise BadFrame("a body that is no object")
    return value


def dump_result(result: Mapping[str, Json]) -> bytes:
    """A processor's result as JSON. Raises TooLarge over RESULT_BYTES or MAX_DEPTH, TypeError for no JSON."""
    body = dump(clean(dict(result)))
    if len(body) > RESULT_BYTES:
        raise TooLarge(f"{len(body)} bytes of result")
    return body


def clean(value: object, depth: int = 0) -> Json:
    """`value` as JSON that every database stores.

    NaN and infinities become null; integers past 64 bits become text; NUL characters and lone surrogates
    become U+FFFD (PostgreSQL's jsonb refuses them). Raises TooLarge past MAX_DEPTH, TypeError for what is
    no JSON.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        if -MAX_INTEGER <= value < MAX_INTEGER:
            return int(value)
        return str(value) if value.bit_length() < 4096 else None
    if isinstance(value, float):
        return float(value) if value - value == 0 else None
    if depth >= MAX_DEPTH:
        raise TooLarge(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        return {clean_text(str(key)): clean(one, depth + 1) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [clean(one, depth + 1) for one in value]
    raise TypeError(f"a result cannot hold a {type(value).__name__}")


def clean_text(text: str) -> str:
    """`text` without what PostgreSQL cannot store: NUL and lone surrogates become U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = "".join("\ufffd" if 0xD800 <= ord(one) <= 0xDFFF else one for one in text)
    return text
