"""
A notification as a JSON object of the wire protocol.

Browsers never receive the name and the arguments of an action's handler, only that the action runs one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from notify import protocol

MOMENTS = (
    "created_at",
    "updated_at",
    "expires_at",
    "seen_at",
    "read_at",
    "archived_at",
    "dismissed_at",
)
RARE = (
    "progress",
    "group",
    "image",
    "origin",
    "outcome",
)  # left out of a row on the wire if they are empty
SHOWN = ("label", "style", "confirm")  # what a browser receives of an action that runs a handler


def encode(row: Any) -> str:
    """Returns a notification as JSON."""
    rare = {name: value for name in RARE if (value := getattr(row, name))}
    if not row.has_toast:
        rare["toast"] = False
    if row.acted_at is not None:
        rare["acted_at"] = timestamp(row.acted_at)
    return protocol.dumps(
        {
            "id": row.pk,
            "position": row.position,
            "arrived": row.arrived,
            "level": row.level,
            "category": row.category,
            "title": row.title,
            "message": row.message,
            "url": row.url,
            "actions": shown_actions(row.actions),
            "data": row.data,
            "key": row.collapse_key,
            "count": row.count,
            **{name: timestamp(getattr(row, name)) for name in MOMENTS},
            **rare,
        }
    )


def shown_actions(actions: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the actions as browsers receive them."""
    return [_without_handler(action) if "run" in action else action for action in actions]


def _without_handler(action: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: action[name] for name in SHOWN if action.get(name)}
    return {**shown, "run": True}


def timestamp(moment: datetime | None) -> str | None:
    """Returns a moment as ISO 8601 in UTC. A naive moment is in Django's default time zone."""
    if moment is None:
        return None
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone())
    return moment.astimezone(UTC).isoformat()
