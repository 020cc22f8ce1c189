"""Landlock: what this process may still touch, whatever its user may. Needs no privilege.

Access bits and their versions: the kernel's Documentation/userspace-api/landlock.rst.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from uploads.linux import syscalls

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14

_READ = _EXECUTE | _READ_FILE | _READ_DIR
# Neither links nor sockets, pipes or devices: an artifact is a regular file.
_WRITE = _READ_FILE | _READ_DIR | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE

# ABI -> how many file access bits it knows
_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP_BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS = 3, 3


def ruleset(abi: int, readable: Iterable[str], writable: str, null: str = "/dev/null") -> int:
    """A descriptor of rules for kernel.landlock_restrict: reading `readable`, writing below `writable` and to `null`.

    Nothing else is allowed. Where the ABI has them: no TCP (4), no abstract sockets of, nor signals to, processes
    outside (6).
    Raises OSError.
    """
    handled = (1 << _BITS.get(abi, 16)) - 1
    network = _TCP_BIND_AND_CONNECT if abi >= 4 else 0
    scopes = _ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0
    rules = syscalls.landlock_ruleset(handled, network, scopes, 24 if abi >= 6 else 16 if abi >= 4 else 8)
    try:
        for one in readable:
            _allow(rules, one, _READ & handled)
        _allow(rules, writable, (_WRITE | _REFER | _TRUNCATE) & handled)
        _allow(rules, null, (_READ | _WRITE_FILE) & handled)
    except OSError:
        os.close(rules)
        raise
    return rules


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # a place that this machine does not have
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            access &= _OF_A_FILE
        syscalls.landlock_allow(ruleset, access, fd)
    finally:
        os.close(fd)
