"""What every job of a zygote is held to, worked out before the first child is forked."""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from uploads.processing.base import MIB, Limits
from uploads.processing.registry import DEFAULT, Registry

# Left for telling about an out-of-memory error after it happened.
HEADROOM_BYTES = 8 * MIB

# What setrlimit(2) takes: which limit, (soft, hard).
Orders = tuple[tuple[int, tuple[int, int]], ...]


@dataclass
class Rules:
    """What the worker's configuration says about every job.

    `here` are the kinds that this zygote has imported, `every` what one file of each kind may cost. Children
    start with `memory_baseline` bytes of data (as RLIMIT_DATA counts) and `resident_baseline` bytes in memory;
    `others` are the processes that count as their user's beside them: None when these are unknown, and so no limit
    can be set.
    """

    registry: Registry
    here: Sequence[str]
    every: Mapping[str, Limits]
    allowed_types: tuple[str, ...]
    memory_baseline: int
    resident_baseline: int
    others: int | None
    ceiling: Limits = field(init=False)  # the largest of each limit over all kinds
    at_first: Orders = field(
        init=False
    )  # for a file of which nothing is known, with the ceiling as hard limits
    later: Mapping[str, Orders] = field(init=False)  # once its kind is

    def __post_init__(self) -> None:
        every = [self.every[kind] for kind in self.here]
        self.ceiling = Limits(
            memory_bytes=max(one.memory_bytes for one in every),
            cpu_seconds=max(one.cpu_seconds for one in every),
            wall_seconds=max(one.wall_seconds for one in every),
            output_bytes=max(one.output_bytes for one in every),
            processes=max(one.processes for one in every),
            open_files=max(one.open_files for one in every),
        )
        self.at_first = self._orders(self.every[DEFAULT], self.ceiling)
        self.later = {kind: self._orders(self.every[kind], self.every[kind]) for kind in self.here}

    def _orders(self, soft: Limits, hard: Limits) -> Orders:
        """Put `soft` into force, with `hard` as what may still be raised to."""
        data = (
            soft.memory_bytes + self.memory_baseline,
            hard.memory_bytes + self.memory_baseline + HEADROOM_BYTES,
        )
        orders = [
            _order(resource.RLIMIT_DATA, *data),
            _order(resource.RLIMIT_CPU, _whole(soft.cpu_seconds), _whole(hard.cpu_seconds) + 1),
            _order(resource.RLIMIT_FSIZE, soft.output_bytes, hard.output_bytes),
            _order(resource.RLIMIT_NOFILE, soft.open_files, hard.open_files),
            _order(resource.RLIMIT_CORE, 0, 0),
        ]
        if self.others is not None:
            # One more than allowed, so that the zygote sees the limit passed and not just reached.
            more = self.others + 1
            orders.append(_order(resource.RLIMIT_NPROC, soft.processes + more, hard.processes + more))
        return tuple(orders)


def enforce(orders: Orders) -> None:
    """Put limits into force for this process."""
    for which, pair in orders:
        resource.setrlimit(which, pair)


def _order(which: int, soft: int, hard: int) -> tuple[int, tuple[int, int]]:
    """Never above what this process, and so its children, may have."""
    ceiling = resource.getrlimit(which)[1]
    if ceiling != resource.RLIM_INFINITY:
        hard = min(hard, ceiling)
    return which, (min(soft, hard), hard)


def _whole(seconds: float) -> int:
    return max(1, int(-(-seconds // 1)))
