"""
Upkeep by the readers of a mailbox: they publish rows that were left in the outbox, archive expired
ones, and show that tasks have fallen silent.

Therefore no daemon is needed. The sweep (``live/sweep.py``) does the same for all rooms of its process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.db import Error, connections
from django.db.models import Exists, OuterRef
from django.utils import timezone

from notify import signals
from notify.db import all_users, commits_by_hand, database, in_callers_transaction
from notify.mailbox import marks, outbox
from notify.models import Mailbox, Notification
from notify.protocol import Counts, Cursor
from notify.tracking import rows as task_rows
from notify.tracking import silence

EXPIRED_AT_ONCE = 50  # mailboxes; each takes a transaction, and delays the repair of rooms


class Glance(NamedTuple):
    """The state of one user's mailbox, not including its rows. The mailbox may be missing."""

    recipient_id: Any
    epoch: str | None
    head: int | None
    due: datetime | None
    counts: Counts
    waiting: bool  # has rows in the outbox
    rows: bool  # has any rows
    stale: bool = False  # has tasks that have fallen silent

    @property
    def cursor(self) -> Cursor | None:
        return None if self.epoch is None or self.head is None else Cursor(self.epoch, self.head)

    @property
    def needs_work(self) -> bool:
        """
        True if rows wait or have expired, tasks have fallen silent, or the mailbox is missing although
        its user has rows.
        """
        return self.waiting or self.is_overdue or self.stale or (self.rows and self.epoch is None)

    @property
    def is_overdue(self) -> bool:
        return self.due is not None and self.due <= timezone.now()

    def shows_nothing_since(self, cursor: Cursor) -> bool:
        """Returns whether a reader at this cursor is up to date, so that no rows need to be read."""
        return self.cursor == cursor and not self.needs_work


def look(recipient_id: Any) -> Glance:
    """Returns the glance of one user, even if the user does not exist."""
    return next(
        iter(look_at([recipient_id])),
        Glance(recipient_id, None, None, None, Counts(0, 0), waiting=False, rows=False),
    )


def look_at(recipient_ids: Sequence[Any]) -> list[Glance]:
    """Returns the glances of these users, in one query. Deleted users are left out."""
    mine = Notification.objects.filter(recipient=OuterRef("pk"))
    users = all_users().filter(pk__in=recipient_ids)
    columns = (f"notify_mailbox__{name}" for name in ("epoch", "head", "due", "unseen", "unread"))
    stale = silence.stale(OuterRef("pk"))
    lines = users.values_list("pk", *columns, Exists(mine.waiting()), Exists(mine), Exists(stale))
    return [
        Glance(pk, epoch, head, due, Counts(unseen or 0, unread or 0), waiting, rows, stale)
        for pk, epoch, head, due, unseen, unread, waiting, rows, stale in lines
    ]


def tend(glances: Iterable[Glance], *, made: bool = False, skips: bool = False) -> None:
    """
    Do the upkeep of these mailboxes, on which their readers rely.

    Never raises a database error: a locked or read-only database can still be read, and the next reader
    tries again. Expired rows are archived last, in a limited number of mailboxes per call, so that no
    reader waits for all of them.

    Args:
        made: create missing mailboxes even if they have no rows.
        skips: leave it to the next call to publish in mailboxes that other transactions have locked.
    """
    if is_forbidden():
        return
    glances = list(glances)
    outbox.publish([glance.recipient_id for glance in glances if glance.waiting], skips=skips)
    without = [
        glance.recipient_id for glance in glances if glance.epoch is None and (made or glance.rows)
    ]
    if without:
        _attempt(partial(Mailbox.objects.using(database()).ensure, without), without)
    for glance in glances:
        if glance.stale:
            _attempt(partial(task_rows.tend, glance.recipient_id), [glance.recipient_id])
    overdue = [glance.recipient_id for glance in glances if glance.is_overdue]
    for recipient_id in overdue[:EXPIRED_AT_ONCE]:
        _attempt(partial(marks.expire, recipient_id), [recipient_id])


def cursor_of(recipient_id: Any) -> Cursor | None:
    """Returns the cursor of a mailbox. If it is missing although its user has rows, it is created first."""
    glance = look(recipient_id)
    if glance.rows and glance.epoch is None and not is_forbidden():
        Mailbox.objects.using(database()).ensure([recipient_id])
        glance = look(recipient_id)
    return glance.cursor


def is_forbidden() -> bool:
    """Returns whether the caller has a transaction open, in which readers must not write."""
    connection = connections[database()]
    return in_callers_transaction(connection) or commits_by_hand(connection)


def _attempt(work: Callable[[], None], recipient_ids: list[Any]) -> None:
    try:
        work()
    except Error as error:
        signals.publish_failed.send_robust(Notification, recipient_ids=recipient_ids, error=error)
