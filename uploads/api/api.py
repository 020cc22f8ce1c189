"""The API itself: who may come in, which nouns it has, how it says no."""

from __future__ import annotations

from uploads.api import problems
from uploads.api.auth import Bearer, Session
from uploads.api.openapi import DescribedAPI
from uploads.api.routes import errors, files, jobs, pauses, uploads

_DESCRIPTION = """\
Send files, follow what becomes of them, fetch what was made of them.

Sign in with `Authorization: Bearer TOKEN` (`manage.py create_token USER` makes one), or with the session of
the upload page, whose unsafe requests also need the header `X-CSRFToken`.

Every refusal is `application/problem+json` with a stable `code`; where waiting helps, it has `Retry-After`.
"""

api = DescribedAPI(
    title="Wharfinger",
    version="1",
    description=_DESCRIPTION,
    auth=[Bearer(), Session()],
    urls_namespace="api",
)
problems.install(api)
api.add_router("/uploads", uploads.router)
api.add_router("/jobs", jobs.router)
api.add_router("/jobs", files.router)
api.add_router("/errors", errors.router)
api.add_router("/pauses", pauses.router)
