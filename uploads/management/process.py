"""Management commands as children: each in a session of its own, restarted, and never outliving its parent.

As a program, `python -m uploads.management.process COMMAND …` is `manage.py COMMAND …` tied to the
process that started it: when that one dies, by whatever signal, so do this one and all its forks.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from uploads.linux.processes import StopSignals, bind_forks, die_with, kill_session

__all__ = ["Child", "StopSignals", "bind_forks", "die_with"]

_PARENT = "WHARFINGER_PARENT_PID"
_ROOT = Path(__file__).resolve().parent.parent.parent


class Child:
    """A management command in a session of its own, restarted with back-off when it ends unasked.

    `name` is for messages; `arguments` are manage.py's; `grace` is how many seconds it may take to stop.
    """

    FIRST_DELAY = 0.5
    DELAY_CAP = 30.0
    STEADY_SECONDS = 60.0  # alive for so long, its next end is a first one again

    def __init__(self, name: str, arguments: list[str], grace: float) -> None:
        self.name = name
        self.ends = 0
        self.due: float | None = None
        self._arguments = arguments
        self._grace = grace
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @property
    def pid(self) -> int | None:
        """The pid of its main process, which leads its session; None before the first start."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it, from the main thread. Its standard input is empty, its output is ours."""
        environ = {name: value for name, value in os.environ.items() if name != "ADMIN_PASSWORD"}
        environ[_PARENT] = str(os.getpid())
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), environ.get("PYTHONPATH")]))
        # -P: the folder one happens to stand in is no place to import from.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "uploads.management.process", *self._arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._started = time.monotonic()
        self.due = None

    def tend(self) -> str | None:
        """Look after it: a sentence where it has just ended unasked; start it again when that is due."""
        now = time.monotonic()
        if self.due is not None:
            if now >= self.due:
                self.start()
            return None
        if self._process is None or self._process.poll() is None:
            return None
        kill_session(self._process.pid)
        self.ends = 1 if now - self._started > self.STEADY_SECONDS else self.ends + 1
        delay = min(self.FIRST_DELAY * 2 ** (self.ends - 1), self.DELAY_CAP)
        self.due = now + delay
        return f"The {self.name} {_ending(self._process.returncode)}; it starts again in {delay:g} s."

    def stop(self, signals: StopSignals) -> None:
        """Send SIGTERM to its main process only, wait for its grace, then kill what is left of its session.

        A second stop signal, a second or more after the first, ends the waiting.
        """
        self.due = None
        if self._process is None:
            return
        deadline = time.monotonic() + self._grace
        self._process.terminate()
        while self._process.poll() is None and not signals.hurry:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            signals.wait(min(left, 0.2))
        kill_session(self._process.pid)
        self._process.wait()


def _ending(status: int) -> str:
    """A process's return code in words; a negative one is the signal that ended it."""
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def main(arguments: list[str]) -> None:
    """Run `manage.py` with `arguments`, tied to the process that started us."""
    die_with(int(os.environ.pop(_PARENT)))
    bind_forks()
    sys.path.insert(0, str(_ROOT))
    import manage

    sys.argv = ["manage.py", *arguments]
    manage.main()


if __name__ == "__main__":
    main(sys.argv[1:])
