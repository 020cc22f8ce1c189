"""How fast GET /healthz is answered while both cores process, against idle: p99 of the same run."""

from __future__ import annotations

import http.client
import threading
import time
import zlib

from benchmarks.stage import Server, get, heading, row, send, wharfinger

PUT = "PUT /api/uploads/bench.csv HTTP/1.1\r\nContent-Type: text/csv\r\n"
ASKED = 1_000
EVERY = 0.01  # a hundred a second, as a load balancer with many nodes would


def p99(server: Server) -> float:
    """Ask for /healthz at a steady rate over one kept connection; seconds at the 99th percentile."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    spent = []
    due = time.perf_counter()
    for _n in range(ASKED):
        due += EVERY
        began = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        ended = time.perf_counter()
        spent.append(ended - began)
        time.sleep(max(0.0, due - ended))
    connection.close()
    return sorted(spent)[int(ASKED * 0.99)]


def busy(server: Server) -> None:
    """Queue work for both cores for longer than the measurement: tables of random numbers."""
    table = b"a,b,c\n" + b"".join(
        b"%d,%d,%d\n" % (n, zlib.crc32(b"%d" % n), n * n % 997) for n in range(400_000)
    )
    for _n in range(24):
        _send(server, table)


def _send(server: Server, data: bytes) -> None:
    send(server, PUT, 0, before=data)


def main() -> None:
    heading()
    with wharfinger("up") as server:
        time.sleep(2)  # the cluster has started, and its sandboxes have imported their libraries
        idle = p99(server)
        threading.Thread(target=busy, args=(server,)).start()
        while b'"running"' not in get(server, "/api/jobs?state=running&limit=1")[1]:
            time.sleep(0.05)
        loaded = p99(server)
        ratio = loaded / idle
        row(
            "p99 of GET /healthz, ms: busy, idle", f"{loaded * 1e3:.1f}", f"{idle * 1e3:.1f}", f"{ratio:.1f}",
            "≤ 4", ratio <= 4,
        )  # fmt: skip


if __name__ == "__main__":
    main()
