"""`make bench`: every figure the README and docs/performance.md name, each against its peer in this run.

`python -m benchmarks NAME …` runs some: uploads, health, queue, sandbox, tus, pages.
"""

from __future__ import annotations

import subprocess
import sys

ALL = ("sandbox", "queue", "health", "uploads", "tus", "pages")


def main() -> int:
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")] or list(ALL)
    unknown = set(chosen) - set(ALL)
    if unknown:
        print(
            f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(ALL)}.",
            file=sys.stderr,
        )
        return 2
    # Each in a process of its own: none inherits another's memory, threads or settings.
    return max(subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode for name in chosen)


if __name__ == "__main__":
    sys.exit(main())
