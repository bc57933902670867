"""
Marks notifications as seen, read, archived or dismissed, and archives expired ones.

A mark applies only to content that the user was shown: pairs ``(id, arrived)``, or everything that had
arrived by a cursor. Content that arrived or was merged into a row later stays new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.models import F, Min, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from notify.db import batches, database, in_callers_transaction, tries_again
from notify.doorbell import MAX_ROWS
from notify.mailbox.change import locked
from notify.models import Mailbox, Notification, NotificationQuerySet
from notify.protocol import Cursor, Mark, Shown

# The timestamps that a mark sets, unless they are set already. Reading implies seeing.
SETS: Mapping[Mark, tuple[str, ...]] = {
    Mark.SEEN: ("seen_at",),
    Mark.READ: ("seen_at", "read_at"),
    Mark.ARCHIVED: ("seen_at", "read_at", "archived_at"),
    Mark.DISMISSED: ("dismissed_at",),
}

# Chooses the rows to mark among a mailbox's unarchived rows; called under the mailbox's lock.
Choice = Callable[[Mailbox, NotificationQuerySet], list[Notification]]


class Marked(NamedTuple):
    """The mailbox's cursor afterwards (``None`` without a mailbox), and the number of rows marked."""

    cursor: Cursor | None
    rows: int


def mark(
    recipient_id: Any,
    mark: Mark,
    pairs: Iterable[Shown] = (),
    *,
    upto: Cursor | None = None,
    epoch: str | None = None,
) -> Cursor | None:
    """
    Mark notifications of one recipient, in a separate transaction.

    If the caller has a transaction open, the rows are marked after its commit.

    Args:
        recipient_id: primary key of the user; other users' rows are never changed.
        pairs: ``(id, arrived)`` as shown.
        upto: also mark everything that had arrived by this cursor. A cursor of another epoch marks
            nothing.
        epoch: the epoch in which the pairs were shown; if the mailbox has another, they mark
            nothing. ``None``: they are known to be of the mailbox's epoch.

    Returns the cursor at which the mark shows; ``None`` without a mailbox, or before the commit.
    """
    shown = dict(pairs)

    def choose(box: Mailbox, rows: NotificationQuerySet) -> list[Notification]:
        chosen: dict[int, Notification] = {}
        for ids in batches(list(shown) if epoch in (None, box.epoch) else []):
            named = rows.filter(pk__in=ids)
            chosen.update((row.pk, row) for row in named if _arrived(row) <= shown[row.pk])
        if upto is not None and upto.epoch == box.epoch:
            chosen.update((row.pk, row) for row in rows.filter(arrived__lte=upto.position))
        return list(chosen.values())

    using = database()

    def work() -> Cursor | None:
        return _mark(recipient_id, mark, choose).cursor

    if in_callers_transaction(connections[using]):
        transaction.on_commit(work, using=using, robust=True)
        return None
    return work()


def expire(recipient_id: Any) -> None:
    """Archive a user's expired notifications, in a separate transaction."""
    archive(recipient_id, Q(expires_at__lte=timezone.now()))


def archive(recipient_id: Any, which: Q, at_most: int | None = None) -> int:
    """
    Archive the notifications of one recipient that meet a condition, in a separate transaction.

    Args:
        which: the condition, evaluated under the mailbox's lock.
        at_most: the maximum number of rows; those unchanged for the longest time come first.

    Returns the number of rows archived.
    """

    def choose(box: Mailbox, rows: NotificationQuerySet) -> list[Notification]:
        return list(rows.filter(which).order_by("position")[:at_most])

    return _mark(recipient_id, Mark.ARCHIVED, choose, reckon_due=True).rows


@tries_again
def _mark(recipient_id: Any, mark: Mark, choose: Choice, *, reckon_due: bool = False) -> Marked:
    rows = Notification.objects.using(database()).filter(recipient=recipient_id)
    standing = rows.published().unarchived()
    fields = SETS[mark]
    with locked([recipient_id]) as change:
        mailbox = change.mailbox
        if mailbox is None:
            return Marked(None, 0)
        box = mailbox.box
        unset = standing.filter(**{fields[-1]: None})
        chosen = choose(box, unset.only("pk", "arrived", "seen_at", "read_at"))
        if chosen:
            shift = mailbox.shift_for([row.pk for row in chosen])
            now = timezone.now()
            moments = {name: Coalesce(F(name), now) for name in fields}
            for ids in batches([row.pk for row in chosen]):
                rows.filter(pk__in=ids).update(position=F("pk") + shift, **moments)
            box.unseen -= sum("seen_at" in fields and row.seen_at is None for row in chosen)
            box.unread -= sum("read_at" in fields and row.read_at is None for row in chosen)
        if reckon_due:
            box.due = standing.aggregate(due=Min("expires_at"))["due"]
        mailbox.lists_rows = len(chosen) <= MAX_ROWS
        if chosen and mailbox.lists_rows:
            mailbox.rows = list(rows.filter(position__gt=mailbox.since.position))
    return Marked(box.cursor, len(chosen))


def _arrived(row: Notification) -> int:
    assert row.arrived is not None  # only published rows get here
    return row.arrived
