"""What any room says, in the reader's language: whole sentences, and such as were put together from values.

Rooms say plain English: f"Line {number} is longer than {most} MiB.". The catalogue has that as "Line {0} is longer
than {1} MiB." (i18n/catalogue.py finds it); here a sentence is held against all of these, and its values are put
into the translation. So nobody has to keep values apart, and what was kept yesterday, by another version or by a
stranger's processor, is read today in a language that is added tomorrow.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from django.utils.formats import number_format
from django.utils.translation import get_language, gettext, gettext_noop
from django.utils.translation.trans_real import translation

# Numbers as rooms write them: with thousands apart, or of a unit. Others may be a version, or part of a name.
_NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?(?= ))(?: (bytes|[kMGTP]B))?")
_DEPTH = 3  # a stream in an archive in a sentence

# What libraries say within our sentences, most of the time.
LIBRARIES = (
    gettext_noop("Expecting value"),
    gettext_noop("Expecting ',' delimiter"),
    gettext_noop("Expecting ':' delimiter"),
    gettext_noop("Expecting property name enclosed in double quotes"),
    gettext_noop("Extra data"),
    gettext_noop("Invalid control character at"),
    gettext_noop("Unterminated string starting at"),
    gettext_noop("broken data stream when reading image file"),
    gettext_noop("broken PNG file"),
    gettext_noop("bytes"),
    gettext_noop("image file is truncated"),
    gettext_noop("image file is truncated ({0} bytes not processed)"),
    gettext_noop("unrecognized data stream contents when reading image file"),
)


def translated(text: str) -> str:
    """The sentence in the language that is active, or as it is where the catalogue has no such one."""
    return _translated(text, get_language() or "en") if text else ""


@lru_cache(maxsize=4096)
def _translated(text: str, language: str, depth: int = 0) -> str:
    found = gettext(text)
    if found != text or language.startswith("en") or depth == _DEPTH:
        return found
    for pattern, quoted, msgid in _patterns(language):
        if match := pattern.fullmatch(text):
            values = [
                value if plain else _value(value, language, depth)
                for value, plain in zip(match.groups(), quoted, strict=True)
            ]
            return gettext(msgid).format(*values)
    return text


def _value(text: str, language: str, depth: int) -> str:
    """A value as its reader writes it: a number, or again something that can be translated."""
    if match := _NUMBER.fullmatch(text):
        number, unit = Decimal(match[1].replace(",", "")), match[2]
        written = number_format(number, use_l10n=True, force_grouping="," in match[1])
        return f"{written} {gettext(unit)}" if unit else written
    return _translated(text, language, depth + 1)


@lru_cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], list[bool], str]]:
    """All sentences with values: what they look like, which values stand in quotes, and their msgid.

    Those with the most words of their own come first: "The zip is damaged: {0} fails." before "The {0} is {1}.".
    """
    found = []
    catalog = translation(language)._catalog  # type: ignore[attr-defined]  # as Django's own views read it
    for msgid, _ in catalog.items():
        if isinstance(msgid, str) and "{0}" in msgid:
            fixed = [part.replace("{{", "{").replace("}}", "}") for part in re.split(r"\{\d\}", msgid)]
            pattern = re.compile("(.+?)".join(map(re.escape, fixed)), re.DOTALL)
            found.append((pattern, [part.endswith('"') for part in fixed[:-1]], msgid))
    return sorted(found, key=lambda one: -len(re.sub(r"\{\d\}", "", one[2])))
