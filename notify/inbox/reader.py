"""
The read side: what a user has, what changed since a cursor, and marking it.

    notify.inbox.counts(user).unseen
    notify.inbox.snapshot(user).notifications
    notify.inbox.mark_read(user, [notification])

Every call reads the primary: a replica may lack the row that a ring has just told about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, cast

from django.contrib.auth import get_user_model
from django.db import Error, connections
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q
from django.utils import timezone

from notify import signals
from notify.conf import conf
from notify.db import batches, commits_by_hand, in_callers_transaction
from notify.mailbox import marks, outbox
from notify.models import Mailbox, Notification, Progress, all_users, database
from notify.protocol import Changes, Counts, Cursor, Mark, Pair, State, is_plausible
from notify.runtime.executor import twin
from notify.tracking import rows as runs

EXPIRED_AT_ONCE = 50  # mailboxes; each is a transaction, and rooms wait for their repair meanwhile
LIVE = [state.value for state in State if state.is_live]
ROWS, ROW = "notify_notifications", "notify_row"
COLUMNS = tuple(field.attname for field in Notification._meta.concrete_fields)
COLUMNS_OF_ROW = tuple(f"{ROW}__{field.name}" for field in Notification._meta.concrete_fields)


@dataclass(frozen=True, slots=True)
class Page:
    """
    A part of one mailbox: what changed since a cursor, or, when ``reset``, what stands.

    Attributes:
        since: the cursor that was asked for; ``None`` on a reset.
        cursor: what a reader knows afterwards; ``None`` while the user has no mailbox.
        head: position of the mailbox's newest change; above ``cursor``, more pages follow.
        counts: unseen and unread notifications at ``head``.
        notifications: by rising position; on a reset by rising ``arrived``.
    """

    since: Cursor | None
    cursor: Cursor | None
    head: int
    counts: Counts
    notifications: Sequence[Notification]
    reset: bool = False

    @property
    def tells_nothing(self) -> bool:
        """Whether its reader knows it all already."""
        return self.since is not None and self.since == self.cursor

    def changes(self) -> Changes:
        """The page as a document of the wire."""
        rows = ",".join(row.encode() for row in self.notifications)
        return Changes(self.since, self.cursor, self.head, self.counts, rows, self.reset)


NOTHING = Page(None, None, 0, Counts(0, 0), (), reset=True)


class Glance(NamedTuple):
    """Where one user's mailbox stands, in one query, also when there is none."""

    recipient: Any
    epoch: str | None
    head: int | None
    due: datetime | None
    counts: Counts
    waiting: bool  # rows in the outbox
    rows: bool  # rows at all
    stale: bool = False  # tasks that say nothing any more

    @property
    def cursor(self) -> Cursor | None:
        return None if self.epoch is None or self.head is None else Cursor(self.epoch, self.head)

    @property
    def needs_work(self) -> bool:
        """Whether something is to be published, has expired, or lacks a mailbox."""
        return self.waiting or self.is_overdue or self.stale or (self.rows and self.epoch is None)

    @property
    def is_overdue(self) -> bool:
        return self.due is not None and self.due <= timezone.now()

    def shows_nothing_since(self, cursor: Cursor) -> bool:
        """Whether a reader at this cursor has it all, so that no row need be read."""
        return self.cursor == cursor and not self.needs_work


# -- Reading -------------------------------------------------------------------------------------


def counts(user: Any) -> Counts:
    """
    How many of a user's notifications are not seen and not read.

        >>> unseen, unread = notify.inbox.counts(user)  # doctest: +SKIP

    It only looks, in one query. What waits to be published is not counted yet, what has expired still
    is, and a user whose mailbox was lost has 0, until :func:`changes`, a tab or the sweep has put that
    right.
    """
    return look(key(user)).counts


def snapshot(user: Any) -> Page:
    """
    What stands: the newest 100 that are not archived, and not both seen and dismissed unless it is a
    task that runs.

    Args:
        user: a user or its primary key.
    """
    return changes(user, None)


def changes(user: Any, since: Cursor | str | None = None) -> Page:
    """
    What changed since a cursor, each notification once and in its final state.

    A cursor that cannot be continued (none, of another epoch, below the floor) gives a reset:
    the snapshot. Forgotten rows are published first, but never inside the caller's transaction; where
    the database does not take that now, what can be read is returned all the same.

    Args:
        user: a user or its primary key.
        since: a cursor that an earlier page gave.

    Raises:
        ProtocolError: ``since`` is not a cursor.
    """
    recipient = key(user)
    since = Cursor.parse(since) if isinstance(since, str) else since
    glances = look_at([recipient])
    if since is not None and glances and glances[0].shows_nothing_since(since):
        return Page(since, since, since.position, glances[0].counts, ())
    tend(glances, made=since is not None)
    page = _read(recipient, since)
    if since is not None and _proves_restore(since, page) and not _in_callers_transaction():
        marks.start_over(recipient, since)
        page = _read(recipient, None)
    return page


def _proves_restore(since: Cursor, page: Page) -> bool:
    """Whether a reader knows a cursor that the mailbox has not reached, and that a clock has made."""
    return page.cursor is not None and since > page.cursor and is_plausible(since.epoch)


def look(recipient: Any) -> Glance:
    """Where one user's mailbox stands."""
    return next(
        iter(look_at([recipient])),
        Glance(recipient, None, None, None, Counts(0, 0), waiting=False, rows=False),
    )


def look_at(recipients: Sequence[Any]) -> list[Glance]:
    """Where these users' mailboxes stand, in one query. A user who is gone is left out."""
    mine = Notification.objects.filter(recipient=OuterRef("pk"))
    users = all_users().filter(pk__in=recipients)
    columns = (f"notify_mailbox__{name}" for name in ("epoch", "head", "due", "unseen", "unread"))
    stale = Progress.objects.filter(recipient=OuterRef("pk")).stale()
    lines = users.values_list("pk", *columns, Exists(mine.waiting()), Exists(mine), Exists(stale))
    return [
        Glance(pk, epoch, head, due, Counts(unseen or 0, unread or 0), waiting, rows, stale)
        for pk, epoch, head, due, unseen, unread, waiting, rows, stale in lines
    ]


def tend(glances: Iterable[Glance], *, made: bool = False) -> None:
    """
    Do for these mailboxes what their readers rely on: publish forgotten rows, archive expired ones.

    Never raises for the database's sake: it may be locked, or read-only, and still be read. What could
    not be done is tried again by the next reader. Expiry comes last, and of many mailboxes that are due
    together some wait for the next call, so that nobody waits for them.

    Args:
        made: make a missing mailbox even where there are no rows.
    """
    if _in_callers_transaction():
        return
    glances = list(glances)
    outbox.publish([glance.recipient for glance in glances if glance.waiting])
    without = [
        glance.recipient for glance in glances if glance.epoch is None and (made or glance.rows)
    ]
    if without:
        _attempt(partial(Mailbox.objects.using(database()).ensure, without), without)
    for glance in glances:
        if glance.stale:
            _attempt(partial(runs.tend, glance.recipient), [glance.recipient])
    overdue = [glance.recipient for glance in glances if glance.is_overdue]
    for recipient in overdue[:EXPIRED_AT_ONCE]:
        _attempt(partial(marks.expire, recipient), [recipient])


def _attempt(work: Callable[[], None], recipients: list[Any]) -> None:
    try:
        work()
    except Error as error:
        signals.publish_failed.send_robust(Notification, recipients=recipients, error=error)


def _read(recipient: Any, since: Cursor | None) -> Page:
    if since is not None:
        box, rows = _mailbox_and_rows(
            recipient, Q(position__gt=since.position), "position", conf.PAGE_SIZE + 1
        )
        # The floor comes with the rows: read before them, a prune in between would go unnoticed.
        if box.epoch == since.epoch and box.floor <= since.position <= box.head:
            more = len(rows) > conf.PAGE_SIZE
            rows = rows[: conf.PAGE_SIZE]
            position = rows[-1].position if more and rows[-1].position else box.head
            return Page(since, Cursor(box.epoch, position), box.head, box.counts, rows)
    standing = Q(archived_at=None, position__isnull=False) & (
        Q(seen_at=None) | Q(dismissed_at=None) | Q(progress__state__in=LIVE)
    )
    box, rows = _mailbox_and_rows(recipient, standing, "-arrived", conf.PAGE_SIZE)
    if box.epoch is None:
        return NOTHING
    return Page(None, Cursor(box.epoch, box.head), box.head, box.counts, rows[::-1], reset=True)


class Box(NamedTuple):
    """The mailbox's columns as they come beside the rows; all empty where there is no mailbox."""

    epoch: str | None = None
    head: int = 0
    floor: int = 0
    unseen: int = 0
    unread: int = 0

    @property
    def counts(self) -> Counts:
        return Counts(self.unseen, self.unread)


def _mailbox_and_rows(
    recipient: Any, which: Q, order: str, limit: int
) -> tuple[Box, list[Notification]]:
    """Both in one statement: counts that include a change which the rows do not would be wrong."""
    descending, name = order.startswith("-"), order.lstrip("-")
    column = F(f"{ROW}__{name}")
    lines = (
        all_users()
        .filter(pk=recipient)
        .annotate(**{ROW: FilteredRelation(ROWS, condition=_prefixed(which))})
        .order_by(column.desc() if descending else column.asc())
        .values_list(*(f"notify_mailbox__{name}" for name in Box._fields), *COLUMNS_OF_ROW)[:limit]
    )
    box = Box()
    rows = []
    for line in lines:
        box, row = Box(*line[: len(Box._fields)]), line[len(Box._fields) :]
        if row[0] is not None:
            rows.append(Notification.from_db(database(), COLUMNS, row))
    return box, rows


def _prefixed(condition: Q) -> Q:
    """The condition on rows as one on users, through the relation."""
    parts: list[Any] = [
        _prefixed(part) if isinstance(part, Q) else (f"{ROWS}__{part[0]}", part[1])
        for part in cast("list[Q | tuple[str, Any]]", condition.children)
    ]
    return Q(*parts, _connector=condition.connector, _negated=condition.negated)


def _in_callers_transaction() -> bool:
    connection = connections[database()]
    return in_callers_transaction(connection) or commits_by_hand(connection)


def key(user: Any) -> Any:
    """The primary key of a user, or the primary key itself."""
    return user.pk if isinstance(user, get_user_model()) else user


# -- Marking -------------------------------------------------------------------------------------


def mark_seen(
    user: Any,
    notifications: Iterable[Notification] | None = None,
    *,
    cursor: Cursor | str | None = None,
) -> None:
    """
    Mark as seen: it was on the user's screen.

    Args:
        user: a user or its primary key; the notifications of others are left alone.
        notifications: as they were read. What arrived in them since stays unseen. One that had no
            position yet, as ``send()`` returned it inside ``atomic()``, is taken as it stands now.
            Omitted: all.
        cursor: without ``notifications``, only what had arrived at this cursor of a page.

    It is done in a transaction of its own; inside ``atomic()``, after the commit.
    """
    _mark(user, Mark.SEEN, notifications, cursor)


def mark_read(
    user: Any,
    notifications: Iterable[Notification] | None = None,
    *,
    cursor: Cursor | str | None = None,
) -> None:
    """Mark as read, and so as seen: the user opened it. Arguments as in :func:`mark_seen`."""
    _mark(user, Mark.READ, notifications, cursor)


def mark_archived(
    user: Any,
    notifications: Iterable[Notification] | None = None,
    *,
    cursor: Cursor | str | None = None,
) -> None:
    """Archive: it leaves the inbox and the counts. Arguments as in :func:`mark_seen`."""
    _mark(user, Mark.ARCHIVED, notifications, cursor)


def mark_dismissed(
    user: Any,
    notifications: Iterable[Notification] | None = None,
    *,
    cursor: Cursor | str | None = None,
) -> None:
    """Close its toast in every tab; the inbox keeps it. Arguments as in :func:`mark_seen`."""
    _mark(user, Mark.DISMISSED, notifications, cursor)


def _mark(
    user: Any, mark: Mark, notifications: Iterable[Notification] | None, cursor: Cursor | str | None
) -> None:
    recipient = key(user)
    if notifications is not None:
        marks.mark(recipient, mark, _pairs(recipient, list(notifications)))
        return
    upto = Cursor.parse(cursor) if isinstance(cursor, str) else cursor
    marks.mark(recipient, mark, upto=upto or _where_it_stands(recipient))


def _pairs(recipient: Any, notifications: Sequence[Notification]) -> list[Pair]:
    pairs = [(row.pk, row.arrived) for row in notifications if row.arrived is not None]
    published = Notification.objects.using(database()).published().filter(recipient=recipient)
    for ids in batches([row.pk for row in notifications if row.arrived is None]):
        known = published.filter(pk__in=ids).values_list("pk", "arrived")
        pairs.extend((pk, arrived) for pk, arrived in known if arrived is not None)
    return pairs


def _where_it_stands(recipient: Any) -> Cursor | None:
    glance = look(recipient)
    if glance.rows and glance.epoch is None and not _in_callers_transaction():
        Mailbox.objects.using(database()).ensure([recipient])
        glance = look(recipient)
    return glance.cursor


acounts = twin(counts)
asnapshot = twin(snapshot)
achanges = twin(changes)
amark_seen = twin(mark_seen)
amark_read = twin(mark_read)
amark_archived = twin(mark_archived)
amark_dismissed = twin(mark_dismissed)
