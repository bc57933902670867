"""
All changes to mailboxes go through here: lock, take positions, save, commit, ring.

    with locked([recipient_id]) as change:
        if change.mailbox:
            change.mailbox.place(row)
            row.save(using=change.using)

The only exception is the fast path of a single send (``statements.send_one``): it locks, takes the
position and inserts the row in one statement, at a third of the cost (ADR 0003).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from django.db import connections, transaction
from django.db.models import F, OuterRef, Subquery

from notify import doorbell, signals
from notify.db import commits_by_hand, database
from notify.doorbell import Page
from notify.mailbox import locks
from notify.models import Mailbox, Notification

COLUMNS = ("epoch", "head", "floor", "unseen", "unread", "due")
_values = attrgetter(*COLUMNS)


@contextmanager
def locked(
    recipient_ids: Collection[Any],
    *,
    durable: bool = True,
    emits: bool = True,
    skips: bool = False,
    first: Callable[[], None] | None = None,
) -> Iterator[Change]:
    """
    Change some mailboxes in one transaction, and ring. Users without a mailbox are skipped.

    Positions are assigned and committed while the mailbox is locked, so no reader sees position
    n + 1 before n, and a cursor misses nothing. The rings are sent after the commit: a reader that
    was rung earlier would find nothing. If the caller commits by hand, the moment of the commit
    is unknown, so nothing is rung, and the sweep delivers.

    Args:
        durable: refuse to run inside the caller's transaction, which commits later.
        emits: emit ``published`` after the rings. Pass False if no row changes, or if the
            caller emits it.
        skips: leave out the mailboxes that other transactions have locked, instead of waiting.
        first: work of this transaction before the mailboxes are locked. It may take long, and lock rows
            for which no other change waits.

    Raises:
        OperationalError: if another transaction holds one of the locks for ``locks.WAIT`` seconds.
    """
    using = database()
    is_own = locks.begins_own(connections[using])
    with transaction.atomic(using=using, durable=durable):
        if first is not None:
            first()
        change = Change(using, locks.take(recipient_ids, using, is_own=is_own, skips=skips))
        yield change
        change.save()
    change.pages = [page for mailbox in change.mailboxes.values() for page in mailbox.pages()]
    if not commits_by_hand(connections[using]):
        doorbell.ring(change.pages)
        if emits:  # last, as slow receivers would delay the rings
            emit_published(change.pages)


def emit_published(pages: Iterable[Page]) -> None:
    """Emit the signal ``published`` for each committed change."""
    using = database()
    for page in pages:
        signals.published.send_robust(
            Notification, recipient_id=page.recipient_id, notifications=page.rows, using=using
        )


class LockedMailbox:
    """
    One mailbox of a change. Change ``box`` as needed; the columns that differ at the end are saved.

    Attributes:
        box: the mailbox, in its state after this change.
        since: its cursor before this change.
        rows: the rows to which this change has given a position.
        lists_rows: whether the ring carries these rows; if not, readers read them from the database.
    """

    __slots__ = ("box", "epoch", "lists_rows", "rows", "saved", "since")

    def __init__(self, box: Mailbox) -> None:
        self.box = box
        self.since = box.cursor
        self.epoch = box.epoch
        self.saved = _values(box)
        self.rows: list[Notification] = []
        self.lists_rows = True

    def place(self, row: Notification, position: int | None = None) -> None:
        """Give a changed row a position above the head: ``position``, or by default the next."""
        row.position = self.box.head = self.box.head + 1 if position is None else position
        self.rows.append(row)
        if row.expires_at is not None and (self.box.due is None or row.expires_at < self.box.due):
            self.box.due = row.expires_at

    def add(self, row: Notification, position: int | None = None) -> None:
        """Place a new row and count it. An imported row may already have marks."""
        if row.archived_at is None:
            self.box.unseen += row.seen_at is None
            self.box.unread += row.read_at is None
        self.place(row, position)
        row.arrived = row.position

    def renew(self, row: Notification, position: int | None = None) -> None:
        """Place a row with new content, which makes it unseen and unread again, and its actions open."""
        if row.archived_at is None:
            self.box.unseen += row.seen_at is not None
            self.box.unread += row.read_at is not None
        row.seen_at = row.read_at = row.acted_at = row.outcome = None
        self.place(row, position)
        row.arrived = row.position

    def shift_for(self, ids: Collection[int]) -> int:
        """
        Reserve positions for rows that one UPDATE moves by ``position = id + shift`` (ADR 0004).

        They are all above the old head, so no two rows ever share a position. Returns the shift.
        """
        shift = self.box.head + 1 - min(ids)
        self.box.head = shift + max(ids)
        return shift

    def pages(self) -> Iterator[Page]:
        """Yields the page to ring, if the cursor has moved."""
        box = self.box
        if box.cursor != self.since or box.epoch != self.epoch:
            changed = {id(row): row for row in self.rows}.values()  # a row may be placed twice
            rows = sorted(changed, key=attrgetter("position")) if self.lists_rows else None
            yield Page(self.since, box.cursor, box.head, box.counts, rows, recipient_id=box.pk)


class Change:
    """
    One transaction on some locked mailboxes; created by :func:`locked`.

    Attributes:
        mailboxes: the locked mailboxes by primary key of their user, sorted by this key.
        pages: set after the commit: the changes, as one page for each changed mailbox.
    """

    def __init__(self, using: str, boxes: Sequence[Mailbox]) -> None:
        self.using = using
        self.mailboxes = {box.pk: LockedMailbox(box) for box in boxes}
        self.pages: list[Page] = []

    @property
    def mailbox(self) -> LockedMailbox | None:
        """The mailbox, if the change has only one; None if the user has no mailbox, or was deleted."""
        return next(iter(self.mailboxes.values()), None)

    def save(self) -> None:
        """Save the changed mailboxes. Call it only if a later statement of the change reads them."""
        changed = [box for box in self.mailboxes.values() if box.saved != _values(box.box)]
        boxes = Mailbox.objects.using(self.using)
        names = [
            name
            for number, name in enumerate(COLUMNS)
            if any(each.saved[number] != getattr(each.box, name) for each in changed)
        ]
        if len(changed) == 1:
            changed[0].box.save(using=self.using, update_fields=names)
        elif "epoch" in names:
            boxes.bulk_update([each.box for each in changed], names)
        else:
            self._save_alike(changed)
        for each in changed:
            each.saved = _values(each.box)

    def _save_alike(self, changed: Iterable[LockedMailbox]) -> None:
        """Save many mailboxes in few statements. Usually each gains one row that never expires."""
        positions = Notification.objects.using(self.using).filter(recipient=OuterRef("pk"))
        newest = positions.exclude(position=None).order_by("-position").values("position")[:1]
        alike = defaultdict(list)
        for each in changed:
            _epoch, _head, _floor, unseen, unread, due = each.saved
            box = each.box
            moved = None if box.due == due else box.due
            alike[box.unseen - unseen, box.unread - unread, moved].append(each)
        for (unseen, unread, due), group in alike.items():
            raised = {each.box.head - each.saved[1] for each in group}
            Mailbox.objects.using(self.using).filter(pk__in=[each.box.pk for each in group]).update(
                head=F("head") + raised.pop() if len(raised) == 1 else Subquery(newest),
                unseen=F("unseen") + unseen,
                unread=F("unread") + unread,
                **({} if due is None else {"due": due}),
            )
