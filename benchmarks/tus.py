"""Resumable uploads: ours against @tus/server from npm, as it is and with fsync, and a bare WSGI app.

Ours does all that it does: a token, rows, offsets committed on the way, SHA-256, fsync, a queued job. An
upload is one POST and one PATCH. All servers run side by side and take turns.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.stage import MIB, Server, at_once, granian, heading, median, row, send, wharfinger
from benchmarks.tus_peer import installed, tus_server
from benchmarks.tus_wire import Line

LINES = 8
BARE = "PUT /x HTTP/1.1\r\n"
Act = Callable[[Line], float]


class Peer:
    """A server, where it makes uploads, and how long each of its runs took, in seconds."""

    def __init__(self, name: str, server: Server, path: str = "") -> None:
        self.name, self.server, self.path = name, server, path
        self.spent: list[float] = []
        self.each: list[float] = []

    def forget(self) -> None:
        self.spent, self.each = [], []

    def run(self, act: Act, lines: int, times: int) -> None:
        """`act` on `lines` connections at once, so many times on each."""

        def one(_n: int) -> None:
            with Line(self.server, self.path) as line:
                self.each += [act(line) for _n in range(times)]

        self.spent.append(at_once(one, lines))
        self.clear()

    def put(self, size: int) -> None:
        self.spent.append(send(self.server, BARE, size))
        self.clear()

    def clear(self) -> None:
        """Empty what has come: what nobody reads need not be written back in somebody else's turn.

        Its inodes stay: on ext4, creating files is ten times as costly in the minutes after others were removed.
        """
        for pattern in ("????????-????-????-????-????????????", "files/*"):
            for path in self.server.folder.rglob(pattern):
                if path.is_file():
                    os.truncate(path, 0)

    @property
    def p99(self) -> float:
        ordered = sorted(self.each)
        return ordered[math.ceil(0.99 * len(ordered)) - 1]


def ratio(ours: Peer, peer: Peer) -> float:
    """How much faster ours was: the median of the runs, paired."""
    return median([theirs / our for our, theirs in zip(ours.spent, peer.spent, strict=True)])


def compare(peers: list[Peer], what: str, unit: float, goals: dict[str, float], form: str = ".0f") -> None:
    """A row for each peer that has a goal; `unit` divided by a run's seconds is the figure."""
    ours = peers[0]
    for peer in peers[1:]:
        goal = goals.get(peer.name)
        if goal is None:
            continue
        got = ratio(ours, peer)
        figures = (f"{unit / median(one.spent):{form}}" for one in (ours, peer))
        row(f"{what} | {peer.name}", *figures, f"{got:.2f}", f"≥ {goal}", got >= goal)


def latency(peers: list[Peer], what: str) -> None:
    for peer in peers[1:]:
        figures = (f"{1000 * one.p99:.0f}" for one in (peers[0], peer))
        row(f"{what}, p99, ms | {peer.name}", *figures, f"{peer.p99 / peers[0].p99:.2f}", "", None)


def rounds(peers: list[Peer], runs: int, act: Callable[[Peer], None]) -> None:
    """Each peer in turn, after a round that does not count; every second round backwards."""
    for number in range(runs + 1):
        if number == 1:
            for peer in peers:
                peer.forget()
        for peer in peers if number % 2 else reversed(peers):
            act(peer)


def small(tus: list[Peer], runs: int) -> None:
    kinds: list[tuple[str, Act]] = [
        ("1 KiB, POST + PATCH", lambda line: line.upload(1024)),
        ("1 KiB, one POST", lambda line: line.upload_at_once(1024)),
    ]
    for what, act in kinds:
        rounds(tus, runs, lambda peer, a=act: peer.run(a, LINES, 50))  # type: ignore[misc]
        compare(tus, f"{what}, uploads/s", LINES * 50, {"@tus": 1, "@tus + fsync": 1})
        latency(tus, what)
    rounds(tus, runs, lambda peer: peer.run(lambda line: line.upload(MIB), LINES, 10))
    compare(tus, "1 MiB, MB/s", LINES * 10, {"@tus": 1, "@tus + fsync": 1})
    latency(tus, "1 MiB")


def large(everyone: list[Peer], size: int, runs: int, goal: float) -> None:
    def act(peer: Peer) -> None:
        if peer.path:
            peer.run(lambda line: line.upload(size), 1, 1)
        else:
            peer.put(size)

    rounds(everyone, runs, act)
    goals = {"@tus": goal, "@tus + fsync": 1, "bare WSGI": 0.85}
    compare(everyone, f"{size // MIB} MiB, MB/s", size / MIB, goals)


def written(peers: list[Peer], size: int) -> None:
    figures = []
    for peer in peers:
        before = peer.server.bytes_written()
        peer.run(lambda line: line.upload(size), 1, 1)
        figures.append((peer.server.bytes_written() - before) / size)
    for peer, figure in zip(peers[1:2], figures[1:2], strict=True):
        row(f"bytes written per byte | {peer.name}", f"{figures[0]:.3f}", f"{figure:.3f}", "", "≤ 1.02",
            figures[0] <= 1.02)  # fmt: skip


def crowd(tus: list[Peer], size: int, runs: int) -> None:
    """Eight at once: time, and growth of memory from the state after a small upload."""
    grown: dict[str, list[float]] = {peer.name: [] for peer in tus}

    def act(peer: Peer) -> None:
        peer.run(lambda line: line.upload(MIB), LINES, 2)
        peer.server.reset_peaks()
        before = peer.server.peak_rss_together()
        peer.spent.pop()
        peer.each.clear()
        peer.run(lambda line: line.upload(size), LINES, 1)
        grown[peer.name].append((peer.server.peak_rss_together() - before) / MIB)

    rounds(tus, runs, act)
    what = f"8 × {size // MIB} MiB at once"
    compare(tus, f"{what}, MB/s", LINES * size / MIB, {"@tus": 0.9, "@tus + fsync": 1})
    for peer in tus[1:]:
        mine, theirs = median(grown[tus[0].name]), median(grown[peer.name])
        row(f"{what}, RSS growth, MiB | {peer.name}", f"{mine:.1f}", f"{theirs:.1f}", "", "no higher",
            mine <= theirs)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--large", type=int, default=1024, help="MiB of the large uploads")
    parser.add_argument("--only", choices=("small", "large", "crowd"), help="only these sizes")
    chosen = parser.parse_args(arguments)
    heading()
    with ExitStack() as running:
        modules = running.enter_context(installed())
        ours = Peer("ours", running.enter_context(wharfinger()), "/api/tus/")
        plain = Peer("@tus", running.enter_context(tus_server(modules)), "/files")
        synced = Peer("@tus + fsync", running.enter_context(tus_server(modules, fsync=True)), "/files")
        bare = Peer("bare WSGI", running.enter_context(granian("benchmarks.bare:application")))
        tus = [ours, plain, synced]
        if chosen.only in (None, "small"):
            small(tus, chosen.runs)
        if chosen.only in (None, "large"):
            large([*tus, bare], 100 * MIB, chosen.runs, 1)
            large([*tus, bare], chosen.large * MIB, max(3, chosen.runs - 2), 0.9)
            written(tus, 256 * MIB)
        if chosen.only in (None, "crowd"):
            crowd(tus, chosen.large * MIB, max(3, chosen.runs - 2))


if __name__ == "__main__":
    main()
