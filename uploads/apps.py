"""The one app."""

from django.apps import AppConfig


class UploadsConfig(AppConfig):
    name = "uploads"
    verbose_name = "Uploads"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_q.signals import post_spawn

        from uploads.jobs import budgets, worker

        budgets.table()  # a wrong UPLOADS_BUDGETS stops the start-up
        post_spawn.connect(worker.warm_up, dispatch_uid="uploads.warm_up")
