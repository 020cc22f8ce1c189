"""How a file waits, in words: its number in line while that is small, and about how long still."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from uploads.jobs.lifecycle.queue_position import Wait

NUMBERS = 20  # beyond these a number would change too often to be worth a row's redrawing


def shown(wait: Wait) -> tuple[int | None, str, int]:
    """All that is told: the number in line, and a unit of time with how many of it."""
    number = wait.position if wait.position <= NUMBERS else None
    seconds = wait.seconds
    if seconds is None:
        return number, "", 0
    if seconds < 60:
        return number, "moment", 1
    minutes = round(seconds / 60)
    if minutes >= 10:
        minutes = 5 * round(minutes / 5)
    return (number, "minute", minutes) if minutes < 90 else (number, "hour", round(minutes / 60))


def place(wait: Wait) -> str:
    """Such as "Number 3 in line"."""
    number = shown(wait)[0]
    if number is None:
        return _("Waiting")
    return _("Next in line") if number == 1 else _("Number %(place)s in line") % {"place": number}


def still(wait: Wait) -> str:
    """Such as "about 2 minutes"; nothing where that is not known."""
    _number, unit, count = shown(wait)
    if unit == "minute":
        return ngettext("about %(n)s minute", "about %(n)s minutes", count) % {"n": count}
    if unit == "hour":
        return ngettext("about %(n)s hour", "about %(n)s hours", count) % {"n": count}
    return _("less than a minute") if unit else ""
