"""
Records notifications, publishes them, and rings.

The outbox consists of the rows without a position: stored in the caller's transaction, not yet
published. After the commit, a short separate transaction publishes them: it gives each row a position
under its mailbox's lock (``change.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.db import DatabaseError, Error, connections, transaction

from notify import doorbell, signals
from notify.db import (
    batches,
    commits_by_hand,
    database,
    in_callers_transaction,
    is_contention,
    is_lock_timeout,
    tries_again,
)
from notify.doorbell import Page
from notify.mailbox import statements
from notify.mailbox.batch import PublishBatch, standing
from notify.mailbox.change import emit_published, locked
from notify.models import Mailbox, Notification
from notify.protocol import Cursor

ROWS_AT_ONCE = 1000  # rows published in one transaction, which holds the mailboxes' locks

# -- Record --------------------------------------------------------------------------------------


def send(letters: Sequence[tuple[Notification, Sequence[Any]]]) -> dict[Any, Notification]:
    """
    Record notifications, and publish them as soon as their transaction has committed.

    Args:
        letters: pairs of a notification without a recipient, and the primary keys of the users who get it.

    Returns the stored notifications by recipient.
    """
    using = database()
    connection = connections[using]
    stored: dict[Any, Notification] = {}
    published: list[Page] = []
    later: list[Any] = []
    stuck: list[Any] = []  # whose mailboxes another transaction has locked for too long
    at_once = not in_callers_transaction(connection) and not commits_by_hand(connection)
    try:
        for letter, recipient_ids in letters:
            if len(recipient_ids) == 1:
                letter.recipient_id = recipient_ids[0]  # no copy is needed
            for batch in batches(recipient_ids):
                ready = _record_published(letter, batch, using, stuck) if at_once else None
                if ready is None:
                    stored.update(_record(letter, batch, using))
                    later.extend(batch)
                else:
                    published.extend(ready)
                    stored.update(
                        (row.recipient_id, row) for page in ready for row in page.notifications
                    )
    finally:  # outside atomic(), earlier batches are committed even if a later one fails
        if stored:
            signals.sent.send_robust(Notification, notifications=list(stored.values()), using=using)
        if later:
            publish_after_commit(later, skips=bool(stuck))
        emit_published(published)
    return _as_published(stored, using) if later and at_once else stored


def _record(
    letter: Notification, recipient_ids: Sequence[Any], using: str
) -> dict[Any, Notification]:
    """Insert a copy for each recipient into the outbox. Errors of these statements reach the caller."""
    if len(recipient_ids) == 1 or not statements.can_return_rows(using):
        rows = {pk: _addressed(letter, pk) for pk in recipient_ids}
        for row in rows.values():
            row.save(using=using, force_insert=True)
        return rows
    inserted = statements.insert_waiting(letter, recipient_ids, using)
    return {
        recipient_id: _copy(letter, recipient_id, pk, using=using)
        for recipient_id, pk, _ in inserted
    }


def _record_published(
    letter: Notification, recipient_ids: Sequence[Any], using: str, stuck: list[Any]
) -> list[Page] | None:
    """
    Record and publish in one short transaction, and ring.

    Returns None, so that the rows go through the outbox, if the notification has a key (it may have to
    be merged), if the database has no RETURNING, or after too many conflicts with other transactions.
    After a lock timeout, adds the recipients to ``stuck``.
    """
    if letter.collapse_key or not statements.can_return_rows(using):
        return None
    try:
        if len(recipient_ids) == 1:
            return [_send_one(_addressed(letter, recipient_ids[0]), using)]
        return _send_batch(letter, recipient_ids, using)
    except DatabaseError as error:
        if not is_contention(error):
            raise
        if is_lock_timeout(error):
            _report(recipient_ids, error)
            stuck.extend(recipient_ids)
        return None


@tries_again
def _send_one(notification: Notification, using: str) -> Page:
    recipient_id = notification.recipient_id
    while (sent := statements.send_one(notification, using)) is None:
        Mailbox.objects.using(using).ensure([recipient_id])
    cursor, counts = sent
    since = Cursor(cursor.epoch, cursor.position - 1)
    rows = [notification]
    page = Page(since, cursor, cursor.position, counts, rows, recipient_id=recipient_id)
    doorbell.ring([page])
    return page


@tries_again
def _send_batch(letter: Notification, recipient_ids: Sequence[Any], using: str) -> list[Page]:
    Mailbox.objects.using(using).ensure(recipient_ids)
    with locked(recipient_ids, emits=False) as change:
        mailboxes = change.mailboxes
        for recipient_id, mailbox in mailboxes.items():
            mailbox.add(_copy(letter, recipient_id))
        change.save()  # the INSERT reads each row's position from its mailbox
        for recipient_id, pk, _ in statements.insert_published(letter, list(mailboxes), using):
            (row,) = mailboxes[recipient_id].rows
            row.pk, row._state.adding, row._state.db = pk, False, using
    return change.pages


def _addressed(letter: Notification, recipient_id: Any) -> Notification:
    return letter if letter.recipient_id == recipient_id else _copy(letter, recipient_id)


def _copy(
    letter: Notification,
    recipient_id: Any,
    pk: int | None = None,
    position: int | None = None,
    using: str | None = None,
) -> Notification:
    values = {
        field.attname: getattr(letter, field.attname)
        for field in Notification._meta.concrete_fields
    }
    values.update(recipient_id=recipient_id, id=pk, position=position, arrived=position)
    row = Notification.from_db(using, list(values), list(values.values()))
    row._state.adding = pk is None
    return row


def _as_published(stored: dict[Any, Notification], using: str) -> dict[Any, Notification]:
    """Returns the rows after publishing. A row that was merged is replaced by the row it was merged into."""
    try:
        left = Notification.objects.using(using).in_bulk([row.pk for row in stored.values()])
        merged = [row for row in stored.values() if row.pk not in left]
        by_key = {(row.recipient_id, row.collapse_key): row for row in standing(merged, using)}
    except Error:  # the rows are stored, so this read must not raise in the caller
        return stored
    return {
        pk: left.get(row.pk) or by_key.get((pk, row.collapse_key)) or row
        for pk, row in stored.items()
    }


# -- Publish -------------------------------------------------------------------------------------


class PublishAfterCommit:
    """
    An ``on_commit`` hook. All sends of a transaction share one set of recipients.

    Each send registers its own hook. A single hook would vanish if its savepoint rolled back, and
    later sends of the outer transaction would not be published. The first hook that runs takes all
    recipients; the others find the set empty.
    """

    def __init__(self, recipient_ids: set[Any]) -> None:
        self.recipient_ids = recipient_ids
        self.__qualname__ = type(self).__qualname__  # Django logs it if the hook fails

    def __call__(self) -> None:
        recipient_ids = set(self.recipient_ids)
        self.recipient_ids.clear()
        publish(recipient_ids)


def publish_after_commit(recipient_ids: Collection[Any], *, skips: bool = False) -> None:
    """
    Publish once the caller's transaction has committed, or now if none is open.

    Args:
        skips: as for :func:`publish`; only if no transaction is open.
    """
    using = database()
    connection = connections[using]
    if commits_by_hand(connection):
        return  # the moment of the commit is unknown, so the sweep publishes
    if not in_callers_transaction(connection):
        publish(recipient_ids, skips=skips)
        return
    hooks = (hook for _, hook, *_ in reversed(connection.run_on_commit))
    earlier = next((hook for hook in hooks if isinstance(hook, PublishAfterCommit)), None)
    shared = earlier.recipient_ids if earlier else set()
    shared.update(recipient_ids)
    transaction.on_commit(PublishAfterCommit(shared), using=using, robust=True)


def publish(recipient_ids: Iterable[Any], *, skips: bool = False) -> int:
    """
    Publish all waiting rows of these recipients, and ring.

    Args:
        skips: leave out mailboxes that other transactions have locked, instead of waiting. Otherwise they are
            left out after a lock timeout, so that one process that is stuck does not stop the others.

    Returns the number of recipients whose rows were published. Never raises a database error: on failure
    the rows stay in the outbox, where the next publish, sweep, poll or connection of that mailbox finds
    them.
    """
    found: set[Any] = set()
    for batch in batches(sorted(set(recipient_ids))):
        more, waits = True, not skips
        while more:
            try:
                pages, more = _publish_batch(batch, not waits)
            except Error as error:
                _report(batch, error)
                if waits and is_lock_timeout(error):
                    waits = False
                    continue
                break
            found.update(page.recipient_id for page in pages)
    return len(found)


def _report(recipient_ids: Sequence[Any], error: Error) -> None:
    signals.publish_failed.send_robust(Notification, recipient_ids=recipient_ids, error=error)


@tries_again
def _publish_batch(recipient_ids: Sequence[Any], skips: bool = False) -> tuple[list[Page], bool]:
    """Publish the oldest waiting rows of these recipients. Returns the pages, and whether more may wait."""
    using = database()
    if commits_by_hand(connections[using]):
        return [], False  # no ring would announce the rows
    Mailbox.objects.using(using).ensure(recipient_ids)
    with locked(recipient_ids, skips=skips) as change:
        # Read without locking: on MariaDB a lock would wait for every open transaction that has sent a
        # notification.
        outbox = Notification.objects.using(using).waiting().order_by("pk")
        waiting = list(outbox.filter(recipient__in=list(change.mailboxes))[:ROWS_AT_ONCE])
        if waiting:
            batch = PublishBatch(change.mailboxes, waiting, standing(waiting, using))
            batch.write(using)
    return change.pages, len(waiting) == ROWS_AT_ONCE
