"""A request's body as a stream that knows whether it came whole."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest

from uploads.codes import Refused

CHUNK = 1 << 18
SMALLEST = 1 << 12
LIVELY_SECONDS = 0.5


def chunks(
    request: HttpRequest, length: int | None, largest: int, *, lively: bool = False
) -> Iterator[bytes]:
    """Yield the body in pieces of at most 256 KiB, `length` bytes in all (None: until it ends).

    A read returns only when it has all it was asked for: with `lively`, less is asked for of a slow client,
    so that a piece comes about every half second.

    Every WSGI server's read just ends when a client goes away, so the bytes are counted here. Raises
    Refused: incomplete_body, too_slow, too_large (a chunked body past `largest` bytes).
    """
    stream = request.META["wsgi.input"]
    came, judged, since = 0, 0, time.monotonic()
    asked = SMALLEST * 16 if lively else CHUNK
    while length is None or came < length:
        began = time.monotonic()
        piece = stream.read(asked if length is None else min(asked, length - came))
        if not piece:
            break
        came += len(piece)
        if lively:
            quick = time.monotonic() - began < LIVELY_SECONDS
            asked = min(2 * asked, CHUNK) if quick else max(asked // 2, SMALLEST)
        if came > largest:
            raise Refused("too_large", f"The body is larger than the {largest:,} bytes accepted here.")
        yield piece
        if (spent := time.monotonic() - since) >= settings.UPLOADS_IDLE_TIMEOUT:
            if came - judged < settings.UPLOADS_MIN_RATE * spent:
                raise Refused("too_slow")
            judged, since = came, time.monotonic()
    if length is not None and came < length:
        raise Refused("incomplete_body", f"Only {came:,} of {length:,} bytes came.")
