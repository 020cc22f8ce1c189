"""What other rooms say, in the reader's language, and marked as English where the catalogue has no such sentence.

Reasons and steps are kept as they were first said, in English; a page may be read in any language.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import get_language, gettext

from uploads.codes import FAILURE_CODES, Refused
from uploads.i18n import phrases
from uploads.models import ErrorRecord


@dataclass(frozen=True, slots=True)
class Said:
    """A text as shown. `lang` is "en" where it stands in another language than the page, else nothing."""

    text: str
    lang: str = ""

    def __bool__(self) -> bool:
        return bool(self.text)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a file failed: `title` only where the message could not be translated, and what to do about it."""

    title: str
    message: Said
    advice: str


def said(text: str) -> Said:
    translated = phrases.translated(text)
    foreign = translated == text and not (get_language() or "en").startswith("en")
    return Said(translated, "en" if foreign and text else "")


def reason(error: ErrorRecord) -> Reason:
    message, advice = said(error.message), gettext(error.advice)
    title = gettext(FAILURE_CODES[error.code].title) if message.lang else ""
    return Reason(title, message, "" if advice == message.text else advice)


def sentence(error: ErrorRecord) -> str:
    """Why a file failed, in one sentence of the page's language."""
    told = reason(error)
    return f"{told.title}." if told.title else told.message.text


def refusal(refused: Refused) -> str:
    """Why something was turned away: this case where it can be told, else the kind of it."""
    told = said(refused.detail)
    return gettext(refused.title) if told.lang else told.text
