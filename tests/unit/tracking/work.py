"""A tracked function, and how a queue's adapter runs it."""

from __future__ import annotations

from typing import Any

import notify
from notify.models import Notification
from notify.tracking import jobs


@notify.tracked("Importing", user="user_id", cancellable=True)
def work(user_id: Any, fails: bool = False, progress: Any = None) -> str:
    progress.advance(3)
    if fails:
        raise ValueError("no")
    progress.check()
    return "done"


def told() -> dict[str, Any]:
    """Returns what the only notification shows of its task."""
    return Notification.objects.get().progress


def run(user: Any, **arguments: Any) -> str:
    jobs.begun("q:1", work)
    try:
        return work(user.pk, **arguments)
    finally:
        jobs.over("q:1")
