"""A sandbox whose every kind of file is the hostile processor."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from uploads.processing.registry import BUILTIN
from uploads.processing.sandbox.client.sandbox import Done, Failed, Sandbox, SandboxConfig, Stopped

HOSTILE = {"text": "tests.processing.sandbox.hostile"} | dict.fromkeys(
    BUILTIN, "tests.processing.sandbox.hostile"
)


def hostile_config(**limits: float) -> SandboxConfig:
    """Every kind is the hostile processor; `limits` override its own."""
    return SandboxConfig(processors=HOSTILE, limits={"*": limits} if limits else {}, allowed_types=())


@dataclass
class Bench:
    """A sandbox, and a place for its files."""

    sandbox: Sandbox
    place: Path
    progress: list[tuple[float, str]] = field(default_factory=list)

    @property
    def artifacts(self) -> Path:
        return self.place / "artifacts"

    def write(self, *lines: str) -> Path:
        """A file of ours, as storage keeps it: readable by nobody else."""
        path = self.place / "kept"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        return path

    def run(
        self,
        *lines: str,
        filename: str = "notes.txt",
        on_progress: Callable[[float, str], None] | None = None,
        stop_fd: int | None = None,
        deadline_seconds: float | None = None,
    ) -> Done | Failed | Stopped:
        """Have the hostile processor do what `lines` say."""
        return self.sandbox.run(
            self.write(*lines),
            filename,
            self.artifacts,
            on_progress=on_progress or (lambda percent, note: self.progress.append((percent, note))),
            stop_fd=stop_fd,
            deadline_seconds=deadline_seconds,
        )

    def done(self, *lines: str) -> Done:
        outcome = self.run(*lines)
        assert isinstance(outcome, Done), outcome
        return outcome

    def failed(self, *lines: str) -> Failed:
        outcome = self.run(*lines)
        assert isinstance(outcome, Failed), outcome
        return outcome


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    """One zygote for all tests of a module: what one job does must not harm the next."""
    sandbox = Sandbox(hostile_config())
    sandbox.start()
    yield sandbox
    sandbox.close()


@pytest.fixture
def bench(shared_sandbox: Sandbox, tmp_path: Path) -> Bench:
    return Bench(shared_sandbox, tmp_path)


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Benches with a zygote of their own: `make_bench(without=(…), **limits)`."""
    made: list[Sandbox] = []

    def make(without: tuple[str, ...] = (), **limits: float) -> Bench:
        sandbox = Sandbox(hostile_config(**limits), without=without)
        made.append(sandbox)
        sandbox.start()
        return Bench(sandbox, tmp_path)

    yield make
    for sandbox in made:
        sandbox.close()


def all_gone(pids: Iterable[int], seconds: float) -> bool:
    """Wait until these processes have ended."""
    until = time.monotonic() + seconds
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = select.select([pidfd], [], [], max(0, until - time.monotonic()))[0]
        os.close(pidfd)
        if not ended:
            return False
    return True
