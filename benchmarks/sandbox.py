"""What a sandbox child costs: the median of Sandbox.run() on a tiny text file, by fence.

Run as `python -m benchmarks.sandbox [runs]`. The type is detected as always. In the first row the text is counted,
in a child of the light zygote; in the others the processor does nothing, in a child of the full one.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from uploads.processing.registry import BUILTIN
from uploads.processing.sandbox.client.sandbox import Done, Sandbox, SandboxConfig
from uploads.processing.sandbox.isolation import jail

GOAL_MS = 8.0


def measure(runs: int, without: tuple[str, ...], processors: dict[str, str]) -> tuple[float, float, float]:
    """(median, 95th percentile, start of the zygote) in milliseconds."""
    sandbox = Sandbox(SandboxConfig(processors=processors, limits={}, allowed_types=()), without=without)
    began = time.perf_counter()
    sandbox.start()
    start = time.perf_counter() - began
    times = []
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "tiny.txt")
        path.write_text("a tiny file\n")
        path.chmod(0o600)
        for number in range(runs + 5):
            artifacts = Path(place, str(number))
            began = time.perf_counter()
            outcome = sandbox.run(path, path.name, artifacts, on_progress=lambda percent, note: None)
            times.append(time.perf_counter() - began)
            assert isinstance(outcome, Done), outcome
    sandbox.close()
    ordered = sorted(times[5:])
    return statistics.median(ordered) * 1e3, ordered[int(len(ordered) * 0.95)] * 1e3, start * 1e3


def main() -> None:
    """Print the table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    # The other kinds stay as they are, so that the zygote is as large as in production.
    nothing = {"text": "benchmarks.nothing"}
    print(f"{'':44}{'median':>10}{'95th':>10}{'start':>10}   (ms, {runs} runs)")
    median, high, start = measure(runs, (), {})
    print(f"{'as shipped: a text, in the light zygote':44}{median:10.2f}{high:10.2f}{start:10.0f}")
    rows = {"every fence up": ()} | {f"without {jail.FENCES[one]}": (one,) for one in jail.FENCES}
    for name, without in (rows | {"limits alone": tuple(jail.FENCES)}).items():
        median, high, start = measure(runs, without, nothing)
        print(f"{name:44}{median:10.2f}{high:10.2f}{start:10.0f}")
    small = dict.fromkeys(["text", *BUILTIN], "benchmarks.nothing")
    median, high, start = measure(runs, (), small)
    print(f"{'every fence up, no libraries imported':44}{median:10.2f}{high:10.2f}{start:10.0f}")
    print(f"goal: a median below {GOAL_MS} ms with every fence up")


if __name__ == "__main__":
    main()
