"""
What always holds in a mailbox: proves it for all of them, and repairs what does not.

    for finding in integrity.check(fix=True):
        print(finding)

It looks at hundreds of mailboxes in one statement, counts and rows together, so that a send that
commits meanwhile is in both or in neither, and nobody waits. A repair is a short transaction under
the mailbox's lock. Where readers may have been told what is not so, the mailbox gets a new epoch, and
whoever reads starts over.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import DatabaseError, transaction
from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.utils import timezone

from notify import doorbell
from notify.conf import conf
from notify.db import batches, try_again
from notify.doorbell import Ring
from notify.mailbox import marks, outbox
from notify.mailbox import statements as sql
from notify.models import Mailbox, Notification, all_users, database

LEFT_AFTER = timedelta(minutes=1)  # in the outbox; its transaction may have taken long to commit
SECOND_LOOK = 1.0  # seconds after which what was left in the outbox is looked at again

ROW = "notify_notifications"
PUBLISHED = Q(**{f"{ROW}__position__isnull": False})
STANDING = PUBLISHED & Q(**{f"{ROW}__archived_at": None})

OUTBOX = "left in the outbox"
MAILBOX = "mailbox"
TWICE = "positions given twice"
ARRIVED = "arrivals above their position"
DUE = "due"
QUIET = frozenset({OUTBOX, MAILBOX, DUE})  # nobody was told anything wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Something that does not hold.

    Attributes:
        recipient: primary key of the user.
        name: what the user signs in with.
        what: what is wrong, as ``"unseen"`` or ``"left in the outbox"``.
        found, expected: what it is, and what it should be, in words.
        repaired: whether it holds now.
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


class State(NamedTuple):
    """A user's mailbox, and what its rows say that it should be."""

    recipient: Any
    name: str
    epoch: str | None
    head: int | None
    floor: int | None
    unseen: int | None
    unread: int | None
    due: datetime | None
    published: int
    positions: int
    highest: int | None
    misplaced: int
    waiting: int
    rows_unseen: int
    rows_unread: int
    rows_due: datetime | None

    @property
    def least_head(self) -> int:
        """No position is above the head; one of a deleted row, the floor, is not either."""
        return max(0, self.highest or 0, self.floor or 0)

    @property
    def least_floor(self) -> int:
        return max(0, self.floor or 0)

    def findings(self) -> Iterator[Finding]:
        """What does not hold."""
        for what, holds, found, expected in self._facts():
            if not holds:
                yield Finding(self.recipient, self.name, what, str(found), str(expected))

    def _facts(self) -> Iterator[tuple[str, bool, Any, Any]]:
        twice = self.published - self.positions
        yield OUTBOX, not self.waiting, self.waiting, 0
        yield TWICE, not twice, twice, 0
        yield ARRIVED, not self.misplaced, self.misplaced, 0
        if self.epoch is None or self.head is None or self.floor is None:
            yield MAILBOX, not self.published, "none", f"one for {self.published} notifications"
            return
        yield "epoch", marks.is_epoch(self.epoch), repr(self.epoch), "one that a clock has made"
        yield "head", self.head >= self.least_head, self.head, f"{self.least_head} or more"
        yield "floor", self.floor >= 0, self.floor, "0 or more"
        yield "unseen", self.unseen == self.rows_unseen, self.unseen, self.rows_unseen
        yield "unread", self.unread == self.rows_unread, self.unread, self.rows_unread
        if self.rows_due is not None:
            holds = self.due is not None and self.due <= self.rows_due
            yield DUE, holds, self.due or "never", f"{self.rows_due} or before"


# -- Check ---------------------------------------------------------------------------------------


def check(recipients: Iterable[Any] | None = None, *, fix: bool = False) -> Iterator[Finding]:
    """
    Look at mailboxes, and give what does not hold in them.

        >>> [str(finding) for finding in integrity.check()]  # doctest: +SKIP
        ['alice: unseen: 3, should be 2']

    It may run while the site does. With ``fix`` it does not run inside ``atomic()``.

    Args:
        recipients: primary keys of users; omitted, all users.
        fix: repair it, too.

    Raises:
        DatabaseError: the database failed. What was repaired until then stays repaired.
    """
    left: list[Any] = []
    for keys in _in_batches(all_users(), recipients):
        for state in _look(keys):
            found = {finding.what: finding for finding in state.findings()}
            if found.pop(OUTBOX, None):
                left.append(state.recipient)
            if found and fix:
                _repair(state.recipient)
            yield from _afterwards(state.recipient, found, fix)
    if left:
        time.sleep(SECOND_LOOK)  # what was about to be published is by now
    for keys in batches(left):
        for state in _look(keys):
            found = {f.what: f for f in state.findings() if f.what == OUTBOX}
            if found and fix:
                outbox.publish([state.recipient])
            yield from _afterwards(state.recipient, found, fix)


def _afterwards(recipient: Any, found: dict[str, Finding], fix: bool) -> Iterator[Finding]:
    if not (found and fix):
        yield from found.values()
        return
    still = {finding.what for state in _look([recipient]) for finding in state.findings()}
    for what, finding in found.items():
        yield replace(finding, repaired=what not in still)


def _in_batches(
    everybody: QuerySet[Any], recipients: Iterable[Any] | None
) -> Iterator[Sequence[Any]]:
    """These keys, or those of everybody, by rising key and a few hundred at a time."""
    if recipients is not None:
        yield from batches(list(recipients))
        return
    keys = everybody.order_by("pk").values_list("pk", flat=True)
    batch = list(keys[: conf.PUBLISH_BATCH_SIZE])
    while batch:
        yield batch
        batch = list(keys.filter(pk__gt=batch[-1])[: conf.PUBLISH_BATCH_SIZE])


def _look(keys: Sequence[Any]) -> list[State]:
    """The mailboxes of these users and their rows, in one statement."""
    position, arrived = f"{ROW}__position", f"{ROW}__arrived"
    is_left = {f"{ROW}__created_at__lt": timezone.now() - LEFT_AFTER}
    is_misplaced = Q(**{arrived: None}) | Q(**{f"{arrived}__gt": F(position)})
    columns = ("epoch", "head", "floor", "unseen", "unread", "due")
    name = get_user_model().USERNAME_FIELD
    lines = (
        all_users()
        .order_by("pk")
        .filter(pk__in=keys)
        .values_list("pk", name, *(f"notify_mailbox__{column}" for column in columns))
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
    return [State(*line) for line in lines]


# -- Repair --------------------------------------------------------------------------------------


def _repair(recipient: Any) -> None:
    using = database()
    try:
        Mailbox.objects.using(using).ensure([recipient])
        doorbell.ring(try_again(partial(_repair_locked, recipient, using)))
    except DatabaseError as error:
        if not sql.is_contention(error):
            raise


def _repair_locked(recipient: Any, using: str) -> list[Ring]:
    rings = []
    with transaction.atomic(using=using, durable=True):
        boxes = Mailbox.objects.using(using).lock([recipient])
        for box, state in zip(boxes, _look([recipient]), strict=False):  # one, or gone
            wrong = {finding.what for finding in state.findings()}
            box.head = max(box.head, state.least_head)
            box.floor = state.least_floor
            box.unseen, box.unread, box.due = state.rows_unseen, state.rows_unread, state.rows_due
            if TWICE in wrong:
                _number_again(box, using)
            if ARRIVED in wrong:
                rows = Notification.objects.using(using).published().filter(recipient=recipient)
                amiss = rows.filter(Q(arrived=None) | Q(arrived__gt=F("position")))
                amiss.update(arrived=F("position"))
            if wrong - QUIET:
                rings.append(marks.begin_epoch(box))
            box.save(using=using)
    return rings


def _number_again(box: Mailbox, using: str) -> None:
    """Give the rows that share a position others, above the head."""
    rows = Notification.objects.using(using).filter(recipient=box.pk)
    shared = rows.published().values("position").annotate(rows=Count("pk")).filter(rows__gt=1)
    positions = list(shared.order_by().values_list("position", flat=True))
    ids = [
        pk
        for some in batches(positions)
        for pk in rows.filter(position__in=some).values_list("pk", flat=True)
    ]
    shift = box.head + 1 - min(ids)
    for some in batches(ids):
        rows.filter(pk__in=some).update(position=F("pk") + shift)
    box.head = shift + max(ids)


# -- Starting over -------------------------------------------------------------------------------


def start_over(recipients: Iterable[Any] | None = None) -> int:
    """
    Give mailboxes a new epoch, as after a restored backup, and ring: whoever reads starts over.

    Args:
        recipients: primary keys of users; omitted, all users.

    Returns how many mailboxes there are.
    """
    everybody = Mailbox.objects.using(database())
    return sum(marks.start_all_over(keys) for keys in _in_batches(everybody, recipients))
