"""What is refused before a view is reached."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.api.conftest import problem_of


@pytest.mark.parametrize("path", ["/api/jobs", "/api/uploads/a.txt", "/api/nowhere"])
def test_a_program_that_asks_under_a_wrong_host_is_told_so_in_its_own_format(
    client: Client, db: None, path: str
) -> None:
    answer = client.get(path, headers={"Host": "elsewhere.example"})
    told = problem_of(answer, 400, "invalid_request")
    assert told["detail"] == "This site is not known under that host name."


def test_a_person_who_does_gets_a_page(client: Client, db: None) -> None:
    answer = client.get("/login/", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 400
    assert answer["Content-Type"].startswith("text/html")
