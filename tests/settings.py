"""The product's own settings over a data directory that goes with the test run."""

import atexit
import os
import shutil
import tempfile

_data = tempfile.mkdtemp(prefix="wharfinger-test-")
atexit.register(shutil.rmtree, _data, ignore_errors=True)
os.environ["DATA_DIR"] = _data
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # another test process's, whose child this one is
os.environ.setdefault("SECRET_KEY", "for-tests-only-" + "x" * 50)
os.environ.setdefault("LOG_LEVEL", "WARNING")

from project.settings import *  # noqa: E402, F403  # after the environment is set
from project.settings import DATA_DIR, DATABASES  # noqa: E402

# A real file, not a database in memory: threads and processes meet there as they do in production.
if "sqlite" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
