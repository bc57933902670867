"""
Retention: what is old is archived, and what was archived for long enough is deleted.

    prune.run(dry_run=True).deleted

Nothing else deletes what was published. A row goes only once it has been archived for a day, so that
every reader had the time to hear of it; one that was away for longer finds its cursor below the
mailbox's floor, and gets a snapshot.

The table is read in pieces along its primary key, and no index is kept for it (ADR 0014). What is
found is done one mailbox at a time, in short transactions under its lock: a sender waits for one of
them at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, transaction
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from notify.conf import PREFIX, conf
from notify.db import batches, try_again
from notify.mailbox import marks
from notify.mailbox import statements as sql
from notify.models import (
    Mailbox,
    Notification,
    NotificationQuerySet,
    Progress,
    ProgressPart,
    database,
)

ROWS_READ_AT_ONCE = 100_000
ROWS_AT_ONCE = 1000  # archived or deleted in one transaction
SHORTEST = timedelta(days=1)  # archived for less, a row is not deleted, whatever the setting says


@dataclass(frozen=True, slots=True)
class Pruned:
    """
    What a run did, or, dry, would do.

    Attributes:
        expired, read, unread: notifications that were archived, and why.
        deleted: notifications that had been archived for long enough.
        failed: mailboxes left to the next run, as other transactions were in the way.
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
    Archive and delete what the settings ``NOTIFY_RETENTION_*`` call old, and archive what has expired.

        >>> prune.run(dry_run=True).deleted  # doctest: +SKIP
        340

    It may run while the site does, and at any time again. It does not run inside ``atomic()``.

    Args:
        dry_run: only count; nothing is written.
        batch_size: rows that one transaction archives or deletes at most.

    Raises:
        ValueError: ``batch_size`` is less than 1.
        ImproperlyConfigured: a retention is not a ``timedelta``.
        DatabaseError: the database failed. What was done until then stays done.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} deletes nothing, for ever. Give 1 or more.")
    using = database()
    rules = _rules(timezone.now())
    done: Counter[str] = Counter()
    for rows in _pieces(using):
        found = _count(rows, rules)
        if dry_run:
            for numbers in found.values():
                done.update(numbers)
            continue
        for recipients in batches(list(found)):
            Mailbox.objects.using(using).ensure(recipients)
            for recipient in recipients:
                names = [name for name, number in found[recipient].items() if number]
                _tidy(recipient, {name: rules[name] for name in names}, batch_size, done)
    if not dry_run:
        _delete_orphans(using)
    return Pruned(**done)


def _delete_orphans(using: str) -> None:
    """What is known of tasks whose notifications went with their user, or by hand."""
    known = Notification.objects.using(using).filter(pk=OuterRef("pk"))
    orphans = Progress.objects.using(using).filter(~Exists(known))
    for ids in batches(list(orphans.values_list("pk", flat=True))):
        _delete_progress(ids, using)


def _delete_progress(ids: Iterable[int], using: str) -> None:
    """Delete what is known of the tasks behind these notifications."""
    ProgressPart.objects.using(using).filter(progress__in=ids).delete()
    Progress.objects.using(using).filter(pk__in=ids).delete()


def _rules(now: datetime) -> dict[str, Q]:
    """What is to be done, and the rows it is to be done to. No row is counted twice."""
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
    """What is from before this moment is old."""
    retention = getattr(conf, name)
    if retention is None:
        return None
    if not isinstance(retention, timedelta):
        raise ImproperlyConfigured(
            f"{PREFIX}{name} = {retention!r} is not a timedelta. Write timedelta(days=…), or None for ever."
        )
    try:
        return now - retention
    except OverflowError:  # timedelta.max is for ever, too
        return None


def _pieces(using: str) -> Iterator[NotificationQuerySet]:
    """All published rows, in pieces that are read in a fraction of a second each."""
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
    """How many of these rows each rule is for, by recipient; those that have none are left out."""
    numbers = {name: Count("pk", filter=rule) for name, rule in rules.items()}
    found = rows.filter(Q(*rules.values(), _connector=Q.OR)).order_by()
    lines: Iterable[dict[str, Any]] = map(dict, found.values("recipient_id").annotate(**numbers))
    return {line.pop("recipient_id"): line for line in lines}


def _tidy(recipient: Any, rules: dict[str, Q], batch_size: int, done: Counter[str]) -> None:
    try:
        for name, rule in rules.items():
            steps = _delete if name == "deleted" else _archive
            for number in steps(recipient, rule, batch_size):
                done[name] += number
    except DatabaseError as error:
        if not sql.is_contention(error):
            raise
        done["failed"] += 1


def _archive(recipient: Any, rule: Q, batch_size: int) -> Iterator[int]:
    number = batch_size
    while number == batch_size:
        number = marks.archive(recipient, rule, batch_size)
        yield number


def _delete(recipient: Any, rule: Q, batch_size: int) -> Iterator[int]:
    number, after = batch_size, 0
    while number == batch_size:
        number, after = try_again(partial(_delete_some, recipient, rule, after, batch_size))
        yield number


def _delete_some(recipient: Any, rule: Q, after: int, at_most: int) -> tuple[int, int]:
    """Delete above a position. Returns how many rows, and the position of the last."""
    using = database()
    boxes = Mailbox.objects.using(using)
    rows = Notification.objects.using(using).filter(recipient=recipient)
    with transaction.atomic(using=using, durable=True):
        if not boxes.lock([recipient]):
            return 0, after  # the user was deleted meanwhile
        old = rows.filter(rule, position__gt=after).order_by("position")
        chosen = list(old.values_list("pk", "position")[:at_most])
        # By id: a DELETE by condition locks, on MariaDB, rows that open transactions have sent.
        for ids in batches([pk for pk, _ in chosen]):
            rows.filter(pk__in=ids).delete()
            _delete_progress(ids, using)
        for _, position in chosen[-1:]:
            after = position or after
            boxes.filter(pk=recipient, floor__lt=after).update(floor=after)
    return len(chosen), after
