"""What open pages cost: web workers' CPU while many of them look for changes, each when it is told to.

Every page belongs to another person, shows 25 rows and watches one that is worked on, so none ever stops asking;
nothing changes, so the answers are 304. Its headers are those that the page's script sends.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.stage import Server, environment, heading, manage, row, wharfinger

PAGES = 500
WARM_SECONDS, SECONDS = 15, 30
_TICK = os.sysconf("SC_CLK_TCK")

MAKE_PEOPLE = f"""
from datetime import timedelta
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.utils import timezone
from uploads.models import UploadJob
now = timezone.now()
with transaction.atomic():
    people = User.objects.bulk_create(User(username=f"p{{n}}", password="!") for n in range({PAGES}))
    done = dict(size=1, state="succeeded", attempt=1, result={{}}, kind="text", queued_at=now, started_at=now,
                finished_at=now)
    under_way = done | dict(state="running", result=None, finished_at=None, lease_until=now + timedelta(1))
    for user in people:
        UploadJob.objects.bulk_create(
            UploadJob(owner=user, filename=f"f{{n}}.txt", **(done if n else under_way)) for n in range(25)
        )
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        print(session.session_key)
"""


@dataclass
class Tally:
    """What came back while it was measured."""

    counting: bool = False
    unchanged: int = 0
    other: int = 0
    pauses: list[float] = field(default_factory=list)


async def page(port: int, session: str, tally: Tally) -> None:
    """One open page: it is loaded, then asks what changed, over one kept connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    status, _headers, body = await _get(reader, writer, "/", session)
    versions = re.findall(rb'data-version="([^"]+)"', body)
    if status != 200 or len(versions) != 25:
        raise SystemExit(f"the page was not served: {status}")
    known = f'If-None-Match: "{b".".join(versions).decode()}"\r\nHX-Request: true\r\nHX-Target: live\r\n'
    pause = 1.0
    while True:
        await asyncio.sleep(pause)
        status, headers, _body = await _get(reader, writer, "/live/", session, known)
        pause = int(headers["poll-after"]) / 1000
        if tally.counting:
            tally.unchanged += status == 304
            tally.other += status != 304
            tally.pauses.append(pause)


async def _get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, session: str, more: str = ""
) -> tuple[int, dict[str, str], bytes]:
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sessionid={session}\r\n{more}\r\n".encode()
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = [line.partition(":") for line in head.split("\r\n")[1:]]
    headers = {name.lower(): value.strip() for name, _colon, value in lines}
    body = b""
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readline()).strip(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    return int(head.split()[1]), headers, body


def cpu(server: Server) -> float:
    """CPU seconds of the web workers so far: user and system (proc(5), stat: fields 14 and 15)."""
    spent = 0
    for pid in server.workers():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent += int(fields[11]) + int(fields[12])
    return spent / _TICK


async def measure(server: Server, sessions: list[str]) -> tuple[float, Tally]:
    """Open all pages, and watch for a while: cores used, and what came back."""
    tally = Tally()
    async with asyncio.TaskGroup() as group:
        pages = []
        for session in sessions:
            pages.append(group.create_task(page(server.port, session, tally)))
            await asyncio.sleep(0.01)  # people do not all come in one moment
        await asyncio.sleep(WARM_SECONDS)
        before, began = cpu(server), time.monotonic()
        tally.counting = True
        await asyncio.sleep(SECONDS)
        used = (cpu(server) - before) / (time.monotonic() - began)
        for one in pages:
            one.cancel()
    return used, tally


def main() -> None:
    heading()
    # The watchdog would end connections that wait longer than its time-out between two looks; browsers open anew.
    with wharfinger("serve", UPLOADS_IDLE_TIMEOUT="120") as server:
        sessions = manage(
            environment(server.folder, server.port), "shell", "-v0", "--no-imports", "-c", MAKE_PEOPLE
        ).split()
        cores, tally = asyncio.run(measure(server, sessions))
    name = f"{PAGES} open pages: cores used, answers a second"
    each = tally.unchanged / SECONDS
    row(name, f"{cores:.2f}", f"{each:.0f}", "", "< 0.5", cores < 0.5 and not tally.other)
    row("  seconds between two looks of a page", f"{statistics.mean(tally.pauses):.1f}", "", "", "", None)


if __name__ == "__main__":
    main()
