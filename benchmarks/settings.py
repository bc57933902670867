"""Django settings of the benchmarks' processes. The environment says which database and layer."""

from __future__ import annotations

import os
from importlib.util import find_spec

import dj_database_url

SECRET_KEY = "benchmarks"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.urls"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "notify",
]

if os.environ["BENCHMARK_DATABASE"].startswith("mysql:"):
    import pymysql

    pymysql.install_as_MySQLdb()

DATABASES = {"default": dj_database_url.parse(os.environ["BENCHMARK_DATABASE"])}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # What notify's documentation recommends for SQLite.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    }

if "BENCHMARK_INBOX" in os.environ:
    if find_spec("notifications"):
        INSTALLED_APPS.append("notifications")
    before = "before"
    if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        before = f"{DATABASES['default']['NAME']}-before"
    DATABASES["before"] = {**DATABASES["default"], "NAME": before}
    DATABASE_ROUTERS = ["benchmarks.unindexed.Router"]

LAYERS = {
    "none": {},
    # The default capacity of 100 messages a channel would lose messages of the textbook consumer.
    "memory": {
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            "CONFIG": {"capacity": 100_000},
        }
    },
    "redis": {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [os.environ.get("BENCHMARK_REDIS", "")]},
        }
    },
}
CHANNEL_LAYERS = LAYERS[os.environ["BENCHMARK_LAYER"]]

# Delivery is measured without the database: its mailboxes stand still while their documents go
# out, and a sweep would take the connections' cursors for those of a restored backup.
NOTIFY_SWEEP_INTERVAL = 3600
NOTIFY_RECHECK_INTERVAL = 3600
