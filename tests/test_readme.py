"""What README.md says is so."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.paths import ROOT

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def table() -> dict[str, str]:
    """The settings table: name and default, as they are written."""
    section = README.split("\n## Settings\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a variable is listed twice"
    return dict(rows)


def names_read() -> set[str]:
    """The variables that project/settings.py asks the environment for."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / "project" / "settings.py").read_text())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            asked = str(node.args[0].value)  # every reader takes the name first
            if re.fullmatch(r"[A-Z][A-Z_]+", asked):
                names.add(asked)
    return names


def defaults(data_dir: Path) -> dict[str, object]:
    """The settings of a start with nothing set but where to put things."""
    program = (
        "import json; from project import settings; "
        "print(json.dumps({k: v for k, v in vars(settings).items() if k.isupper()}, default=str, skipkeys=True))"
    )
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def written(value: object) -> str:
    """A default as the table writes it: as one would set it in the environment."""
    if isinstance(value, list):
        return ",".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def test_the_table_lists_each_variable_that_is_read_and_no_other() -> None:
    assert "PORT" in names_read() and len(names_read()) > 30  # or this test reads nothing
    assert set(table()) == names_read()


def test_a_default_given_as_a_value_is_the_default(tmp_path: Path) -> None:
    actual = defaults(tmp_path)
    given = {name: text.strip("`") for name, text in table().items() if re.fullmatch(r"`[^`]*`", text)}
    assert len(given) > 15
    assert given == {name: written(actual[name]) for name in given}


def test_a_default_said_to_be_empty_is_empty(tmp_path: Path) -> None:
    actual = defaults(tmp_path)
    empty = [name for name, text in table().items() if text.startswith("empty")]
    assert empty
    assert [name for name in empty if actual[name]] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_page_or_heading_of_ours_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, made as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_the_picture_of_the_house_has_every_room() -> None:
    picture = (ROOT / "docs" / "house.svg").read_text()
    apart = {"migrations", "static"}
    rooms = [
        one.name for one in (ROOT / "uploads").iterdir()
        if one.is_dir() and one.name not in apart and not one.name.startswith("_")
    ]  # fmt: skip
    assert len(rooms) > 7
    assert [room for room in rooms if f"{room}/" not in picture] == []


def test_the_commands_it_names_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`make (\w+)", page.read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"
        for command in re.findall(r"manage\.py ([a-z_]+)", page.read_text()):
            assert command in get_commands(), f"{page.name}: manage.py {command}"
