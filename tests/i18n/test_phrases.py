"""Sentences with values, as other rooms say them, in the reader's language."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.utils.translation import gettext, override

from uploads.i18n import catalogue, phrases


@pytest.fixture
def german() -> Iterator[None]:
    with override("de"):
        yield


@pytest.mark.usefixtures("german")
@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("The PDF opens only with a password.", "Das PDF lässt sich nur mit einem Passwort öffnen."),
        ("The upload is at 5, not at 7.", "Der Upload steht bei 5, nicht bei 7."),
        # Numbers are written as the reader does,
        ("The table has 12,345 columns; 2,000 are the most.",
         "Die Tabelle hat 12.345 Spalten; höchstens 2.000 sind möglich."),
        ("The archive unpacks to 4.2 GB; at most 999 bytes are accepted.",
         "Das Archiv enthält entpackt 4,2 GB; höchstens 999 Bytes werden angenommen."),
        # names are not, even such as look like a number or a sentence of ours,
        ('The zip is damaged: "1,234" fails its check sum.',
         "Das Zip ist beschädigt: Die Prüfsumme von „1,234“ stimmt nicht."),
        ('The zip is damaged: "Cancel" has 1 bytes instead of {0}.',
         "Das Zip ist beschädigt: „Cancel“ hat 1 statt {0} Bytes."),
        # and what a library said is told where it is known.
        ("The JSON breaks at line 3, column 5: Expecting value.",
         "Das JSON bricht in Zeile 3, Spalte 5 ab: hier fehlt ein Wert."),
        ("The image is damaged or cut short: image file is truncated (7 bytes not processed).",
         "Das Bild ist beschädigt oder abgeschnitten: die Datei ist abgeschnitten (7 Bytes blieben übrig)."),
        ('"a.gz" in the zip is damaged near byte 1,024 of its packed data.',
         "Beschädigt nahe Byte 1.024 der gepackten Daten: „a.gz“ im Zip."),
        ("The wave is off by 3 dB.", "The wave is off by 3 dB."),
        ("", ""),
    ],
)  # fmt: skip
def test_a_sentence_is_read_in_german_with_its_values(said: str, read: str) -> None:
    assert phrases.translated(said) == read


def test_in_english_it_stays_as_it_was_said() -> None:
    assert phrases.translated("The table has 12,345 columns; 2,000 are the most.").startswith(
        "The table has 12,345"
    )


@pytest.mark.usefixtures("german")
def test_every_sentence_with_values_is_found_again_by_its_own_pattern() -> None:
    """So none is hidden behind one that says something else."""
    values = [f"v{number}" for number in range(9)]
    for msgid in catalogue.sentences():
        if "{0}" in msgid:
            read = phrases.translated(msgid.format(*values))
            assert read == gettext(msgid).format(*values), msgid


@pytest.mark.usefixtures("german")
def test_a_hostile_name_costs_no_time() -> None:
    name = '" in the tar is said to have ' * 17
    began = time.perf_counter()
    phrases.translated(f'The zip is damaged: "{name}" should lie at bytes 1 to 2, but the data')
    assert time.perf_counter() - began < 1
