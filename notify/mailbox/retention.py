"""
Retention archives old rows, and deletes rows that have been archived for long enough.

    retention.run(dry_run=True).deleted

Nothing else in notify deletes published rows, except the deletion of their user. A row stays archived
for at least a day before it is deleted, so that readers get the change; a reader that is away for
longer has a cursor below the mailbox's floor, and gets a snapshot.

The table is scanned by primary key, a piece at a time, so retention needs no index of its own
(ADR 0014). Rows are changed one mailbox at a time, in short transactions under its lock: a sender waits
for at most one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from notify.conf import PREFIX, conf
from notify.db import batches, database, is_contention, tries_again
from notify.mailbox import marks
from notify.mailbox.change import locked
from notify.models import (
    ActionRecord,
    Mailbox,
    Notification,
    NotificationQuerySet,
    TaskPart,
    TaskRecord,
)

ROWS_READ_AT_ONCE = 100_000
ROWS_AT_ONCE = 1000  # archived or deleted in one transaction, at most
SHORTEST = timedelta(days=1)  # a row stays archived this long even if the setting is less


@dataclass(frozen=True, slots=True)
class Pruned:
    """
    The numbers of rows that a run archived and deleted or, as a dry run, would have.

    Attributes:
        expired, read, unread: notifications archived for that reason.
        deleted: notifications deleted.
        failed: mailboxes left to the next run because of conflicts with other transactions.
    """

    expired: int = 0
    read: int = 0
    unread: int = 0
    deleted: int = 0
    failed: int = 0

    @property
    def archived(self) -> int:
        return self.expired + self.read + self.unread


def run(*, dry_run: bool = False, batch_size: int = ROWS_AT_ONCE) -> Pruned:
    """
    Archive expired notifications, and archive or delete old ones by the settings ``NOTIFY_RETENTION_*``.

        >>> retention.run(dry_run=True).deleted  # doctest: +SKIP
        340

    It is safe to run, repeatedly, on a live site. It cannot run inside ``atomic()``.

    Args:
        dry_run: only count, and write nothing.
        batch_size: the maximum number of rows that one transaction archives or deletes.

    Raises:
        ValueError: ``batch_size`` is less than 1.
        ImproperlyConfigured: a retention is not a ``timedelta``.
        DatabaseError: the database failed. Earlier batches are committed.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} would never delete anything. Use 1 or more.")
    using = database()
    rules = _rules(timezone.now())
    done: Counter[str] = Counter()
    for rows in _pieces(using):
        found = _count(rows, rules)
        if dry_run:
            for numbers in found.values():
                done.update(numbers)
            continue
        for recipient_ids in batches(list(found)):
            Mailbox.objects.using(using).ensure(recipient_ids)
            for recipient_id in recipient_ids:
                names = [name for name, number in found[recipient_id].items() if number]
                _tidy(recipient_id, {name: rules[name] for name in names}, batch_size, done)
    if not dry_run:
        _delete_orphans(using)
    return Pruned(**done)


def _delete_orphans(using: str) -> None:
    """Delete the records of tasks and actions whose notifications have been deleted."""
    known = Notification.objects.using(using).filter(pk=OuterRef("pk"))
    orphans = TaskRecord.objects.using(using).filter(~Exists(known))
    for ids in batches(list(orphans.values_list("pk", flat=True))):
        _delete_progress(ids, using)
    # Not with its notification: a handler holds the record while it waits for the mailbox, so a change that
    # holds the mailbox must not wait for the record.
    acted = ActionRecord.objects.using(using).filter(~Exists(known))
    for ids in batches(list(acted.values_list("pk", flat=True))):
        ActionRecord.objects.using(using).filter(pk__in=ids).delete()


def _delete_progress(ids: Iterable[int], using: str) -> None:
    """Delete the bookkeeping of the tasks shown by these notifications."""
    TaskPart.objects.using(using).filter(task__in=ids).delete()
    TaskRecord.objects.using(using).filter(pk__in=ids).delete()


def _rules(now: datetime) -> dict[str, Q]:
    """Returns the conditions for archiving or deleting a row, by reason. No row meets two of them."""
    expired = Q(archived_at=None, expires_at__lte=now)
    rules = {"expired": expired}
    if (moment := _moment("RETENTION_READ", now)) is not None:
        rules["read"] = Q(archived_at=None, read_at__lt=moment) & ~expired
    if (moment := _moment("RETENTION_UNREAD", now)) is not None:
        unread = Q(archived_at=None, read_at=None, updated_at__lt=moment)
        for mark in ("seen_at", "dismissed_at"):
            unread &= Q(**{mark: None}) | Q(**{f"{mark}__lt": moment})
        rules["unread"] = unread & ~expired
    if (moment := _moment("RETENTION_ARCHIVED", now)) is not None:
        rules["deleted"] = Q(archived_at__lt=min(moment, now - SHORTEST))
    return rules


def _moment(name: str, now: datetime) -> datetime | None:
    """Returns the moment before which a row is old; ``None`` if rows are kept forever."""
    retention = getattr(conf, name)
    if retention is None:
        return None
    if not isinstance(retention, timedelta):
        raise ImproperlyConfigured(
            f"{PREFIX}{name} = {retention!r} is not a timedelta. Use timedelta(days=…), or None to keep all."
        )
    try:
        return now - retention
    except OverflowError:  # timedelta.max also means forever
        return None


def _pieces(using: str) -> Iterator[NotificationQuerySet]:
    """Yields all published rows in pieces, each of which is read in a fraction of a second."""
    rest = Notification.objects.using(using).all()
    while True:
        keys = rest.order_by("pk").values_list("pk", flat=True)
        last = keys[ROWS_READ_AT_ONCE - 1 : ROWS_READ_AT_ONCE].first()
        if last is None:
            yield rest.published()
            return
        yield rest.filter(pk__lte=last).published()
        rest = rest.model.objects.using(using).filter(pk__gt=last)


def _count(rows: NotificationQuerySet, rules: dict[str, Q]) -> dict[Any, dict[str, int]]:
    """Returns for each recipient how many rows meet each rule. Recipients with no such rows are left out."""
    numbers = {name: Count("pk", filter=rule) for name, rule in rules.items()}
    found = rows.filter(Q(*rules.values(), _connector=Q.OR)).order_by()
    lines: Iterable[dict[str, Any]] = map(dict, found.values("recipient_id").annotate(**numbers))
    return {line.pop("recipient_id"): line for line in lines}


def _tidy(recipient_id: Any, rules: dict[str, Q], batch_size: int, done: Counter[str]) -> None:
    try:
        for name, rule in rules.items():
            steps = _delete if name == "deleted" else _archive
            for number in steps(recipient_id, rule, batch_size):
                done[name] += number
    except DatabaseError as error:
        if not is_contention(error):
            raise
        done["failed"] += 1


def _archive(recipient_id: Any, rule: Q, batch_size: int) -> Iterator[int]:
    number = batch_size
    while number == batch_size:
        number = marks.archive(recipient_id, rule, batch_size)
        yield number


def _delete(recipient_id: Any, rule: Q, batch_size: int) -> Iterator[int]:
    number, after = batch_size, 0
    while number == batch_size:
        number, after = _delete_some(recipient_id, rule, after, batch_size)
        yield number


@tries_again
def _delete_some(recipient_id: Any, rule: Q, after: int, at_most: int) -> tuple[int, int]:
    """Delete rows above a position. Returns the number deleted, and the last deleted row's position."""
    using = database()
    rows = Notification.objects.using(using).filter(recipient=recipient_id)
    with locked([recipient_id]) as change:
        mailbox = change.mailbox
        if mailbox is None:
            return 0, after  # the user has been deleted
        old = rows.filter(rule, position__gt=after).order_by("position")
        chosen = list(old.values_list("pk", "position")[:at_most])
        # By id: on MariaDB, a DELETE by condition locks rows that open transactions have sent.
        for ids in batches([pk for pk, _ in chosen]):
            rows.filter(pk__in=ids).delete()
            _delete_progress(ids, using)
        for _, position in chosen[-1:]:
            after = position or after
            mailbox.box.floor = max(mailbox.box.floor, after)
    return len(chosen), after
