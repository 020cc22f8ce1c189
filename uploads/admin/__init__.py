"""For operators: one ModelAdmin a file, on an AdminSite of our own."""

from uploads.admin import error, job, node, people, token
from uploads.admin.site import site

__all__ = ["error", "job", "node", "people", "site", "token"]
