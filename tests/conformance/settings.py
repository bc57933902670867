"""The settings of the web processes: the run's database, and either rings or sweeps, never both."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.conformance.urls"
NOTIFY_RECHECK_INTERVAL = 0.2
if url := os.environ.get("NOTIFY_TEST_RINGS"):
    # Only rings deliver here.
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [url]},
        }
    }
    NOTIFY_SWEEP_INTERVAL = 3600
else:
    # Only sweeps deliver here: no ring leaves the sending process.
    CHANNEL_LAYERS = {}
    NOTIFY_SWEEP_INTERVAL = 0.1
