"""`manage.py doctor`: does what is on disk, in the jobs' rows and in the queue agree?"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from uploads.jobs.queue import producer
from uploads.jobs.repair import consistency
from uploads.storage.fsync import StorageUnavailable

SHOWN = 200


class Command(BaseCommand):
    help = "Compare storage, jobs and queue and explain what differs; exit status 1 when something is wrong."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = consistency.examine()
            census = consistency.census()
        except (DatabaseError, StorageUnavailable, *producer.BROKER_ERRORS) as wrong:
            raise CommandError(f"The doctor cannot look: {' '.join(str(wrong).split())}") from wrong
        for one in found[:SHOWN]:
            self.stdout.write(("WRONG  " if one.wrong else "note   ") + one.sentence)
        if len(found) > SHOWN:
            self.stdout.write(f"… and {len(found) - SHOWN} more.")
        bad = sum(one.wrong for one in found)
        self.stdout.write(f"{census} {f'Wrong: {bad}.' if bad else 'All agree.'}")
        if bad:
            sys.exit(1)
