"""`manage.py up`, which is `make run`: database, first admin, then web and cluster until a stop signal."""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import time
from argparse import ArgumentParser
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection, connections, transaction

from uploads.jobs.cluster.supervisor import stop_seconds
from uploads.management.commands.serve import KILL_TIMEOUT, listen_address
from uploads.management.process import Child, StopSignals, die_with
from uploads.processing.registry import Registry

READY_SECONDS = 60.0
START_TRIES = 3


class Command(BaseCommand):
    help = "Migrate, make the first admin, run web and cluster together, and say where."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--with-parent",
            action="store_true",
            help="Stop when the process that started this one ends (make run).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with StopSignals() as signals:
            if options["with_parent"]:
                # SIGTERM, not SIGKILL: an orderly stop is still possible.
                die_with(os.getppid(), by=signal.SIGTERM)
            address = listen_address(settings.HOST, settings.PORT)
            _check_writable()
            _try_processors()
            _forget_old_counters()
            password = _prepare_database()
            if signals.requested:
                return
            web = Child("web server", ["serve"], grace=KILL_TIMEOUT + 3)
            cluster = Child("cluster", ["qcluster"], grace=stop_seconds() + 1)
            try:
                web.start()
                cluster.start()
                if self._wait_until_ready(web, cluster, address, signals):
                    self._welcome(password)
                    self._watch(web, cluster, signals)
                self.stdout.write("Stopping.")
            finally:
                # Intake first: what it has accepted is in the queue before the cluster goes.
                web.stop(signals)
                cluster.stop(signals)

    def _wait_until_ready(self, web: Child, cluster: Child, address: str, signals: StopSignals) -> bool:
        """Whether the web tier answers; False on a stop signal. CommandError where it cannot."""
        deadline = time.monotonic() + READY_SECONDS
        while not signals.requested:
            self._tend(web, cluster)
            if web.ends >= START_TRIES:
                raise CommandError("The web server does not start; the lines above say why.")
            if _answers(address, settings.PORT):
                return True
            if time.monotonic() > deadline:
                raise CommandError(f"The web server did not answer /healthz within {READY_SECONDS:g} s.")
            signals.wait(0.05)
        return False

    def _watch(self, web: Child, cluster: Child, signals: StopSignals) -> None:
        while not signals.requested:
            self._tend(web, cluster)
            dues = [child.due for child in (web, cluster) if child.due is not None]
            signals.wait(min([due - time.monotonic() for due in dues], default=5.0))

    def _tend(self, *children: Child) -> None:
        for child in children:
            if sentence := child.tend():
                self.stderr.write(sentence)

    def _welcome(self, password: str) -> None:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.HOST, settings.HOST)  # noqa: S104
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        self.stdout.write(f"Wharfinger answers at http://{host}:{settings.PORT}/")
        if password:
            self.stdout.write(f"Sign in as {settings.ADMIN_USERNAME} with the password {password}")
            self.stdout.write("It is not shown again; `manage.py changepassword` sets another.")
        self.stdout.write("Ctrl-C stops it.")
        self.stdout.flush()


def _check_writable() -> None:
    """Write a byte under DATA_DIR, which finds read-only and full disks too; else CommandError."""
    probe = settings.DATA_DIR / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as wrong:
        raise CommandError(f"DATA_DIR {settings.DATA_DIR} cannot be written: {wrong.strerror}.") from wrong


def _try_processors() -> None:
    """See that processors of others can be imported: a cluster would start workers that die of them."""
    try:
        Registry(settings.UPLOADS_PROCESSORS).try_strangers()
    except ImportError as wrong:
        raise CommandError(f"UPLOADS_PROCESSORS: {wrong}") from wrong


def _forget_old_counters() -> None:
    """Remove the metrics of processes that are gone: their files are named by process id and would pile up.

    Nothing of ours runs yet: the address was free a moment ago. A scraper takes it for the restart it is.
    """
    for old in settings.METRICS_DIR.glob("*.db"):
        if not old.stem.endswith(f"_{os.getpid()}"):
            old.unlink(missing_ok=True)


def _prepare_database() -> str:
    """Migrate and see to the first admin; the password that was made up for it, or "".

    No connection is left open for the children to inherit. Raises CommandError with one sentence.
    """
    try:
        _reach_database()
        call_command("migrate", interactive=False, verbosity=0)
        return _first_admin()
    except DatabaseError as wrong:
        raise CommandError(f"The database cannot be used: {' '.join(str(wrong).split())}") from wrong
    finally:
        connections.close_all()


def _reach_database() -> None:
    """Connect once without the pool, which tries for ten seconds and then tells no reason. Raises DatabaseError."""
    if connection.vendor == "postgresql":
        driver = cast(Any, connection)
        parameters: dict[str, Any] = {"connect_timeout": 5} | driver.get_connection_params()
        parameters.pop("pool", None)
        with driver.wrap_database_errors:
            driver.Database.connect(**parameters).close()


def _first_admin() -> str:
    """Make ADMIN_USERNAME a superuser where there is none; its password, if it was made up here."""
    users = get_user_model().objects
    with transaction.atomic():
        if users.filter(is_superuser=True).exists():
            return ""
        if users.filter(username=settings.ADMIN_USERNAME).exists():
            raise CommandError(
                f"There is no administrator, and {settings.ADMIN_USERNAME!r} is an ordinary user: "
                "set ADMIN_USERNAME to another name, or make it one with `manage.py createsuperuser`."
            )
        made_up = "" if settings.ADMIN_PASSWORD else secrets.token_urlsafe(12)
        users.create_superuser(settings.ADMIN_USERNAME, "", settings.ADMIN_PASSWORD or made_up)
    return made_up


def _answers(address: str, port: int) -> bool:
    """Whether GET /healthz is answered there by anything but a server error."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False  # not yet
    finally:
        connection.close()
