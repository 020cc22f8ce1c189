"""The one app."""

from typing import Any

from django.apps import AppConfig


class UploadsConfig(AppConfig):
    name = "uploads"
    verbose_name = "Uploads"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured
        from django_q.signals import post_spawn

        from uploads.jobs.lifecycle import retry_policy
        from uploads.processing.registry import Registry

        # A wrong setting stops the start-up; a worker that met it later would die again and again.
        retry_policy.table()
        try:
            Registry(settings.UPLOADS_PROCESSORS).check(settings.UPLOADS_LIMITS)
        except (ValueError, ImportError) as wrong:
            raise ImproperlyConfigured(f"UPLOADS_PROCESSORS or UPLOADS_LIMITS: {wrong}") from wrong
        post_spawn.connect(_warm_up, dispatch_uid="uploads.warm_up")


def _warm_up(**_signal: Any) -> None:
    """Start a new worker's sandbox before its first job. Only workers import what opens files."""
    from uploads.jobs.worker import task

    task.sandbox()
