"""The scripts a browser loads: how much, and that they name what is there."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from django.contrib.staticfiles import finders

from uploads.web.texts import script_texts

SCRIPTS = Path(__file__).resolve().parents[2] / "uploads" / "static" / "uploads" / "js"


def sources() -> dict[str, str]:
    return {path.name: path.read_text() for path in SCRIPTS.glob("*.js")}


def test_all_scripts_together_stay_below_40_kilobytes_on_the_wire() -> None:
    htmx = finders.find("django_htmx/htmx-2.min.js")
    assert htmx
    files = [Path(htmx), *SCRIPTS.glob("*.js")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 40_000


def test_every_text_a_script_says_is_handed_to_it_and_every_one_handed_over_is_said() -> None:
    said = set(re.findall(r'\btext\("(\w+)"', "".join(sources().values())))
    by_stage = {"retry", "dismiss", "cancel"}  # named in a table of buttons
    by_size = {name for name in script_texts() if name.startswith("size")}
    assert said | by_stage | by_size == set(script_texts())


def test_every_import_is_there() -> None:
    for name, source in sources().items():
        for wanted in re.findall(r'from "\./([\w.]+)"', source):
            assert (SCRIPTS / wanted).is_file(), f"{name} imports {wanted}"


def test_no_script_builds_code_or_markup_from_text() -> None:
    for name, source in sources().items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function", source), name
