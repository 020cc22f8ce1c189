"""A program's way to sign in."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
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
        try:
            row = cls.objects.select_related("user").get(prefix=prefix)
        except cls.DoesNotExist:
            return None
        if not hmac.compare_digest(row.digest, _digest(token)):
            return None
        now = timezone.now()
        if (row.expires_at and row.expires_at <= now) or not row.user.is_active:
            return None
        if row.last_used_at is None or now - row.last_used_at > _USED_EVERY:
            cls.objects.filter(pk=row.pk).update(last_used_at=now)
        return row.user


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
