"""
The write side, compared with a model of it in plain Python.

Hypothesis generates programs: several transactions, with savepoints, send to several users, and
commit, roll back or die. Others publish, mark, read and let time pass in between. After every step,
the tables must equal the model. In the end, every reader, whatever it has read and whichever rings
it has received, must hold exactly the committed state. On SQLite, one transaction is open at a
time.

    NOTIFY_TEST_EXAMPLES=2000 python -m pytest tests/unit/mailbox/test_property.py       a deeper search
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connections
from django.utils import timezone
from hypothesis import given, note
from hypothesis import strategies as st

import notify
from notify import db, inbox
from notify.db import database
from notify.doorbell import Page
from notify.inbox import reader as inbox_reader
from notify.inbox import upkeep
from notify.mailbox import marks, outbox
from notify.models import Mailbox, Notification
from notify.protocol import Cursor, Mark, Undo, Verdict, judge
from tests import settings
from tests.kit.mailboxes import leave_waiting, mailbox_of, on_the_wire, recount, rows_of
from tests.kit.search import search
from tests.kit.sessions import InlineSession, Session

pytestmark = [
    pytest.mark.database,
    pytest.mark.users,
    pytest.mark.django_db(transaction=True),
]

ONE_WRITER = settings.DATABASE == "sqlite"
USERS, SESSIONS, READERS = 2, 1 if ONE_WRITER else 3, 4
PAGE_SIZE = 3
NEVER = Cursor("0" * 17, 0)  # a cursor of a very old epoch

MARKS = {
    Mark.SEEN: ("seen",),
    Mark.READ: ("seen", "read"),
    Mark.ARCHIVED: ("seen", "read", "archived"),
    Mark.DISMISSED: ("dismissed",),
}


# -- The model -----------------------------------------------------------------------------------


@dataclass(eq=False)
class Row:
    """A notification. Its times are numbers of changes of its mailbox, not seconds."""

    pk: int | None  # unknown while the row waits, after a send() that returned the standing row
    text: str
    key: str
    expires: datetime | None
    counts: bool
    count: int = 1
    marks: set[str] = field(default_factory=set)
    by_archiving: frozenset[str] = frozenset()  # the marks that archiving set
    changed: int = 0
    came: int = 0
    arrived: int | None = None  # the real position, once it was seen in the database

    @property
    def stands(self) -> bool:
        return "archived" not in self.marks


@dataclass
class Box:
    """The expected contents of a mailbox."""

    rows: list[Row] = field(default_factory=list)
    waiting: list[Row] = field(default_factory=list)
    due: datetime | None = None
    time: int = 0

    def tick(self) -> int:
        self.time += 1
        return self.time

    def take(self, row: Row) -> None:
        """Publish one row."""
        standing = [other for other in self.rows if other.stands and other.key == row.key]
        if row.key and standing:
            (target,) = standing
            target.text, target.expires = row.text, row.expires
            target.count = row.count + (target.count if row.counts else 0)
            target.marks -= {"seen", "read", "dismissed"}
        else:
            self.rows.append(target := row)
        target.changed = target.came = self.tick()
        target.arrived = None
        if row.expires and (self.due is None or row.expires < self.due):
            self.due = row.expires

    def publish(self) -> None:
        for row in sorted(self.waiting, key=lambda row: float("inf") if row.pk is None else row.pk):
            self.take(row)
        self.waiting.clear()

    def mark(
        self, mark: Mark | Undo, pairs: dict[int, int], upto: int | None, now: datetime
    ) -> None:
        def was_shown(row: Row) -> bool:
            limit = max(pairs.get(row.pk or 0, -1), -1 if upto is None else upto)
            return row.arrived is not None and row.arrived <= limit

        self._set(mark, [row for row in self.rows if was_shown(row)], now)

    def expire(self, now: datetime) -> None:
        expired = [row for row in self.rows if row.expires and row.expires <= now]
        self._set(Mark.ARCHIVED, expired, now)
        self.reckon_due()

    def _set(self, mark: Mark | Undo, rows: list[Row], now: datetime) -> None:
        chosen = [row for row in rows if self._changes(mark, row, rows, now)]
        if chosen:
            time = self.tick()
            for row in chosen:
                if mark is Undo.UNREAD:
                    row.marks.remove("read")
                elif mark is Undo.UNARCHIVE:
                    row.marks -= row.by_archiving
                    row.marks.add("dismissed")
                else:
                    if mark is Mark.ARCHIVED:
                        row.by_archiving = frozenset(MARKS[mark]) - row.marks
                    row.marks.update(MARKS[mark])
                row.changed = time
        if mark is Undo.UNARCHIVE:
            self.reckon_due()

    def _changes(self, mark: Mark | Undo, row: Row, rows: list[Row], now: datetime) -> bool:
        if mark is not Undo.UNARCHIVE:
            is_unset = (MARKS[mark][-1] if isinstance(mark, Mark) else "read") not in row.marks
            return row.stands and is_unset == isinstance(mark, Mark)
        alike = [other for other in self.rows if other.key == row.key] if row.key else []
        restored = [other for other in rows if other in alike and not other.stands]
        return (
            not row.stands
            and not (row.expires and row.expires <= now)
            and not any(other.stands for other in alike)
            and not any(other.came > row.came for other in restored)
        )

    def reckon_due(self) -> None:
        expiries = [row.expires for row in self.rows if row.stands and row.expires]
        self.due = min(expiries, default=None)

    def snapshot(self) -> list[Row]:
        shown = [row for row in self.rows if row.stands and not {"seen", "dismissed"} <= row.marks]
        return sorted(shown, key=lambda row: row.came)[-PAGE_SIZE:]


@dataclass
class Reader:
    """A tab that reads pages, receives rings while it listens, and applies the rule to both."""

    number: int
    box: int
    listens: bool
    cursor: Cursor | None = None
    complete: bool = False
    store: dict[int, dict[str, Any]] = field(default_factory=dict)
    since: int = 0  # the box's time at the reset after which it reads on
    first: frozenset[int] = frozenset()  # the contents of that reset

    def apply(self, rows: list[dict[str, Any]], cursor: Cursor | None, head: int) -> None:
        for row in rows:
            if row["position"] > self.store.get(row["id"], {"position": -1})["position"]:
                self.store[row["id"]] = row
        self.cursor = cursor
        self.complete = cursor is not None and cursor.position == head

    def hear(self, ring: Page) -> None:
        changes = ring.changes()
        if judge(self.cursor, changes.since, changes.cursor) is Verdict.APPLY:
            self.apply(json.loads(f"[{changes.rows}]"), changes.cursor, changes.head)


# -- The world: the database and the model, side by side -----------------------------------------


class World:
    def __init__(self, users: list[Any], clock: Clock, sessions: list[Session]) -> None:
        self.users, self.clock, self.sessions = users, clock, sessions
        self.boxes = [Box() for _ in users]
        self.readers = [Reader(n, n % 2, listens=n >= 2) for n in range(READERS)]
        self.frames: list[list[list[tuple[Any, ...]]]] = [[] for _ in sessions]
        self.texts = 0
        self.published: list[Any] = []
        self.rings: list[Page] = []

    def box_of(self, pk: Any) -> Box:
        return self.boxes[[user.pk for user in self.users].index(pk)]

    def occupied(self) -> bool:
        """Returns whether the one writer of SQLite is in use."""
        return ONE_WRITER and any(self.frames)

    # Transactions

    def begin(self, session: int) -> None:
        if len(self.frames[session]) < 3:
            self.sessions[session].begin()
            self.frames[session].append([])

    def rollback(self, session: int) -> None:
        if self.frames[session]:
            self.sessions[session].rollback()
            self.frames[session].pop()

    def commit(self, session: int, dies: bool = False) -> None:
        """Commit the innermost block. A process that dies after its commit runs no hook."""
        frames = self.frames[session]
        if not frames:
            return
        actions = frames.pop()
        if frames:
            self.sessions[session].commit()
            frames[-1] += actions
            return
        if dies:
            self.sessions[session].run(lambda: connections[database()].run_on_commit.clear())
        self.published.clear()
        self.sessions[session].commit()
        sends = [action for action in actions if action[0] == "send"]
        for _, box, row in sends:
            box.waiting.append(row)
        if dies:
            return
        published = [self.box_of(pk) for pk in self.published]
        assert all(box in published for _, box, _ in sends)
        for action, box, *rest in actions:
            if action == "mark":
                box.mark(*rest, self.clock.now())
            for also in published if action == "send" else ():
                also.publish()

    # Sending

    def send(
        self,
        session: int,
        recipients: list[int],
        key: str,
        minutes: int | None,
        many: bool,
        counts: bool,
    ) -> None:
        self.texts += 1
        text, frames = f"text {self.texts}", self.frames[session]
        expires = None if minutes is None else self.clock.now() + timedelta(minutes=minutes)
        users = [self.users[number] for number in recipients]
        run = self.sessions[session].run
        options = {"key": key, "expires": expires, "count": counts and bool(key)}
        if many or len(users) > 1:
            sent = run(notify.send_many, users, text, **options)
        else:
            sent = [run(notify.send, users[0], text, **options)]
        for number, stored in zip(recipients, sent, strict=True):
            box, row = self.boxes[number], Row(stored.pk, text, key, expires, counts)
            if frames:
                frames[-1].append(("send", box, row))
            elif not key:
                box.take(row)
            else:
                row.pk = None
                box.waiting.append(row)
                box.publish()
                stands = max(box.rows, key=lambda row: row.changed)
                stands.pk = stands.pk or stored.pk
                assert (stands.pk, stands.text) == (stored.pk, stored.message)

    def forget(self, recipient: int, key: str) -> None:
        """Record a row as a process that dies before its publish."""
        if self.occupied():
            return
        self.texts += 1
        text = f"text {self.texts}"
        (stored,) = leave_waiting(self.users[recipient], text, collapse_key=key)
        self.boxes[recipient].waiting.append(Row(stored.pk, text, key, None, counts=False))

    def publish(self, recipients: list[int]) -> None:
        if not self.occupied():
            outbox.publish([self.users[number].pk for number in recipients])
            for number in recipients:
                self.boxes[number].publish()

    # Reading and marking

    def tend(self, box: Box) -> None:
        """Do the upkeep that every reader does before it reads."""
        due = box.due
        box.publish()
        if due is not None and due <= self.clock.now():
            box.expire(self.clock.now())

    def sweep(self) -> None:
        if not self.occupied():
            upkeep.tend(upkeep.look_at([user.pk for user in self.users]))
            for box in self.boxes:
                self.tend(box)

    def read(self, number: int) -> None:
        """Read one page."""
        if self.occupied():
            return
        reader = self.readers[number]
        box = self.boxes[reader.box]
        # Half of the readers begin without a cursor, the others with a cursor of an old epoch.
        since = reader.cursor or (NEVER if number % 2 else None)
        page = inbox.changes(self.users[reader.box], since)
        self.tend(box)
        rows = on_the_wire(page.notifications)
        assert page.reset == (reader.cursor is None)
        if page.reset:
            assert [row["id"] for row in rows] == [row.pk for row in box.snapshot()]
            reader.store.clear()
            reader.since, reader.first = box.time, frozenset(row["id"] for row in rows)
        else:
            positions = [row["position"] for row in rows]
            assert positions == sorted(set(positions))
            assert len({row["id"] for row in rows}) == len(rows)
        reader.apply(rows, page.cursor, page.head)

    def catch_up(self, number: int) -> None:
        """Read all pages."""
        self.read(number)
        reader = self.readers[number]
        while not (reader.complete or reader.cursor is None or self.occupied()):
            self.read(number)

    def mark(
        self, session: int, number: int, mark: Mark | Undo, chosen: list[int], everything: bool
    ) -> None:
        reader = self.readers[number]
        held = sorted(reader.store.values(), key=lambda row: row["id"])
        pairs = {row["id"]: row["arrived"] for n, row in enumerate(held) if n in chosen}
        is_all = everything and reader.complete and isinstance(mark, Mark)
        upto = reader.cursor if is_all else None
        box, frames = self.boxes[reader.box], self.frames[session]
        user = self.users[reader.box]
        cursor = self.sessions[session].run(
            marks.mark, user.pk, mark, list(pairs.items()), upto=upto
        )
        position = None if upto is None else upto.position
        if frames:
            assert cursor is None
            frames[-1].append(("mark", box, mark, pairs, position))
        else:
            box.mark(mark, pairs, position, self.clock.now())
            assert cursor is None or cursor == mailbox_of(user).cursor

    def wait(self, minutes: int) -> None:
        self.clock.moment += timedelta(minutes=minutes)

    # Invariants

    def check(self) -> None:
        """Check that the tables equal the model."""
        for ring in self.rings:
            for reader in self.readers:
                if reader.listens and self.users[reader.box].pk == ring.recipient_id:
                    reader.hear(ring)
        self.rings.clear()
        pks = [user.pk for user in self.users]
        stored = list(Notification.objects.filter(recipient__in=pks).order_by("position"))
        mailboxes = Mailbox.objects.in_bulk(pks)
        for pk, box in zip(pks, self.boxes, strict=True):
            mine = [row for row in stored if row.recipient_id == pk]
            rows = [row for row in mine if row.position is not None]
            waiting = [row.message for row in mine if row.position is None]
            assert {row.pk: described(row) for row in rows} == {
                row.pk: (row.text, row.key, row.count, row.expires, row.marks) for row in box.rows
            }
            uncommitted = [row for row in self.uncommitted() if row[0] is box]
            assert sorted(waiting) == sorted(
                [row.text for row in box.waiting] + [row.text for _, row in uncommitted]
            )
            by_pk = {row.pk: row for row in box.rows}
            self.check_order([by_pk[row.pk].changed for row in rows])
            rows.sort(key=lambda row: row.arrived or 0)
            self.check_order([by_pk[row.pk].came for row in rows])
            for row in rows:
                assert row.arrived is not None
                assert row.arrived <= (row.position or 0)
                assert by_pk[row.pk].arrived in (None, row.arrived)
                by_pk[row.pk].arrived = row.arrived
            standing = mailboxes.get(pk)
            assert standing is not None or not rows
            if standing is not None:
                assert standing.counts == recount(rows)
                assert standing.head == max([row.position or 0 for row in rows], default=0)
                assert standing.due == box.due

    @staticmethod
    def check_order(times: list[int]) -> None:
        """Check that the positions rise in the order of the changes."""
        assert times == sorted(times)

    def uncommitted(self) -> Iterator[tuple[Box, Row]]:
        """The rows of an open transaction that SQLite's only connection sees."""
        for frames in self.frames if ONE_WRITER else ():
            for frame in frames:
                for action, box, *rest in frame:
                    if action == "send":
                        yield box, rest[0]

    def end(self) -> None:
        """Roll back what is open. Then every reader must hold exactly the committed state."""
        for session, frames in enumerate(self.frames):
            while frames:
                self.rollback(session)
        for number, reader in enumerate(self.readers):
            self.catch_up(number)
            self.check()
            box = self.boxes[reader.box]
            stored = {row["id"]: row for row in on_the_wire(rows_of(self.users[reader.box]))}
            changed = {row.pk for row in box.rows if row.changed > reader.since}
            assert reader.store == {pk: stored[pk] for pk in stored if pk in changed | reader.first}


def described(row: Notification) -> tuple[Any, ...]:
    names = {name for names in MARKS.values() for name in names}
    marks = {name for name in names if getattr(row, f"{name}_at")}
    return row.message, row.collapse_key, row.count, row.expires_at, marks


class Clock:
    """Django's clock. It advances by the waits of the program, and so that no two moments are the same."""

    def __init__(self) -> None:
        self.moment = timezone.now()

    def now(self) -> datetime:
        self.moment += timedelta(microseconds=1)
        return self.moment


# -- The programs --------------------------------------------------------------------------------

session = st.integers(0, SESSIONS - 1)
reader = st.integers(0, READERS - 1)
someone = st.integers(0, USERS - 1)
several = st.lists(someone, min_size=1, unique=True)
key = st.sampled_from(["", "", "k", "k", "k", "K", "k "])
minutes = st.sampled_from([None, None, None, 5, 30])

mark = st.tuples(
    st.just("mark"),
    session,
    reader,
    st.sampled_from([*Mark, Mark.READ, *Undo]),
    st.lists(st.integers(0, 7), max_size=4),
    st.booleans(),
)

step = st.one_of(
    st.tuples(st.just("begin"), session),
    st.tuples(st.just("commit"), session, st.sampled_from([False, False, True])),
    st.tuples(st.just("rollback"), session),
    st.tuples(st.just("send"), session, several, key, minutes, st.booleans(), st.booleans()),
    st.tuples(st.just("send"), session, several, key, minutes, st.booleans(), st.booleans()),
    st.tuples(st.just("forget"), someone, key),
    st.tuples(st.just("publish"), several),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("read"), reader),
    st.tuples(st.just("catch_up"), reader),
    mark,
    mark,
    st.tuples(st.just("wait"), st.sampled_from([1, 10, 60])),
)


@pytest.fixture
def connected():
    """The sessions of all examples."""
    opened = [InlineSession() if ONE_WRITER else Session() for _ in range(SESSIONS)]
    yield opened
    for one in opened:
        one.close()


def test_every_program_ends_in_the_committed_state(make_user, connected, monkeypatch):
    """Every reader gets each row once and in order, whatever happens at the same time."""
    worlds: list[World] = []
    clock = Clock()
    publish = outbox.publish

    def publish_and_note(recipients, **options):
        recipients = list(recipients)
        worlds[-1].published += recipients
        return publish(recipients, **options)

    monkeypatch.setattr(outbox, "publish", publish_and_note)
    monkeypatch.setattr(outbox.doorbell, "ring", lambda rings: worlds[-1].rings.extend(rings))
    monkeypatch.setattr(timezone, "now", clock.now)

    @search(40)
    @given(st.lists(step, min_size=20, max_size=50))
    def run(program):
        # New users each time: no mailbox ever assigns a position twice, and on MariaDB a mailbox
        # that has just been deleted may hold a lock until it is purged.
        users = [make_user(f"user{len(worlds)}-{number}") for number in range(USERS)]
        world = World(users, clock, connected)
        worlds.append(world)
        try:
            for name, *arguments in program:
                note(f"{name}{tuple(arguments)}")
                getattr(world, name)(*arguments)
                world.check()
            world.end()
        finally:
            for one in connected:
                while one.blocks:
                    one.rollback()

    with (
        patch.object(inbox_reader, "PAGE_SIZE", PAGE_SIZE),
        patch.object(db, "PUBLISH_BATCH_SIZE", 2),
    ):
        run()
