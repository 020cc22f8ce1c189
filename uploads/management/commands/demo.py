"""`manage.py demo`, which is `make demo`."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from uploads.management.demo.instance import DemoFailed
from uploads.management.demo.show import run


class Command(BaseCommand):
    help = "Send good and bad sample files to a fresh instance of its own and check what becomes of them."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            differences = run(sys.stdout)
        except DemoFailed as wrong:
            raise CommandError(str(wrong)) from wrong
        if differences:
            raise CommandError("\n".join(differences))
        self.stdout.write(self.style.SUCCESS("Every file ended as it should."))
