"""
The settings of the processes of the fault tests: those of the tests, changed by the world.

    NOTIFY_FAULTS    Django settings as a JSON object: DATABASES, CHANNEL_LAYERS, NOTIFY_…
"""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403

CHANNEL_LAYERS = {}
NOTIFY_HEARTBEAT = 5.0
INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.shop"]  # noqa: F405

globals().update(json.loads(os.environ["NOTIFY_FAULTS"]))

if DATABASES["default"]["ENGINE"].endswith("mysql"):  # noqa: F405
    import pymysql

    pymysql.install_as_MySQLdb()
