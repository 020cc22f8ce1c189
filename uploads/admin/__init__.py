"""For operators: one ModelAdmin a file, on an AdminSite of our own."""

from uploads.admin import error, job, node, pause, token, users
from uploads.admin.site import site

__all__ = ["error", "job", "node", "pause", "site", "token", "users"]
