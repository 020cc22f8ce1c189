"""The page in the reader's language: by the browser's wish, or by their own choice."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.factories import make_error, make_job
from tests.web.conftest import HTMX
from uploads.i18n import catalogue
from uploads.models import State, Transfer


def make_transfer(owner: User) -> UUID:
    """A resumable upload of which five bytes are here; its id."""
    job = make_job(State.RECEIVING, owner=owner, data=b"12345", size=9)
    until = timezone.now() + timedelta(days=1)
    Transfer.objects.create(job=job, owner=owner, offset=5, length=9, expires_at=until)
    return job.pk


GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}


def test_a_german_browser_gets_a_german_page(at: Client) -> None:
    html = at.get("/", headers=GERMAN).content.decode()
    assert '<html lang="de"' in html
    assert "Meine Uploads" in html
    assert "Die Verbindung ist abgerissen." in html  # a text for the scripts


def test_a_browser_whose_language_is_not_spoken_here_gets_english(at: Client) -> None:
    html = at.get("/", headers={"Accept-Language": "fi"}).content.decode()
    assert '<html lang="en"' in html
    assert "My uploads" in html


def test_who_chooses_a_language_keeps_it_and_stays_where_they_are(at: Client) -> None:
    answer = at.post("/language/", {"language": "de", "next": "/?q=a"})
    assert answer["Location"] == "/?q=a"
    html = at.get("/", headers={"Accept-Language": "en"}).content.decode()
    assert "Meine Uploads" in html
    assert re.search(r'value="de" lang="de" aria-current="true">Deutsch<', html)


@pytest.mark.parametrize("path", ["/login/", "/nowhere/"])
def test_strangers_are_spoken_to_in_their_language_too(client: Client, db: None, path: str) -> None:
    html = client.get(path, headers=GERMAN).content.decode()
    assert "Sprache" in html
    assert "Anmelden" in html or "Hier ist nichts" in html


def test_a_reason_is_translated_where_it_can_be(at: Client, owner: User) -> None:
    make_error(
        make_job(State.FAILED, owner=owner),
        "password_protected",
        message="The PDF opens only with a password.",
    )
    html = at.get("/", headers=GERMAN).content.decode()
    assert "Das PDF lässt sich nur mit einem Passwort öffnen." in html
    assert "Entfernen Sie das Passwort" in html


def test_a_reason_is_translated_with_its_values(at: Client, owner: User) -> None:
    make_error(
        make_job(State.FAILED, owner=owner),
        "too_complex",
        message="The image has more than 80 million pixels.",
    )
    html = at.get("/", headers=GERMAN).content.decode()
    assert "Das Bild hat mehr als 80 Millionen Pixel." in html


def test_a_refusal_is_translated_with_its_values(at: Client, owner: User) -> None:
    refused = at.patch(
        f"/api/tus/{make_transfer(owner)}", b"x", "application/offset+octet-stream",
        headers=GERMAN | {"Tus-Resumable": "1.0.0", "Upload-Offset": "7"},
    )  # fmt: skip
    assert refused.status_code == 409
    assert refused.json()["detail"] == "Der Upload steht bei 5, nicht bei 7."


def test_a_reason_that_cannot_be_translated_is_introduced_and_marked_as_english(
    at: Client, owner: User
) -> None:
    message = "The wave breaks at second 3."  # a stranger's processor said so
    make_error(make_job(State.FAILED, owner=owner), "corrupt_file", message=message)
    html = at.get("/", headers=GERMAN).content.decode()
    assert f'Beschädigte Datei: <bdi lang="en">{message}</bdi>' in html
    assert f'lang="en">{message}' not in at.get("/").content.decode()


def test_what_a_worker_says_of_its_work_is_translated(at: Client, owner: User) -> None:
    make_job(State.RUNNING, owner=owner, progress=40, note="reading all rows")
    make_job(State.RUNNING, owner=owner, progress=40, note="page 3 of 12")
    make_job(State.RUNNING, owner=owner, progress=40, note="wave 3 of 12")
    html = at.get("/", headers=GERMAN).content.decode()
    assert "alle Zeilen werden gelesen" in html
    assert '<p class="said">Seite 3 von 12</p>' in html
    assert '<p class="said" lang="en">wave 3 of 12</p>' in html


def test_rows_are_sent_anew_when_the_language_changed(at: Client, owner: User) -> None:
    make_job(State.RUNNING, owner=owner)
    tag = ".".join(re.findall(r'data-version="([^"]+)"', at.get("/").content.decode()))
    answer = at.get("/live/", headers=HTMX | GERMAN | {"If-None-Match": f'"{tag}"'})
    assert answer.status_code == 200
    assert "In Arbeit" in answer.content.decode()


def test_an_announcement_is_in_one_language(at: Client, owner: User) -> None:
    make_error(
        make_job(State.FAILED, owner=owner, filename="a.json"), "corrupt_file", message="It breaks here."
    )
    html = at.get("/live/", headers=HTMX | GERMAN | {"If-None-Match": '""'}).content.decode()
    assert "a.json ist fehlgeschlagen. Beschädigte Datei." in html


def test_sizes_are_written_as_the_reader_does(at: Client, owner: User) -> None:
    make_job(State.SUCCEEDED, owner=owner, size=1_536)
    assert "1,5\xa0KB" in at.get("/", headers=GERMAN).content.decode()
    assert "1.5\xa0KB" in at.get("/").content.decode()


def test_sentences_of_rooms_without_django_are_found_where_they_are_written() -> None:
    found = catalogue.sentences()
    assert "The PDF opens only with a password." in found
    assert "Damaged file" in found  # a title
    assert "reading all rows" in found  # a step
    assert "The upload is at {0}, not at {1}." in found  # a refusal with values
    assert not any("UPLOADS_ALLOWED_TYPES" in one for one in found)  # for operators


def test_the_catalogues_are_complete_and_of_this_code() -> None:
    if missing := catalogue.missing_tools():
        pytest.skip(f"no {', '.join(missing)} here: install gettext")
    assert catalogue.faults() == []
