"""Pauses, for operators: see what is held back, hold back, resume."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest
from ninja import Router
from ninja.responses import Status
from pydantic import Field

from uploads.api.auth import user_of
from uploads.api.openapi import answers
from uploads.api.schemas.job import NewPause, PauseList, PauseOut
from uploads.codes import Refused
from uploads.jobs.lifecycle import pauses, permissions
from uploads.models import Pause

router = Router(tags=["pauses"])

PauseId = Annotated[int, Field(ge=1, le=2**63 - 1)]


@router.get(
    "", response=PauseList, summary="What is paused", openapi_extra=answers("not_allowed"),
)  # fmt: skip
def list_pauses(request: HttpRequest) -> PauseList:
    _operator(request, "view")
    return PauseList(items=[PauseOut.of(pause) for pause in Pause.objects.select_related("by")])


@router.post(
    "", response={201: PauseOut}, summary="Start no job, or none of one kind",
    openapi_extra=answers(
        "invalid_request", "incomplete_body", "not_allowed", "wrong_state", "too_large", unsafe=True
    ),
)  # fmt: skip
def add_pause(request: HttpRequest, wanted: NewPause) -> Status[PauseOut]:
    _operator(request, "add")
    return Status(201, PauseOut.of(pauses.pause(wanted.kind, user_of(request), wanted.note)))


@router.delete(
    "/{pause_id}", response={204: None}, summary="Resume",
    openapi_extra=answers("not_found", "not_allowed", unsafe=True),
)  # fmt: skip
def remove_pause(request: HttpRequest, pause_id: PauseId) -> Status[None]:
    _operator(request, "delete")
    pauses.resume(pause_id, user_of(request))
    return Status(204, None)


def _operator(request: HttpRequest, act: str) -> None:
    """Raises Refused for who may not `view`, `add` or `delete` pauses."""
    for needed in {"view", act}:
        if not permissions.is_operator(user_of(request), f"uploads.{needed}_pause"):
            raise Refused("not_allowed", "Pauses are for operators.")
