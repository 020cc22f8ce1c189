"""Who does what a poison file only asks for: kills the worker that has opened it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

from tests.chaos import processor
from tests.chaos.site import Site, below, name_of


class Accomplice:
    """A thread that kills the worker of each file that asks for it, as a file would that can."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Accomplice:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            for cluster in self.site.clusters():
                for worker in cluster.workers:
                    if any(name_of(pid).startswith(processor.FELLING) for pid in below(worker)):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(worker, signal.SIGKILL)
