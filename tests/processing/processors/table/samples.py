"""Makes sample tables: workbooks put together part by part, Parquet files, and a way to run a processor on bytes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb

from uploads.processing.base import Context, Limits

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PARQUET = "application/vnd.apache.parquet"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"

TYPES = (
    f'<Types xmlns="{PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)

# "name;price" with a price list as a spreadsheet in Germany would export it.
GERMAN = "Artikel;Preis;Datum\nGrün;1,50;24.11.2026\nBlau;1.234,75;01.12.2026\n".encode("cp1252")


def run(processor: Any, data: bytes | Path, content_type: str, folder: Path) -> dict[str, Any]:
    """What `processor` says of `data` (bytes, or a file of one's own), once through JSON without NaN."""
    path = data if isinstance(data, Path) else folder / "upload"
    if isinstance(data, bytes):
        path.write_bytes(data)
    artifacts = folder / "artifacts"
    artifacts.mkdir(exist_ok=True)
    job = Context(path, "upload", content_type, path.stat().st_size, Limits(), artifacts)
    result: dict[str, Any] = json.loads(json.dumps(processor.process(job), allow_nan=False))
    return result


_PEAK = """
import json, sys
from importlib import import_module
from pathlib import Path
from tests.processing.processors.table import samples as samples_table
module, path, content_type, folder = sys.argv[1:]
result = samples_table.run(import_module(module), Path(path), content_type, Path(folder))
status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
print(json.dumps([result, int(status.split()[0]) // 1024]))
"""


def run_apart(
    processor: ModuleType, path: Path, content_type: str, folder: Path
) -> tuple[dict[str, Any], int]:
    """The same in a process of its own: what it says, and the peak of its memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, processor.__name__, path, content_type, folder],
        capture_output=True,
        text=True,
        check=True,
    )
    result, peak = json.loads(done.stdout)
    return result, peak


def cell(place: str, value: str | float) -> str:
    """A cell of a sheet: a text in place, or a number."""
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


def sheet(rows: str, before: str = "") -> str:
    """The XML of a sheet; `before` stands in front of its root, where a document type would be."""
    return f'{before}<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'


def workbook(sheets: dict[str, str], shared: str = "") -> bytes:
    """An XLSX of sheets (name -> XML) and perhaps a part of shared strings."""
    links = "".join(
        f'<Relationship Id="r{number}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, len(sheets) + 1)
    )
    if shared:
        links += f'<Relationship Id="rs" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    names = "".join(
        f'<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>'
        for number, name in enumerate(sheets, start=1)
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{names}</sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>',
        )
        if shared:
            archive.writestr("xl/sharedStrings.xml", shared)
        for number, xml in enumerate(sheets.values(), start=1):
            archive.writestr(f"xl/worksheets/sheet{number}.xml", xml)
    return target.getvalue()


def price_list() -> bytes:
    """A workbook whose first sheet is empty and whose second holds three rows under a header."""
    rows = "".join(
        f'<row r="{number}">{cell(f"A{number}", name)}{cell(f"B{number}", price)}</row>'
        for number, (name, price) in enumerate(
            [("name", "price"), ("pear", 1.5), ("plum", 2), ("fig", 4)], start=1
        )
    )
    return workbook({"Notes": sheet(""), "Prices": sheet(rows)})


def two_far_cells() -> bytes:
    """A tiny workbook whose two cells span the largest grid there is: 17 thousand million cells."""
    return workbook(
        {"Far": sheet(f'<row r="1">{cell("A1", 1)}</row><row r="1048576">{cell("XFD1048576", 1)}</row>')}
    )


def locked_workbook() -> bytes:
    """An OLE container with the one entry that matters, as a locked workbook is ([MS-OFFCRYPTO])."""
    header = bytearray(512)
    header[:8] = bytes.fromhex("d0cf11e0a1b11ae1")
    header[24:34] = bytes.fromhex("3e000300feff09000600")
    directory = b"".join(
        name.encode("utf-16-le").ljust(128, b"\0")
        for name in ("Root Entry", "EncryptionInfo", "EncryptedPackage")
    )
    return bytes(header) + directory.ljust(512, b"\0")


def parquet(folder: Path, query: str = "SELECT i, i * 0.5::DOUBLE AS half FROM range(1000) AS r(i)") -> bytes:
    """The rows of a query as a Parquet file."""
    path = folder / "made.parquet"
    with duckdb.connect() as database:
        database.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()
