"""The scripts a browser loads: that they name what is there."""

from __future__ import annotations

import re

from tests.paths import ROOT
from uploads.web.wording.script_strings import script_texts

SCRIPTS = ROOT / "uploads" / "static" / "uploads" / "js"


def sources() -> dict[str, str]:
    return {path.name: path.read_text() for path in SCRIPTS.glob("*.js")}


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
