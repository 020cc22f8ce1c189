"""The least that serves a FileField, with the product's own database settings."""

import os
from pathlib import Path

FOLDER = Path(os.environ["BARE_FOLDER"])
SECRET_KEY = "for the benchmark alone"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.contenttypes", "benchmarks.plain"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "benchmarks.plain.app"
MEDIA_ROOT = FOLDER / "media"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "plain.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;",
        },
    }
}
USE_TZ = True
