"""Clients that send files of many kinds and sizes through HTTP, some of them slowly, and keep the ledger."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Iterator

import httpx

from tests.chaos import ledger
from tests.chaos.ledger import Ledger, Sent
from tests.chaos.site import Site
from uploads.management.demo import samples

MIB = 1 << 20
CLIENTS = 3
WAITING_MOST = 30  # queued jobs beyond which nobody sends, so that all can end in time
# How often which kind of request is made, by weight.
MIX = {"small": 40, "sleep": 25, "form": 8, "library": 12, "large": 4, "slow": 6, "corrupt": 5}
NAMES = {"library": ("photo.png", "scan.pdf", "sales.csv", "letters.zip")}


class Sender:
    """Start it, then stop it; poison is sent in the beginning only, since it takes its whole budget to end."""

    def __init__(self, site: Site, kept: Ledger, seed: int, *, crashes: int, fells: int) -> None:
        self.site, self.ledger = site, kept
        self._stop = threading.Event()
        self._poison = [ledger.CRASH] * crashes + [ledger.FELL] * fells
        self._library = {
            "photo.png": samples.picture("PNG"), "scan.pdf": samples.picture("PDF"),
            "sales.csv": samples.table(), "letters.zip": samples.archive(),
        }  # fmt: skip
        self._broken = self._library["photo.png"][:3000]
        self._full = False
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed}/{n}"), n), daemon=True)
            for n in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop_soon(self) -> None:
        """No more requests."""
        self._stop.set()

    def stop(self) -> None:
        """No more requests; those under way are waited for."""
        self._stop.set()
        for thread in self._threads:
            thread.join(90)

    def _run(self, luck: random.Random, number: int) -> None:
        counter = 0
        looked = 0.0
        while not self._stop.is_set():
            if number == 0 and time.monotonic() - looked > 1:
                looked = time.monotonic()
                self._look()
            counter += 1
            unique = f"{number}-{counter}"
            if self._full:
                self._stop.wait(0.2)
                continue
            if number == 0 and self._poison and counter % 3 == 0:
                order = self._poison.pop()
                line = "crash" if order == ledger.CRASH else "fell"
                if not self.send(f"{order}-{unique}.txt", text(line, 200, luck), order):
                    self._poison.append(order)
            else:
                self._request(luck.choices(list(MIX), list(MIX.values()))[0], unique, luck)
            self._stop.wait(luck.uniform(0.05, 0.5))

    def _look(self) -> None:
        try:
            with self.site.client() as client:
                page = client.get("/api/jobs", params={"state": "queued", "limit": WAITING_MOST}, timeout=5)
            self._full = page.status_code == 200 and len(page.json()["items"]) >= WAITING_MOST
        except (httpx.TransportError, ValueError):
            return

    def _request(self, kind: str, unique: str, luck: random.Random) -> None:
        match kind:
            case "small":
                size = luck.choice([0, 1, 900, 40_000])
                self.send(f"small-{unique}.txt", text("sleep 0", size, luck), ledger.INNOCENT)
            case "sleep":
                line = f"sleep {luck.uniform(0.5, 3):.2f}"
                self.send(f"sleep-{unique}.txt", text(line, 100, luck), ledger.INNOCENT)
            case "large":
                size = luck.randrange(9 * MIB, 12 * MIB)  # beyond 8 MiB a row is opened before the bytes
                self.send(f"large-{unique}.txt", text("sleep 0", size, luck), ledger.INNOCENT)
            case "slow":
                data = text("sleep 0", luck.choice([60_000, 9 * MIB]), luck)
                self.send(f"slow-{unique}.txt", data, ledger.INNOCENT, seconds=luck.uniform(1, 4))
            case "library":
                name = luck.choice(NAMES["library"])
                self.send(f"{unique}-{name}", self._library[name], ledger.LIBRARY)
            case "corrupt":
                self.send(f"{unique}-half.png", self._broken, ledger.CORRUPT)
            case "form":
                files = {f"form-{unique}-{n}.txt": text("sleep 0", 500, luck) for n in range(3)}
                self._send_form(files)

    def send(self, name: str, data: bytes, order: str, *, seconds: float = 0) -> str:
        """Send one file as a body, over `seconds`; its job's id, "" where it was not acknowledged."""
        sent = self.ledger.announce([(name, _sha256(data), len(data), order)])
        headers = {"Content-Length": str(len(data))}
        content = _drip(data, seconds) if seconds else data
        jobs = self._exchange(
            "PUT", f"/api/uploads/{name}", sent, content=content, headers=headers if seconds else None
        )
        return str(jobs[0]["id"]) if jobs else ""

    def _send_form(self, files: dict[str, bytes]) -> None:
        sent = self.ledger.announce(
            [(name, _sha256(data), len(data), ledger.INNOCENT) for name, data in files.items()]
        )
        parts = [("file", (name, data, "text/plain")) for name, data in files.items()]
        self._exchange("POST", "/api/uploads", sent, files=parts)

    def _exchange(self, method: str, path: str, sent: list[Sent], **body: object) -> list[dict[str, object]]:
        try:
            with self.site.client() as client:
                answer = client.request(method, path, **body)  # type: ignore[arg-type]
        except httpx.TransportError:
            self.ledger.lose_touch(sent)
            self._stop.wait(0.3)
            return []
        if answer.status_code != 202:
            self.ledger.refuse(_reason(answer))
            self._stop.wait(0.3)
            return []
        told = answer.json()
        jobs: list[dict[str, object]] = told.get("jobs", [told])
        self.ledger.acknowledge(jobs, sent)
        return jobs


def text(line: str, size: int, luck: random.Random) -> bytes:
    """A text of about `size` bytes that begins with `line`, unlike any other."""
    head = f"{line}\n{luck.getrandbits(64):016x}\n".encode()
    row = b"a quay, a crane, a crate and a clerk who counts them\n"
    return head + row * (size // len(row))


def _drip(data: bytes, seconds: float) -> Iterator[bytes]:
    pieces = 20
    step = max(1, len(data) // pieces)
    for start in range(0, len(data), step):
        yield data[start : start + step]
        time.sleep(seconds / pieces)


def _reason(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code} {answer.json()['code']}"
    except (ValueError, KeyError, TypeError):
        return str(answer.status_code)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
