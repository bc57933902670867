"""
Checks the invariants of all mailboxes, and repairs violations.

    for finding in integrity.check(fix=True):
        print(finding)

One statement reads hundreds of mailboxes with their rows. It needs no lock: a concurrent send shows in
both counts and rows, or in neither. A repair is a short transaction under the mailbox's lock. If
readers may hold wrong data, the mailbox gets a new epoch, and they start over.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.utils import timezone

from notify import db
from notify.db import all_users, batches, database, is_contention, tries_again
from notify.mailbox import epochs, outbox
from notify.mailbox.change import LockedMailbox, locked
from notify.models import BOX_COLUMNS, Mailbox, Notification

LEFT_AFTER = timedelta(minutes=1)  # a younger row in the outbox may have been committed just now
SECOND_LOOK = 1.0  # seconds until rows that were left in the outbox are checked again

ROW = "notify_notifications"
PUBLISHED = Q(**{f"{ROW}__position__isnull": False})
STANDING = PUBLISHED & Q(**{f"{ROW}__archived_at": None})

OUTBOX = "left in the outbox"
MAILBOX = "mailbox"
TWICE = "positions given twice"
ARRIVED = "arrivals above their position"
DUE = "due"
QUIET = frozenset({OUTBOX, MAILBOX, DUE})  # these give no reader wrong data


@dataclass(frozen=True, slots=True)
class Finding:
    """
    An invariant that does not hold.

    Attributes:
        recipient: primary key of the user.
        name: the user name.
        what: the invariant, such as ``"unseen"`` or ``"left in the outbox"``.
        found, expected: the actual and the right value, as text.
        repaired: whether the invariant holds again.
    """

    recipient: Any
    name: str
    what: str
    found: str
    expected: str
    repaired: bool = False

    def __str__(self) -> str:
        end = "; repaired" if self.repaired else ""
        return f"{self.name}: {self.what}: {self.found}, should be {self.expected}{end}"


class MailboxFacts(NamedTuple):
    """A user's mailbox, and the values it should have according to its rows."""

    recipient_id: Any
    name: str
    box: Mailbox | None
    published: int
    positions: int
    highest: int | None
    misplaced: int
    waiting: int
    rows_unseen: int
    rows_unread: int
    rows_due: datetime | None

    @property
    def least_floor(self) -> int:
        return max(0, self.box.floor if self.box else 0)

    @property
    def least_head(self) -> int:
        """
        The lowest value that the head may have: the highest position of a row, or the floor if it
        is higher.
        """
        return max(self.least_floor, self.highest or 0)

    def findings(self) -> Iterator[Finding]:
        """Yields the invariants that do not hold."""
        for what, holds, found, expected in self._facts():
            if not holds:
                yield Finding(self.recipient_id, self.name, what, str(found), str(expected))

    def _facts(self) -> Iterator[tuple[str, bool, Any, Any]]:
        twice = self.published - self.positions
        yield OUTBOX, not self.waiting, self.waiting, 0
        yield TWICE, not twice, twice, 0
        yield ARRIVED, not self.misplaced, self.misplaced, 0
        if (box := self.box) is None:
            yield MAILBOX, not self.published, "none", f"one for {self.published} notifications"
            return
        yield "epoch", epochs.is_epoch(box.epoch), repr(box.epoch), "an epoch not in the future"
        yield "head", box.head >= self.least_head, box.head, f"{self.least_head} or more"
        yield "floor", box.floor >= 0, box.floor, "0 or more"
        yield "unseen", box.unseen == self.rows_unseen, box.unseen, self.rows_unseen
        yield "unread", box.unread == self.rows_unread, box.unread, self.rows_unread
        if self.rows_due is not None:
            holds = box.due is not None and box.due <= self.rows_due
            yield DUE, holds, box.due or "never", f"{self.rows_due} or before"


# -- Check ---------------------------------------------------------------------------------------


def check(recipients: Iterable[Any] | None = None, *, fix: bool = False) -> Iterator[Finding]:
    """
    Check mailboxes, and yield the invariants that do not hold.

        >>> [str(finding) for finding in integrity.check()]  # doctest: +SKIP
        ['alice: unseen: 3, should be 2']

    It is safe to run on a live site. With ``fix`` it cannot run inside ``atomic()``.

    Args:
        recipients: primary keys of users; by default, all users.
        fix: also repair the mailboxes.

    Raises:
        DatabaseError: the database failed. Earlier repairs stay.
    """
    left: list[Any] = []
    for keys in _in_batches(all_users(), recipients):
        for facts in _look(keys):
            found = {finding.what: finding for finding in facts.findings()}
            if found.pop(OUTBOX, None):
                left.append(facts.recipient_id)
            if found and fix:
                _repair(facts.recipient_id)
            yield from _afterwards(facts.recipient_id, found, fix)
    if left:
        time.sleep(SECOND_LOOK)  # by then, rows that were about to be published have been published
    for keys in batches(left):
        for facts in _look(keys):
            found = {f.what: f for f in facts.findings() if f.what == OUTBOX}
            if found and fix:
                outbox.publish([facts.recipient_id])
            yield from _afterwards(facts.recipient_id, found, fix)


def _afterwards(recipient_id: Any, found: dict[str, Finding], fix: bool) -> Iterator[Finding]:
    if not (found and fix):
        yield from found.values()
        return
    still = {finding.what for facts in _look([recipient_id]) for finding in facts.findings()}
    for what, finding in found.items():
        yield replace(finding, repaired=what not in still)


def _in_batches(
    everyone: QuerySet[Any], recipients: Iterable[Any] | None
) -> Iterator[Sequence[Any]]:
    """Yields these keys, or all keys in ascending order, a few hundred at a time."""
    if recipients is not None:
        yield from batches(list(recipients))
        return
    keys = everyone.order_by("pk").values_list("pk", flat=True)
    batch = list(keys[: db.PUBLISH_BATCH_SIZE])
    while batch:
        yield batch
        batch = list(keys.filter(pk__gt=batch[-1])[: db.PUBLISH_BATCH_SIZE])


def _look(keys: Sequence[Any]) -> list[MailboxFacts]:
    """Read the mailboxes of these users and the facts of their rows, in one statement."""
    position, arrived = f"{ROW}__position", f"{ROW}__arrived"
    is_left = {f"{ROW}__created_at__lt": timezone.now() - LEFT_AFTER}
    is_misplaced = Q(**{arrived: None}) | Q(**{f"{arrived}__gt": F(position)})
    name = get_user_model().USERNAME_FIELD
    lines = (
        all_users()
        .order_by("pk")
        .filter(pk__in=keys)
        .values_list("pk", name, *(f"notify_mailbox__{column}" for column in BOX_COLUMNS))
        .annotate(
            published=Count(position),
            positions=Count(position, distinct=True),
            highest=Max(position),
            misplaced=Count(ROW, filter=PUBLISHED & is_misplaced),
            waiting=Count(ROW, filter=Q(**{position: None}, **is_left)),
            rows_unseen=Count(ROW, filter=STANDING & Q(**{f"{ROW}__seen_at": None})),
            rows_unread=Count(ROW, filter=STANDING & Q(**{f"{ROW}__read_at": None})),
            rows_due=Min(f"{ROW}__expires_at", filter=STANDING),
        )
    )
    width = len(BOX_COLUMNS)
    return [
        MailboxFacts(pk, name, Mailbox.of_columns(rest[:width]), *rest[width:])
        for pk, name, *rest in lines
    ]


# -- Repair --------------------------------------------------------------------------------------


def _repair(recipient_id: Any) -> None:
    try:
        Mailbox.objects.using(database()).ensure([recipient_id])
        _repair_locked(recipient_id)
    except DatabaseError as error:
        if not is_contention(error):
            raise


@tries_again
def _repair_locked(recipient_id: Any) -> None:
    with locked([recipient_id], emits=False) as change:
        # If the user has been deleted, both are empty.
        for mailbox, facts in zip(change.mailboxes.values(), _look([recipient_id]), strict=False):
            wrong = {finding.what for finding in facts.findings()}
            box = mailbox.box
            box.head = max(box.head, facts.least_head)
            box.floor = facts.least_floor
            box.unseen, box.unread, box.due = facts.rows_unseen, facts.rows_unread, facts.rows_due
            if TWICE in wrong:
                _number_again(mailbox)
            if ARRIVED in wrong:
                rows = Notification.objects.using(change.using).filter(recipient=recipient_id)
                amiss = rows.published().filter(Q(arrived=None) | Q(arrived__gt=F("position")))
                amiss.update(arrived=F("position"))
            if wrong - QUIET:
                epochs.begin_epoch(mailbox)


def _number_again(mailbox: LockedMailbox) -> None:
    """Give new positions, above the head, to rows that share one."""
    rows = Notification.objects.using(database()).filter(recipient=mailbox.box.pk)
    shared = rows.published().values("position").annotate(rows=Count("pk")).filter(rows__gt=1)
    positions = list(shared.order_by().values_list("position", flat=True))
    ids = [
        pk
        for some in batches(positions)
        for pk in rows.filter(position__in=some).values_list("pk", flat=True)
    ]
    shift = mailbox.shift_for(ids)
    for some in batches(ids):
        rows.filter(pk__in=some).update(position=F("pk") + shift)


# -- Starting over -------------------------------------------------------------------------------


def start_over(recipients: Iterable[Any] | None = None) -> int:
    """
    Give mailboxes a new epoch and ring, so that all readers start over. Needed after a restore.

    Args:
        recipients: primary keys of users; by default, all users.

    Returns the number of mailboxes.
    """
    everyone = Mailbox.objects.using(database())
    return sum(epochs.start_over(keys) for keys in _in_batches(everyone, recipients))
