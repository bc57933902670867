"""
The read side: a user's notifications, the changes since a cursor, and marks.

    notify.inbox.counts(user).unseen
    notify.inbox.snapshot(user).notifications
    notify.inbox.page(user, "unread").notifications
    notify.inbox.mark_read(user, [notification])

- ``__init__``: the public functions, which resolve their user as ``notify.send`` does, but do not check
  that a primary key exists
- ``reader``: reads a mailbox and its rows in one statement
- ``lists``: reads a page of what the inbox shows
- ``upkeep``: looks at mailboxes, and does the work that is due in them

Other packages pass a user or a primary key. The sweep uses ``upkeep.look_at`` and ``upkeep.tend``; the
badge uses ``upkeep.look``, which never refuses a user.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from notify.doorbell import Page as Page
from notify.inbox import lists, reader, upkeep
from notify.inbox.lists import InboxPage as InboxPage
from notify.inbox.lists import View as View
from notify.inbox.upkeep import Glance as Glance
from notify.mailbox import marks, retraction
from notify.models import Notification
from notify.protocol import Counts, Cursor, Mark, Undo
from notify.runtime.twins import refuse_event_loop, twin
from notify.sending import recipients

Rows = Iterable[Notification] | None
Since = Cursor | str | None


def counts(user: Any) -> Counts:
    """
    Returns the numbers of a user's unseen and unread notifications.

        >>> unseen, unread = notify.inbox.counts(user)  # doctest: +SKIP

    It runs one query and writes nothing. Until the upkeep is done, by :func:`changes`, a tab or the
    sweep, waiting notifications are not counted, expired ones still are, and both counts are 0 if the
    mailbox is missing.

    Args:
        user: a user, the primary key of a user, or a request (its user). The primary key is not
            checked; for a deleted user both counts are 0.

    Raises:
        TypeError: ``user`` is several users, or not a user.
        InvalidRecipient: the user is anonymous or unsaved, or the value is not a valid primary key.
        AsyncContext: an event loop is running in this thread; use the twin, here ``acounts``.
    """
    return upkeep.look(_recipient_id(user, "counts")).counts


def snapshot(user: Any) -> Page:
    """
    Returns a user's current notifications: the newest 100 that are not archived. Notifications that are
    both seen and dismissed are left out, unless their task is still running.

    Takes the same argument, and raises the same errors, as :func:`counts`.
    """
    return reader.changes(_recipient_id(user, "snapshot"), None)


def changes(user: Any, since: Since = None) -> Page:
    """
    Returns the changes since a cursor, each notification once and in its final state.

    Without a cursor, or if the cursor belongs to another epoch or is below the floor, the page is a
    reset: the snapshot. Rows that were left in the outbox are published first, unless the caller has a
    transaction open; if the database cannot be written, the readable rows are returned anyway.

    Args:
        user: as for :func:`counts`, with the same errors.
        since: the cursor of an earlier page.

    Raises:
        ProtocolError: ``since`` is not a cursor.
    """
    recipient_id = _recipient_id(user, "changes")
    return reader.changes(recipient_id, _cursor(since))


def page(
    user: Any,
    view: View = "all",
    *,
    category: str = "",
    before: str | int | None = None,
    limit: int = 25,
) -> InboxPage:
    """
    Returns a page of a user's inbox, the newest content first, with two queries.

        >>> first = notify.inbox.page(user, "unread")  # doctest: +SKIP
        >>> second = notify.inbox.page(user, "unread", before=first.next)  # doctest: +SKIP

    The cost does not depend on the number of notifications. With a ``category``, the query scans the list
    until the page is full. If work is due, such as archiving expired notifications, it is done first, and
    takes more queries. A notification that was archived because it had expired, or because it was
    retracted, is in no list.

    Args:
        user: as for :func:`counts`, with the same errors.
        view: ``"all"`` (all notifications that are not archived), ``"unread"`` or ``"archived"``.
        category: only notifications of this category.
        before: the ``next`` of the previous page. Pages neither repeat nor skip notifications if others
            arrive or leave meanwhile. A notification whose content is replaced moves to the first page.
        limit: the number of notifications on the page, from 1 to 100.

    Raises:
        ValueError: ``view``, ``category``, ``before`` or ``limit`` is invalid.
    """
    recipient_id = _recipient_id(user, "page")
    return lists.read(recipient_id, view, category=category, before=before, limit=limit)


def mark_seen(user: Any, notifications: Rows = None, *, cursor: Since = None) -> None:
    """
    Mark notifications as seen: they were on the user's screen.

    Notifications are marked in a separate transaction; inside ``atomic()``, after the commit.

    Args:
        user: as for :func:`counts`, with the same errors. Other users' notifications are ignored.
        notifications: instances as read from the database, not primary keys; by default, all. Content
            that has arrived in them since then stays unseen. An instance without a position, which
            ``send()`` returns inside ``atomic()``, stands for the present content of its row.
        cursor: the cursor of a page. Without ``notifications``, only content that had arrived by this
            cursor is marked.

    Raises:
        TypeError: ``notifications`` is a single one, or has other values than notifications.
        ProtocolError: ``cursor`` is not a cursor.
    """
    _mark(user, Mark.SEEN, notifications, cursor)


def mark_read(user: Any, notifications: Rows = None, *, cursor: Since = None) -> None:
    """Mark notifications as read and seen: the user opened them. Arguments as for :func:`mark_seen`."""
    _mark(user, Mark.READ, notifications, cursor)


def mark_archived(user: Any, notifications: Rows = None, *, cursor: Since = None) -> None:
    """Archive notifications: they leave the snapshot and the counts. Arguments as for :func:`mark_seen`."""
    _mark(user, Mark.ARCHIVED, notifications, cursor)


def mark_dismissed(user: Any, notifications: Rows = None, *, cursor: Since = None) -> None:
    """Close the toasts in every tab, and keep the notifications. Arguments as for :func:`mark_seen`."""
    _mark(user, Mark.DISMISSED, notifications, cursor)


def mark_unread(user: Any, notifications: Rows) -> None:
    """
    Mark notifications as unread again. They stay seen.

    Takes the same two arguments, and raises the same errors, as :func:`mark_seen`; there is no form for
    all notifications.
    """
    _undo(user, Undo.UNREAD, notifications, "mark_unread")


def unarchive(user: Any, notifications: Rows) -> None:
    """
    Restore archived notifications to their previous state. Their toasts stay closed.

    A notification that has expired stays archived, and so does one that a later notification with the same
    key has replaced. Takes the same arguments as :func:`mark_unread`.
    """
    _undo(user, Undo.UNARCHIVE, notifications, "unarchive")


def clear(
    user: Any, *, key: str | None = None, group: str | None = None, category: str | None = None
) -> None:
    """
    Archive the notifications with a key, of a group or of a category, for example once the work is done.

        notify.inbox.clear(user, category="orders")

    Inside ``atomic()``, they are archived after the commit.

    Args:
        user: as for :func:`counts`, with the same errors.
        key, group, category: what the notifications were sent with; at least one. If there are several,
            a notification must have all of them.

    Raises:
        ValueError: no key, group or category is named.
    """
    recipient_id = _recipient_id(user, "clear")
    given = {"collapse_key": key, "group": group, "category": category}
    named = {name: f"{value}" for name, value in given.items() if value not in (None, "")}
    if not named:
        raise ValueError(
            "notify.inbox.clear() needs a key, a group or a category. To archive everything, use"
            " notify.inbox.mark_archived(user)."
        )
    retraction.clear(recipient_id, named)


def _undo(user: Any, undo: Undo, notifications: Rows, call: str) -> None:
    recipient_id = _recipient_id(user, call)
    rows = _instances(notifications, f"notify.inbox.{call}()")
    marks.mark(recipient_id, undo, reader.shown(recipient_id, rows))


def _mark(user: Any, mark: Mark, notifications: Rows, cursor: Since) -> None:
    recipient_id = _recipient_id(user, f"mark_{mark}")
    if notifications is not None:
        rows = _instances(notifications, f"notify.inbox.mark_{mark}()")
        marks.mark(recipient_id, mark, reader.shown(recipient_id, rows))
        return
    marks.mark(recipient_id, mark, upto=_cursor(cursor) or upkeep.cursor_of(recipient_id))


def _instances(notifications: Any, verb: str) -> list[Notification]:
    """Returns the notifications as a list, after a check that they are instances."""
    if isinstance(notifications, Notification):
        raise TypeError(f"{verb} takes several notifications. Pass a list: [notification].")
    several = isinstance(notifications, Iterable) and not isinstance(notifications, (str, bytes))
    rows = list(notifications) if several else [notifications]
    for row in rows:
        if not isinstance(row, Notification):
            raise TypeError(
                f"{verb} takes instances of notify.models.Notification, not {type(row).__name__}"
                f" {str(row)[:60]!r}. A primary key does not tell which content the user was shown, so"
                " read the rows: user.notify_notifications.filter(pk__in=[…])."
            )
    return rows


def _recipient_id(user: Any, call: str) -> Any:
    verb = f"notify.inbox.{call}"
    refuse_event_loop(verb)
    several = "Call it for each user."
    return recipients.one(user, verb=f"{verb}()", several=several, must_exist=False)


def _cursor(cursor: Since) -> Cursor | None:
    return cursor if cursor is None or isinstance(cursor, Cursor) else Cursor.parse(cursor)


acounts = twin(counts)
asnapshot = twin(snapshot)
achanges = twin(changes)
apage = twin(page)
amark_seen = twin(mark_seen)
amark_read = twin(mark_read)
amark_archived = twin(mark_archived)
amark_dismissed = twin(mark_dismissed)
amark_unread = twin(mark_unread)
aunarchive = twin(unarchive)
aclear = twin(clear)
