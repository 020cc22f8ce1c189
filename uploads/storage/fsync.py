"""Making names and bytes survive a power cut."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class StorageUnavailable(Exception):
    """Our own disk did not do as asked; `full` tells whether for want of space."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


_FULL = {28, 122}  # ENOSPC, EDQUOT


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn an OSError of our own files into StorageUnavailable. FileNotFoundError passes: it has gone."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as wrong:
        raise StorageUnavailable(f"storage: {wrong.strerror or wrong}", full=wrong.errno in _FULL) from wrong


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_directory(path: Path) -> None:
    """Make a directory (and its parents) ours alone, durably. Raises OSError."""
    if path.is_dir():
        return
    make_directory(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    sync_directory(path.parent)
