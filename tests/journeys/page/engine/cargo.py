"""Large files to send, and what became of them."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Request

from tests.journeys.conftest import wait_for
from tests.journeys.page.browser import Visit

MIB = 1 << 20
CHUNK = 16 * MIB  # what the server may lose of a cut upload, at most


def cargo(path: Path, size: int, seed: int = 1) -> str:
    """Write a file of noise; its SHA-256."""
    data = random.Random(seed).randbytes(MIB)
    digest = hashlib.sha256()
    with path.open("wb") as out:
        for number in range(-(-size // MIB)):
            piece = (number.to_bytes(8, "big") + data)[: min(MIB, size - number * MIB)]
            out.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def sending(visit: Visit, name: str) -> Locator:
    row = visit.page.locator("#sending .row")
    return row.filter(has=visit.page.get_by_text(name, exact=True))


def landed(visit: Visit, name: str, seconds: float = 60) -> dict[str, Any]:
    """The job of that name once it is done."""
    return wait_for(
        lambda: next((job for job in visit.jobs() if job["filename"] == name and job["sha256"]
                      and job["state"] == "succeeded"), None),
        seconds, f"{name} to be done",
    )  # fmt: skip


def patches(visit: Visit) -> list[Request]:
    """The requests with bytes, as the tab makes them."""
    seen: list[Request] = []
    visit.page.on("request", lambda made: seen.append(made) if made.method == "PATCH" else None)
    return seen


def names_of_all(visit: Visit) -> set[str]:
    names: set[str] = set()
    cursor: str | None = ""
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        answer = visit.context.request.get(f"/api/jobs?limit=100{more}").json()
        names |= {job["filename"] for job in answer["items"]}
        cursor = answer["next_cursor"]
    return names
