"""`manage.py serve`: the web tier alone, on Granian."""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from uploads.db import connections
from uploads.intake.server import idle_timeout as idle_timeouts
from uploads.management.process import bind_forks, die_with
from uploads.telemetry import metrics

# A stop waits so long for requests in flight; a client that says nothing is cut much sooner (watchdog).
KILL_TIMEOUT = 5
BACKLOG = 1024
# Open connections a worker takes; beyond them, clients wait in the backlog. Idle ones cost no thread.
CONNECTIONS = 1024

_main_pid = 0


class Command(BaseCommand):
    help = "Serve HTTP on HOST:PORT until SIGTERM or SIGINT, without the cluster."

    def handle(self, *args: Any, **options: Any) -> None:
        global _main_pid
        address = listen_address(settings.HOST, settings.PORT)
        # Loaded before the workers are forked: they share its memory, and a broken one fails here, once.
        import_module("project.wsgi")
        server = web_server(
            address,
            settings.PORT,
            workers=settings.UPLOADS_WEB_WORKERS,
            threads=settings.UPLOADS_WEB_THREADS,
            idle_timeout=settings.UPLOADS_IDLE_TIMEOUT,
            logging_config=_logging(),
        )
        _main_pid = os.getpid()
        bind_forks()  # Granian's workers survive a SIGKILL of its main process unless they are tied to it
        _raise_file_limit()
        server.serve(target_loader=load_application, wrap_loader=False)


def web_server(
    address: str,
    port: int,
    *,
    workers: int,
    threads: int,
    idle_timeout: float,
    logging_config: dict[str, Any] | None = None,
) -> MPServer:
    """Granian as we run it, on an IP address: each worker with so many threads; `idle_timeout` in seconds."""
    return MPServer(
        "project.wsgi:application",
        address=address,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=workers,
        blocking_threads=threads,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        # Headers that trickle in are moving bytes to the watchdog; this bounds them as a whole.
        http1_settings=HTTP1Settings(header_read_timeout=int(min(idle_timeout, 60) * 1000)),
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=KILL_TIMEOUT,
        log_level=LogLevels.warning,
        log_dictconfig=logging_config,
        log_access=False,  # a middleware of ours writes one line a request
    )


def load_application() -> Callable[..., Any]:
    """What each web worker runs: ties it to Granian's main process, starts its watchdog, gives the app."""
    if _main_pid:  # 0 where the worker was spawned, not forked
        die_with(_main_pid)
    idle_timeouts.start(settings.UPLOADS_IDLE_TIMEOUT, settings.UPLOADS_MIN_RATE, port=settings.PORT)
    connections.keep_wal()
    connections.pool()
    metrics.open_files()
    application: Callable[..., Any] = import_module("project.wsgi").application
    return application


def _raise_file_limit() -> None:
    """Let each worker have its connections and its files open: soft limits of 1024 are common."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def listen_address(host: str, port: int) -> str:
    """The IP address behind `host`, if we may listen there on `port` now; else CommandError, one sentence."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as wrong:
        raise CommandError(f"HOST {host!r} is not an address or name that is known here.") from wrong
    family, kind, protocol, _name, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        # Ports in TIME_WAIT are fine, and without SO_REUSEPORT a listener that sets it is seen too.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as wrong:
            raise CommandError(_bind_sentence(host, port, wrong)) from wrong
    return str(address[0])


def _bind_sentence(host: str, port: int, wrong: OSError) -> str:
    if wrong.errno == errno.EADDRINUSE:
        return f"{host}:{port} is in use by another process. Stop it, or set PORT to a free one."
    if wrong.errno == errno.EACCES:
        return f"Port {port} needs privileges that this user has not. Set PORT to 1024 or above."
    if wrong.errno == errno.EADDRNOTAVAIL:
        return f"HOST {host!r} is not an address of this machine."
    return f"{host}:{port} cannot be listened on: {wrong.strerror}."


class _WithoutAdvice(logging.Filter):
    """Drops Granian's advice about the number of threads and workers: most of ours wait for bytes."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not text.startswith(("Configuration allows spawning up to", "Configured number of workers"))


def _logging() -> dict[str, Any]:
    """The project's logging, with Granian's own logger in it."""
    config: dict[str, Any] = dict(settings.LOGGING)
    config["filters"] = {**config.get("filters", {}), "granian_advice": {"()": _WithoutAdvice}}
    config["loggers"] = {**config.get("loggers", {}), "_granian": {"filters": ["granian_advice"]}}
    return config
