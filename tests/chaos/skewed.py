"""The product's settings on a host whose clock is wrong by CHAOS_CLOCK_OFFSET seconds, for its Python code."""

import os
import time
from datetime import timedelta

from django.utils import timezone

_offset = float(os.environ["CHAOS_CLOCK_OFFSET"])
_true_time, _true_now = time.time, timezone.now
time.time = lambda: _true_time() + _offset
timezone.now = lambda: _true_now() + timedelta(seconds=_offset)

from project.settings import *  # noqa: E402, F403  # after the clock is wrong
