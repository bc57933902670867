"""
Sends a task's progress to the open tabs between two writes of its row. Ticks are not stored.

A tick has no position. The next tick, or a write within two seconds, makes up for a lost tick.
"""

from __future__ import annotations

from typing import Any

from notify import doorbell, protocol
from notify.tracking.run import TaskRun


def send(runs: list[TaskRun]) -> None:
    """Send the progress of these tasks to their users' tabs. Returns at once and never raises."""
    with doorbell.reporting():
        if not runs or not doorbell.has_listeners():
            return
        by_recipient: dict[str, list[dict[str, Any]]] = {}
        for run in runs:
            by_recipient.setdefault(str(run.recipient_id), []).append(_tick(run))
        doorbell.tick([(pk, protocol.tick(ticks)) for pk, ticks in by_recipient.items()])


def _tick(run: TaskRun) -> dict[str, Any]:
    done, total = run.far
    return {
        "id": run.stored.pk,
        "attempt": run.attempt,
        "done": done,
        "total": total,
        "message": run.message_of(run.attempt),
    }
