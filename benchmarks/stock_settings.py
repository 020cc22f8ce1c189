"""Our settings with django-q2's own ORM broker: STOCK=tuned with our cluster's values, STOCK=default with its own."""

from __future__ import annotations

import os
from typing import Any

from project.settings import *  # noqa: F403
from project.settings import DATABASES, Q_CLUSTER, WORKERS

TUNED = os.environ["STOCK"] == "tuned"
if TUNED:
    Q_CLUSTER: dict[str, Any] = {  # type: ignore[no-redef]
        name: value for name, value in Q_CLUSTER.items() if name != "broker_class"
    }
else:
    # What its documentation starts from; a time-out it warns without.
    Q_CLUSTER = {"name": "wharfinger", "workers": WORKERS, "timeout": 50, "retry": 60}
Q_CLUSTER["orm"] = "default"
if not TUNED:
    DATABASES["default"]["OPTIONS"].pop("pool", None)  # a cluster forks; connections are opened as needed
