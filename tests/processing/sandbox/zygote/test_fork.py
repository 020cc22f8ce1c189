"""Forking without the standard library's hooks: what a child does without, and what it must not share."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, sys
from uploads.processing.sandbox.zygote import fork
fork.hold_back()
import random

repaired = []
os.register_at_fork(after_in_child=lambda: repaired.append(os.getpid()))

def child(fork, tell):
    sys.stdout.flush()
    pid = fork()
    if not pid:
        tell()
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)

def tell():
    print(len(repaired), random.random())
    child(os.fork, lambda: print(len(repaired), random.random()))

child(fork.fork, tell)
child(fork.fork, tell)
"""


def test_a_childs_own_forks_are_repaired_and_no_two_children_share_their_random_numbers() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]

    assert [repaired for repaired, _number in lines] == ["0", "1", "0", "1"]
    assert len({number for _repaired, number in lines}) == 4
