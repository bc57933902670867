"""
The two tables as plain data, and the transactions on them, each of which is one method.

Rows and mailboxes are never changed in place. So a backup is a copy of two dictionaries, and the
checks can distinguish committed versions of a row from others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from notify import protocol
from notify.protocol import Changes, Counts, Cursor, Mark, Undo
from tests.model.rules import Rules

PAGE_SIZE = 2  # rows of a page
ROWS_AT_ONCE = 3  # rows that one publish numbers
MAX_RING_ROWS = 3  # the ring of a mark of more rows has only the cursor
DAY = 24  # hours for which an archived row is kept


ACT: Any = "act"  # stands in a command in the place of a mark


class Row(NamedTuple):
    """
    A notification.

    ``archived`` is the hour of its archiving, so that prune knows its age. ``archived_with`` names the
    marks that archiving has set as well, which have the same moment. ``acted`` counts how often an
    action of this content was run.
    """

    id: int
    user: str
    text: str
    key: str
    expires: int | None
    position: int | None = None
    arrived: int | None = None
    count: int = 1
    seen: bool = False
    read: bool = False
    archived: int | None = None
    dismissed: bool = False
    archived_with: tuple[str, ...] = ()
    acted: int = 0

    @property
    def is_wanted(self) -> bool:
        """Returns whether its arrival deserves a toast."""
        return self.archived is None and not self.dismissed and not self.read

    def marked(self, mark: Mark | Undo, hour: int = 1) -> Row:
        """The row with a mark, or without it. Of an archived one nothing changes before it is back."""
        if (mark is Undo.UNARCHIVE) == (self.archived is None):
            return self
        if mark is Undo.UNREAD:
            return self._replace(read=False)
        if mark is Undo.UNARCHIVE:
            return self._replace(
                archived=None, archived_with=(), **dict.fromkeys(self.archived_with, False)
            )
        if mark == ACT:
            return self  # only the server knows what it leads to
        new: dict[str, Any] = {name: getattr(self, name) or True for name in SETS[mark]}
        if mark is Mark.ARCHIVED:
            with_it = tuple(name for name in ("seen", "read") if not getattr(self, name))
            new |= {"archived": hour, "archived_with": with_it}
        return self._replace(**new)


class Box(NamedTuple):
    """A mailbox."""

    epoch: str
    head: int = 0
    floor: int = 0
    unseen: int = 0
    unread: int = 0
    due: int | None = None

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.head)

    @property
    def counts(self) -> Counts:
        return Counts(self.unseen, self.unread)


class Glance(NamedTuple):
    """The state of a mailbox."""

    cursor: Cursor | None
    waiting: bool
    rows: bool
    overdue: bool

    @property
    def needs_work(self) -> bool:
        return self.waiting or self.overdue or (self.rows and self.cursor is None)


class Ring(NamedTuple):
    user: str
    changes: Changes


class Book:
    """
    The rows in the text of documents: each version is stored once, and represented by its number.

    So ``protocol.merge`` joins the rows of several documents here as it joins JSON objects.
    """

    def __init__(self) -> None:
        self.versions: list[Row] = []
        self.numbers: dict[Row, str] = {}

    def encode(self, rows: Iterable[Row]) -> str:
        return ",".join(map(self.number, rows))

    def number(self, row: Row) -> str:
        number = self.numbers.get(row)
        if number is None:
            number = self.numbers[row] = str(len(self.versions))
            self.versions.append(row)
        return number

    def decode(self, text: str | None) -> list[Row]:
        return [self.versions[int(number)] for number in text.split(",")] if text else []


SETS: dict[Mark, tuple[str, ...]] = {
    Mark.SEEN: ("seen",),
    Mark.READ: ("seen", "read"),
    Mark.ARCHIVED: ("seen", "read", "archived"),
    Mark.DISMISSED: ("dismissed",),
}


def is_unseen(row: Row) -> bool:
    return row.archived is None and not row.seen


def is_unread(row: Row) -> bool:
    return row.archived is None and not row.read


class Database:
    """The committed state. Of the rows that an open transaction has recorded, it knows only the ids."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.book = Book()
        self.rows: dict[int, Row] = {}
        self.boxes: dict[str, Box] = {}
        self.next_id = 1
        self.hour = 1000
        # Everything that was ever true, for the checks.
        self.committed: set[Row] = set()
        self.counted: defaultdict[tuple[str, Cursor], set[Counts]] = defaultdict(set)
        self.changed_at: dict[tuple[str, Cursor], int] = {}  # the hour of each position
        # The number of notifications that have arrived.
        self.published: defaultdict[str, int] = defaultdict(int)
        self.pruned: defaultdict[str, int] = defaultdict(int)
        # Restored mailboxes without a new epoch, with the position after which positions are
        # assigned again.
        self.torn: dict[tuple[str, str], int] = {}

    # -- The basics ------------------------------------------------------------------------------

    def write(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.rows[row.id] = row
            self.committed.add(row)

    def write_box(self, user: str, box: Box) -> None:
        self.boxes[user] = box
        self.counted[user, box.cursor].add(box.counts)
        self.changed_at.setdefault((user, box.cursor), self.hour)

    def rows_of(self, user: str) -> list[Row]:
        """The published rows."""
        return [row for row in self.rows.values() if row.user == user and row.position is not None]

    def waiting(self, users: Sequence[str]) -> list[Row]:
        """The rows in the outbox."""
        return sorted(
            row for row in self.rows.values() if row.position is None and row.user in users
        )

    def look(self, user: str) -> Glance:
        box = self.boxes.get(user)
        mine = [row for row in self.rows.values() if row.user == user]
        return Glance(
            None if box is None else box.cursor,
            any(row.position is None for row in mine),
            bool(mine),
            box is not None and box.due is not None and box.due <= self.hour,
        )

    # -- Record and publish ----------------------------------------------------------------------

    def take_id(self) -> int:
        """Assign an id. Ids are assigned before the commit, and not reused after a rollback."""
        self.next_id += 1
        return self.next_id - 1

    def commit(self, recorded: Iterable[Row]) -> None:
        """Commit the caller's transaction."""
        self.write(recorded)

    def commit_with_positions(self, recorded: Sequence[Row]) -> list[Ring]:
        """Commit without the rule *position-at-publish*: the rows took their positions when recorded."""
        rings = []
        for row in recorded:
            assert row.position is not None
            box = self.boxes.get(row.user) or self._starting(row.user)
            self.write([row])
            self.published[row.user] += 1
            before = box.cursor
            head = max(box.head, row.position)
            box = Box(box.epoch, head, box.floor, box.unseen + 1, box.unread + 1, 0)
            self.write_box(row.user, box)
            if row.position > before.position:
                rings.append(self._ring(row.user, before, box, [row]))
        return rings

    def ensure(self, users: Iterable[str]) -> None:
        """Create missing mailboxes, each from the rows of its user."""
        for user in users:
            if user not in self.boxes:
                self.write_box(user, self._starting(user))

    def _starting(self, user: str) -> Box:
        rows = self.rows_of(user)
        head = max((row.position or 0 for row in rows), default=0)
        return Box(protocol.new_epoch(), head, head, *self.tally(rows), self.due(rows))

    @staticmethod
    def tally(rows: Iterable[Row]) -> Counts:
        """The correct counts of a mailbox."""
        standing = [row for row in rows if row.archived is None]
        return Counts(sum(not row.seen for row in standing), sum(not row.read for row in standing))

    @staticmethod
    def due(rows: Iterable[Row]) -> int | None:
        return min(
            (row.expires for row in rows if row.expires is not None and row.archived is None),
            default=None,
        )

    def send_one(self, row: Row) -> Ring | None:
        """Record and publish in one transaction: the fast path outside ``atomic()``."""
        box = self.boxes.get(row.user)
        if box is None:
            return None
        before = box.cursor
        row = row._replace(position=box.head + 1, arrived=box.head + 1)
        self.write([row])
        self.published[row.user] += 1
        due = min((hour for hour in (box.due, row.expires) if hour is not None), default=None)
        box = Box(box.epoch, box.head + 1, box.floor, box.unseen + 1, box.unread + 1, due)
        self.write_box(row.user, box)
        return self._ring(row.user, before, box, [row])

    def standing(self, waiting: Iterable[Row]) -> dict[tuple[str, str], Row]:
        """The published, unarchived rows with the key of a waiting row. The newest counts."""
        keys = {(row.user, row.key) for row in waiting if row.key}
        found = [
            row
            for row in self.rows.values()
            if row.position is not None and row.archived is None and (row.user, row.key) in keys
        ]
        return {
            (row.user, row.key): row for row in sorted(found, key=lambda row: row.position or 0)
        }

    def batch(
        self,
        users: Sequence[str],
        boxes: dict[str, Box] | None = None,
        waiting: Sequence[Row] | None = None,
        standing: dict[tuple[str, str], Row] | None = None,
    ) -> PublishBatch:
        """
        Prepare the publish of the waiting rows of these users.

        Everything is read under the lock. Without that rule, the arguments were read before the
        lock.
        """
        boxes = {user: self.boxes[user] for user in users} if boxes is None else boxes
        waiting = self.waiting(users)[:ROWS_AT_ONCE] if waiting is None else waiting
        stands = self.standing(waiting) if standing is None else dict(standing)
        batch = PublishBatch(dict(boxes))
        for row in waiting:
            box = batch.boxes[row.user]
            position = boxes[row.user].head + row.id - waiting[0].id + 1
            stood = stands.get((row.user, row.key)) if row.key else None
            unseen = unread = 1
            if stood is None:
                new = row._replace(position=position, arrived=position)
            else:
                unseen, unread = int(stood.seen), int(stood.read)
                new = stood._replace(
                    text=row.text, expires=row.expires, position=position, arrived=position,
                    count=stood.count + row.count, seen=False, read=False, dismissed=False, acted=0,
                )  # fmt: skip
                batch.absorbed.append(row.id)
            stands[row.user, row.key] = new
            batch.changed[new.id] = new
            batch.taken[row.user] += 1
            due = min((hour for hour in (box.due, row.expires) if hour is not None), default=None)
            batch.boxes[row.user] = Box(
                box.epoch, position, box.floor, box.unseen + unseen, box.unread + unread, due
            )
        for user in sorted({row.user for row in waiting}):
            rows = [row for row in batch.changed.values() if row.user == user]
            rows.sort(key=lambda row: row.position or 0)
            batch.rings.append(self._ring(user, boxes[user].cursor, batch.boxes[user], rows))
        return batch

    def publish(self, batch: PublishBatch) -> None:
        self.write(batch.changed.values())
        for id in batch.absorbed:
            self.rows.pop(id, None)
        for user, number in batch.taken.items():
            self.published[user] += number
            self.write_box(user, batch.boxes[user])

    def _ring(self, user: str, before: Cursor, box: Box, rows: Sequence[Row] | None) -> Ring:
        text = None if rows is None else self.book.encode(rows)
        return Ring(user, Changes(before, box.cursor, box.head, box.counts, text))

    # -- Marks -----------------------------------------------------------------------------------

    def mark(
        self,
        user: str,
        mark: Mark | Undo,
        pairs: Iterable[tuple[int, int]] = (),
        upto: Cursor | None = None,
        *,
        epoch: str | None = None,
        expired: bool = False,
    ) -> tuple[Cursor | None, Ring | None, list[Row]]:
        """Returns the cursor at which it is visible, the change to ring, and the rows as they were before."""
        box = self.boxes.get(user)
        if box is None:
            return None, None, []
        is_foreign = epoch not in (None, box.epoch) and self.rules.keep("marks-carry-their-epoch")
        shown = {} if is_foreign else dict(pairs)
        chosen = []
        for row in self.rows_of(user):
            if not self.changes(mark, row):
                continue
            assert row.arrived is not None
            if self.rules.keep("marks-carry-arrived"):
                by_id = row.arrived <= shown.get(row.id, -1)
            else:
                by_id = row.id in shown
            by_cursor = (
                upto is not None and upto.epoch == box.epoch and row.arrived <= upto.position
            )
            is_over = expired and row.expires is not None and row.expires <= self.hour
            if by_id or by_cursor or is_over:
                chosen.append(row)
        if mark is Undo.UNARCHIVE:
            chosen = self.without_successor(chosen)
        before = box.cursor
        if chosen:
            shift = box.head + 1 - min(row.id for row in chosen)
            marked = [
                row.marked(mark, self.hour)._replace(
                    position=row.id + shift
                    if self.rules.keep("a-mark-takes-a-position")
                    else row.position,
                    # No toast comes back from the archive.
                    dismissed=row.dismissed or mark in (Mark.DISMISSED, Undo.UNARCHIVE),
                )
                for row in chosen
            ]
            self.write(marked)
            box = box._replace(
                head=max(row.id for row in chosen) + shift,
                unseen=box.unseen + sum(map(is_unseen, marked)) - sum(map(is_unseen, chosen)),
                unread=box.unread + sum(map(is_unread, marked)) - sum(map(is_unread, chosen)),
            )
        if expired or mark is Undo.UNARCHIVE:
            box = box._replace(due=self.due(self.rows_of(user)))
        self.write_box(user, box)
        if not chosen:
            return box.cursor, None, []
        marked.sort(key=lambda row: row.position or 0)
        ring = self._ring(user, before, box, marked if len(marked) <= MAX_RING_ROWS else None)
        return box.cursor, ring, chosen

    def act(
        self, user: str, shown: tuple[int, int], *, epoch: str | None = None
    ) -> tuple[Cursor | None, Ring | None, list[Row]]:
        """Run an action of a notification, in one transaction with its row. Returns the same as `mark`."""
        box, row = self.boxes.get(user), self.rows.get(shown[0])
        if box is None:
            return None, None, []
        is_here = (
            epoch in (None, box.epoch)
            and row is not None
            and (row.user, row.arrived) == (user, shown[1])
        )
        if row is None or not is_here:
            return box.cursor, None, []
        if row.acted and self.rules.keep("an-action-runs-once"):
            return box.cursor, None, []
        new = row._replace(position=box.head + 1, acted=row.acted + 1, seen=True, read=True)
        self.write([new])
        after = box._replace(
            head=box.head + 1,
            unseen=box.unseen - is_unseen(row),
            unread=box.unread - is_unread(row),
        )
        self.write_box(user, after)
        return after.cursor, self._ring(user, box.cursor, after, [new]), [row]

    def changes(self, mark: Mark | Undo, row: Row) -> bool:
        """Returns whether a mark would change a row."""
        if mark is not Undo.UNARCHIVE:
            is_set = getattr(row, "read" if mark is Undo.UNREAD else SETS[mark][-1])
            return row.archived is None and bool(is_set) is isinstance(mark, Undo)
        has_expired = row.expires is not None and row.expires <= self.hour
        return row.archived is not None and not has_expired

    def without_successor(self, rows: list[Row]) -> list[Row]:
        """Leaves out archived rows that a notification with the same key has replaced."""
        standing = (
            {row.key for row in self.rows_of(rows[0].user) if row.archived is None}
            if rows
            else set()
        )
        newest = {row.key: row for row in sorted(rows, key=lambda row: row.arrived or 0)}
        return [
            row
            for row in rows
            if not row.key or (row.key not in standing and newest[row.key] is row)
        ]

    # -- Reading ---------------------------------------------------------------------------------

    def read(
        self, user: str, since: Cursor | None, *, box: Box | None = None, floor: int | None = None
    ) -> Changes:
        """
        Read one page in one statement: mailbox, floor, counts and rows.

        Without that rule, ``box`` and ``floor`` were read before.
        """
        box = box or self.boxes.get(user)
        if box is None:
            return Changes(None, None, 0, Counts(0, 0), "", reset=True)
        rows = self.rows_of(user)
        floor = box.floor if floor is None else floor
        if since is not None and since.epoch == box.epoch and floor <= since.position <= box.head:
            newer = sorted(
                (row for row in rows if (row.position or 0) > since.position),
                key=lambda row: row.position or 0,
            )
            page = newer[:PAGE_SIZE]
            position = box.head
            if len(newer) > PAGE_SIZE and self.rules.keep("a-full-page-ends-at-its-last-row"):
                position = page[-1].position or 0
            cursor = Cursor(box.epoch, position)
            return Changes(since, cursor, box.head, box.counts, self.book.encode(page))
        standing = [
            row for row in rows if row.archived is None and not (row.seen and row.dismissed)
        ]
        standing.sort(key=lambda row: row.arrived or 0)
        text = self.book.encode(standing[-PAGE_SIZE:])
        return Changes(None, box.cursor, box.head, box.counts, text, reset=True)

    # -- Prune, epochs, accidents ----------------------------------------------------------------

    def prune(self, user: str) -> None:
        """Delete rows that were archived a day ago. Below the floor, changes can no longer be read."""
        box = self.boxes.get(user)
        age = DAY if self.rules.keep("prune-needs-a-day-archived") else 0
        old = [
            row
            for row in self.rows_of(user)
            if row.archived is not None and row.archived <= self.hour - age
        ]
        if box is None or not old:
            return
        for row in old:
            del self.rows[row.id]
            self.pruned[user] += row.count
        if self.rules.keep("prune-raises-the-floor"):
            floor = max(box.floor, *(row.position or 0 for row in old))
            self.write_box(user, box._replace(floor=floor))

    def start_over(self, user: str, beyond: Cursor) -> Ring | None:
        """Begin a new epoch, if a cursor ahead of the mailbox proves that the database was restored."""
        box = self.boxes.get(user)
        if box is None or beyond <= box.cursor:
            return None
        return self.new_epoch(user, max(box.epoch, beyond.epoch))

    def new_epoch(self, user: str, after: str) -> Ring:
        """Begin a new epoch, by ``notify_check --new-epoch`` or after a proven restore."""
        box = self.boxes[user]
        epoch = protocol.new_epoch(after if self.rules.keep("epochs-are-ordered") else "")
        self.write_box(user, box._replace(epoch=epoch))
        return self._ring(user, box.cursor, self.boxes[user], None)

    def backup(self) -> tuple[dict[int, Row], dict[str, Box], int, tuple[Any, ...]]:
        tallies = (dict(self.published), dict(self.pruned))
        return dict(self.rows), dict(self.boxes), self.next_id, tallies

    def restore(self, backup: tuple[dict[int, Row], dict[str, Box], int, tuple[Any, ...]]) -> None:
        rows, boxes, self.next_id, (published, pruned) = backup
        self.rows, self.boxes = dict(rows), dict(boxes)
        self.published = defaultdict(int, published)
        self.pruned = defaultdict(int, pruned)
        for user, box in boxes.items():
            self.torn[user, box.epoch] = min(box.head, self.torn.get((user, box.epoch), box.head))

    def is_torn(self, user: str) -> bool:
        box = self.boxes.get(user)
        return box is not None and (user, box.epoch) in self.torn

    def lose_mailbox(self, user: str) -> None:
        self.boxes.pop(user, None)


class PublishBatch:
    """The rows that one publish writes, and their mailboxes."""

    def __init__(self, boxes: dict[str, Box]) -> None:
        self.boxes = boxes
        self.changed: dict[int, Row] = {}
        self.absorbed: list[int] = []
        self.taken: defaultdict[str, int] = defaultdict(int)
        self.rings: list[Ring] = []
