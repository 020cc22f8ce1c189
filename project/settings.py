"""Configuration from the environment, nothing else.

Every variable is listed in the README; a wrong value is one sentence and no start.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError

from uploads.telemetry import logs

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env()


def _fail(sentence: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(sentence)


def _int(name: str, default: int, least: int = 0, most: int | None = None) -> int:
    try:
        value: int = env.int(name, default)
    except EnvError as wrong:
        raise _fail(f"{name} must be a whole number, not {os.environ[name]!r}.") from wrong
    if value < least or (most is not None and value > most):
        raise _fail(f"{name} must be {f'between {least} and {most}' if most else f'at least {least}'}.")
    return value


def _bool(name: str, default: bool) -> bool:
    try:
        value: bool = env.bool(name, default)
    except EnvError as wrong:
        raise _fail(f"{name} must be true or false, not {os.environ[name]!r}.") from wrong
    return value


def _list(name: str, default: list[str] | None = None) -> list[str]:
    return [part.strip() for part in env.list(name, default or []) if part.strip()]


def _json(name: str) -> Any:
    try:
        return env.json(name, {})
    except (EnvError, ValueError) as wrong:
        raise _fail(f"{name} must be a JSON object.") from wrong


def _data_dir() -> Path:
    path = Path(env.str("DATA_DIR", str(BASE_DIR / "var"))).absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as wrong:
        raise _fail(f"DATA_DIR {path} cannot be made: {wrong.strerror}.") from wrong
    if not os.access(path, os.W_OK | os.X_OK):
        raise _fail(f"DATA_DIR {path} cannot be written.")
    return path


def _secret_key() -> str:
    """SECRET_KEY, or one made at the first start and kept in DATA_DIR (readable by us alone)."""
    given: str = env.str("SECRET_KEY", "")
    if given:
        return given
    kept = DATA_DIR / "secret_key"
    try:
        # Exclusive creation under another name, then a link: two first starts agree on one key.
        draft = DATA_DIR / f"secret_key.{os.getpid()}.{secrets.token_hex(4)}"
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
        raise _fail(f"The secret key in {kept} cannot be read or made: {wrong.strerror}.") from wrong
    if not key:
        raise _fail(f"{kept} is empty. Remove it to get a new key, or set SECRET_KEY.")
    return key


def _static_root() -> Path:
    """Where collectstatic may put files. WhiteNoise warns at each start where there is no such directory."""
    path = DATA_DIR / "static"
    try:
        path.mkdir(exist_ok=True)
    except OSError as wrong:
        raise _fail(f"{path} cannot be made: {wrong.strerror}.") from wrong
    return path


DATA_DIR = _data_dir()
DEBUG = _bool("DEBUG", False)
SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = _list("SECRET_KEY_FALLBACKS")  # keys of before: what they signed is still read
HOST = env.str("HOST", "127.0.0.1")
PORT = _int("PORT", 8000, 1, 65535)
ALLOWED_HOSTS = _list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]", HOST])
CSRF_TRUSTED_ORIGINS = _list("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",  # no autodiscovery: the AdminSite is ours
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "ninja",
    "uploads.apps.UploadsConfig",  # before django_q, so that our qcluster command wins
    "django_q",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "uploads.intake.middleware.RequestLogMiddleware",
    "uploads.web.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# ---------------------------------------------------------------- database


def _database() -> dict[str, Any]:
    url = env.str("DATABASE_URL", f"sqlite:///{DATA_DIR / 'wharfinger.sqlite3'}")
    try:
        conf: dict[str, Any] = dict(dj_database_url.parse(url))
    except (ValueError, dj_database_url.ParseError, dj_database_url.UnknownSchemeError) as wrong:
        raise _fail("DATABASE_URL must look like sqlite:///path or postgres://user@host/name.") from wrong
    options: dict[str, Any] = dict(conf.get("OPTIONS") or {})
    if conf["ENGINE"] == "django.db.backends.sqlite3":
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
        raise _fail("DATABASE_URL must name SQLite or PostgreSQL.")
    conf["OPTIONS"] = options
    return conf


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ---------------------------------------------------------------- the product's own limits

MIB = 1 << 20
UPLOADS_MAX_SIZE = _int("UPLOADS_MAX_SIZE", 50 * 1024 * MIB, 1)
UPLOADS_MAX_REQUEST = _int("UPLOADS_MAX_REQUEST", 2 * UPLOADS_MAX_SIZE, 1)
UPLOADS_MAX_FILES = _int("UPLOADS_MAX_FILES", 100, 1)
UPLOADS_MAX_QUEUED = _int("UPLOADS_MAX_QUEUED", 10_000, 1)
UPLOADS_USER_MAX_QUEUED = _int("UPLOADS_USER_MAX_QUEUED", 5_000, 1)
UPLOADS_USER_QUOTA = _int("UPLOADS_USER_QUOTA", 0)  # bytes; 0: none
UPLOADS_MIN_FREE = _int("UPLOADS_MIN_FREE", 512 * MIB)
UPLOADS_MIN_RATE = _int("UPLOADS_MIN_RATE", 1024)  # bytes a second, judged over each idle time-out; 0: none
UPLOADS_IDLE_TIMEOUT = _int("UPLOADS_IDLE_TIMEOUT", 30, 1)
UPLOADS_DRAIN_BYTES = _int("UPLOADS_DRAIN_BYTES", 8 * MIB)
UPLOADS_ALLOWED_TYPES = tuple(_list("UPLOADS_ALLOWED_TYPES"))  # empty: all
UPLOADS_INLINE_TYPES = tuple(_list("UPLOADS_INLINE_TYPES", ["image/webp", "image/png", "image/jpeg"]))
UPLOADS_WEB_WORKERS = _int("UPLOADS_WEB_WORKERS", 2, 1, 64)
UPLOADS_WEB_THREADS = _int("UPLOADS_WEB_THREADS", 128, 2, 1024)
UPLOADS_LEASE_SECONDS = _int("UPLOADS_LEASE_SECONDS", 30, 5)
UPLOADS_STOP_GRACE = _int("UPLOADS_STOP_GRACE", 20, 1)
UPLOADS_STALL_SECONDS = _int("UPLOADS_STALL_SECONDS", 8, 2)  # due work, a free worker, no start: a hang
UPLOADS_PARTIAL_SECONDS = _int("UPLOADS_PARTIAL_SECONDS", 86_400, 60)  # an upload without news is given up
UPLOADS_TUS_EXPIRY = _int("UPLOADS_TUS_EXPIRY", 86_400, 60)  # seconds without news of a resumable one
UPLOADS_BUDGETS = _json("UPLOADS_BUDGETS")  # {"timed_out": {"budget": 3, "first_delay": 1, "delay_cap": 9}}
UPLOADS_LIMITS = _json("UPLOADS_LIMITS")  # {"image": {"memory_bytes": …}, "*": {"wall_seconds": …}}


def _processors() -> dict[str, str]:
    found = {}
    for part in _list("UPLOADS_PROCESSORS"):
        kind, equals, path = part.partition("=")
        if not (equals and kind.strip() and path.strip()):
            raise _fail("UPLOADS_PROCESSORS must look like kind=package.module, separated by commas.")
        found[kind.strip()] = path.strip()
    return found


UPLOADS_PROCESSORS = _processors()

# ---------------------------------------------------------------- the queue

WORKERS = _int("WORKERS", min(os.cpu_count() or 2, 8), 1, 64)
REDIS_URL = env.str("REDIS_URL", "")
# A worker stops its child at the child's own limits; this is the last resort behind them.
UPLOADS_TASK_TIMEOUT = _int("UPLOADS_TASK_TIMEOUT", 3600, 10)
_QUEUE_LIMIT = WORKERS * 4


def _redis_url(url: str) -> str:
    """REDIS_URL with short time-outs: an upload waits for Redis once, and a little. A pusher reads for 1 s."""
    parts = urlsplit(url)
    query = {"socket_connect_timeout": "1", "socket_timeout": "3"} | dict(parse_qsl(parts.query))
    return urlunsplit(parts._replace(query=urlencode(query)))


Q_CLUSTER: dict[str, Any] = {
    "name": "wharfinger",
    "workers": WORKERS,
    "daemonize_workers": False,  # a worker has a child: the sandbox
    "timeout": UPLOADS_TASK_TIMEOUT,
    "retry": UPLOADS_TASK_TIMEOUT * (2 + _QUEUE_LIMIT // WORKERS),
    "queue_limit": _QUEUE_LIMIT,
    "bulk": 8,
    "ack_failures": True,  # retries are ours: the failure code's budget decides
    "max_attempts": 1,
    "save_limit": -1,  # 250 locks and reads 250 rows a result; failures are saved, so the hook fires
    "recycle": 1_000_000,  # the sandbox child is what leaks; a recycled worker is missed for half a second
    "guard_cycle": 0.5,  # any other value can miss hard time-outs
    "scheduler": False,  # the sweep is the supervisor's
    "catch_up": False,
    "label": "Queue",
}
if REDIS_URL:
    Q_CLUSTER["redis"] = _redis_url(REDIS_URL)
else:
    Q_CLUSTER["broker_class"] = "uploads.jobs.broker.QuickBroker"

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# ---------------------------------------------------------------- people

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"
ADMIN_USERNAME = env.str("ADMIN_USERNAME", "admin")
ADMIN_PASSWORD = env.str("ADMIN_PASSWORD", "")

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# ---------------------------------------------------------------- what a browser sees

STATIC_URL = "/static/"
STATIC_ROOT = _static_root()
WHITENOISE_USE_FINDERS = True  # serves without collectstatic too
WHITENOISE_AUTOREFRESH = DEBUG

HTTPS = _bool("HTTPS", False)  # true behind a proxy that ends TLS and sends X-Forwarded-Proto
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = (
    "same-origin" if HTTPS else None
)  # browsers ignore it on plain HTTP, aloud
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 * MIB  # JSON bodies and forms; files never pass through here
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]

# ---------------------------------------------------------------- logs and metrics

LOG_LEVEL = env.str("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise _fail("LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOG_FORMAT = env.str("LOG_FORMAT", "json")
if LOG_FORMAT not in {"json", "console"}:
    raise _fail("LOG_FORMAT must be json or console.")
LOGGING = logs.logging_config(LOG_LEVEL, LOG_FORMAT)
LOGGING_CONFIG = "uploads.telemetry.logs.configure_logging"
# Files named after process ids: hosts that share DATA_DIR need a directory of their own each.
METRICS_DIR = Path(env.str("METRICS_DIR", str(DATA_DIR / "metrics"))).absolute()
try:
    logs.prepare_metrics(METRICS_DIR)
except OSError as wrong:
    raise _fail(f"METRICS_DIR {METRICS_DIR} cannot be made: {wrong.strerror}.") from wrong
