"""
Marks notifications as seen, read, archived or dismissed, takes such a mark back, and archives expired ones.

A mark applies only to content that the user was shown: pairs ``(id, arrived)``, or everything that had
arrived by a cursor. Content that arrived or was merged into a row later stays new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import F, Min, Q
from django.db.models.functions import Coalesce, NullIf
from django.utils import timezone

from notify import signals
from notify.db import after_commit, batches, commits_by_hand, database, tries_again
from notify.doorbell import MAX_ROWS
from notify.mailbox.change import LockedMailbox, locked
from notify.models import Mailbox, Notification, NotificationQuerySet
from notify.protocol import Counts, Cursor, Mark, Shown, Undo

# The timestamps that a mark sets, unless they are set already. Reading implies seeing.
SETS: Mapping[Mark, tuple[str, ...]] = {
    Mark.SEEN: ("seen_at",),
    Mark.READ: ("seen_at", "read_at"),
    Mark.ARCHIVED: ("seen_at", "read_at", "archived_at"),
    Mark.DISMISSED: ("dismissed_at",),
}

# The values that an undo sets. MariaDB assigns in this order, and reads what it has assigned already.
# Archiving sets the marks that were missing at its own moment, so these are taken back with it. No toast
# comes back.
RESTORES: Mapping[Undo, Mapping[str, Any]] = MappingProxyType(
    {
        Undo.UNREAD: {"read_at": None},
        Undo.UNARCHIVE: {
            "seen_at": NullIf(F("seen_at"), F("archived_at")),
            "read_at": NullIf(F("read_at"), F("archived_at")),
            "dismissed_at": Coalesce(F("dismissed_at"), F("archived_at")),
            "archived_at": None,
        },
    }
)

READS = ("pk", "arrived", "seen_at", "read_at", "archived_at", "collapse_key")

# Called with the rows that a mark has changed, before they are rung. Progress adds what it knows of them.
before_ring: list[Callable[[Sequence[Notification]], None]] = []

# Chooses the rows to mark among those that the mark changes; called under the mailbox's lock.
Choice = Callable[[Mailbox, NotificationQuerySet], list[Notification]]


class Marked(NamedTuple):
    """The mailbox's cursor afterwards (``None`` without a mailbox), and the number of rows marked."""

    cursor: Cursor | None
    rows: int


def mark(
    recipient_id: Any,
    mark: Mark | Undo,
    pairs: Iterable[Shown] = (),
    *,
    upto: Cursor | None = None,
    epoch: str | None = None,
) -> Cursor | None:
    """
    Mark notifications of one recipient, or take a mark back, in a separate transaction.

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

    return after_commit(lambda: _mark(recipient_id, mark, choose).cursor)


def expire(recipient_id: Any) -> None:
    """Archive a user's expired notifications, in a separate transaction."""
    archive(recipient_id, Q(expires_at__lte=timezone.now()))


def archive(
    recipient_id: Any,
    which: Q,
    at_most: int | None = None,
    *,
    named: Mapping[str, str] | None = None,
    retracts: bool = False,
) -> int:
    """
    Archive the notifications of one recipient that meet a condition, in a separate transaction.

    Args:
        which: the condition, evaluated under the mailbox's lock.
        at_most: the maximum number of rows; those unchanged for the longest time come first.
        named: texts that the rows must have exactly, by name of the column.
        retracts: archive them as expired, so that they are in no list of the inbox.

    Returns the number of rows archived.
    """

    def choose(box: Mailbox, rows: NotificationQuerySet) -> list[Notification]:
        chosen = rows.filter(which, **(named or {})).order_by("position")[:at_most]
        if not named:
            return list(chosen)
        # A collation may ignore case, so the database may return more.
        exact = chosen.only(*READS, *named)
        return [row for row in exact if all(getattr(row, name) == named[name] for name in named)]

    return _mark(recipient_id, Mark.ARCHIVED, choose, reckon_due=True, retracts=retracts).rows


@tries_again
def _mark(
    recipient_id: Any,
    mark: Mark | Undo,
    choose: Choice,
    *,
    reckon_due: bool = False,
    retracts: bool = False,
) -> Marked:
    rows = Notification.objects.using(database()).filter(recipient=recipient_id)
    published = rows.published()
    with locked([recipient_id]) as change:
        mailbox = change.mailbox
        if mailbox is None:
            return Marked(None, 0)
        box = mailbox.box
        now = timezone.now()
        changing = published.filter(_changes(mark, now))
        chosen = choose(box, changing.only(*READS))
        if mark is Undo.UNARCHIVE:
            chosen = _without_successor(chosen, published.unarchived())
        if chosen:
            shift = mailbox.shift_for([row.pk for row in chosen])
            values = {**_values(mark, now), **({"expires_at": now} if retracts else {})}
            for ids in batches([row.pk for row in chosen]):
                rows.filter(pk__in=ids).update(position=F("pk") + shift, **values)
            for row in chosen:
                unseen, unread = _counts(mark, row)
                box.unseen += unseen
                box.unread += unread
        if reckon_due or mark is Undo.UNARCHIVE:
            box.due = published.unarchived().aggregate(due=Min("expires_at"))["due"]
        mailbox.lists_rows = len(chosen) <= MAX_ROWS
        if chosen and mailbox.lists_rows:
            changed = rows.filter(position__gt=mailbox.since.position)
            mailbox.rows = list(changed.order_by("position"))
            for update in before_ring:
                update(mailbox.rows)
    if not commits_by_hand(connections[database()]):
        _emit(mark, chosen, mailbox)
    return Marked(box.cursor, len(chosen))


def _emit(mark: Mark | Undo, chosen: Sequence[Notification], mailbox: LockedMailbox) -> None:
    """Emit the signals of the marks that were missing before, after the commit."""
    recipient_id, using = mailbox.box.pk, database()

    def missing(name: str) -> list[int]:
        sets = () if isinstance(mark, Undo) else SETS[mark]
        return [row.pk for row in chosen if name in sets and getattr(row, name) is None]

    def rows(ids: Collection[int]) -> list[Notification] | None:
        return [row for row in mailbox.rows if row.pk in ids] if mailbox.lists_rows else None

    if ids := missing("seen_at"):
        signals.seen.send_robust(
            Notification, recipient_id=recipient_id, notifications=rows(ids), using=using
        )
    if ids := missing("read_at"):
        signals.read.send_robust(
            Notification, recipient_id=recipient_id, notifications=rows(ids), using=using
        )
    if ids := missing("archived_at"):
        signals.archived.send_robust(
            Notification, recipient_id=recipient_id, notifications=rows(ids), using=using
        )


def _changes(mark: Mark | Undo, now: datetime) -> Q:
    """Returns the condition for rows that a mark changes."""
    if mark is Undo.UNARCHIVE:  # what has expired would be archived again
        return Q(archived_at__isnull=False) & (Q(expires_at=None) | Q(expires_at__gt=now))
    if mark is Undo.UNREAD:
        return Q(archived_at=None, read_at__isnull=False)
    return Q(archived_at=None) & Q(**{SETS[Mark(mark)][-1]: None})


def _without_successor(
    rows: Iterable[Notification], standing: NotificationQuerySet
) -> list[Notification]:
    """Leaves out archived rows that a later notification with the same key has replaced meanwhile."""
    keys = {row.collapse_key for row in rows if row.collapse_key}
    taken = set(standing.filter(collapse_key__in=keys).values_list("collapse_key", flat=True))
    newest = {row.collapse_key: row for row in sorted(rows, key=_arrived)}
    return [
        row
        for row in rows
        if not row.collapse_key
        or (row.collapse_key not in taken and newest[row.collapse_key] is row)
    ]


def _values(mark: Mark | Undo, now: datetime) -> Mapping[str, Any]:
    """Returns what a mark sets in the rows that it changes."""
    if isinstance(mark, Undo):
        return RESTORES[mark]
    return {name: Coalesce(F(name), now) for name in SETS[mark]}


def _counts(mark: Mark | Undo, row: Notification) -> Counts:
    """Returns by how much the counts change when this row is marked."""
    if mark is Undo.UNREAD:
        return Counts(0, 1)
    if mark is Undo.UNARCHIVE:
        unset = (None, row.archived_at)
        return Counts(row.seen_at in unset, row.read_at in unset)
    fields = SETS[mark]
    return Counts(
        -("seen_at" in fields and row.seen_at is None),
        -("read_at" in fields and row.read_at is None),
    )


def _arrived(row: Notification) -> int:
    assert row.arrived is not None  # only published rows get here
    return row.arrived
