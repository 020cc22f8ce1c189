"""A lock between forked processes that its holder cannot take with it when it is killed.

A `multiprocessing.Lock` is a semaphore: whoever is killed while holding it leaves it taken for ever. A
reader of a queue holds the queue's lock all the while it waits, so that the death of one idle worker
would stop all others, and a monitor that is killed would leave its successor nothing to read.
"""

from __future__ import annotations

import fcntl
import os
import time
from types import TracebackType

POLL_SECONDS = 0.01


class HolderLock:
    """Like `multiprocessing.Lock`, on flock(2): the kernel gives it back when its holder has ended.

    Make it before the fork. Between the threads of one process it does not exclude.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("lock", os.MFD_CLOEXEC)
        self._own = (0, -1)  # pid, and its descriptor: the lock belongs to whoever has opened the file

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take the lock; whether it was free, or became so within `timeout` seconds (None: for ever)."""
        own = self._descriptor()
        if block and timeout is None:
            fcntl.flock(own, fcntl.LOCK_EX)
            return True
        deadline = time.monotonic() + (timeout or 0 if block else 0)
        while True:
            try:
                fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(POLL_SECONDS)
            else:
                return True

    def release(self) -> None:
        fcntl.flock(self._descriptor(), fcntl.LOCK_UN)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _descriptor(self) -> int:
        pid, own = self._own
        if pid != os.getpid():
            own = os.open(f"/proc/self/fd/{self._file}", os.O_RDWR | os.O_CLOEXEC)
            self._own = (os.getpid(), own)
        return own
