"""What is inside an archive, entry by entry, and what is odd about it; bounded however much there is."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from uploads.processing.base import Context, Json, ProcessingError
from uploads.processing.processors.archive.budget import refuse_bomb
from uploads.processing.sanitize import clean_text

LISTED = 200
LISTED_IN_TEXT = 100_000
TEXT_BYTES = 8 << 20
NAME_CHARACTERS = 300
FINDINGS_OF_A_KIND = 20
NAMES_COMPARED = 300_000
MAX_ENTRIES = 2_000_000

_DRIVE = re.compile(r"[A-Za-z]:")
_NESTED = re.compile(r"\.(zip|jar|tar|t?gz|t?bz2?|tbz2|t?xz|zst|7z|rar|cab|iso|lz4|lzma|z)$", re.I)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in an archive. `kind` is file, dir, link or other; sizes in bytes; `packed` None if unknown.

    `link` is where a link points; `hard` links count from the archive's root, others from where they are.
    """

    name: str
    kind: str
    size: int
    packed: int | None = None
    modified: str | None = None
    encrypted: bool = False
    link: str = ""
    hard: bool = False


@dataclass(slots=True)
class Inventory:
    """Counts, sizes, the first entries and the findings of one archive; `packed` is its size in bytes."""

    packed: int
    kinds: Counter[str] = field(default_factory=Counter)
    total: int = 0
    encrypted: int = 0
    listing: list[Json] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    findings: list[Json] = field(default_factory=list)
    finding_counts: Counter[str] = field(default_factory=Counter)
    _text_left: int = TEXT_BYTES
    _names: dict[int, int] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        return self.kinds.total()

    def add(self, entry: Entry) -> None:
        """Take down one entry. Raises ProcessingError(too_complex) for a bomb or too many entries."""
        self.kinds[entry.kind] += 1
        self.encrypted += entry.encrypted
        if entry.kind == "file":
            self.total += entry.size
            refuse_bomb(self.total, self.packed)
        if self.entries > MAX_ENTRIES:
            message = f"The archive has more than {MAX_ENTRIES:,} entries."
            raise ProcessingError("too_complex", message)
        self._list(entry)
        self._look_at_name(entry)
        self._compare(entry)
        if entry.kind == "link" and entry.link:
            self.look_at_link(entry)

    def find(self, kind: str, name: str, message: str) -> None:
        """Note something odd about the entry `name`; of each kind the first few are told in full."""
        self.finding_counts[kind] += 1
        if self.finding_counts[kind] <= FINDINGS_OF_A_KIND:
            shown = clean_text(name, NAME_CHARACTERS)
            self.findings.append({"kind": kind, "name": shown, "message": message})

    def look_at_link(self, entry: Entry) -> None:
        """Find links that lead out of the place where the archive would be unpacked."""
        target = entry.link.replace("\\", "/")
        base = "" if entry.hard else posixpath.dirname(entry.name.replace("\\", "/"))
        reached = posixpath.normpath(posixpath.join(base, target))
        if _absolute(target) or _climbs(reached):
            shown = clean_text(entry.link, NAME_CHARACTERS)
            self.find("outside_link", entry.name, f"A link that points outside the archive, to {shown}.")

    def result(self, format: str) -> dict[str, Json]:
        return {
            "format": format,
            "entries": self.entries,
            "files": self.kinds["file"],
            "directories": self.kinds["dir"],
            "links": self.kinds["link"],
            "others": self.kinds["other"],
            "encrypted_entries": self.encrypted,
            "total_size": self.total,
            "packed_size": self.packed,
            "ratio": round(self.total / max(1, self.packed), 2),
            "listing": self.listing,
            "listing_complete": self.entries == len(self.listing),
            "findings": self.findings,
            "finding_counts": dict(self.finding_counts),
        }

    def leave_listing(self, job: Context) -> None:
        """Leave `listing.txt`: size, time, kind and name of each entry, divided by tabs, at most 8 MiB."""
        missing = self.entries - len(self.lines)
        end = [f"… and {missing:,} more\n"] if missing else []
        head = "size\tmodified\tkind\tname\n"
        job.add_artifact(
            "listing.txt", "text/plain; charset=utf-8", "".join([head, *self.lines, *end]).encode()
        )

    def _list(self, entry: Entry) -> None:
        if len(self.lines) == LISTED_IN_TEXT or self._text_left <= 0:
            return
        name = clean_text(entry.name, NAME_CHARACTERS) or "?"
        line = f"{entry.size}\t{entry.modified or '-'}\t{entry.kind}\t{name}\n"
        self._text_left -= len(line.encode())
        if self._text_left > 0:
            self.lines.append(line)
        if len(self.listing) < LISTED:
            shown: dict[str, Json] = {
                "name": name, "kind": entry.kind, "size": entry.size, "packed": entry.packed,
                "modified": entry.modified, "encrypted": entry.encrypted,
            }  # fmt: skip
            if entry.link:
                shown["link"] = clean_text(entry.link, NAME_CHARACTERS)
            self.listing.append(shown)

    def _look_at_name(self, entry: Entry) -> None:
        name = entry.name.replace("\\", "/")
        if _absolute(name):
            self.find(
                "absolute_path", entry.name, "The path is absolute; it would leave the folder it is in."
            )
        if ".." in name.split("/"):
            self.find("parent_path", entry.name, 'The path contains ".."; it may leave the folder it is in.')
        if entry.kind == "other":
            self.find("device", entry.name, "A device, pipe or socket, not a file.")
        if not name.strip("/. ") or len(name) > NAME_CHARACTERS or _has_controls(name):
            self.find("odd_name", entry.name, "The name is empty, very long, or has invisible characters.")
        if entry.kind == "file" and _NESTED.search(name):
            self.find("nested_archive", entry.name, "An archive or compressed file inside this one.")

    def _compare(self, entry: Entry) -> None:
        """Find names that would overwrite each other; only their hashes are kept."""
        if entry.kind == "dir" or len(self._names) >= NAMES_COMPARED:
            return
        name = entry.name.replace("\\", "/").removeprefix("./")
        exact = hash(name)
        folded = hash(unicodedata.normalize("NFC", name[:4096]).casefold())
        before = self._names.get(folded)
        if before is None:
            self._names[folded] = exact
        elif before == exact:
            self.find("duplicate_name", entry.name, "The name occurs more than once.")
        else:
            self.find("case_collision", entry.name, "Another name differs only in upper and lower case.")


def _absolute(path: str) -> bool:
    return path.startswith("/") or bool(_DRIVE.match(path))


def _climbs(path: str) -> bool:
    return path == ".." or path.startswith("../")


def _has_controls(name: str) -> bool:
    return not name.isprintable() and any(unicodedata.category(one) in {"Cc", "Cf", "Cs"} for one in name)
