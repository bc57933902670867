"""What tasks of the tests wait at, and where they note what they have done."""

from __future__ import annotations

from typing import Any

import redis
from django.conf import settings

URL: str = getattr(settings, "QUEUE", "redis://")


def doors() -> Any:
    return redis.Redis.from_url(URL, socket_timeout=None)


def wait_at(door: str) -> None:
    """Until the test opens it."""
    assert doors().blpop([door], timeout=60), f"Nobody opened {door}."


def note(what: str) -> None:
    doors().rpush("noted", what)
