"""Carrying a job out. `work` is here for messages that were signed by the version before, for one version."""

from uploads.jobs.worker.task import work

__all__ = ["work"]
