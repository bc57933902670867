"""The settings of a web process with a pool of four database connections."""

from __future__ import annotations

from tests.conformance.settings import *  # noqa: F403

DATABASES["default"]["OPTIONS"] = {  # noqa: F405
    "application_name": "web",
    "pool": {"min_size": 1, "max_size": 4, "timeout": 30},
}
NOTIFY_MAX_CONNECTIONS_PER_USER = 1000
