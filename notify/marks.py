"""
What users do with their notifications: seen, read, archived, dismissed; and expiry, which archives.

A mark touches only what the user was shown: pairs ``(id, arrived)``, or all that had arrived at a
cursor. What came meanwhile, or was merged into a row after it was shown, stays new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from django.db import connections, transaction
from django.db.models import F, Min
from django.db.models.functions import Coalesce
from django.utils import timezone

from notify import doorbell
from notify.doorbell import MAX_ROWS, Ring
from notify.models import Mailbox, Notification, NotificationQuerySet, database
from notify.outbox import announce
from notify.protocol import Cursor, Mark, Pair, new_epoch
from notify.transactions import batches, commits_by_hand, in_callers_transaction, try_again

# The moments that a mark sets where they are not set yet: reading implies seeing.
SETS: Mapping[Mark, tuple[str, ...]] = {
    Mark.SEEN: ("seen_at",),
    Mark.READ: ("seen_at", "read_at"),
    Mark.ARCHIVED: ("seen_at", "read_at", "archived_at"),
    Mark.DISMISSED: ("dismissed_at",),
}

# Which of a mailbox's unarchived rows to mark; it is asked under the mailbox's lock.
Choice = Callable[[Mailbox, NotificationQuerySet], list[Notification]]


def mark(
    recipient: Any, mark: Mark, pairs: Iterable[Pair] = (), *, upto: Cursor | None = None
) -> Cursor | None:
    """
    Mark notifications of one recipient, in a transaction of its own.

    Inside the caller's transaction it is done after the commit.

    Args:
        recipient: primary key of the user; rows of others are never touched.
        pairs: ``(id, arrived)`` as they were shown.
        upto: mark, too, all that had arrived at this cursor. One of another epoch marks nothing.

    Returns the cursor at which the mark shows; ``None`` without a mailbox, or before the commit.
    """
    shown = dict(pairs)

    def choose(box: Mailbox, rows: NotificationQuerySet) -> list[Notification]:
        chosen: dict[int, Notification] = {}
        for ids in batches(list(shown)):
            named = rows.filter(pk__in=ids)
            chosen.update((row.pk, row) for row in named if _arrived(row) <= shown[row.pk])
        if upto is not None and upto.epoch == box.epoch:
            chosen.update((row.pk, row) for row in rows.filter(arrived__lte=upto.position))
        return list(chosen.values())

    using = database()

    def work() -> Cursor | None:
        return try_again(partial(_mark, recipient, mark, choose, using))

    if in_callers_transaction(connections[using]):
        transaction.on_commit(work, using=using, robust=True)
        return None
    return work()


def expire(recipient: Any) -> None:
    """Archive what has expired, in a transaction of its own."""
    now = timezone.now()

    def choose(box: Mailbox, rows: NotificationQuerySet) -> list[Notification]:
        return list(rows.filter(expires_at__lte=now))

    try_again(partial(_mark, recipient, Mark.ARCHIVED, choose, database(), reckon_due=True))


def start_over(recipient: Any, beyond: Cursor) -> None:
    """
    Give a mailbox a new epoch, because a reader knows a cursor that it has not reached.

    That proves a restored database, in which positions are being given a second time. Whoever has a
    tab of this user open is rung, without rows, and reads.
    """
    doorbell.ring(try_again(partial(_start_over, recipient, beyond, database())))


def _start_over(recipient: Any, beyond: Cursor, using: str) -> list[Ring]:
    with transaction.atomic(using=using, durable=True):
        box = next(iter(Mailbox.objects.using(using).lock([recipient])), None)
        if box is None or beyond <= box.cursor:
            return []
        before = box.cursor
        box.epoch = new_epoch(after=max(box.epoch, beyond.epoch))
        box.save(using=using, update_fields=["epoch"])
    return [Ring(recipient, before, box.cursor, box.counts, None)]


def _mark(
    recipient: Any, mark: Mark, choose: Choice, using: str, *, reckon_due: bool = False
) -> Cursor | None:
    rows = Notification.objects.using(using).filter(recipient=recipient)
    standing = rows.published().unarchived()
    fields = SETS[mark]
    with transaction.atomic(using=using, durable=True):
        box = next(iter(Mailbox.objects.using(using).lock([recipient])), None)
        if box is None:
            return None
        before = box.cursor
        candidates = standing.filter(**{fields[-1]: None}).only(
            "pk", "arrived", "seen_at", "read_at"
        )
        chosen = choose(box, candidates)
        if chosen:
            # All new positions lie above the old head, so no two rows ever share one.
            shift = box.head + 1 - min(row.pk for row in chosen)
            now = timezone.now()
            moments = {name: Coalesce(F(name), now) for name in fields}
            for ids in batches([row.pk for row in chosen]):
                rows.filter(pk__in=ids).update(position=F("pk") + shift, **moments)
            box.head = shift + max(row.pk for row in chosen)
            box.unseen -= sum("seen_at" in fields and row.seen_at is None for row in chosen)
            box.unread -= sum("read_at" in fields and row.read_at is None for row in chosen)
        if reckon_due:
            box.due = standing.aggregate(due=Min("expires_at"))["due"]
        if chosen or reckon_due:
            box.save(using=using, update_fields=["head", "unseen", "unread", "due"])
        few = 0 < len(chosen) <= MAX_ROWS
        changed = rows.filter(position__gt=before.position).order_by("position") if few else None
        ring = Ring(
            recipient, before, box.cursor, box.counts, None if changed is None else list(changed)
        )
    if chosen and not commits_by_hand(connections[using]):
        announce([ring], using)
    return box.cursor


def _arrived(row: Notification) -> int:
    assert row.arrived is not None  # published rows only
    return row.arrived
