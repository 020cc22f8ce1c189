"""A program's way to sign in."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

_USED_EVERY = timedelta(hours=1)


class ApiToken(models.Model):
    """A bearer token: its prefix finds the row, its SHA-256 proves it. The token itself is never stored.

    256 random bits need no slow hash: there is nothing to guess.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens", verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=100, blank=True, default="")
    prefix = models.CharField(_("prefix"), max_length=12, unique=True, editable=False)
    digest = models.CharField(_("digest"), max_length=64, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @classmethod
    def issue(cls, user: User, name: str = "") -> tuple[ApiToken, str]:
        """Make a token for `user`; the second value is the token, to be shown once."""
        prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        token = f"whf_{prefix}_{secret}"
        return cls.objects.create(user=user, name=name, prefix=prefix, digest=_digest(token)), token

    @classmethod
    def user_of(cls, token: str) -> User | None:
        """The active user a token belongs to, or None. Notes the use, at most once an hour."""
        scheme, _sep, rest = token.partition("_")
        prefix, sep, _secret = rest.partition("_")
        if scheme != "whf" or not sep or len(prefix) != 12:
            return None
        now = timezone.now()
        with connection.cursor() as cursor:
            cursor.execute(_USER_OF, [_adapt(now), _adapt(now - _USED_EVERY), prefix])
            row = cursor.fetchone()
        if row is None:
            return None
        digest, expired, idle, *values = row
        user: User = User.from_db(connection.alias, _USER_FIELDS, values)
        if not hmac.compare_digest(digest, _digest(token)) or expired or not user.is_active:
            return None
        if idle:
            cls.objects.filter(prefix=prefix).update(last_used_at=now)
        return user


# By hand, since each request of a program asks it: building the query costs more than running it. What is
# seldom wanted of a user is loaded when it is. from_db() takes fields in the order of the model's.
_USER_FIELDS = ("id", "is_superuser", "username", "is_staff", "is_active")
_USER_OF = (
    "SELECT t.digest, (t.expires_at IS NOT NULL AND t.expires_at <= %s), "  # noqa: S608 - our own names
    f"(t.last_used_at IS NULL OR t.last_used_at < %s), {', '.join(f'u.{name}' for name in _USER_FIELDS)} "
    f"FROM {ApiToken._meta.db_table} t JOIN {User._meta.db_table} u ON u.id = t.user_id WHERE t.prefix = %s"
)


def _adapt(moment: datetime) -> Any:
    """A time as this database's driver takes it."""
    return connection.ops.adapt_datetimefield_value(moment)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
