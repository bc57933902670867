"""
The write side: record a notification, publish it, ring.

A row without a position is the outbox: stored in the caller's transaction, not yet published.
Publishing is a short transaction of its own after the commit, which gives each row a position
under its mailbox's lock. So nobody sees position n + 1 before n, and a cursor misses nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any

from django.db import DatabaseError, Error, connections, transaction

from notify import doorbell, signals
from notify.db import batches, commits_by_hand, in_callers_transaction, try_again
from notify.doorbell import Ring
from notify.mailbox import statements as sql
from notify.mailbox.batch import Edition, standing
from notify.models import Mailbox, Notification, database
from notify.protocol import Counts, Cursor

ROWS_AT_ONCE = 1000  # rows numbered in one transaction, which holds the mailboxes' locks

# -- Record --------------------------------------------------------------------------------------


def send(letters: Sequence[tuple[Notification, Sequence[Any]]]) -> dict[Any, Notification]:
    """
    Record notifications, and publish them as soon as their transaction has committed.

    Args:
        letters: pairs of a notification without a recipient and the primary keys that get a copy.

    Returns the stored notification of each recipient.
    """
    using = database()
    connection = connections[using]
    stored: dict[Any, Notification] = {}
    published: list[Ring] = []
    later: list[Any] = []
    at_once = not in_callers_transaction(connection) and not commits_by_hand(connection)
    try:
        for letter, recipients in letters:
            if len(recipients) == 1:
                letter.recipient_id = recipients[0]  # no copy is needed
            for batch in batches(recipients):
                ready = _record_published(letter, batch, using) if at_once else None
                if ready is None:
                    stored.update(_record(letter, batch, using))
                    later.extend(batch)
                else:
                    doorbell.ring(ready)
                    published.extend(ready)
                    stored.update(
                        (ring.recipient, row) for ring in ready for row in ring.notifications or ()
                    )
    finally:  # also when a later batch fails: outside atomic() the earlier ones are committed
        if stored:
            signals.sent.send_robust(Notification, notifications=list(stored.values()), using=using)
        if later:
            publish_after_commit(later, using)
        tell(published, using)
    return _as_published(stored, using) if later and at_once else stored


def _record(letter: Notification, recipients: Sequence[Any], using: str) -> dict[Any, Notification]:
    """Put a copy for each recipient into the outbox; the only statements that may fail the caller."""
    if len(recipients) == 1 or not sql.can_return_rows(using):
        rows = {pk: _addressed(letter, pk) for pk in recipients}
        for row in rows.values():
            row.save(using=using, force_insert=True)
        return rows
    inserted = sql.insert_waiting(letter, recipients, using)
    return {recipient: _copy(letter, recipient, pk, using=using) for recipient, pk, _ in inserted}


def _record_published(
    letter: Notification, recipients: Sequence[Any], using: str
) -> list[Ring] | None:
    """
    Record and publish in one short transaction, where that is possible.

    It is not with a key, which may collapse, nor without RETURNING. Nothing comes back either
    when other transactions were in the way too often; then the outbox takes the rows.
    """
    if letter.collapse_key or not sql.can_return_rows(using):
        return None
    try:
        if len(recipients) == 1:
            return [_send_one(_addressed(letter, recipients[0]), using)]
        return try_again(partial(_send_batch, letter, recipients, using))
    except DatabaseError as error:
        if not sql.is_contention(error):
            raise
        return None


def _send_one(notification: Notification, using: str) -> Ring:
    boxes = Mailbox.objects.using(using)
    sent = try_again(partial(sql.send_one, notification, using))
    while sent is None:
        boxes.ensure([notification.recipient_id])
        sent = try_again(partial(sql.send_one, notification, using))
    cursor, counts = sent
    since = Cursor(cursor.epoch, cursor.position - 1)
    return Ring(notification.recipient_id, since, cursor, counts, [notification])


def _send_batch(letter: Notification, recipients: Sequence[Any], using: str) -> list[Ring]:
    boxes = Mailbox.objects.using(using)
    boxes.ensure(recipients)
    with transaction.atomic(using=using, durable=True):
        locked = {box.pk: box for box in boxes.lock(recipients)}
        boxes.filter(pk__in=locked).advance(letter.expires_at)
        rows = sql.insert_published(letter, list(locked), using)
    return [
        Ring(
            recipient,
            locked[recipient].cursor,
            Cursor(locked[recipient].epoch, position),
            Counts(locked[recipient].unseen + 1, locked[recipient].unread + 1),
            [_copy(letter, recipient, pk, position, using)],
        )
        for recipient, pk, position in rows
    ]


def _addressed(letter: Notification, recipient: Any) -> Notification:
    return letter if letter.recipient_id == recipient else _copy(letter, recipient)


def _copy(
    letter: Notification,
    recipient: Any,
    pk: int | None = None,
    position: int | None = None,
    using: str | None = None,
) -> Notification:
    values = {
        field.attname: getattr(letter, field.attname)
        for field in Notification._meta.concrete_fields
    }
    values.update(recipient_id=recipient, id=pk, position=position, arrived=position)
    row = Notification.from_db(using, list(values), list(values.values()))
    row._state.adding = pk is None
    return row


def _as_published(stored: dict[Any, Notification], using: str) -> dict[Any, Notification]:
    """The rows as publishing left them; one that was merged away is the row that took its content."""
    try:
        left = Notification.objects.using(using).in_bulk([row.pk for row in stored.values()])
        merged = [row for row in stored.values() if row.pk not in left]
        by_key = {(row.recipient_id, row.collapse_key): row for row in standing(merged, using)}
    except Error:  # they are stored: that their positions cannot be told fails nobody
        return stored
    return {
        pk: left.get(row.pk) or by_key.get((pk, row.collapse_key)) or row
        for pk, row in stored.items()
    }


# -- Publish -------------------------------------------------------------------------------------


class PublishAfterCommit:
    """
    An ``on_commit`` hook. The sends of one transaction share a set of recipients.

    Each send registers a hook of its own: one behind a flag would vanish with a savepoint that
    rolls back, and a later send of the outer transaction would not be published. The first hook
    to run takes all recipients, the rest find none.
    """

    def __init__(self, recipients: set[Any], using: str) -> None:
        self.recipients = recipients
        self.using = using
        self.__qualname__ = type(self).__qualname__  # Django's log line for a hook that fails

    def __call__(self) -> None:
        recipients = set(self.recipients)
        self.recipients.clear()
        publish(recipients, using=self.using)


def publish_after_commit(recipients: Collection[Any], using: str) -> None:
    """Publish as soon as the caller's transaction has committed; now, where there is none."""
    connection = connections[using]
    if commits_by_hand(connection):
        return  # nothing tells when the caller commits: the sweep publishes
    if not in_callers_transaction(connection):
        publish(recipients, using=using)
        return
    hooks = (hook for _, hook, *_ in reversed(connection.run_on_commit))
    earlier = next((hook for hook in hooks if isinstance(hook, PublishAfterCommit)), None)
    shared = earlier.recipients if earlier else set()
    shared.update(recipients)
    transaction.on_commit(PublishAfterCommit(shared, using), using=using, robust=True)


def publish(recipients: Iterable[Any], *, using: str | None = None) -> int:
    """
    Publish all that waits for these recipients, and ring.

    Returns how many recipients had something waiting. Never raises for the database's sake: what
    could not be published is still in the outbox, and the next publish, sweep, poll or connect of
    that mailbox finds it.
    """
    using = using or database()
    found: set[Any] = set()
    for batch in batches(sorted(set(recipients))):
        more = True
        while more:
            try:
                rings, more = try_again(partial(_publish_batch, batch, using))
            except Error as error:
                signals.publish_failed.send_robust(Notification, recipients=batch, error=error)
                break
            found.update(ring.recipient for ring in rings)
            announce(rings, using)
    return len(found)


def _publish_batch(recipients: Sequence[Any], using: str) -> tuple[list[Ring], bool]:
    """Publish the oldest rows that wait for these recipients. Returns, too, whether more may wait."""
    if commits_by_hand(connections[using]):
        return [], False  # a ring would leave before the commit
    boxes = Mailbox.objects.using(using)
    rows = Notification.objects.using(using)
    boxes.ensure(recipients)
    with transaction.atomic(using=using, durable=True):
        locked = {box.pk: box for box in boxes.lock(recipients)}
        # Without a lock: MariaDB would wait here for every open transaction that has sent.
        outbox = rows.waiting().filter(recipient__in=locked).order_by("pk")
        waiting = list(outbox[:ROWS_AT_ONCE])
        if not waiting:
            return [], False
        edition = Edition(locked, waiting, standing(waiting, using))
        edition.write(using)
    return edition.rings(), len(waiting) == ROWS_AT_ONCE


def announce(rings: Sequence[Ring], using: str) -> None:
    """After the commit: ring, then tell the receivers of ``published``, which may take their time."""
    doorbell.ring(rings)
    tell(rings, using)


def tell(rings: Sequence[Ring], using: str) -> None:
    """Tell the receivers of ``published``."""
    for ring in rings:
        signals.published.send_robust(
            Notification, recipient=ring.recipient, notifications=ring.notifications, using=using
        )
