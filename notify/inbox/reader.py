"""
Reads a mailbox and its rows in one statement, starting from a reader's cursor.

Other packages call ``inbox.changes``. Reads always go to the primary database, because a replica may
not yet have the row that a ring has announced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django.db.models import F, FilteredRelation, Q

from notify.db import all_users, batches, database
from notify.doorbell import MAX_ROWS, Page
from notify.inbox import upkeep
from notify.mailbox import epochs
from notify.models import BOX_COLUMNS, Mailbox, Notification
from notify.protocol import Counts, Cursor, Shown, TaskState

# Clients and rooms keep a whole page in memory, as one document. A hundred rows fill any screen.
PAGE_SIZE = MAX_ROWS

LIVE = [state.value for state in TaskState if state.is_live]
NOTHING = Page(None, None, 0, Counts(0, 0), (), reset=True)  # for a user without a mailbox
RELATION, FILTERED = "notify_notifications", "notify_row"
ROW_COLUMNS = tuple(field.attname for field in Notification._meta.concrete_fields)
COLUMNS = (
    *(f"notify_mailbox__{name}" for name in BOX_COLUMNS),
    *(f"{FILTERED}__{field.name}" for field in Notification._meta.concrete_fields),
)


def changes(recipient_id: Any, since: Cursor | None) -> Page:
    """Does the upkeep, and returns the changes since a cursor. See :func:`notify.inbox.changes`."""
    glances = upkeep.look_at([recipient_id])
    if since is not None and glances and glances[0].shows_nothing_since(since):
        return Page(since, since, since.position, glances[0].counts, ())
    upkeep.tend(glances, made=since is not None)
    page = _read(recipient_id, since)
    if (
        since is not None
        and page.cursor is not None
        and epochs.proves_restore(recipient_id, since, page.cursor)
        and not upkeep.is_forbidden()
    ):
        epochs.start_over([recipient_id], since)
        page = _read(recipient_id, None)
    return page


def shown(recipient_id: Any, notifications: Sequence[Notification]) -> list[Shown]:
    """Returns the pairs that these instances show. Without a position, the row's present content counts."""
    pairs = [(row.pk, row.arrived) for row in notifications if row.arrived is not None]
    published = Notification.objects.using(database()).published().filter(recipient=recipient_id)
    for ids in batches([row.pk for row in notifications if row.arrived is None]):
        known = published.filter(pk__in=ids).values_list("pk", "arrived")
        pairs.extend((pk, arrived) for pk, arrived in known if arrived is not None)
    return pairs


def _read(recipient_id: Any, since: Cursor | None) -> Page:
    if since is not None:
        box, rows = _mailbox_and_rows(
            recipient_id, Q(position__gt=since.position), F(f"{FILTERED}__position").asc(), 1
        )
        # The floor comes from the same statement, or a prune between two reads would go unnoticed.
        if box and box.epoch == since.epoch and box.floor <= since.position <= box.head:
            more = len(rows) > PAGE_SIZE
            rows = rows[:PAGE_SIZE]
            position = rows[-1].position if more and rows[-1].position else box.head
            return Page(since, Cursor(box.epoch, position), box.head, box.counts, rows)
    standing = Q(archived_at=None, position__isnull=False) & (
        Q(seen_at=None) | Q(dismissed_at=None) | Q(progress__state__in=LIVE)
    )
    box, rows = _mailbox_and_rows(recipient_id, standing, F(f"{FILTERED}__arrived").desc())
    if box is None:
        return NOTHING
    return Page(None, box.cursor, box.head, box.counts, rows[::-1], reset=True)


def _mailbox_and_rows(
    recipient_id: Any, which: Q, order: Any, beyond: int = 0
) -> tuple[Mailbox | None, list[Notification]]:
    """Read both in one statement, as the counts must not include a change that the rows lack."""
    lines = (
        all_users()
        .filter(pk=recipient_id)
        .annotate(**{FILTERED: FilteredRelation(RELATION, condition=_prefixed(which))})
        .order_by(order)
        .values_list(*COLUMNS)[: PAGE_SIZE + beyond]
    )
    using, width = database(), len(BOX_COLUMNS)
    found = list(lines)
    box = Mailbox.of_columns(found[0][:width]) if found else None
    rows = [line[width:] for line in found if line[width] is not None]
    return box, [Notification.from_db(using, ROW_COLUMNS, row) for row in rows]


def _prefixed(condition: Q) -> Q:
    """Returns a condition on notifications as a condition on users, through the relation."""
    parts: list[Any] = [
        _prefixed(part) if isinstance(part, Q) else (f"{RELATION}__{part[0]}", part[1])
        for part in cast("list[Q | tuple[str, Any]]", condition.children)
    ]
    return Q(*parts, _connector=condition.connector, _negated=condition.negated)
