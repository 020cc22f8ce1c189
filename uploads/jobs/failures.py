"""The failure hook under the path that messages of the version before name; to be removed with the next one."""

from uploads.jobs.worker.failure_hook import record_failure

__all__ = ["record_failure"]
