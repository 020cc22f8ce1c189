"""Configuration from the environment, nothing else.

Every variable is listed in the README; a wrong value is one sentence and no start.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from project.environment import (
    database,
    directory,
    flag,
    json_object,
    number,
    pairs,
    patient_redis,
    secret_key,
    text,
    types,
    words,
)
from uploads.telemetry import logs

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = directory("DATA_DIR", BASE_DIR / "var")
DEBUG = flag("DEBUG", False)
SECRET_KEY = secret_key("SECRET_KEY", DATA_DIR)
SECRET_KEY_FALLBACKS = words("SECRET_KEY_FALLBACKS")  # keys of before: what they signed is still read
HOST = text("HOST", "127.0.0.1")
PORT = number("PORT", 8000, 1, 65535)
ALLOWED_HOSTS = words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]", HOST])
CSRF_TRUSTED_ORIGINS = words("CSRF_TRUSTED_ORIGINS")

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
    "uploads.intake.server.request_log.RequestLogMiddleware",
    "uploads.web.security_headers.ContentSecurityPolicyMiddleware",
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


DATABASES = {"default": database("DATABASE_URL", DATA_DIR / "wharfinger.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ---------------------------------------------------------------- the product's own limits

MIB = 1 << 20
UPLOADS_MAX_SIZE = number("UPLOADS_MAX_SIZE", 50 * 1024 * MIB, 1)
UPLOADS_MAX_REQUEST = number("UPLOADS_MAX_REQUEST", 2 * UPLOADS_MAX_SIZE, 1)
UPLOADS_COMPARE_MAX = number("UPLOADS_COMPARE_MAX", 64 * MIB)  # a file is read twice for it; 0: none is
UPLOADS_MAX_FILES = number("UPLOADS_MAX_FILES", 100, 1)
UPLOADS_MAX_QUEUED = number("UPLOADS_MAX_QUEUED", 10_000, 1)
UPLOADS_USER_MAX_QUEUED = number("UPLOADS_USER_MAX_QUEUED", 5_000, 1)
UPLOADS_USER_QUOTA = number("UPLOADS_USER_QUOTA", 0)  # bytes; 0: none
UPLOADS_MIN_FREE = number("UPLOADS_MIN_FREE", 512 * MIB)
UPLOADS_MIN_RATE = number("UPLOADS_MIN_RATE", 1024)  # bytes a second, judged over each idle time-out; 0: none
UPLOADS_IDLE_TIMEOUT = number("UPLOADS_IDLE_TIMEOUT", 30, 1)
UPLOADS_DRAIN_BYTES = number("UPLOADS_DRAIN_BYTES", 8 * MIB)
UPLOADS_ALLOWED_TYPES = types("UPLOADS_ALLOWED_TYPES")  # empty: all
UPLOADS_INLINE_TYPES = types("UPLOADS_INLINE_TYPES", ["image/webp", "image/png", "image/jpeg"])
UPLOADS_WEB_WORKERS = number("UPLOADS_WEB_WORKERS", 2, 1, 64)
UPLOADS_WEB_THREADS = number("UPLOADS_WEB_THREADS", 128, 2, 1024)
UPLOADS_LEASE_SECONDS = number("UPLOADS_LEASE_SECONDS", 30, 5)
UPLOADS_STOP_GRACE = number("UPLOADS_STOP_GRACE", 20, 1)
UPLOADS_STALL_SECONDS = number("UPLOADS_STALL_SECONDS", 8, 2)  # due work, a free worker, no start: a hang
UPLOADS_PARTIAL_SECONDS = number("UPLOADS_PARTIAL_SECONDS", 86_400, 60)  # an upload without news is given up
UPLOADS_TUS_EXPIRY = number("UPLOADS_TUS_EXPIRY", 86_400, 60)  # seconds without news of a resumable one
UPLOADS_BUDGETS = json_object(
    "UPLOADS_BUDGETS"
)  # {"timed_out": {"budget": 3, "first_delay": 1, "delay_cap": 9}}
UPLOADS_LIMITS = json_object("UPLOADS_LIMITS")  # {"image": {"memory_bytes": …}, "*": {"wall_seconds": …}}


UPLOADS_PROCESSORS = pairs("UPLOADS_PROCESSORS")

# ---------------------------------------------------------------- the queue

WORKERS = number("WORKERS", min(os.cpu_count() or 2, 8), 1, 64)
REDIS_URL = text("REDIS_URL", "")
# A worker stops its child at the child's own limits; this is the last resort behind them.
UPLOADS_TASK_TIMEOUT = number("UPLOADS_TASK_TIMEOUT", 3600, 10)
_QUEUE_LIMIT = WORKERS * 4


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
    Q_CLUSTER["redis"] = patient_redis(REDIS_URL)
else:
    Q_CLUSTER["broker_class"] = "uploads.jobs.queue.broker.QuickBroker"
    # Upper bounds: it fetches ahead no more than its workers finish in a moment.
    Q_CLUSTER |= {"queue_limit": max(200, _QUEUE_LIMIT), "bulk": 100}

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
ADMIN_USERNAME = text("ADMIN_USERNAME", "admin")
ADMIN_PASSWORD = text("ADMIN_PASSWORD", "")

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# ---------------------------------------------------------------- what a browser sees

STATIC_URL = "/static/"
STATIC_ROOT = directory("STATIC_ROOT", DATA_DIR / "static")  # WhiteNoise warns where there is none
STATICFILES_FINDERS = [
    "uploads.web.minify.LeanFinder",  # our own scripts without comments, compressed
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
]
WHITENOISE_USE_FINDERS = True  # serves without collectstatic too
WHITENOISE_AUTOREFRESH = DEBUG

HTTPS = flag("HTTPS", False)  # true behind a proxy that ends TLS and sends X-Forwarded-Proto
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

LOG_LEVEL = text("LOG_LEVEL", "INFO", among=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOG_FORMAT = text("LOG_FORMAT", "json", among=("json", "console"))
LOGGING = logs.logging_config(LOG_LEVEL, LOG_FORMAT)
LOGGING_CONFIG = "uploads.telemetry.logs.configure_logging"
# Files named after process ids: hosts that share DATA_DIR need a directory of their own each.
METRICS_DIR = directory("METRICS_DIR", DATA_DIR / "metrics")
logs.prepare_metrics(METRICS_DIR)
