"""
Gates, at which the tasks wait until a test opens them, and notes of what the tasks have done.

Both are lists in Redis, because tasks run in other processes than the tests.
"""

from __future__ import annotations

from typing import Any

import redis
from django.conf import settings

URL: str = getattr(settings, "QUEUE", "redis://")


def connect() -> Any:
    return redis.Redis.from_url(URL, socket_timeout=None)


def wait_at(gate: str) -> None:
    """Wait until the test opens the gate."""
    assert connect().blpop([gate], timeout=60), f"The test did not open {gate!r}."


def note(what: str) -> None:
    connect().rpush("noted", what)
