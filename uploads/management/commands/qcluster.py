"""`manage.py qcluster`: the cluster under a supervisor of ours. It stands before django-q2's command."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from uploads.jobs.cluster import sentinel
from uploads.jobs.cluster.supervisor import Supervisor
from uploads.processing.registry import Registry


class Command(BaseCommand):
    help = "Work on queued jobs until SIGTERM or SIGINT; a second signal kills at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--run-once", action="store_true", help="Run once and then stop.")
        parser.add_argument(
            "-n",
            "--name",
            dest="cluster_name",
            help="Work on the queue of this name.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["cluster_name"]:
            sentinel.name_queue(options["cluster_name"])
        try:
            Registry(settings.UPLOADS_PROCESSORS).try_strangers()
            status = Supervisor(run_once=options["run_once"]).run()
        except ImportError as wrong:
            raise CommandError(f"UPLOADS_PROCESSORS: {wrong}") from wrong
        except DatabaseError as wrong:
            raise CommandError(f"The database cannot be used: {' '.join(str(wrong).split())}") from wrong
        sys.exit(status)
