"""A check of the database: notifications that users can still answer, but whose handler is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning
from django.db import Error
from django.db.models import Q
from django.utils import timezone

from notify import handlers
from notify.db import database
from notify.models import Notification

NEWEST = 10_000  # the ids that are looked at, so that the check stays quick in a large table


def check_stored_actions(
    databases: Sequence[str] | None = None, **kwargs: Any
) -> Iterator[CheckMessage]:
    """Check that each action which a user can still take has its handler. Looks at the newest rows only."""
    if database() not in (databases or ()):
        return
    try:
        missing = _missing()
    except Error:  # before the first migration there is no table
        return
    for name, pk in sorted(missing.items()):
        yield Warning(
            f"Notifications can still be answered with the action {name!r}, such as notification {pk}, but no"
            " handler has this name. Users who answer will read that it failed.",
            hint=(
                f"Register a handler with @notify.action({name!r}) in the notifications.py of an installed"
                " app, and keep it until these notifications have expired."
            ),
            id="notify.W012",
        )


def _missing() -> dict[str, int]:
    """Returns the names without a handler, each with the newest notification that has it."""
    rows = Notification.objects.using(database()).order_by("-pk")
    newest = rows.values_list("pk", flat=True).first() or 0
    answerable = rows.filter(
        Q(expires_at=None) | Q(expires_at__gt=timezone.now()),
        pk__gt=newest - NEWEST,
        acted_at=None,
        archived_at=None,
    ).exclude(actions=[])
    missing: dict[str, int] = {}
    for pk, actions in answerable.values_list("pk", "actions"):
        for name in {action["run"] for action in actions if "run" in action}:
            if handlers.find(name) is None:
                missing.setdefault(name, pk)
    return missing
