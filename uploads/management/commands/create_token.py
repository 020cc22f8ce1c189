"""`manage.py create_token USER`: a way in for a program."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from uploads.models import ApiToken


class Command(BaseCommand):
    help = "Make an API token for USER and print it, once: TOKEN=$(manage.py create_token USER)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="the user name it signs in as")
        parser.add_argument("--name", default="", help="what it is for, up to 100 characters")
        parser.add_argument("--expires-days", type=_days, metavar="D", help="from now; without it, never")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user named {options['user']!r}.")
        if not user.is_active:
            raise CommandError(f"The user {options['user']!r} is not active.")
        if len(options["name"]) > 100:
            raise CommandError("A token's name has at most 100 characters.")
        with transaction.atomic():
            row, token = ApiToken.issue(user, options["name"])
            if options["expires_days"]:
                row.expires_at = timezone.now() + timedelta(days=options["expires_days"])
                row.save(update_fields=["expires_at"])
        until = f"until {row.expires_at:%Y-%m-%d %H:%M} UTC" if row.expires_at else "until it is deleted"
        # Standard output is the token and nothing else, so that a shell can take it from there.
        self.stderr.write(f"This token signs in as {user.get_username()} {until}. It is not shown again:")
        self.stdout.write(token)


def _days(text: str) -> int:
    """A number of days, 1 to 36500 (a century: further on, dates run out)."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 36_500 and len(text) <= 5):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1 to 36500")
    return int(text)
