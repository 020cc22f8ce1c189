"""Files made on the spot, good and bad, each with what must become of it."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True, slots=True)
class Sample:
    """A file, and how its job must end: `outcome` is a kind for success, else a failure code."""

    filename: str
    data: bytes
    state: str
    outcome: str


def samples() -> list[Sample]:
    """One of every kind, and the classic ways to send something bad."""
    png, pdf, packed = picture("PNG"), picture("PDF"), archive()
    return [
        Sample("holiday.png", png, "succeeded", "image"),
        Sample("holiday.jpg", picture("JPEG"), "succeeded", "image"),
        Sample("scan.pdf", pdf, "succeeded", "pdf"),
        Sample("sales.csv", table(), "succeeded", "table"),
        Sample("figures.xlsx", workbook(), "succeeded", "table"),
        Sample("letters.zip", packed, "succeeded", "archive"),
        Sample("notes.txt", "Grüße vom Kai.\nZweite Zeile.\n".encode(), "succeeded", "text"),
        Sample("settings.json", json.dumps({"wharf": 7, "open": True}).encode(), "succeeded", "text"),
        Sample("not-a-photo.png", b"<!doctype html><title>Not a photo</title>", "succeeded", "text"),
        Sample("empty.dat", b"", "succeeded", "default"),
        Sample("half-a-photo.png", png[: len(png) // 2], "failed", "corrupt_file"),
        Sample("half-an-archive.zip", packed[: len(packed) // 2], "failed", "corrupt_file"),
        Sample("broken.json", b'{"wharf": 7, "open": tru', "failed", "corrupt_file"),
        Sample("locked.pdf", locked_pdf(), "failed", "password_protected"),
        Sample("locked.zip", locked_zip(), "failed", "password_protected"),
        Sample("bomb.zip", zip_bomb(), "failed", "too_complex"),
        Sample("bomb.png", pixel_bomb(), "failed", "too_complex"),
    ]


def picture(format_name: str) -> bytes:
    """A gradient with some noise, 320 × 200."""
    out = io.BytesIO()
    noise = Image.effect_noise((320, 200), 40)
    Image.merge("RGB", (Image.linear_gradient("L").resize((320, 200)), noise, noise.rotate(180))).save(
        out, format_name
    )
    return out.getvalue()


def table() -> bytes:
    rows = [
        f"2026-{1 + day % 12:02}-{1 + day % 28:02},berth {day % 7},{day * 37 % 991 / 10}"
        for day in range(500)
    ]
    return "\n".join(["date,place,tonnes", *rows, ""]).encode()


def workbook() -> bytes:
    """The smallest workbook that spreadsheet programs open (ECMA-376, part 1)."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    rows = "".join(
        f'<row r="{n}"><c r="A{n}"><v>{n}</v></c><c r="B{n}"><v>{n * n}</v></c></row>' for n in range(1, 40)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{office}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{office}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{rel}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{rel}"><sheets>'
        '<sheet name="Squares" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{rel}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
    }
    return _zip(
        {name: f'<?xml version="1.0" encoding="UTF-8"?>{xml}'.encode() for name, xml in parts.items()}
    )


def archive() -> bytes:
    return _zip({f"letters/{n:02}.txt": f"Dear {n},\n".encode() * 50 for n in range(20)})


def locked_zip() -> bytes:
    """A zip whose entries say that they are encrypted (APPNOTE 4.4.4, bit 0), in both of its headers."""
    data = bytearray(_zip({"secret.txt": b"nobody reads this" * 20}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    return bytes(data)


def locked_pdf() -> bytes:
    """A PDF with a standard security handler (ISO 32000-1, 7.6.3) whose password nobody has."""
    nobody = "<" + "5a" * 32 + ">"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
        f"<< /Filter /Standard /V 2 /R 3 /Length 128 /P -44 /O {nobody} /U {nobody} >>".encode(),
    ]
    out, offsets = bytearray(b"%PDF-1.5\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R /Encrypt 4 0 R /ID [<00><00>] >>\n" % (len(objects) + 1)
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)


def zip_bomb() -> bytes:
    """300 MiB of nothing in 300 KiB."""
    return _zip({"zeros.bin": bytes(300 << 20)})


def pixel_bomb(side: int = 20_000) -> bytes:
    """A one-bit PNG (PNG specification, 11.2.2) of `side`² pixels in a few kilobytes."""
    rows = zlib.compress((b"\0" + bytes(side // 8)) * side, 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return out.getvalue()
