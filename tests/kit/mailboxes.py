"""Questions of the tests about a user's mailbox."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

from django.db import OperationalError, connections

from notify import mac, protocol
from notify.db import database, pk_of
from notify.inbox import Page
from notify.models import Mailbox, Notification
from notify.protocol import Counts


def rows_of(user: Any) -> list[Notification]:
    """The user's published rows, by position."""
    rows = Notification.objects.using(database()).published()
    return list(rows.filter(recipient=pk_of(user)).order_by("position"))


def messages_of(user: Any) -> list[str]:
    return [row.message for row in rows_of(user)]


def texts(page: Page) -> list[str]:
    """The messages of a page, in its order."""
    return [row.message for row in page.notifications]


def shown(*rows: Notification) -> list[tuple[int, int | None]]:
    """The pairs that identify rows in the version that a client shows."""
    return [(row.pk, row.arrived) for row in rows]


def on_the_wire(rows: Sequence[Notification]) -> list[Any]:
    """The rows as a client receives them."""
    return [json.loads(row.encode()) for row in rows]


def waiting_of(user: Any) -> list[str]:
    """The messages in the user's outbox."""
    rows = Notification.objects.using(database()).waiting().filter(recipient=pk_of(user))
    return [row.message for row in rows.order_by("pk")]


def mailbox_of(user: Any) -> Mailbox:
    return Mailbox.objects.using(database()).get(pk=pk_of(user))


def epoch_of_before(user: Any, seconds: float = 3600.0) -> str:
    """An epoch that this site made for the user's mailbox some time ago."""
    now = time.time()
    with mock.patch.object(protocol, "time", SimpleNamespace(time=lambda: now - seconds)):
        return mac.new_epoch(pk_of(user))


def age(user: Any) -> Mailbox:
    """Give the user's mailbox an epoch of an hour ago, so that a cursor may prove a restore to it."""
    box = mailbox_of(user)
    box.epoch = epoch_of_before(user)
    box.save()
    return box


def recount(rows: Sequence[Notification]) -> Counts:
    """The counts, computed from the rows."""
    standing = [row for row in rows if row.archived_at is None]
    return Counts(
        sum(row.seen_at is None for row in standing), sum(row.read_at is None for row in standing)
    )


def assert_sound(user: Any) -> None:
    """Assert what always holds: the columns of the mailbox agree with its rows."""
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
    """Create rows as left by a process that died between its commit and its publish."""
    return [
        Notification.objects.using(database()).create(
            recipient_id=pk_of(user), message=message, **fields
        )
        for message in messages
    ]


def contention() -> OperationalError:
    """The exception that Django raises if the database aborts this transaction to end a deadlock."""
    if connections[database()].vendor != "postgresql":
        return OperationalError(1213, "Deadlock found when trying to get lock")
    from psycopg.errors import DeadlockDetected

    error = OperationalError("deadlock detected")
    error.__cause__ = DeadlockDetected("deadlock detected")
    return error


class Failing:
    """A function that fails several times, and then calls the original function."""

    def __init__(self, function: Callable[..., Any], times: int, error: Exception) -> None:
        self.function, self.left, self.error, self.calls = function, times, error, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return self.function(*args, **kwargs)
