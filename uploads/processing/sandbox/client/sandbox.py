"""The worker's side of the sandbox: hand a file to a zygote, listen, and say how it ended.

No Django, no settings. Whatever the child sends is checked here again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from uploads.processing.base import Json
from uploads.processing.detection.by_name import guess_kind
from uploads.processing.sandbox.client import artifacts
from uploads.processing.sandbox.client.outcome import Done, Failed, Stopped, Told, Usage, judge, lost
from uploads.processing.sandbox.client.zygote import SandboxBroken, ZygoteGone, ZygoteProcess
from uploads.processing.sandbox.isolation.mounts import restore

__all__ = ["Done", "Failed", "Sandbox", "SandboxBroken", "SandboxConfig", "Stopped", "Usage"]


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """`processors`: kind -> dotted path of extra ones. `limits`: kind, or "*" for all -> fields of Limits.

    `allowed_types`: patterns such as "image/*"; empty allows all.
    """

    processors: dict[str, str]
    limits: dict[str, dict[str, float]]
    allowed_types: tuple[str, ...] = ()


class _NoDirectory(Exception):
    """The artifacts directory cannot be made."""


class Sandbox:
    """Zygotes, and one file at a time in a child of one. Not for use by several threads.

    Forking costs what a process is large: so there are two. The light one has no native library and takes what
    its own kinds can do; what turns out to be of another kind, and what its name says is, goes to the full one.
    `without` leaves fences out (keys of jail.FENCES): to measure what each costs.
    """

    def __init__(self, config: SandboxConfig, *, without: Collection[str] = ()) -> None:
        self._config, self._without = config, without
        self._full = ZygoteProcess(lambda: self._setup(None))
        self._light = ZygoteProcess(lambda: self._setup(self._full.hello["light"]))

    @property
    def missing_fences(self) -> tuple[str, ...]:
        """What this kernel or this user does not allow, in plain words; known after `start`."""
        return tuple(self._full.hello.get("missing", ()))

    @property
    def pid(self) -> int | None:
        """The full zygote's process id, None when there is none."""
        return self._full.pid

    def start(self) -> None:
        """Start the zygotes and wait until they are ready. Raises SandboxBroken with one sentence.

        Only from the main thread: a zygote dies with the thread that started it.
        """
        self._full.start()
        if self._light_kinds():
            self._light.start()

    def close(self) -> None:
        """End the zygotes and whatever they have forked; when this returns, nothing of them runs any more."""
        self._full.close()
        self._light.close()

    def _setup(self, light: Json) -> dict[str, Json]:
        return {
            "processors": dict(self._config.processors),
            "limits": {kind: dict(one) for kind, one in self._config.limits.items()},
            "allowed_types": list(self._config.allowed_types),
            "without": list(self._without),
            "light": light,
        }

    def _light_kinds(self) -> tuple[str, ...]:
        return tuple(self._full.hello["light"]["kinds"])

    def run(
        self,
        path: Path,
        filename: str,
        artifacts_dir: Path,
        *,
        on_progress: Callable[[float, str], None],
        stop_fd: int | None = None,
        deadline_seconds: float | None = None,
    ) -> Done | Failed | Stopped:
        """Work on the file at `path`; its artifacts are in `artifacts_dir`, ours and durable, when Done.

        `stop_fd` readable ends the work (Stopped). What `on_progress` raises ends it too, and passes.
        """
        began = time.monotonic()
        order: dict[str, Json] = {
            "path": str(path.absolute()),
            "filename": filename,
            "artifacts": str(artifacts_dir.absolute()),
            "deadline": deadline_seconds,
        }
        outcome: Done | Failed | Stopped | None = None
        owned: dict[str, os.stat_result] = {}
        try:
            owned = _owners(path, artifacts_dir)
            told = self._work(order, on_progress, stop_fd)
            outcome = judge(told, partial(artifacts.gather, artifacts_dir))
        except ZygoteGone as error:
            for place, before in owned.items():
                restore(place, before)
            detail = f"The sandbox's own process is lost: {error}"
            outcome = lost("processor_crashed", detail, time.monotonic() - began)
        except SandboxBroken as error:
            outcome = lost("internal_error", str(error), time.monotonic() - began)
        except _NoDirectory as error:
            outcome = lost("storage_unavailable", str(error), time.monotonic() - began)
        finally:
            if not isinstance(outcome, Done):
                artifacts.discard(artifacts_dir)
        return outcome

    def _work(
        self, order: dict[str, Json], on_progress: Callable[[float, str], None], stop_fd: int | None
    ) -> Told:
        if not self._full.hello:
            self.start()
        light = self._light_kinds()
        if light and guess_kind(str(order["filename"]), "") in ("", *light):
            told = self._light.work(order, on_progress, stop_fd)
            if not told.is_for_another:
                return told
            artifacts.discard(Path(str(order["artifacts"])))
        return self._full.work(order, on_progress, stop_fd)


def _owners(path: Path, directory: Path) -> dict[str, os.stat_result]:
    """Make the directory; who owns both before the run, as far as they are there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return {str(one): one.stat() for one in (path, directory) if one.exists()}
    except OSError as error:
        raise _NoDirectory(str(error)) from error
