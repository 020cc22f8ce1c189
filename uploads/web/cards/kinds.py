"""What is shown of a result: from the plain data of a processor to a picture, facts, a table, text and remarks.

A card is made for any kind; those we know are told in words, of others the simple values are listed. Results
come from processors of several versions and of strangers, so nothing is taken for granted about their shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from uploads.models import UploadJob
from uploads.web.cards.card import Card, Table, facts, sentences
from uploads.web.wording import formatting, translated

TABLE_ROWS, TABLE_COLUMNS = 10, 12
LISTED = 50
TEXT_CHARACTERS = 1500
NOTES = 8
FACTS = 24

# Of a kind unknown here, what the card says anyway, or shows in full elsewhere.
TOLD = {"text", "preview", "sha256", "size", "content_type", "type"}

# Artifacts that are the picture of an upload, as our processors name them.
PICTURES = ("thumbnail.webp", "page-1.webp")


def card(job: UploadJob) -> Card:
    """The card of a job that succeeded."""
    result = job.result if isinstance(job.result, dict) else {}
    made = KINDS.get(job.kind, _other)(result)
    made.notes = [*filter(None, [translated.said(job.contradiction)]), *made.notes][:NOTES]
    made.facts = made.facts[:FACTS]
    return made


def picture(job: UploadJob) -> str:
    """The name of the artifact that shows the upload, or nothing."""
    names = {one.name for one in job.artifacts.all()}
    return next((name for name in PICTURES if name in names), "")


# ---------------------------------------------------------------- the kinds we know


def _image(result: dict[str, Any]) -> Card:
    size = _("%(width)s × %(height)s pixels") % {
        "width": formatting.count(result.get("width")) or "?",
        "height": formatting.count(result.get("height")) or "?",
    }
    exif = formatting.fields(result.get("exif"))
    made = " ".join(filter(None, [formatting.text(exif.get("make")), formatting.text(exif.get("model"))]))
    return Card(
        gist=formatting.join(size, formatting.text(result.get("format"))),
        facts=facts(
            (_("Size"), size),
            (_("Format"), formatting.join(result.get("format"), result.get("mode"))),
            (_("Frames"), formatting.count(result.get("frames")) if formatting.whole(result.get("frames")) > 1 else ""),
            (_("Resolution"), " × ".join(formatting.number(one) for one in formatting.items(result.get("dpi"))) + " dpi"
             if formatting.items(result.get("dpi")) else ""),
            (_("Taken"), formatting.moment(exif.get("taken_at"))),
            (_("Camera"), made),
            (_("Lens"), formatting.join(exif.get("lens_make"), exif.get("lens"), by=" ")),
            (_("Exposure"), _exposure(exif)),
            (_("Software"), exif.get("software")),
        ),
        notes=sentences(result),
    )  # fmt: skip


def _exposure(exif: Mapping[str, Any]) -> str:
    seconds, parts = exif.get("exposure_seconds"), []
    if isinstance(seconds, int | float) and seconds > 0:
        parts.append(f"1/{round(1 / seconds)} s" if seconds < 0.5 else f"{formatting.number(seconds)} s")
    if exif.get("f_number"):
        parts.append(f"f/{formatting.number(exif['f_number'])}")
    if exif.get("iso"):
        parts.append(f"ISO {formatting.number(exif['iso'], grouped=False)}")
    if exif.get("focal_length_mm"):
        parts.append(f"{formatting.number(exif['focal_length_mm'])} mm")
    return ", ".join(parts)


def _pdf(result: dict[str, Any]) -> Card:
    pages = formatting.whole(result.get("pages"))
    gist = ngettext("%(count)s page", "%(count)s pages", pages) % {"count": formatting.count(pages)}
    data = formatting.fields(result.get("metadata"))
    sizes = formatting.items(result.get("page_sizes"))
    first = sizes[0] if sizes and isinstance(sizes[0], list) and len(sizes[0]) == 2 else []
    paper = " × ".join(
        formatting.number(round(one / 72 * 25.4)) for one in first if isinstance(one, int | float)
    )
    return Card(
        gist=formatting.join(gist, data.get("title")),
        facts=facts(
            (_("Pages"), formatting.count(pages)),
            (_("Title"), data.get("title")),
            (_("Author"), data.get("author")),
            (_("Subject"), data.get("subject")),
            (_("Page size"), f"{paper} mm" if paper else ""),
            (_("Made with"), formatting.join(data.get("creator"), data.get("producer"))),
            (_("Created"), formatting.moment(data.get("created"))),
            (_("PDF version"), result.get("version")),
            (_("Encrypted"), _("yes") if result.get("encrypted") is True else ""),
        ),
        text=formatting.text(result.get("text"), TEXT_CHARACTERS),
        notes=sentences(result),
    )


def _table(result: dict[str, Any]) -> Card:
    rows, columns = formatting.whole(result.get("rows")), formatting.whole(result.get("columns"))
    fields = [one for one in formatting.items(result.get("fields")) if isinstance(one, dict)]
    gist = formatting.join(
        ngettext("%(count)s row", "%(count)s rows", rows) % {"count": formatting.count(rows)},
        ngettext("%(count)s column", "%(count)s columns", columns) % {"count": formatting.count(columns)},
    )
    sheets = [
        formatting.text(one.get("name") if isinstance(one, dict) else one)
        for one in formatting.items(result.get("sheets"))
    ]
    delimiter = formatting.text(result.get("delimiter"))
    return Card(
        gist=gist,
        facts=facts(
            (_("Rows"), formatting.count(rows)),
            (_("Columns"), formatting.count(columns)),
            (_("Format"), formatting.text(result.get("format")).upper()),
            (_("Sheet"), result.get("sheet")),
            (_("Sheets"), ", ".join(sheets[:10]) if len(sheets) > 1 else ""),
            (_("Encoding"), result.get("encoding")),
            (_("Delimiter"), _("tab") if result.get("delimiter") == "\t" else delimiter),
        ),
        table=_preview(fields, formatting.items(result.get("preview")), columns, rows),
        notes=sentences(result),
    )


def _preview(fields: list[dict[str, Any]], preview: list[Any], columns: int, rows: int) -> Table | None:
    head = [
        formatting.join(formatting.text(one.get("name")) or "?", one.get("type"), by=" · ")
        for one in fields[:TABLE_COLUMNS]
    ]
    shown = [
        [formatting.cell(cell) for cell in row[:TABLE_COLUMNS]]
        for row in preview[:TABLE_ROWS]
        if isinstance(row, list)
    ]
    if not head and not shown:
        return None
    more = []
    if columns > TABLE_COLUMNS:
        more.append(_("%(count)s more columns") % {"count": formatting.count(columns - TABLE_COLUMNS)})
    if rows > len(shown):
        more.append(_("%(count)s more rows") % {"count": formatting.count(rows - len(shown))})
    return Table(head, shown, ", ".join(more))


def _archive(result: dict[str, Any]) -> Card:
    entries, files = formatting.whole(result.get("entries")), formatting.whole(result.get("files"))
    listing = [one for one in formatting.items(result.get("listing")) if isinstance(one, dict)]
    total = filesizeformat(formatting.whole(result.get("total_size")))
    more = entries - min(len(listing), LISTED)
    return Card(
        gist=formatting.join(
            ngettext("%(count)s file", "%(count)s files", files) % {"count": formatting.count(files)},
            _("%(size)s unpacked") % {"size": total},
        ),
        facts=facts(
            (_("Format"), result.get("format")),
            (_("Files"), formatting.count(files)),
            (_("Folders"), formatting.count(result.get("directories"))),
            (_("Links"), formatting.count(result.get("links")) if result.get("links") else ""),
            (_("Unpacked"), total),
            (_("Ratio"), formatting.number(result.get("ratio"))),
            (
                _("Encrypted"),
                formatting.count(result.get("encrypted_entries")) if result.get("encrypted_entries") else "",
            ),
        ),
        table=Table(
            [_("Name"), _("Size"), _("Modified")],
            [
                [
                    formatting.text(one.get("name"), formatting.CELL_CHARACTERS)
                    + ("/" if one.get("kind") == "dir" else ""),
                    filesizeformat(formatting.whole(one.get("size")))
                    if one.get("kind") in ("file", None)
                    else "",
                    formatting.moment(one.get("modified")),
                ]
                for one in listing[:LISTED]
            ],
            _("%(count)s more entries") % {"count": formatting.count(more)} if more > 0 else "",
        )
        if listing
        else None,
        notes=[
            *sentences(result),
            *filter(
                None,
                [translated.said(formatting.text(formatting.fields(result.get("checked")).get("note"), 300))],
            ),
        ],
    )


def _text(result: dict[str, Any]) -> Card:
    lines, json = formatting.whole(result.get("lines")), formatting.fields(result.get("json"))
    newlines = {"lf": "LF", "crlf": "CR LF", "cr": "CR", "mixed": _("mixed"), "none": ""}
    number = {name: json.get(name) for name in ("key_count", "items", "records", "depth")}
    remark = translated.said(formatting.text(json.get("note"), 300))
    return Card(
        gist=ngettext("%(count)s line", "%(count)s lines", lines) % {"count": formatting.count(lines)},
        facts=facts(
            (_("Lines"), formatting.count(result.get("lines"))),
            (_("Words"), formatting.count(result.get("words"))),
            (_("Characters"), formatting.count(result.get("characters"))),
            (_("Longest line"), formatting.count(result.get("longest_line"))),
            (_("Encoding"), result.get("encoding")),
            (_("Line ends"), newlines.get(formatting.text(result.get("newline")), result.get("newline"))),
            (_("JSON"), _("valid") if json.get("valid") is True else ""),
            (_("Keys"), formatting.count(number["key_count"])),
            (
                _("Names of keys"),
                ", ".join(formatting.text(one, 40) for one in formatting.items(json.get("keys"))[:12]),
            ),
            (_("Items"), formatting.count(number["items"])),
            (_("Records"), formatting.count(number["records"])),
            (_("Levels"), formatting.count(number["depth"])),
        ),
        text=formatting.text(result.get("preview"), TEXT_CHARACTERS),
        notes=[*sentences(result), *filter(None, [remark])],
    )


def _other(result: dict[str, Any]) -> Card:
    listed = facts(
        *(
            (
                formatting.label(name),
                _("yes") if value is True else _("no") if value is False else formatting.value(value),
            )
            for name, value in result.items()
            if isinstance(value, bool | int | float | str) and name not in TOLD
        )
    )
    text = result.get("text") or result.get("preview")
    return Card(
        gist=_gist(result),
        facts=listed,
        text=formatting.text(text, TEXT_CHARACTERS) if isinstance(text, str) else "",
        notes=sentences(result),
    )


def _gist(result: dict[str, Any]) -> str:
    if isinstance(lines := result.get("lines"), int):
        return ngettext("%(count)s line", "%(count)s lines", lines) % {"count": formatting.count(lines)}
    told = formatting.text(result.get("description") or result.get("type") or result.get("content_type"), 120)
    return "" if told == "application/octet-stream" else told  # that is to say: nobody knows


KINDS: dict[str, Callable[[dict[str, Any]], Card]] = {
    "image": _image, "pdf": _pdf, "table": _table, "archive": _archive, "text": _text,
}  # fmt: skip
