"""Strings found inside a file are the work of strangers: make them fit to store and to show."""

from __future__ import annotations

import re

# C0 and C1 controls and DEL; marks, embeddings, overrides and isolates that reorder text (Unicode UAX 9);
# invisible joiners of no use in a label; line and paragraph separators; interlinear and tag characters.
_REORDERING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = "\u00ad\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_DROPPED = re.compile(f"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f{_REORDERING}{_INVISIBLE}]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile(r"\s+")

# Most characters a cleaned one may have come from: bounds the work for a string of a gigabyte.
_SLACK = 4


def clean_text(value: object, limit: int, *, lines: bool = False) -> str:
    """Return `value` as text that is safe to store as JSON and to show, of at most `limit` characters.

    Bytes are read as UTF-8 with U+FFFD for what is not; so are lone surrogates shown. Control and bidi
    characters go, white space becomes one space (with `lines`: line ends become "\\n", and spaces stay);
    what is too long ends in "…". None is the empty text.
    """
    if value is None or limit <= 0:
        return ""
    if isinstance(value, bytes | bytearray):
        text = bytes(value[: limit * _SLACK]).decode("utf-8", "replace")
        cut = len(value) > limit * _SLACK
    else:
        whole = str(value)
        text = whole[: limit * _SLACK]
        cut = len(whole) > len(text)
    text = _LINE_ENDS.sub("\n", text)
    text = _SURROGATES.sub("\ufffd", _DROPPED.sub("", text))
    text = text.strip() if lines else _SPACES.sub(" ", text).strip()
    if len(text) > limit or cut:
        text = text[: limit - 1].rstrip() + "…"
    return text
