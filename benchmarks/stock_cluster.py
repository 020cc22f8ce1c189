"""django-q2's own cluster, until SIGTERM."""

from __future__ import annotations

import signal

import django

if __name__ == "__main__":
    django.setup()

    from django.conf import settings
    from django_q.cluster import Cluster
    from django_q.signals import post_spawn

    from uploads.jobs.cluster import sentinel

    post_spawn.disconnect(dispatch_uid="uploads.warm_up")  # it has no use for a sandbox
    if settings.TUNED:
        sentinel.relax_database()
    running = Cluster()
    running.start()  # it handles SIGTERM itself
    signal.pause()
