"""The one app."""

from typing import Any

from django.apps import AppConfig


class UploadsConfig(AppConfig):
    name = "uploads"
    verbose_name = "Uploads"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_q.signals import post_spawn

        from uploads.jobs import budgets

        budgets.table()  # a wrong UPLOADS_BUDGETS stops the start-up
        post_spawn.connect(_warm_up, dispatch_uid="uploads.warm_up")


def _warm_up(**_signal: Any) -> None:
    """Start a new worker's sandbox before its first job. Only workers import what opens files."""
    from uploads.jobs import worker

    worker.sandbox()
