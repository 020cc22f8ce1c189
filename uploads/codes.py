"""The closed lists of codes: what may go wrong with a job, and what may be refused at a door.

Both are plain tables, so that API, admin, page, metrics and docs say the same words.
Nothing here knows Django; every room may import it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FailureCode:
    """The type of an error: how often it may be tried, and what to tell whom.

    `budget` counts attempts that may fail with this code before the job does (1: never again);
    `first_delay` and `delay_cap` are seconds, between which delays grow exponentially.
    """

    code: str
    title: str
    budget: int
    first_delay: float
    delay_cap: float
    uploader_advice: str
    operator_advice: str

    @property
    def files_own_fault(self) -> bool:
        """Whether the file is to blame: expected, shown to its uploader, no alarm."""
        return self.code in FILES_OWN_FAULT


FILES_OWN_FAULT = frozenset(
    {"unsupported_type", "corrupt_file", "password_protected", "too_complex", "malware_found"}
)

FAILURE_CODES: dict[str, FailureCode] = {
    row.code: row
    for row in (
        FailureCode(
            "unsupported_type", "Type not accepted", 1, 0, 0,
            "This kind of file is not accepted here. Convert it to an accepted type and send it again.",
            "The detected type is not in UPLOADS_ALLOWED_TYPES. Widen the setting if it should be.",
        ),
        FailureCode(
            "corrupt_file", "Damaged file", 1, 0, 0,
            "The file is damaged or incomplete. Open it on your computer to check, then send a good copy.",
            "The file's own fault. Look at the message for where it breaks; a retry changes nothing.",
        ),
        FailureCode(
            "password_protected", "Password needed", 1, 0, 0,
            "The file is locked with a password. Remove the password and send it again.",
            "The file's own fault. Only the uploader can unlock it.",
        ),
        FailureCode(
            "too_complex", "Too large inside", 1, 0, 0,
            "The file unpacks to more than we can safely open. Send a smaller or simpler one.",
            "A bound on pixels, ratio, cells or depth was passed: a bomb, or a limit that is too tight.",
        ),
        FailureCode(
            "malware_found", "Malware found", 1, 0, 0,
            "A scanner found malware in this file. It will not be processed.",
            "Do not open the file. Tell the uploader out of band, then delete the job.",
        ),
        FailureCode(
            "timed_out", "Took too long", 2, 5, 60,
            "Working on the file took too long. A smaller or simpler file may go through.",
            "The processor passed its wall or CPU time. Raise the limit, or look for a pathological file.",
        ),
        FailureCode(
            "out_of_memory", "Ran out of memory", 2, 5, 60,
            "The file needs more memory than is allowed. A smaller or simpler file may go through.",
            "The processor passed its memory limit. Raise the limit for its kind, or look for a bomb.",
        ),
        FailureCode(
            "processor_crashed", "Processor crashed", 2, 5, 60,
            "The program that reads this file crashed on it. We have kept a record; try another copy.",
            "A signal or an exit ended the sandbox child: suspect a bug in a native library.",
        ),
        FailureCode(
            "worker_lost", "Worker lost", 10, 0, 300,
            "Work on the file was interrupted on our side. It is tried again by itself.",
            "The worker or its host went away in mid-attempt. Look for the out-of-memory killer or a restart.",
        ),
        FailureCode(
            "file_missing", "File missing", 1, 0, 0,
            "The stored file is gone. Send it again.",
            "The bytes are not where the row says. Look for a cleanup script or an unmounted disk.",
        ),
        FailureCode(
            "storage_unavailable", "Storage unavailable", 10, 5, 300,
            "Our storage did not answer. It is tried again by itself.",
            "Reading or writing our own files failed: a full disk, permissions, or a lost mount.",
        ),
        FailureCode(
            "internal_error", "Internal error", 3, 5, 300,
            "Something went wrong on our side. We have kept a record; retry later.",
            "An unexpected exception: a bug. The traceback says where.",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is turned away: its stable code, HTTP status and sentence."""

    code: str
    status: int
    title: str


REFUSALS: dict[str, Refusal] = {
    row.code: row
    for row in (
        Refusal("invalid_request", 400, "The request could not be understood."),
        Refusal("incomplete_body", 400, "The body ended before its declared length."),
        Refusal("digest_mismatch", 400, "The body does not match its Content-Digest."),
        Refusal("not_signed_in", 401, "Sign in, or send a valid API token."),
        Refusal("csrf_failed", 403, "The request did not come from a page of this site."),
        Refusal("not_allowed", 403, "You may not do this."),
        Refusal("not_found", 404, "There is nothing here."),
        Refusal("method_not_allowed", 405, "This address does not take that method."),
        Refusal("too_slow", 408, "The body came too slowly and was cut off."),
        Refusal("wrong_state", 409, "The job is not in a state that allows this."),
        Refusal("offset_mismatch", 409, "Upload-Offset is not where the upload is."),
        Refusal("superseded", 409, "A newer request has taken this upload over."),
        Refusal("gone", 410, "The upload has expired, or was removed."),
        Refusal("length_required", 411, "Send a Content-Length, or a Content-Digest with a chunked body."),
        Refusal("unsupported_version", 412, "Send Tus-Resumable: 1.0.0."),
        Refusal("too_large", 413, "The file is larger than is accepted here."),
        Refusal("unsupported_encoding", 415, "Send the file as it is, without Content-Encoding."),
        Refusal("unsupported_media", 415, "Send application/offset+octet-stream."),
        Refusal("range_not_satisfiable", 416, "The file has no such range."),
        Refusal("quota_exceeded", 429, "Your quota is used up."),
        Refusal("checksum_mismatch", 460, "The bytes do not match their Upload-Checksum."),
        Refusal("queue_full", 503, "The queue is full."),
        Refusal("too_busy", 503, "Too many uploads are under way."),
        Refusal("storage_unavailable", 503, "Storage does not answer."),
        Refusal("database_unavailable", 503, "The database does not answer."),
        Refusal("disk_full", 507, "There is not enough disk space for this file."),
    )
}  # fmt: skip


class Refused(Exception):
    """Raised by any room to turn a request away; a face answers with problem+json.

    `code` is a key of REFUSALS, `detail` one sentence about this case, `retry_after` seconds.
    """

    def __init__(self, code: str, detail: str = "", *, retry_after: int | None = None) -> None:
        self.refusal = REFUSALS[code]
        self.code = code
        self.status = self.refusal.status
        self.title = self.refusal.title
        self.detail = detail or self.refusal.title
        self.retry_after = retry_after
        super().__init__(self.detail)
