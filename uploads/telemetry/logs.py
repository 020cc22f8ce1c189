"""Logs: one line an event. Every room may use it.

Nothing here imports Django, so that settings and the sandbox's parent can.
"""

from __future__ import annotations

import logging
import logging.config
import os
from pathlib import Path
from typing import Any

import structlog

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


class WithoutTraceback(logging.Filter):
    """Lets a record pass as one line. Anybody may ask under a wrong host: the sentence says all there is."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True


class WithoutFailures(logging.Filter):
    """Drops django-q2's line about a failed attempt: it holds a whole report, and ours says it in its own words."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(
            "Failed 'uploads.jobs.worker."
        )  # the version before named .work


def logging_config(level: str, format_name: str) -> dict[str, Any]:
    """The dictConfig for all loggers, ours and others', rendered as `json` lines or for a `console`."""
    renderer: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
        if format_name == "json"
        else [structlog.dev.ConsoleRenderer(colors=False)]
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "lines": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*_SHARED, structlog.stdlib.ExtraAdder()],
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
            }
        },
        "filters": {"one_line": {"()": WithoutTraceback}, "not_ours": {"()": WithoutFailures}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"level": level},
            # One line a request is ours to write; these would say it twice.
            "django.request": {"level": "CRITICAL"},
            "django.security.DisallowedHost": {"filters": ["one_line"]},
            "django.server": {"level": "WARNING"},
            "django.db.backends": {"level": "WARNING"},
            "django-q": {"level": "WARNING", "filters": ["not_ours"]},
        },
    }


def configure_logging(config: dict[str, Any]) -> None:
    """Apply `logging_config`'s result to the standard library and to structlog. Django calls it once."""
    logging.config.dictConfig(config)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes an event and keywords: `log.info("job.started", job=…)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def prepare_metrics(directory: Path) -> None:
    """Name the directory through which all processes share their numbers; before the first metric is made.

    Raises OSError where it cannot be made.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(directory))
