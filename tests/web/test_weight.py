"""How much script the page brings, as it goes over the wire."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.paths import ROOT
from uploads.web.minify import LeanFinder, lean

MOST = 40_000


def fetched(client: Client, url: str, **headers: str) -> tuple[bytes, Any]:
    answer = client.get(url, headers=headers)
    assert answer.status_code == 200, url
    return b"".join(answer), answer  # type: ignore[arg-type]  # a file


def scripts(client: Client) -> Iterator[str]:
    """The addresses of all the scripts that the page brings, worker and all."""
    waiting = ["/static/django_htmx/htmx-2.min.js", "/static/uploads/js/main.js"]
    seen = set(waiting)
    for url in waiting:
        yield url
        source = fetched(client, url)[0].decode()
        for name in re.findall(r'(?:from |new URL\()"\./([\w.]+)"', source):
            found = f"/static/uploads/js/{name}"
            if found not in seen:
                seen.add(found)
                waiting.append(found)


def test_all_the_script_of_the_page_stays_below_40_kilobytes_on_the_wire(client: Client) -> None:
    sizes = {}
    for url in scripts(client):
        body, answer = fetched(client, url, **{"Accept-Encoding": "gzip"})
        assert answer["Content-Encoding"] == "gzip"
        sizes[url] = len(body)
    assert len(sizes) > 15
    assert sum(sizes.values()) < MOST, sizes


def test_a_browser_that_takes_no_gzip_gets_the_same_script_as_it_is(client: Client) -> None:
    plain, answer = fetched(client, "/static/uploads/js/queue.js")
    packed, _ = fetched(client, "/static/uploads/js/queue.js", **{"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer
    assert gzip.decompress(packed) == plain
    assert b"class Queue" in plain


def test_types_and_indentation_go_and_such_comments_as_cannot_be_anything_else() -> None:
    source = (
        '/**\n * What it does.\n */\nconst a = "// no comment"; // a "comment"\n'
        '  // aside\n  const b = /** @type {any} */ (a); /* "x" */\n\n  /* one */\n  f(/\\/\\//); // another\n'
        'g(" // no comment");\n'
    )
    cast = "/** @type {any} */ (a).b();\nc();\n/** Said of d. */\nd();\n"
    assert lean(cast) == "(a).b();\nc();\nd();\n"
    assert lean(source) == (
        'const a = "// no comment"; // a "comment"\nconst b = (a); /* "x" */\n\nf(/\\/\\//);\n'
        'g(" // no comment");\n'
    )


def test_no_script_of_ours_has_a_text_that_spans_lines() -> None:
    for path in (ROOT / "uploads/static/uploads/js").glob("*.js"):
        code = lean(path.read_text())
        for line in code.splitlines():
            assert line.count("`") % 2 == 0, (path.name, line)


def test_a_changed_script_is_made_lean_anew(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA_DIR = tmp_path
    source = tmp_path / "source.js"
    finder = LeanFinder()
    monkeypatch.setattr(
        "django.contrib.staticfiles.finders.AppDirectoriesFinder.find", lambda *_: str(source)
    )
    for text in ("// one\nf();\n", "// two\ng();\n"):
        source.write_text(text)
        made = finder.find("uploads/js/source.js")
        assert Path(made).read_text() == text.partition("\n")[2]
        assert gzip.decompress(Path(f"{made}.gz").read_bytes()).decode() == text.partition("\n")[2]
    assert finder.find("uploads/js/source.js", find_all=True) == [made]
    assert finder.find("elsewhere/source.js") == []
