"""`manage.py texts`: renew the catalogues of translations from the code; with --check, only look."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from uploads.i18n import catalogue


class Command(BaseCommand):
    help = "Renew locale/*/LC_MESSAGES/django.po and .mo from the code, or check that they are complete."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; fail where they are stale")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["check"]:
            catalogue.renew()
            return
        # Development machines may lack gettext; where changes are checked, it is installed.
        if (tools := catalogue.missing_tools()) and os.environ.get("CI") != "true":
            self.stderr.write(
                f"Translations were not checked: {', '.join(tools)} not found. Install gettext."
            )
            return
        if found := catalogue.faults():
            raise CommandError("\n".join(found))
