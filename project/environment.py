"""Reading the environment: typed values, and one sentence where one is wrong.

Every function raises ImproperlyConfigured, whose text names the variable.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError

env = Env()
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/(\*|[a-z0-9][a-z0-9!#$&^_.+-]*)")  # RFC 6838, section 4.2


def number(name: str, default: int, least: int = 0, most: int | None = None) -> int:
    try:
        value: int = env.int(name, default)
    except EnvError as wrong:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {os.environ[name]!r}.") from wrong
    if value < least or (most is not None and value > most):
        raise ImproperlyConfigured(
            f"{name} must be {f'between {least} and {most}' if most else f'at least {least}'}."
        )
    return value


def flag(name: str, default: bool) -> bool:
    try:
        value: bool = env.bool(name, default)
    except EnvError as wrong:
        raise ImproperlyConfigured(f"{name} must be true or false, not {os.environ[name]!r}.") from wrong
    return value


def words(name: str, default: list[str] | None = None) -> list[str]:
    return [part.strip() for part in env.list(name, default or []) if part.strip()]


def types(name: str, default: list[str] | None = None) -> tuple[str, ...]:
    """Content types, such as image/png or text/*."""
    found = tuple(one.lower() for one in words(name, default))
    for one in found:
        if not _TYPE.fullmatch(one):
            raise ImproperlyConfigured(f"{name} must hold types such as image/png or text/*, not {one!r}.")
    return found


def json_object(name: str) -> dict[str, Any]:
    try:
        value = env.json(name, {})
    except (EnvError, ValueError) as wrong:
        raise ImproperlyConfigured(f"{name} must be a JSON object.") from wrong
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f"{name} must be a JSON object.")
    return value


def text(name: str, default: str = "", *, among: tuple[str, ...] = ()) -> str:
    value: str = env.str(name, "") or default  # a variable that is set to nothing is one that is not set
    value = value.upper() if among and value.upper() in among else value
    if among and value not in among:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(among)}, not {value!r}.")
    return value


def directory(name: str, default: Path) -> Path:
    """A directory of ours alone, made where it is missing."""
    path = Path(env.str(name, "") or default).absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as wrong:
        raise ImproperlyConfigured(f"{name} {path} cannot be made: {wrong.strerror}.") from wrong
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(f"{name} {path} cannot be written.")
    return path


def secret_key(name: str, folder: Path) -> str:
    """The key, or one made at the first start and kept in `folder` (readable by us alone)."""
    given: str = env.str(name, "")
    if given:
        return given
    kept = folder / "secret_key"
    try:
        # Exclusive creation under another name, then a link: two first starts agree on one key.
        draft = folder / f"secret_key.{os.getpid()}.{secrets.token_hex(4)}"
        if not kept.exists():
            with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(64))
            try:
                os.link(draft, kept)
            except FileExistsError:
                pass  # the other start was first; its key is ours too
            finally:
                draft.unlink()
        key = kept.read_text().strip()
    except OSError as wrong:
        raise ImproperlyConfigured(
            f"The secret key in {kept} cannot be read or made: {wrong.strerror}."
        ) from wrong
    if not key:
        raise ImproperlyConfigured(f"{kept} is empty. Remove it to get a new key, or set {name}.")
    return key


def database(name: str, default: Path) -> dict[str, Any]:
    """A row of Django's DATABASES from a URL; by default SQLite in the file `default`."""
    url = env.str(name, "") or f"sqlite:///{quote(str(default))}"
    try:
        conf: dict[str, Any] = dict(dj_database_url.parse(url))
    except (ValueError, dj_database_url.ParseError, dj_database_url.UnknownSchemeError) as wrong:
        raise ImproperlyConfigured(
            f"{name} must look like sqlite:///path or postgres://user@host/name."
        ) from wrong
    options: dict[str, Any] = dict(conf.get("OPTIONS") or {})
    if conf["ENGINE"] == "django.db.backends.sqlite3":
        if conf["NAME"] in ("", ":memory:"):
            raise ImproperlyConfigured(
                f"{name} must name a file: web and cluster are processes of their own."
            )
        conf["ENGINE"] = "uploads.db.sqlite"
        # FULL: what a web process answered 202 for survives a power cut; the cluster relaxes it for itself.
        options |= {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;",
        }
    elif conf["ENGINE"] == "django.db.backends.postgresql":
        options.setdefault("pool", {"min_size": 1, "max_size": 10, "timeout": 10})
        conf["CONN_MAX_AGE"] = 0  # the pool keeps connections, not the threads
    else:
        raise ImproperlyConfigured(f"{name} must name SQLite or PostgreSQL.")
    conf["OPTIONS"] = options
    return conf


def pairs(name: str) -> dict[str, str]:
    """Names and dotted paths, such as kind=package.module, separated by commas."""
    found = {}
    for part in words(name):
        kind, equals, path = part.partition("=")
        if not (equals and kind.strip() and path.strip()):
            raise ImproperlyConfigured(f"{name} must look like kind=package.module, separated by commas.")
        found[kind.strip()] = path.strip()
    return found


def patient_redis(url: str) -> str:
    """A Redis URL with short time-outs: an upload waits for Redis once, and a little. A pusher reads for 1 s."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ImproperlyConfigured("REDIS_URL must look like redis://host:port/0.")
    query = {"socket_connect_timeout": "1", "socket_timeout": "3"} | dict(parse_qsl(parts.query))
    return urlunsplit(parts._replace(query=urlencode(query)))
