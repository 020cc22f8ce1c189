"""Sample images, documents and archives, made on the spot: bytes in the right and in the wrong shape."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from uploads.processing.base import Context, Json, Limits

# --- how a processor is called -------------------------------------------------------------------------


def context(folder: Path, name: str, content_type: str, data: bytes, limits: Limits | None = None) -> Context:
    """Write `data` into `folder` and return the Context a worker would give for it."""
    path = folder / "upload.bin"
    path.write_bytes(data)
    artifacts = folder / "artifacts"
    artifacts.mkdir(exist_ok=True)
    return Context(path, name, content_type, len(data), limits or Limits(), artifacts)


def artifact(job: Context, name: str) -> bytes:
    """Return the bytes of the artifact `name`, which the processor must have declared."""
    assert name in [one.name for one in job.artifacts]
    return (job.artifacts_dir / name).read_bytes()


# --- images --------------------------------------------------------------------------------------------


def image(
    format: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (64, 48), **options: object
) -> bytes:
    """Return a picture with a gradient in it, in any format and mode Pillow writes."""
    gradient = Image.linear_gradient("L").resize(size)
    picture = gradient.convert("I;16") if mode == "I;16" else gradient.convert("RGB").convert(mode)
    target = io.BytesIO()
    picture.save(target, format, **options)
    return target.getvalue()


def photo(orientation: int = 6, size: tuple[int, int] = (80, 40)) -> bytes:
    """Return a JPEG with EXIF: a camera, a moment, an exposure, and a position that must not leak."""
    exif = Image.Exif()
    exif[0x010F] = "Lens\x1b & Sons\x07"
    exif[0x0110] = "Box 2"
    exif[0x0112] = orientation
    exif.get_ifd(0x8769).update(
        {
            0x9003: "2026:05:04 03:02:01",
            0x829A: IFDRational(1, 250),
            0x829D: IFDRational(28, 10),
            0x8827: 200,
            0x927C: b"secret note",
        }
    )
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    picture = Image.new("RGB", size, "white")
    picture.paste("red", (0, 0, size[0] // 2, size[1]))
    target = io.BytesIO()
    picture.save(target, "JPEG", exif=exif, dpi=(300, 300), quality=95, xmp=b"<secret/>", comment=b"secret")
    return target.getvalue()


def animation(format: str = "GIF", frames: int = 3) -> bytes:
    """Return an animated picture."""
    pictures = [Image.new("RGB", (30, 20), (index * 60, 10, 200)) for index in range(frames)]
    target = io.BytesIO()
    pictures[0].save(target, format, save_all=True, append_images=pictures[1:], duration=50)
    return target.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def pixel_bomb(side: int = 20_000) -> bytes:
    """Return a PNG of `side` by `side` one-bit pixels that is a few kilobytes long."""
    row = b"\x00" * (side // 8 + 1)
    squeeze = zlib.compressobj(9)
    body = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    header = struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*one) for one in chunks)


# --- PDF -----------------------------------------------------------------------------------------------

_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
_FILE_ID = b"0123456789abcdef"


def pdf(
    pages: int = 2,
    *,
    size: tuple[float, float] = (612, 792),
    user_password: bytes | None = None,
    claimed_pages: int | None = None,
    title: bytes = b"The log of the wharf",
) -> bytes:
    """Return a PDF whose page N says "Page N of the log"; with a password, locked by 40-bit RC4.

    An empty `user_password` gives a file with an owner's password only, which anyone can open.
    """
    key = b""
    trailer = b""
    if user_password is not None:
        owner = _rc4(_md5(_padded(b"owner"))[:5], _padded(user_password))
        key = _md5(_padded(user_password) + owner + struct.pack("<i", -4) + _FILE_ID)[:5]
        locked = _rc4(key, _PADDING)
        trailer = b"/Encrypt<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P -4>>" % (_hex(owner), _hex(locked))
    kids = b" ".join(b"%d 0 R" % (5 + 2 * index) for index in range(pages))
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, claimed_pages or pages),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Title<%s>/Producer<%s>/CreationDate<%s>>>"
        % tuple(_hex(_sealed(key, 4, one)) for one in (title, b"samples", b"D:20260504030201+02'00'")),
    ]
    for index in range(pages):
        content = b"BT /F1 24 Tf 40 %d Td (Page %d of the log) Tj ET" % (int(size[1]) // 2, index + 1)
        content = _sealed(key, 6 + 2 * index, content)
        bodies.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
            % (*size, 6 + 2 * index)
        )
        bodies.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
    out = b"%PDF-1.4\n"
    table = b"0000000000 65535 f \n"
    for number, body in enumerate(bodies, 1):
        table += b"%010d 00000 n \n" % len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    return out + (
        b"xref\n0 %d\n%strailer<</Size %d/Root 1 0 R/Info 4 0 R/ID[<%s><%s>]%s>>\nstartxref\n%d\n%%%%EOF\n"
        % (len(bodies) + 1, table, len(bodies) + 1, _hex(_FILE_ID), _hex(_FILE_ID), trailer, len(out))
    )


def _sealed(key: bytes, number: int, data: bytes) -> bytes:
    """Encrypt one string or stream of object `number` (ISO 32000-1, algorithm 1), or pass it on."""
    return _rc4(_md5(key + struct.pack("<I", number)[:3] + b"\0\0")[:10], data) if key else data


def _padded(password: bytes) -> bytes:
    return (password + _PADDING)[:32]


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _hex(data: bytes) -> bytes:
    return data.hex().encode()


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def same(value: Json, **expected: Json) -> None:
    """Assert that the result has at least these keys with these values."""
    assert isinstance(value, dict)
    assert {key: value.get(key) for key in expected} == expected
