"""Functions that the sending process calls to read and cancel tasks."""

from __future__ import annotations

from typing import Any


def tasks(user: Any) -> list[dict[str, Any]]:
    """The progress of each of a user's tasks, with its texts and the detail for the staff."""
    from notify.models import Notification, TaskRecord

    rows = Notification.objects.filter(recipient=user, progress__isnull=False).order_by("pk")
    known = TaskRecord.objects.in_bulk([row.pk for row in rows])
    return [
        {
            **(row.progress or {}),
            "id": row.pk,
            "arrived": row.arrived,
            "title": row.title,
            "text": row.message,
            "level": row.level,
            "detail": known[row.pk].detail,
        }
        for row in rows
    ]


def cancel(user: Any) -> None:
    """Cancel all of a user's cancellable tasks, as the button does."""
    from notify.models import Notification
    from notify.tracking.rows import ask_to_end

    rows = Notification.objects.filter(recipient=user, progress__isnull=False)
    ask_to_end(user, [(row.pk, row.arrived or 0) for row in rows])


def parts() -> int:
    from notify.models import TaskPart

    return TaskPart.objects.count()
