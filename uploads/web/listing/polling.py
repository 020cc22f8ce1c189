"""How often the open pages may look, all together: the more there are, the longer each waits.

Every page that watches something asks again after the pause it was told. Their number is estimated from the
pauses handed out: a page that is told p seconds comes back 1/p times a second, so the sum of p over a while,
divided by that while, counts the pages, whatever their pauses are. No page has to be remembered.
"""

from __future__ import annotations

import math
import random
import threading
import time

from django.conf import settings

LOOKS_A_SECOND = 100  # of all web workers together
MEMORY = 10.0  # seconds over which pages are counted
LONGEST = 30_000  # milliseconds


class Pace:
    """Stretches pauses so that about `rate` looks a second come to this process."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._pages = 0.0
        self._then = time.monotonic()
        self._lock = threading.Lock()

    def pause(self, wish: int, now: float | None = None) -> int:
        """Milliseconds a page shall wait that would best wait `wish`; 0 stays 0: it asks no more."""
        if not wish:
            return 0
        now = time.monotonic() if now is None else now
        with self._lock:
            pages = self._pages * math.exp((self._then - now) / MEMORY)
            told = float(wish)
            if pages / self._rate * 1000 > wish:
                # Apart by a little, so that pages which were opened together do not come together for ever.
                told = min(pages / self._rate * 1000 * random.uniform(0.9, 1.1), LONGEST)  # noqa: S311
            self._pages, self._then = pages + told / 1000 / MEMORY, now
        return round(told)


_here: Pace | None = None


def pause(wish: int) -> int:
    """The pace of this process, one of UPLOADS_WEB_WORKERS."""
    global _here
    _here = _here or Pace(LOOKS_A_SECOND / settings.UPLOADS_WEB_WORKERS)
    return _here.pause(wish)
