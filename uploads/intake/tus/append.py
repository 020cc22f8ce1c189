"""One request's bytes on their way into a resumable upload: written, committed on the way, kept at the end."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NoReturn

from django.conf import settings
from django.http import HttpRequest

from uploads.codes import Refused
from uploads.db import connections
from uploads.intake import admission, body
from uploads.intake.tus import headers
from uploads.jobs.resumable import uploads
from uploads.jobs.resumable.uploads import Upload
from uploads.models import Concat, State
from uploads.storage.fence import Superseded
from uploads.storage.spool import Appender

# The next bytes are read while the last ones are made durable: no more than twice this is ever uncommitted.
COMMIT_BYTES = 8 << 20
COMMIT_SECONDS = 2.0

_commits = ThreadPoolExecutor(16, "tus-commit")


class Writing:
    """The bytes of one PATCH. `kept` once they completed the upload and lie under its final name.

    Raises Refused; Superseded once a newer request has taken the upload over.
    """

    def __init__(self, upload: Upload, said: headers.Patch) -> None:
        self.upload, self.said = upload, said
        self.length = upload.transfer.length
        self.position = self.committed = said.offset
        self.reserved = upload.reserved
        checksum = said.body.checksum
        self._check = headers.ALGORITHMS[checksum.algorithm]() if checksum else None
        # All bytes in one unbroken request: their digest costs nothing more than now.
        unbroken = said.offset == 0 and self.length is not None and said.body.length in (None, self.length)
        self._hash = hashlib.sha256() if unbroken else None
        self.kept = False
        self._asked = said.offset  # up to where a commit was asked for
        self._pending: Future[None] | None = None

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest() if self._hash and self.position == self.length else ""

    def begin(self) -> None:
        """Take the upload over, or be its first writer, which costs no commit."""
        first = self.said.offset == 0 and self.upload.transfer.generation == 0
        if not (first and self._be_first()):
            self._take_over()

    def _be_first(self) -> bool:
        file = Appender.first(self.upload.id, tentative=self._check is not None)
        if file is None:
            return False
        state, untouched = uploads.standing(self.upload.id)
        connections.let_go()
        if untouched:
            self._file, self.generation = file, file.generation
        elif state == State.RECEIVING:
            file.close()
        else:
            file.withdraw()
        return untouched

    def _take_over(self) -> None:
        generation = uploads.take(self.upload, self.said.offset)
        connections.let_go()
        self.generation = generation
        try:
            self._file = Appender(
                self.upload.id, generation, self.said.offset, tentative=self._check is not None
            )
        except FileNotFoundError as wrong:
            self._gone(wrong)

    def _gone(self, wrong: FileNotFoundError) -> NoReturn:
        if not uploads.recover(self.upload.id):
            uploads.lost(self.upload.id)
        raise Superseded from wrong

    def close(self) -> None:
        if self._pending is not None:
            wait([self._pending])
        self._file.close()

    def reserve(self, more: int) -> None:
        """See that an upload of unknown length has room for `more` bytes (0: for its next step)."""
        if self.length is not None:
            return
        wanted = self.position + (more or uploads.DEFERRED_STEP)
        wanted = min(wanted, settings.UPLOADS_MAX_SIZE)
        if wanted > self.reserved:
            admission.check_disk(wanted - self.reserved, afresh=True)
            uploads.reserve(self.upload, wanted)
            self.reserved = wanted
            connections.let_go()

    def take_in(self, request: HttpRequest, most: int) -> None:
        try:
            self._read(request, most)
        except Refused as wrong:
            self._settle()
            # A chunked body that goes on past the end: who knows what its last bytes are worth.
            if self._check is not None or wrong.code == "too_large":
                self._file.forget(self.committed)
            elif wrong.code in ("incomplete_body", "too_slow"):
                self._commit()
            raise
        self._verify()
        if self.position == self.length and self.upload.transfer.concat == Concat.NONE:
            self._keep()
        else:
            self._commit()

    def _read(self, request: HttpRequest, most: int) -> None:
        told = time.monotonic()
        for piece in body.chunks(request, self.said.body.length, most, lively=True):
            if self._check is not None:
                self._check.update(piece)
            if self._hash is not None:
                self._hash.update(piece)
            if self.said.body.length is None and self.position + len(piece) > self.reserved:
                self.reserve(0)
            self._file.write(piece)
            self.position = self._file.position
            due = self.position - self._asked >= COMMIT_BYTES or time.monotonic() - told >= COMMIT_SECONDS
            if due and self._check is None and self.position != self.length:
                self._commit_meanwhile()
                told = time.monotonic()

    def _verify(self) -> None:
        if self._check is None or self.said.body.checksum is None:
            return
        if self._check.digest() != self.said.body.checksum.digest:
            self._file.forget(self.committed)
            raise Refused("checksum_mismatch")
        self._file.sync()
        self._file.confirm()

    def _keep(self) -> None:
        """All is here: what is left to commit is that, and the job queued, in one."""
        self._settle()
        try:
            self._file.keep()
        except FileNotFoundError as wrong:
            self._gone(wrong)
        self.kept = True

    def _commit_meanwhile(self) -> None:
        """Commit what is written, in another thread; first see that the commit before has gone well."""
        self._settle()
        self._asked = self.position
        self._pending = _commits.submit(self._commit_now, self.position)

    def _settle(self) -> None:
        """Wait for the commit under way. Raises what it raised."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def _commit(self) -> None:
        self._settle()
        self._commit_now(self.position)

    def _commit_now(self, position: int) -> None:
        """Bytes first, then the row, up to `position`: it never runs ahead of them."""
        self._file.sync()
        if position == self.committed:
            return
        try:
            uploads.advance(self.upload.id, self.generation, position, self.length)
        except Refused as wrong:
            if wrong.code == "gone":
                raise Superseded from wrong
            raise
        finally:
            connections.let_go()
        self.committed = position
