"""What a sender of these tests is asked: what the users are told of their tasks."""

from __future__ import annotations

from typing import Any


def tasks(user: Any) -> list[dict[str, Any]]:
    """The progress of each task, with the words that are shown beside it and the staff's detail."""
    from notify.models import Notification, Progress

    rows = Notification.objects.filter(recipient=user, progress__isnull=False).order_by("pk")
    known = Progress.objects.in_bulk([row.pk for row in rows])
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
    """As the button does, for each that may be cancelled."""
    from notify.models import Notification
    from notify.tracking.rows import ask_to_end

    rows = Notification.objects.filter(recipient=user, progress__isnull=False)
    ask_to_end(user, [(row.pk, row.arrived or 0) for row in rows])


def parts() -> int:
    from notify.models import ProgressPart

    return ProgressPart.objects.count()
