"""The words the page's scripts say, translated here and handed over as JSON."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def script_texts() -> dict[str, str]:
    """Texts by name; {braces} are filled in by the scripts."""
    return {
        "waiting": _("Waiting to be sent"),
        "sending": _("{sent} of {size}"),
        "speed": _("{speed}/s"),
        "leftSeconds": _("{n} s left"),
        "leftMinutes": _("{n} min left"),
        "leftHours": _("{n} h left"),
        "finishing": _("Sent, being checked in"),
        "sent": _("Sent"),
        "paused": _("Paused"),
        "cancel": _("Cancel"),
        "pause": _("Pause"),
        "resume": _("Resume"),
        "remove": _("Remove"),
        "retry": _("Retry"),
        "dismiss": _("Dismiss"),
        "find": _("Choose the file"),
        "insist": _("Send anyway"),
        "skip": _("Skip"),
        "again": _("{reason} Trying again in {seconds} s."),
        "againMinutes": _("{reason} Trying again in {minutes} min."),
        "refused": _("{name} was not taken: {reason}"),
        "progress": _("Progress of {name}"),
        "actOn": _("{act}: {name}"),
        "lost": _("The connection was lost."),
        "away": _("You are offline. It goes on when the network is back."),
        "strange": _("The server answered {status} and did not say why. Retry in a while."),
        "tooLarge": _("The file is larger than the {size} accepted here."),
        "unreadable": _("The file cannot be read any more. Was it moved or changed? Choose it again."),
        "changedOnDisk": _(
            "The file has changed since part of it was sent. Choose it again to send it anew."
        ),
        "changed": _("The file has changed since part of it was sent, so it is sent from the start."),
        "startsAnew": _("The server no longer had what was sent before, so it is sent from the start."),
        "here": _("This is already here, as {name}."),
        "left": _("Not finished. Choose or drop the same file, and it goes on from there."),
        "leftKnown": _("Not finished. Your browser asks you before it reads the file again."),
        "signedOut": _("You are signed out. Sign in again, then retry."),
        "signIn": _("Sign in"),
        "wrongPassword": _("That password is not right."),
        "signOut": _("What is not sent yet will be forgotten here. Sign out?"),
        "failed": _("That did not work ({status}). Reload the page and try again."),
        "offline": _("The server cannot be reached. The list will catch up when it is back."),
        "emptyFolder": _("There are no files in that folder."),
        "tooMany": _("Only the first {n} files were taken; there are more in that folder."),
        "missed": _("{n} files could not be read, and were left out."),
        "picked": _("{n} chosen"),
        "total": _("{done} of {all} files sent"),
        "more": _("and {n} more waiting"),
        "allSent": _("All {n} files are sent."),
        # Django's own words for sizes, in its catalogues.
        "size1": _("%s KB") % "{n}",
        "size2": _("%s MB") % "{n}",
        "size3": _("%s GB") % "{n}",
        "size4": _("%s TB") % "{n}",
        "size0one": ngettext("%(size)d byte", "%(size)d bytes", 1).replace("%(size)d", "{n}"),
        "size0": ngettext("%(size)d byte", "%(size)d bytes", 2).replace("%(size)d", "{n}"),
    }
