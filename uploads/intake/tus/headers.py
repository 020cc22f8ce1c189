"""The headers of tus 1.0.0 as text: what a request says, or why it says nothing (https://tus.io/protocols/resumable-upload).

Pure: nothing here knows a row, a file or a setting. All of it is hostile until it has been through here.
Raises Refused: invalid_request, not_found, too_large, unsupported_media, unsupported_encoding,
unsupported_version, checksum_mismatch.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from uploads.codes import Refused

if TYPE_CHECKING:
    from hashlib import _Hash

VERSION = "1.0.0"
EXTENSIONS = (
    "creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination",
    "concatenation",
)  # fmt: skip
BODY_TYPE = "application/offset+octet-stream"
MOST_METADATA = 16_384  # characters of the header
MOST_PARTS = 1_000

# Broken digests are no fault here: they find damage, they do not prove who sent it.
ALGORITHMS: dict[str, Callable[[], _Hash]] = {
    "sha256": hashlib.sha256,
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}

_NUMBER = re.compile(r"[0-9]{1,18}\Z")  # what a 64-bit column holds
_KEY = re.compile(r"[!-+\--~]+\Z")  # visible ASCII without comma
_PART = re.compile(r"(?:.*/)?api/tus/([0-9a-fA-F-]{36})/?\Z")


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of one request must have: a digest by one of ALGORITHMS."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes that a request brings: how many (None: chunked, until it ends), and their checksum."""

    length: int | None
    checksum: Checksum | None

    @property
    def empty(self) -> bool:
        return self.length == 0


@dataclass(frozen=True, slots=True)
class Creation:
    """A new upload: `length` in bytes or None (deferred), what it is a part or the whole of, and its first bytes.

    `metadata` is the header as it came; `filename` and `content_type` are the client's words from it.
    """

    length: int | None
    metadata: str
    filename: str
    content_type: str
    partial: bool
    parts: tuple[UUID, ...]
    body: Body | None


@dataclass(frozen=True, slots=True)
class Patch:
    """More bytes, from `offset` on; `length` where the upload's whole length is told only now."""

    offset: int
    length: int | None
    body: Body


def check_version(headers: Mapping[str, str]) -> None:
    if headers.get("Tus-Resumable", "").strip() != VERSION:
        raise Refused("unsupported_version")


def creation(headers: Mapping[str, str]) -> Creation:
    """Read a creation. `headers` are looked up as Django's are: in any case."""
    metadata = headers.get("Upload-Metadata", "").strip()
    said = read_metadata(metadata)
    partial, parts = _concat(headers.get("Upload-Concat"))
    length = _length(headers, final=bool(parts))
    body = _body(headers)
    if parts and body:
        raise Refused("invalid_request", "A final upload is made of its parts; it has no bytes of its own.")
    if body and length is not None and body.length is not None and body.length > length:
        raise Refused("too_large", f"{body.length} bytes are more than the Upload-Length of {length}.")
    name = said.get("filename") or said.get("name") or b""
    kind = said.get("filetype") or said.get("type") or b""
    return Creation(
        length, metadata, name.decode("utf-8", "replace"), _media_type(kind), partial, parts, body
    )


def patch(headers: Mapping[str, str]) -> Patch:
    """Read a PATCH."""
    media = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media != BODY_TYPE:
        raise Refused("unsupported_media")
    offset = _number(headers, "Upload-Offset")
    if offset is None:
        raise Refused("invalid_request", "A PATCH needs an Upload-Offset.")
    body = _body(headers) or Body(0, None)
    return Patch(offset, _number(headers, "Upload-Length"), body)


def read_metadata(header: str) -> dict[str, bytes]:
    """The pairs of an Upload-Metadata header: keys as they are, values decoded from base64."""
    if len(header) > MOST_METADATA:
        raise Refused("invalid_request", f"Upload-Metadata is longer than {MOST_METADATA} characters.")
    found: dict[str, bytes] = {}
    for pair in header.split(",") if header else ():
        key, _space, value = pair.strip(" \t").partition(" ")
        if not _KEY.match(key):
            raise Refused("invalid_request", "A key of Upload-Metadata is empty, or not plain ASCII.")
        if key in found:
            raise Refused("invalid_request", f"Upload-Metadata has the key {key[:100]} twice.")
        try:
            found[key] = base64.b64decode(value.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError) as wrong:
            raise Refused(
                "invalid_request", f"The value of {key[:100]} in Upload-Metadata is not base64."
            ) from wrong
    return found


def _length(headers: Mapping[str, str], *, final: bool) -> int | None:
    length = _number(headers, "Upload-Length")
    deferred = headers.get("Upload-Defer-Length")
    if deferred is not None and deferred.strip() != "1":
        raise Refused("invalid_request", "Upload-Defer-Length can only be 1.")
    if final:
        if length is not None or deferred is not None:
            raise Refused("invalid_request", "A final upload is as long as its parts; leave its length out.")
        return None
    if length is None and deferred is None:
        raise Refused("invalid_request", "Send an Upload-Length, or Upload-Defer-Length: 1.")
    if length is not None and deferred is not None:
        raise Refused("invalid_request", "Send either an Upload-Length or Upload-Defer-Length, not both.")
    return length


def _body(headers: Mapping[str, str]) -> Body | None:
    if headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise Refused("unsupported_encoding")
    length = None if "Transfer-Encoding" in headers else _number(headers, "Content-Length") or 0
    checksum = _checksum(headers.get("Upload-Checksum"))
    if length == 0:
        if checksum and ALGORITHMS[checksum.algorithm]().digest() != checksum.digest:
            raise Refused("checksum_mismatch")
        return None
    media = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media != BODY_TYPE:
        raise Refused("unsupported_media")
    return Body(length, checksum)


def _checksum(header: str | None) -> Checksum | None:
    if header is None:
        return None
    algorithm, _space, encoded = header.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise Refused("invalid_request", f"Upload-Checksum takes one of {', '.join(ALGORITHMS)}.")
    try:
        digest = base64.b64decode(encoded.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as wrong:
        raise Refused("invalid_request", "The digest of Upload-Checksum is not base64.") from wrong
    if len(digest) != ALGORITHMS[algorithm]().digest_size:
        raise Refused(
            "invalid_request", f"The digest of Upload-Checksum is too short or long for {algorithm}."
        )
    return Checksum(algorithm, digest)


def _concat(header: str | None) -> tuple[bool, tuple[UUID, ...]]:
    """Whether it is a part, and the ids of the parts that it is the whole of."""
    if header is None:
        return False, ()
    kind, semicolon, rest = header.strip().partition(";")
    if kind == "partial" and not semicolon:
        return True, ()
    if kind != "final" or not rest.strip():
        raise Refused("invalid_request", "Upload-Concat is `partial`, or `final;` and the parts' addresses.")
    addresses = rest.split()
    if len(addresses) > MOST_PARTS:
        raise Refused("invalid_request", f"A final upload may have {MOST_PARTS} parts.")
    parts = tuple(_part(address) for address in addresses)
    if len(set(parts)) < len(parts):
        raise Refused("invalid_request", "A part can be used once only.")
    return False, parts


def _part(address: str) -> UUID:
    found = _PART.match(address.partition("?")[0])
    try:
        return UUID(found[1] if found else "")
    except ValueError as wrong:
        raise Refused("not_found", "An address in Upload-Concat is not that of an upload here.") from wrong


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None or (name == "Content-Length" and not text):
        return None
    if not _NUMBER.match(text.strip(" \t")):
        raise Refused("invalid_request", f"{name} must be a whole number of bytes.")
    return int(text)


def _media_type(value: bytes) -> str:
    """A media type, or "" for anything that does not look like one."""
    text = value.decode("ascii", "replace").partition(";")[0].strip().lower()
    return text if re.match(r"[a-z0-9!#$&^_.+-]{1,63}/[a-z0-9!#$&^_.+-]{1,63}\Z", text) else ""
