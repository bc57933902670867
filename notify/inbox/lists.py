"""
The lists of the inbox: everything, what is unread, and the archive; the newest content first.

A list continues at a place, the ``arrived`` of its last notification, and never at an offset, so
notifications that arrive or leave meanwhile neither repeat nor hide others. Each list has an index, so a
page costs the same at any number of rows (ADR 0033).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from django.db import connections, models
from django.db.models import F, Func, Value
from django.db.models.lookups import Exact

from notify.db import database
from notify.inbox import upkeep
from notify.models import LISTS, UNSTORABLE, Notification
from notify.protocol import MAX_POSITION, Counts, Cursor

View = Literal["all", "unread", "archived"]
VIEWS: tuple[View, ...] = get_args(View)
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class InboxPage:
    """
    One page of a list of the inbox.

    Attributes:
        notifications: the rows, those with the newest content first.
        counts: the numbers of unseen and unread notifications in the whole inbox.
        next: the place at which the list continues, for ``before``; empty at its end.
        cursor: the cursor of the mailbox when the page was read; ``None`` without a mailbox.
    """

    notifications: list[Notification]
    counts: Counts
    next: str
    cursor: Cursor | None


def read(
    recipient_id: Any, view: Any, *, category: str, before: str | int | None, limit: int
) -> InboxPage:
    """Does the upkeep, and reads a page in two queries. See :func:`notify.inbox.page`."""
    if view not in VIEWS:
        raise ValueError(f"view={view!r} is not a list. Use 'all', 'unread' or 'archived'.")
    if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit={limit!r} must be a whole number from 1 to {MAX_LIMIT}.")
    if UNSTORABLE.search(category):
        raise ValueError(f"category={category[:40]!r} contains NUL or a lone surrogate.")
    place = None if before in (None, "") else _place(before)
    glance = upkeep.look(recipient_id)
    if glance.needs_work and not upkeep.is_forbidden():
        upkeep.tend([glance])
        glance = upkeep.look(recipient_id)
    rows = Notification.objects.using(database()).filter(recipient=recipient_id)
    rows = rows.filter(LISTS[view][0], arrived__isnull=False)
    if category:
        rows = rows.filter(category=category)
        if connections[rows.db].vendor == "mysql":
            # Its collations ignore case and trailing spaces. The condition above stays for the plan.
            rows = rows.filter(Exact(_bytes_of("category"), Value(category)))
    if place is not None:
        rows = rows.filter(arrived__lt=place)
    found = list(rows.order_by("-arrived")[: limit + 1])
    shown = found[:limit]
    more = str(shown[-1].arrived) if len(found) > limit else ""
    return InboxPage(shown, glance.counts, more, glance.cursor)


def task_of(recipient_id: Any, key: str) -> Notification | None:
    """Returns the newest notification of a task with this key that is not archived."""
    rows = Notification.objects.using(database()).filter(recipient=recipient_id, collapse_key=key)
    newest_first = rows.published().unarchived().order_by("-arrived")
    # A collation may ignore case.
    return next((row for row in newest_first if row.progress and row.collapse_key == key), None)


def _bytes_of(name: str) -> Func:
    """Returns the bytes of a column of text, for a comparison without the rules of its collation."""
    return Func(
        F(name), template="CAST(%(expressions)s AS BINARY)", output_field=models.CharField()
    )


def _place(before: Any) -> int:
    is_number = type(before) is int or (
        isinstance(before, str) and before.isascii() and before.isdecimal() and len(before) <= 16
    )
    place = int(before) if is_number else -1
    if not 0 <= place <= MAX_POSITION:
        raise ValueError(
            f"before={str(before)[:40]!r} is not a place. Pass the next of the previous page."
        )
    return place
