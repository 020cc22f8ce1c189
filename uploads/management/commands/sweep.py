"""`manage.py sweep`: one round of the sweep by hand; with --dry-run only what it would do."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from uploads.jobs.cluster import maintenance
from uploads.jobs.queue import producer
from uploads.storage.fsync import StorageUnavailable


class Command(BaseCommand):
    help = "Find lost work and see to it, as every running cluster does by itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Show what would be done, change nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = maintenance.sweep_once(dry_run=options["dry_run"])
        except (DatabaseError, StorageUnavailable, *producer.BROKER_ERRORS) as wrong:
            raise CommandError(f"The sweep cannot go on: {' '.join(str(wrong).split())}") from wrong
        if options["dry_run"]:
            self.stdout.write("A dry run: nothing is changed.")
        for one in found:
            self.stdout.write(f"{one}; {'to be ' if options['dry_run'] else ''}{one.cure}.")
        self.stdout.write(f"Findings: {len(found)}." if found else "Nothing is lost.")
