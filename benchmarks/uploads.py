"""Uploads: throughput, memory, bytes written, small ones; against bare peers on the same server."""

from __future__ import annotations

import argparse
import socket

from benchmarks.stage import MIB, Server, at_once, granian, heading, median, row, send, wharfinger

PUT = "PUT /api/uploads/bench.bin HTTP/1.1\r\nContent-Type: application/octet-stream\r\n"
FORM = "POST /api/uploads HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
BARE = "PUT /x HTTP/1.1\r\n"
BEFORE = (
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="bench.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
)
AFTER = b"\r\n--XX--\r\n"


def clear(server: Server) -> None:
    """Free the disk between runs; what is measured is the way in."""
    for name in ("files", "media"):
        for path in (server.folder / name).rglob("*"):
            if path.is_file():
                path.unlink()
    for path in server.folder.glob("????????-*"):
        path.unlink()


def throughput(ours: Server, bare: Server, size: int, runs: int) -> None:
    """PUT and multipart of one body of `size` bytes, in turn with the bare app."""
    spent: dict[str, list[float]] = {"put": [], "form": [], "bare": []}
    for _run in range(runs + 1):
        spent["bare"].append(send(bare, BARE, size))
        spent["put"].append(send(ours, PUT, size))
        spent["form"].append(send(ours, FORM, size, BEFORE, AFTER))
        clear(ours)
        clear(bare)
    rate = {name: size / MIB / median(times[1:]) for name, times in spent.items()}
    for name, what, goal in (("put", "PUT", 0.85), ("form", "multipart", 0.4)):
        ratio = median([b / o for b, o in zip(spent["bare"][1:], spent[name][1:], strict=True)])
        row(
            f"{what} of {size // MIB} MiB, MB/s", f"{rate[name]:.0f}", f"{rate['bare']:.0f}", f"{ratio:.2f}",
            f"≥ {goal}", ratio >= goal,
        )  # fmt: skip


def memory(ours: Server, large: int) -> None:
    """Growth of the largest web worker from a 1 MiB upload to one of `large` bytes, and to eight at once."""
    send(ours, PUT, MIB)
    ours.reset_peaks()
    send(ours, PUT, MIB)
    base = ours.peak_rss()
    for count in (1, 8):
        at_once(lambda _n: send(ours, PUT, large), count)
        grown = (ours.peak_rss() - base) / MIB
        clear(ours)
        row(f"RSS growth, {count} × {large // MIB} MiB, MiB", f"{grown:.1f}", "", "", "< 32", grown < 32)


def written(ours: Server, size: int) -> None:
    before = ours.bytes_written()
    send(ours, PUT, size)
    ratio = (ours.bytes_written() - before) / size
    row("bytes written per byte (PUT)", f"{ratio:.3f}", "", "", "≤ 1.02", ratio <= 1.02)
    before = ours.bytes_written()
    send(ours, FORM, size, BEFORE, AFTER)
    ratio = (ours.bytes_written() - before) / size
    row("bytes written per byte (multipart)", f"{ratio:.3f}", "", "", "≤ 1.02", ratio <= 1.02)
    clear(ours)


def small(ours: Server, plain: Server, count: int, runs: int) -> None:
    """1 KiB uploads a second over 8 kept connections, against a plain FileField view."""
    body = BEFORE + b"x" * 1024 + AFTER
    ratios, rates = [], []
    for _run in range(runs):
        pair = []
        for server, head in ((ours, FORM), (plain, FORM.replace("/api/uploads", "/upload"))):
            request = (
                f"{head}Host: 127.0.0.1\r\n{server.headers}Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            spent = at_once(lambda _n, s=server, r=request: _many(s, r, count // 8), 8)
            pair.append(count / spent)
        ratios.append(pair[0] / pair[1])
        rates.append(pair)
    ours_rate, plain_rate = (median([pair[n] for pair in rates]) for n in (0, 1))
    ratio = median(ratios)
    row("1 KiB uploads/s", f"{ours_rate:.0f}", f"{plain_rate:.0f}", f"{ratio:.2f}", "≥ 0.5", ratio >= 0.5)


def _many(server: Server, request: bytes, count: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _n in range(count):
            line.sendall(request)
            answer = line.recv(65536)
            if b" 202 " not in answer[:20]:
                raise SystemExit(f"not acknowledged: {answer[:500]!r}")
            head, _, rest = answer.partition(b"\r\n\r\n")
            length = next(
                int(one.split(b":")[1])
                for one in head.split(b"\r\n")
                if one.lower().startswith(b"content-length")
            )
            while len(rest) < length:
                rest += line.recv(65536)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--large", type=int, default=2048, help="MiB of the large bodies")
    parser.add_argument("--small", action="store_true", help="the 1 KiB uploads alone")
    chosen = parser.parse_args(arguments)
    heading()
    with wharfinger() as ours:
        if not chosen.small:
            with granian("benchmarks.bare:application") as bare:
                throughput(ours, bare, 100 * MIB, chosen.runs)
                throughput(ours, bare, 1024 * MIB, max(3, chosen.runs - 2))
            written(ours, 256 * MIB)
            memory(ours, chosen.large * MIB)
        with granian("benchmarks.plain.app:application") as plain:
            small(ours, plain, 800, chosen.runs)


if __name__ == "__main__":
    main()
