"""
What users do with their notifications: seen, read, archived, dismissed; and expiry, which archives.

A mark touches only what the user was shown: pairs ``(id, arrived)``, or all that had arrived at a
cursor. What came meanwhile, or was merged into a row after it was shown, stays new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.models import F, Min, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from notify import doorbell
from notify.db import batches, commits_by_hand, in_callers_transaction, try_again
from notify.doorbell import MAX_ROWS, Ring
from notify.exceptions import ProtocolError
from notify.mailbox.outbox import announce
from notify.models import Mailbox, Notification, NotificationQuerySet, database
from notify.protocol import Cursor, Mark, Pair, is_plausible, new_epoch

# The moments that a mark sets where they are not set yet: reading implies seeing.
SETS: Mapping[Mark, tuple[str, ...]] = {
    Mark.SEEN: ("seen_at",),
    Mark.READ: ("seen_at", "read_at"),
    Mark.ARCHIVED: ("seen_at", "read_at", "archived_at"),
    Mark.DISMISSED: ("dismissed_at",),
}

# Which of a mailbox's unarchived rows to mark; it is asked under the mailbox's lock.
Choice = Callable[[Mailbox, NotificationQuerySet], list[Notification]]


class Marked(NamedTuple):
    """The mailbox's cursor afterwards, ``None`` where there is none; and how many rows took the mark."""

    cursor: Cursor | None
    rows: int


def mark(
    recipient: Any,
    mark: Mark,
    pairs: Iterable[Pair] = (),
    *,
    upto: Cursor | None = None,
    epoch: str | None = None,
) -> Cursor | None:
    """
    Mark notifications of one recipient, in a transaction of its own.

    Inside the caller's transaction it is done after the commit.

    Args:
        recipient: primary key of the user; rows of others are never touched.
        pairs: ``(id, arrived)`` as they were shown.
        upto: mark, too, all that had arrived at this cursor. One of another epoch marks nothing.
        epoch: in which the pairs were shown; in another one they mark nothing. ``None``: they are
            known to be of this one.

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
        return try_again(partial(_mark, recipient, mark, choose, using)).cursor

    if in_callers_transaction(connections[using]):
        transaction.on_commit(work, using=using, robust=True)
        return None
    return work()


def expire(recipient: Any) -> None:
    """Archive what has expired, in a transaction of its own."""
    archive(recipient, Q(expires_at__lte=timezone.now()))


def archive(recipient: Any, which: Q, at_most: int | None = None) -> int:
    """
    Archive notifications of one recipient that nobody has named, in a transaction of its own.

    Args:
        which: a condition on the rows; it is asked under the mailbox's lock.
        at_most: rows; those that have not changed for the longest time come first.

    Returns how many were archived.
    """

    def choose(box: Mailbox, rows: NotificationQuerySet) -> list[Notification]:
        return list(rows.filter(which).order_by("position")[:at_most])

    work = partial(_mark, recipient, Mark.ARCHIVED, choose, database(), reckon_due=True)
    return try_again(work).rows


# -- Starting over -------------------------------------------------------------------------------


def start_over(recipient: Any, beyond: Cursor) -> None:
    """
    Give a mailbox a new epoch, because a reader knows a cursor that it has not reached.

    That proves a restored database, in which positions are being given a second time. Whoever has a
    tab of this user open is rung, without rows, and reads.
    """
    doorbell.ring(try_again(partial(_start_over, [recipient], beyond, database())))


def start_all_over(recipients: Collection[Any]) -> int:
    """Give these mailboxes new epochs, in one transaction, and ring. Returns how many there are."""
    rings = try_again(partial(_start_over, recipients, None, database()))
    doorbell.ring(rings)
    return len(rings)


def _start_over(recipients: Collection[Any], beyond: Cursor | None, using: str) -> list[Ring]:
    boxes = Mailbox.objects.using(using)
    with transaction.atomic(using=using, durable=True):
        old = [box for box in boxes.lock(recipients) if beyond is None or beyond > box.cursor]
        rings = [begin_epoch(box, beyond) for box in old]
        boxes.bulk_update(old, ["epoch"])
    return rings


def begin_epoch(box: Mailbox, beyond: Cursor | None = None) -> Ring:
    """
    Give a locked mailbox a new epoch, above the one that it has. The caller saves it.

    Returns the ring that is due after the commit.
    """
    before = box.cursor
    latest = max(box.epoch, beyond.epoch if beyond else "")
    box.epoch = new_epoch(after=latest if is_epoch(latest) else "")
    since = before if is_epoch(before.epoch) else box.cursor  # a ring that nobody can read is none
    return Ring(box.pk, since, box.cursor, box.counts, None)


def is_epoch(text: str) -> bool:
    """Whether a clock can have made it. One that somebody typed might never be topped."""
    try:
        return is_plausible(Cursor.parse(f"{text}:0").epoch)
    except ProtocolError:
        return False


# -- The one way of all marks --------------------------------------------------------------------


def _mark(
    recipient: Any, mark: Mark, choose: Choice, using: str, *, reckon_due: bool = False
) -> Marked:
    rows = Notification.objects.using(using).filter(recipient=recipient)
    standing = rows.published().unarchived()
    fields = SETS[mark]
    with transaction.atomic(using=using, durable=True):
        box = next(iter(Mailbox.objects.using(using).lock([recipient])), None)
        if box is None:
            return Marked(None, 0)
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
    return Marked(box.cursor, len(chosen))


def _arrived(row: Notification) -> int:
    assert row.arrived is not None  # published rows only
    return row.arrived
