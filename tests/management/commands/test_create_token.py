"""`manage.py create_token USER`: the token alone on standard output, all words beside it."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from uploads.models import ApiToken


def create(*arguments: str) -> tuple[str, str]:
    """What is said on standard output and on standard error."""
    out, err = StringIO(), StringIO()
    call_command("create_token", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_token_signs_its_user_in_and_stands_alone(owner: User) -> None:
    out, err = create("owner", "--name", "backup")
    assert out.count("\n") == 1
    assert ApiToken.user_of(out.strip()) == owner
    assert "signs in as owner until it is deleted" in err
    row = ApiToken.objects.get()
    assert (row.name, row.expires_at) == ("backup", None)


def test_a_token_may_have_an_end(owner: User) -> None:
    out, _err = create("owner", "--expires-days", "2")
    left = ApiToken.objects.get().expires_at - timezone.now()
    assert timedelta(days=1, hours=23) < left <= timedelta(days=2)
    assert ApiToken.user_of(out.strip()) == owner


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody"], "There is no user named 'nobody'."),
        (["gone"], "The user 'gone' is not active."),
        (["owner", "--name", "a" * 101], "A token's name has at most 100 characters."),
        (["owner", "--expires-days", "0"], "'0' is not a number of days from 1 to 36500"),
        (["owner", "--expires-days", "-1"], "'-1' is not a number of days from 1 to 36500"),
        (["owner", "--expires-days", "36501"], "'36501' is not a number of days from 1 to 36500"),
        (["owner", "--expires-days", "9" * 20], "is not a number of days from 1 to 36500"),
        (["owner", "--expires-days", "soon"], "'soon' is not a number of days from 1 to 36500"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_no_token(
    arguments: list[str], sentence: str, owner: User
) -> None:
    User.objects.create_user("gone", is_active=False)
    with pytest.raises(CommandError) as refused:
        create(*arguments)
    assert sentence in str(refused.value)
    assert not ApiToken.objects.exists()
