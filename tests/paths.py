"""Where the repository is: tests that start processes of ours, or read its pages, begin here."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
