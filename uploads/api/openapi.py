"""Writing down, in OpenAPI's words, what a route may answer beside its good case."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from uploads.api.problems import CONTENT_TYPE, TABLE
from uploads.api.schemas.job import Problem

_REF = "#/components/schemas/{model}"
# Any route behind a sign-in may answer these.
_SIGNED_IN = ("not_signed_in", "database_unavailable")
_UNSAFE = ("csrf_failed",)

NOT_MODIFIED: dict[int, Any] = {304: {"description": "Not modified: it is what If-None-Match names."}}


def answers(
    *codes: str, unsafe: bool = False, more: dict[int, Any] | None = None, **operation: Any
) -> dict[str, Any]:
    """An `openapi_extra`: problems by their codes, other responses as `more`, and further operation fields.

    `unsafe` routes also check where a session's request comes from.
    """
    by_status: dict[int, list[str]] = {}
    for code in (*codes, *_SIGNED_IN, *(_UNSAFE if unsafe else ())):
        by_status.setdefault(TABLE[code].status, []).append(code)
    responses: dict[int, Any] = dict(more or {})
    for status, named in sorted(by_status.items()):
        responses[status] = {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in named)}",
            "content": {CONTENT_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
        }
    return {"responses": responses, **operation}


def binary(content_type: str = "application/octet-stream") -> dict[str, Any]:
    """A response or request body of raw bytes."""
    return {content_type: {"schema": {"type": "string", "format": "binary"}}}


class DescribedAPI(NinjaAPI):
    """Adds the schema of a problem, which no route gives by itself."""

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        own = Problem.model_json_schema(ref_template=_REF, mode="serialization")
        schema["components"]["schemas"].update({**own.pop("$defs", {}), "Problem": own})
        return schema
