"""How a file waits, in words: its number in line while that is small, and about how long still."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from uploads.jobs.line import Wait

NUMBERS = 20  # beyond these a number would change too often to be worth a row's redrawing


def shown(wait: Wait) -> tuple[int | None, str, int]:
    """All that `sentence` tells: the number in line, and a unit of time with how many of it."""
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


def sentence(wait: Wait) -> str:
    """Such as "Number 3 in line, about 2 minutes"."""
    number, unit, count = shown(wait)
    if number is None:
        place = _("Waiting")
    elif number == 1:
        place = _("Next in line")
    else:
        place = _("Number %(place)s in line") % {"place": number}
    how_long = {
        "": "",
        "moment": _("less than a minute"),
        "minute": ngettext("about %(n)s minute", "about %(n)s minutes", count) % {"n": count},
        "hour": ngettext("about %(n)s hour", "about %(n)s hours", count) % {"n": count},
    }[unit]
    return ", ".join(filter(None, [place, how_long]))
