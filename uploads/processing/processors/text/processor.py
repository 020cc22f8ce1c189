"""Text of any kind: plain, JSON, newline-delimited JSON, HTML, XML and SVG.

Markup is counted like any other text and never parsed, so entities and scripts in it do nothing.
"""

from __future__ import annotations

from uploads.processing.base import MIB, Context, Json, Limits
from uploads.processing.processors.shared.encoding import BLOCK, chunks, survey
from uploads.processing.processors.text.count import Count
from uploads.processing.processors.text.json import check_json, check_lines
from uploads.processing.sanitize import clean_text

JSON = "application/json"
NDJSON = "application/x-ndjson"

TYPES: tuple[str, ...] = (
    JSON, NDJSON, "application/xml", "application/rtf", "application/postscript", "image/svg+xml", "text/*",
)  # fmt: skip
LIMITS = Limits(memory_bytes=512 * MIB, cpu_seconds=120, wall_seconds=240, output_bytes=4 * MIB)

PREVIEW_LINES, PREVIEW_CHARACTERS = 40, 4_000


def process(job: Context) -> dict[str, Json]:
    """Count a text.

    Gives `encoding`, `characters`, `words`, `lines`, `longest_line` (characters), `newline` (lf, crlf, cr,
    mixed, none), `preview` (40 lines, 4,000 characters) and `findings`; for JSON also `json`: see _json.
    Raises ProcessingError: corrupt_file for JSON that breaks (with line and column), too_complex.
    """
    tell = job.progress if job.size > BLOCK else _nothing  # a block is read before anybody looks
    tell(1, "finding the encoding")
    size = max(1, job.size)
    found = survey(job.path, job.size + 1, lambda done: tell(1 + 39 * done / size))
    count, start = Count(), ""
    for text in chunks(job.path, found):
        if len(start) < PREVIEW_CHARACTERS:
            start += text[:PREVIEW_CHARACTERS]
        count.feed(text)
        tell(40 + 40 * min(1.0, count.characters / size), "counting")
    result: dict[str, Json] = {
        "encoding": found.label,
        "characters": count.characters,
        "words": count.words,
        "lines": count.lines,
        "longest_line": count.longest,
        "newline": count.newline,
        "preview": _preview(start, count.characters),
        "findings": _findings(found.strays, found.stray_line, found.nuls, found.nul_line),
    }
    if job.content_type in {JSON, NDJSON}:
        job.progress(80, "checking the JSON")
        result["json"] = check_json(job, found) if job.content_type == JSON else check_lines(job, found)
    return result


def _nothing(percent: float, note: str = "") -> None:
    """Progress that is not worth a message."""


def _preview(start: str, characters: int) -> str:
    lines = start.splitlines()[:PREVIEW_LINES]
    return clean_text("\n".join(lines), PREVIEW_CHARACTERS, lines=True)


def _findings(strays: int, stray_line: int, nuls: int, nul_line: int) -> list[str]:
    findings = []
    if strays:
        findings.append(
            f"{strays} bytes are not UTF-8 (first on line {stray_line}); they were read as windows-1252."
        )
    if nuls:
        findings.append(f"{nuls} NUL bytes (first on line {nul_line}).")
    return findings
