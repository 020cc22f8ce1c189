"""The page's words in other languages: locale/<language>/LC_MESSAGES/django.po, and what is compiled of it.

Beside what is marked for gettext, a catalogue holds the sentences that rooms without Django say to people: codes,
refusals, reasons for failures, steps of the work, also those with values in them. They are found where they are
written, so nobody has to mark them.
"""

from __future__ import annotations

import ast
import contextlib
import gettext
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from io import StringIO
from itertools import count
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError, call_command

ROOT = Path(settings.BASE_DIR)
TOOLS = ("xgettext", "msgmerge", "msgfmt")
# Who says sentences that reach an uploader.
SPEAKERS = (
    "codes.py", "processing", "jobs/lifecycle", "jobs/resumable", "jobs/repair/rescue.py",
    "jobs/worker/failure_hook.py", "jobs/worker/task.py", "intake", "api",
)  # fmt: skip
REFUSALS = ("Refused", "Refusal", "problem")  # all that the API says, beside what describes it
SILENT = (
    "registry.py",
    "pauses.py",
    "retry_policy.py",
    "sandbox.py",
    "outcome.py",
)  # these speak to operators
OPERATOR_ADVICE = 6  # of FailureCode's fields
PIECES = ("progress", "_tell", "Inflated")  # calls whose texts are read too, though they are no sentences


def languages() -> list[str]:
    """The languages the site speaks beside English."""
    return [code for code, _name in settings.LANGUAGES if code != "en"]


def missing_tools() -> list[str]:
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def renew() -> None:
    """Write the catalogues anew from the code; what is new in them waits to be translated."""
    with _workshop() as made:
        for language in languages():
            target = _folder(ROOT, language)
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_folder(made, language) / "django.po", target / "django.po")
            _compile(target)


def faults() -> list[str]:
    """What is stale or missing in the catalogues, a sentence each; nothing where all is well."""
    found = []
    with _workshop() as made:
        for language in languages():
            source = _folder(ROOT, language) / "django.po"
            if not source.is_file():
                found.append(f"There is no {source.relative_to(ROOT)}.")
                continue
            if _undated(source) != _undated(_folder(made, language) / "django.po"):
                found.append(f"{source.relative_to(ROOT)} is not what the code says: run make texts.")
            counted = _statistics(source)
            if "fuzzy" in counted or "untranslated" in counted:
                found.append(f"{source.relative_to(ROOT)} is not complete: {counted}")
            _compile(_folder(made, language), source)
            if _read(_folder(made, language)) != _read(_folder(ROOT, language)):
                found.append(f"{source.with_suffix('.mo').relative_to(ROOT)} is stale: run make texts.")
    return found


def sentences(root: Path = ROOT) -> list[str]:
    """What the SPEAKERS say to people, in the order of the code."""
    found: dict[str, None] = {}
    for speaker in SPEAKERS:
        place = root / "uploads" / speaker
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if path.name not in SILENT:
                tree = ast.parse(path.read_text())
                for part in _refusals(tree) if speaker == "api" else [tree]:
                    found |= dict.fromkeys(_said(part))
    return list(found)


def _refusals(tree: ast.AST) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node) in REFUSALS)


def _said(tree: ast.AST) -> Iterator[str]:
    aside: set[ast.AST] = set()  # docstrings, values of sentences, and what only operators read
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            aside.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            aside |= set(ast.walk(node)) - {node}
        elif isinstance(node, ast.keyword) and node.arg == "detail":
            aside |= set(ast.walk(node.value))
        elif isinstance(node, ast.Call) and _name(node) == "SandboxBroken":  # to operators too
            aside |= set(ast.walk(node))
        elif isinstance(node, ast.Call) and _name(node) == "FailureCode":
            aside |= set(node.args[OPERATOR_ADVICE:])
            yield _text(node.args[1])
        elif isinstance(node, ast.Call) and _name(node) in PIECES:
            yield from map(_text, node.args)
        if isinstance(node, ast.Constant | ast.JoinedStr) and node not in aside:
            words = _text(node)
            begins = words[:1].isupper() or words.startswith(("{0}", '"{0}'))
            if begins and words.endswith((".", "?")) and words.count(" ") >= 2:
                yield words


def _name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _text(node: ast.AST) -> str:
    """A text as its msgid: values are {0}, {1} and so on, as `phrases` finds them again."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if not isinstance(node, ast.JoinedStr):
        return ""
    number = count()
    return "".join(
        _text(part).replace("{", "{{").replace("}", "}}")
        if isinstance(part, ast.Constant)
        else f"{{{next(number)}}}"
        for part in node.values
    )


@contextlib.contextmanager
def _workshop() -> Iterator[Path]:
    """A copy of the sources with catalogues made anew, so that the checkout itself is never half written."""
    if tools := missing_tools():
        raise CommandError(f"{', '.join(tools)} not found: install gettext.")
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("uploads", "templates", "project", "locale"):
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "static", ".*")
                )
        (folder / "locale").mkdir(exist_ok=True)
        said = "".join(f"_({words!r})\n" for words in sentences(folder) if words)
        (folder / "uploads" / "zz_sentences.py").write_text(said)  # behind all others, as its name sorts
        paths, settings.LOCALE_PATHS = settings.LOCALE_PATHS, [folder / "locale"]
        try:
            os.chdir(folder)
            call_command(
                "makemessages", locale=languages(), no_location=True, no_wrap=True, no_obsolete=True, verbosity=0,
                stdout=StringIO(),
            )  # fmt: skip
        finally:
            os.chdir(before)
            settings.LOCALE_PATHS = paths
        yield folder


def _folder(root: Path, language: str) -> Path:
    return root / "locale" / language / "LC_MESSAGES"


def _undated(path: Path) -> str:
    return re.sub(r'^"POT-Creation-Date:.*\n', "", path.read_text(), flags=re.MULTILINE)


def _compile(folder: Path, source: Path | None = None) -> None:
    command = ["msgfmt", "--check", "-o", str(folder / "django.mo"), str(source or folder / "django.po")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CommandError(done.stderr.strip())


def _statistics(source: Path) -> str:
    """What msgfmt counts: how many texts are translated, fuzzy and untranslated."""
    command = ["msgfmt", "--statistics", "-o", os.devnull, str(source)]
    env = os.environ | {"LC_ALL": "C"}
    return subprocess.run(command, capture_output=True, text=True, env=env).stderr.strip()


def _read(folder: Path) -> dict[object, str]:
    """A compiled catalogue, without its head; nothing where there is none."""
    try:
        with (folder / "django.mo").open("rb") as file:
            texts: dict[object, str] = dict(vars(gettext.GNUTranslations(file))["_catalog"])
    except FileNotFoundError:
        return {}
    texts.pop("", None)
    return texts
