"""Translations that fall behind the code are noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from uploads.i18n import catalogue


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose catalogue may be spoilt; the path of its German one."""
    if missing := catalogue.missing_tools():
        pytest.skip(f"no {', '.join(missing)} here: install gettext")
    for name in ("uploads", "templates", "project"):
        (tmp_path / name).symlink_to(catalogue.ROOT / name)
    shutil.copytree(catalogue.ROOT / "locale", tmp_path / "locale")
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    return tmp_path / "locale" / "de" / "LC_MESSAGES" / "django.po"


def spoil(catalogue_file: Path, before: str, after: str) -> None:
    text = catalogue_file.read_text()
    assert text.count(before) == 1
    catalogue_file.write_text(text.replace(before, after))


def test_a_text_that_is_not_translated_is_noticed(copy: Path) -> None:
    spoil(copy, 'msgstr "Meine Uploads"', 'msgstr ""')
    assert any("not complete: " in one and "1 untranslated" in one for one in catalogue.faults())


def test_a_text_that_is_missing_and_one_that_nobody_says_are_noticed(copy: Path) -> None:
    spoil(copy, 'msgid "My uploads"', 'msgid "Your uploads"')
    assert any("is not what the code says" in one for one in catalogue.faults())


def test_a_catalogue_that_was_not_compiled_is_noticed_and_compiling_mends_it(copy: Path) -> None:
    spoil(copy, 'msgstr "Meine Uploads"', 'msgstr "Meine Dateien"')
    with pytest.raises(CommandError, match=r"django\.mo is stale"):
        call_command("texts", "--check")
    call_command("texts")
    call_command("texts", "--check")


def test_without_gettext_it_says_so_and_goes_on_but_not_where_changes_land(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogue, "missing_tools", lambda: ["msgfmt"])
    monkeypatch.delenv("CI", raising=False)
    call_command("texts", "--check")
    assert "msgfmt not found" in capsys.readouterr().err
    monkeypatch.setenv("CI", "true")
    with pytest.raises(CommandError, match="install gettext"):
        call_command("texts", "--check")
