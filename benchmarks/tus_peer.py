"""The peer of resumable uploads: @tus/server from npm, in a process of its own.

It is installed when it is first needed, by `npm ci` from the lock in benchmarks/peers, into a directory
that is removed afterwards.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.stage import Server, environment, folder, free_port, running

_PEERS = Path(__file__).resolve().parent / "peers"


class NodeServer(Server):
    """One process that serves; it has no children."""

    def workers(self) -> list[int]:
        return [self.process.pid]


@contextmanager
def installed() -> Iterator[Path]:
    """A directory with the peer and nothing else. Exits with one sentence where npm is missing or fails."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("The peer of the tus benchmark needs node (20.19 or later) and npm.")
    with tempfile.TemporaryDirectory(prefix="tus-peer-") as name:
        path = Path(name)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(_PEERS / file, path)
        done = subprocess.run(
            [npm, "ci", "--omit=optional", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=path, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"npm could not install the peer: {done.stderr.strip()[-500:]}")
        yield path


@contextmanager
def tus_server(modules: Path, *, fsync: bool = False) -> Iterator[Server]:
    """@tus/server over a directory beside ours; with `fsync` a finished upload is durable when answered."""
    with folder() as path:
        port = free_port()
        (path / "files").mkdir()
        script = str(_PEERS / "tus-server.mjs")
        command = ["node", script, str(port), str(path / "files"), *(["fsync"] if fsync else [])]
        env = environment(path, port) | {"NODE_ENV": "production"}
        with running(command, env, path, "", cwd=modules) as server:
            yield NodeServer(server.port, server.folder, server.process)
