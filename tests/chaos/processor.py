"""The processor under chaos: a file's first line says how its work goes.

    sleep 2.5    takes so long; then a result and two artifacts that can be told from another attempt's
    crash        its child is ended by a signal, each time
    fell         waits until somebody kills the worker, each time (accomplice.py)

Each child bears a name from which anybody who reads /proc learns which file it is working on.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import secrets
import time

from uploads.processing.base import Context, Json

TYPES = ("text/plain",)
WORKING, FELLING = "j:", "p:"
NAME_DIGITS = 12  # of the SHA-256: a process's name has at most 15 characters
ARTIFACTS = ("digest.txt", "nonce.txt")
_PR_SET_NAME = 15


def process(job: Context) -> dict[str, Json]:
    """Do what the first line says; the digest of the whole file and a number drawn anew each time."""
    data = job.path.read_bytes()
    digest, nonce = hashlib.sha256(data).hexdigest(), secrets.token_hex(8)
    order, _space, argument = data.partition(b"\n")[0].decode().partition(" ")
    _name((FELLING if order == "fell" else WORKING) + digest[:NAME_DIGITS])
    if order == "crash":
        os.abort()
    time.sleep(float(argument or 60))
    job.add_artifact("digest.txt", "text/plain", digest.encode())
    job.add_artifact("nonce.txt", "text/plain", nonce.encode())
    return {"sha256": digest, "nonce": nonce}


def _name(name: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
