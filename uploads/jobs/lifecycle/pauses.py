"""Pausing: an operator holds back the start of all jobs, or of one kind of file, until somebody resumes.

Running attempts go on. A kind is what the content is; until a file was opened, what its name or declared
type says, so a job whose name lies may start once, and one of a kind that no name tells is not held back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, transaction

from uploads.codes import Refused
from uploads.jobs.queue import producer
from uploads.models import Pause, UploadJob
from uploads.processing.registry import Registry
from uploads.telemetry.logs import get_logger

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = get_logger(__name__)


def kinds() -> tuple[str, ...]:
    """The kinds of files there are here."""
    return Registry(settings.UPLOADS_PROCESSORS).kinds()


def pause(kind: str, by: User, note: str = "") -> Pause:
    """Start no job of `kind` ("" for all) from now on. Raises Refused where that is so already, or no such kind."""
    if kind and kind not in kinds():
        raise Refused("invalid_request", f"There is no such kind of file; there are {', '.join(kinds())}.")
    try:
        with transaction.atomic():
            made = Pause.objects.create(kind=kind, by=by, note=note[:300])
    except IntegrityError as wrong:
        raise Refused("wrong_state", f"{_words(kind)} paused already.") from wrong
    made.refresh_from_db()
    log.warning("queue.paused", kind=kind, by=by.get_username(), note=made.note)
    return made


def resume(pause_id: int, by: User) -> None:
    """Let the jobs that a pause holds back start. Raises Refused where there is no such pause."""
    found = Pause.objects.filter(pk=pause_id).first()
    if found is None or not Pause.objects.filter(pk=pause_id).delete()[0]:
        raise Refused("not_found", "There is no such pause.")
    log.warning("queue.resumed", kind=found.kind, by=by.get_username())
    # Only when nobody is refused any more: a wake-up spent meanwhile is then seen to be missing. What a
    # commit of the caller's adds is woken with it.
    transaction.on_commit(lambda: _wake(found.kind))


def _wake(kind: str) -> None:
    held = UploadJob.objects.due().unpaused()
    try:
        woken = producer.wake_missing(held.filter(kind=kind) if kind else held)
    except producer.BROKER_ERRORS as wrong:
        log.warning("queue.wake_up_lost", reason=str(wrong))
        return
    producer.ring()
    log.info("queue.woken", kind=kind, jobs=woken)


def _words(kind: str) -> str:
    return f"Starts of kind {kind} are" if kind else "All starts are"
