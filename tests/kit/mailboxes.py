"""What tests of the write side ask about a user's mailbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from django.db import OperationalError, connections

from notify.inbox import reader as inbox
from notify.models import Mailbox, Notification, database
from notify.protocol import Counts


def rows_of(user: Any) -> list[Notification]:
    """The user's published rows, by position."""
    rows = Notification.objects.using(database()).published()
    return list(rows.filter(recipient=inbox.key(user)).order_by("position"))


def messages_of(user: Any) -> list[str]:
    return [row.message for row in rows_of(user)]


def on_the_wire(rows: Sequence[Notification]) -> list[Any]:
    """The rows as a client gets them."""
    return [json.loads(row.encode()) for row in rows]


def waiting_of(user: Any) -> list[str]:
    """The messages in the user's outbox."""
    rows = Notification.objects.using(database()).waiting().filter(recipient=inbox.key(user))
    return [row.message for row in rows.order_by("pk")]


def mailbox_of(user: Any) -> Mailbox:
    return Mailbox.objects.using(database()).get(pk=inbox.key(user))


def recount(rows: Sequence[Notification]) -> Counts:
    """The counts as the rows have them."""
    standing = [row for row in rows if row.archived_at is None]
    return Counts(
        sum(row.seen_at is None for row in standing), sum(row.read_at is None for row in standing)
    )


def assert_sound(user: Any) -> None:
    """What always holds: the mailbox's columns are what its rows say."""
    rows, box = rows_of(user), mailbox_of(user)
    positions = [row.position for row in rows]
    assert len(set(positions)) == len(positions)
    assert all(row.arrived is not None and row.arrived <= (row.position or 0) for row in rows)
    assert box.head >= max((position or 0 for position in positions), default=0)
    assert box.counts == recount(rows)
    expiries = [row.expires_at for row in rows if row.expires_at and not row.archived_at]
    if expiries:
        assert box.due is not None
        assert box.due <= min(expiries)


def leave_waiting(user: Any, *messages: str, **fields: Any) -> list[Notification]:
    """Rows of a process that died between its commit and its publish."""
    return [
        Notification.objects.using(database()).create(
            recipient_id=inbox.key(user), message=message, **fields
        )
        for message in messages
    ]


def contention() -> OperationalError:
    """What Django raises when the database ends a deadlock at this transaction's cost."""
    if connections[database()].vendor != "postgresql":
        return OperationalError(1213, "Deadlock found when trying to get lock")
    from psycopg.errors import DeadlockDetected

    error = OperationalError("deadlock detected")
    error.__cause__ = DeadlockDetected("deadlock detected")
    return error


class Failing:
    """A function that fails some times, then does what it did before."""

    def __init__(self, function: Callable[..., Any], times: int, error: Exception) -> None:
        self.function, self.left, self.error, self.calls = function, times, error, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return self.function(*args, **kwargs)
