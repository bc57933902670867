"""
A web process: hub.py, room.py and connection.py, with a ``yield`` for every ``await``.

A generator is a task of the event loop. At each of its yields, everything else may happen, and the
process may die. If it yields ``DATABASE``, the database may fail.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from notify.protocol import Changes, Cursor, Mark, Verdict, is_plausible, judge, merge
from notify.transports.parser import MarkCommand
from tests.model.database import ACT, ROWS_AT_ONCE, Ring

if TYPE_CHECKING:
    from tests.model.world import Task, World

T = TypeVar("T")
Steps = Generator[str, None, T]

DATABASE = "database"  # waits for a transaction, a statement, or its result
LAYER = "layer"  # waits for the channel layer
TURN = "turn"  # waits for its turn

QUEUE_MAX_FRAMES = 2
WIRE_FRAMES = 2  # on their way to a slow client


class DatabaseFailed(Exception):
    """A statement was not executed."""


# -- Readers and writers, in several transactions --------------------------------------------------


def publish(world: World, users: Sequence[str]) -> Steps[None]:
    """outbox.publish: one transaction for a batch of rows, and its rings after it."""
    db, keep = world.db, world.rules.keep
    more = True
    while more:
        db.ensure(users)
        yield DATABASE
        boxes = waiting = standing = None
        if not keep("positions-are-given-under-the-lock"):
            boxes = {user: db.boxes.get(user) or db._starting(user) for user in users}
            yield DATABASE
        if not keep("the-outbox-is-read-under-the-lock"):
            waiting = db.waiting(users)
            yield DATABASE
        if not keep("collapse-is-decided-under-the-lock"):
            standing = db.standing(db.waiting(users))
            yield DATABASE
        db.ensure(users)  # a mailbox was lost meanwhile
        batch = db.batch(users, boxes, waiting, standing)
        more = sum(batch.taken.values()) == ROWS_AT_ONCE
        if keep("rings-leave-after-the-commit"):
            db.publish(batch)
            yield DATABASE  # the commit is done, and the process may die before it rings
            world.ring(batch.rings)
        else:
            world.ring(batch.rings)
            if world.dice.one_in(3):
                return  # the commit failed
            db.publish(batch)


def changes(world: World, user: str, since: Cursor | None) -> Steps[Changes]:
    """inbox.changes: do the upkeep, read a page, and check whether the cursor proves a restore."""
    db, keep = world.db, world.rules.keep
    glance = db.look(user)
    yield DATABASE
    yield from tend(world, [user], made=since is not None, glances={user: glance})
    page = yield from read(world, user, since)
    if (
        since is not None
        and page.cursor is not None
        and since > page.cursor
        and is_plausible(since.epoch)
        and keep("a-cursor-beyond-the-head-proves-a-restore")
    ):
        yield DATABASE
        ring = db.start_over(user, since)
        yield DATABASE
        world.ring([ring] if ring else [])
        page = yield from read(world, user, None)
    yield DATABASE  # the result is on its way
    return page


def read(world: World, user: str, since: Cursor | None) -> Steps[Changes]:
    """One statement, or two without the rule."""
    box = floor = None
    if not world.rules.keep("counts-come-with-the-rows"):
        box = world.db.boxes.get(user)
        yield DATABASE
        now = world.db.boxes.get(user)
        if box and now:
            box = now._replace(unseen=box.unseen, unread=box.unread)
    if not world.rules.keep("the-floor-comes-with-the-rows"):
        before = world.db.boxes.get(user)
        floor = before.floor if before else 0
        yield DATABASE
    return world.db.read(user, since, box=box, floor=floor)


def tend(
    world: World, users: Sequence[str], *, made: bool = False, glances: dict[str, Any]
) -> Steps[None]:
    """inbox.tend: publish forgotten rows, create missing mailboxes, archive expired rows."""
    db = world.db
    waiting = [user for user in users if glances[user].waiting]
    if waiting and world.rules.keep("readers-publish-forgotten-rows"):
        yield from publish(world, waiting)
    for user in users:
        if glances[user].cursor is None and (made or glances[user].rows):
            db.ensure([user])
            yield DATABASE
    for user in users:
        if glances[user].overdue:
            _, ring, _ = db.mark(user, Mark.ARCHIVED, expired=True)
            yield DATABASE
            world.ring([ring] if ring else [])


# -- A connection --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """A frame on the wire: a welcome, changes, a ping, an ack, or the end."""

    kind: str
    changes: Changes | None = None
    cursor: Cursor | None = None
    ref: int = 0


class Connection:
    """The server's end of one tab."""

    def __init__(self, process: Process, user: str) -> None:
        self.process, self.user = process, user
        self.rules = process.world.rules
        self.since: Cursor | None = None  # the client's cursor when it connected
        self.cursor: Cursor | None = None  # the cursor of the last document queued
        self.sent: Cursor | None = None  # below it, an overflow loses nothing
        self.is_open = True
        self.is_cut = False  # no data passes, and the server does not know it yet
        self.is_behind = False
        self.arriving: Task | None = None
        self.catching_up: Task | None = None
        self.is_executing = False  # the next command waits for the answer to this one
        self.held: list[Changes] | None = []  # documents that came before the welcome
        self.queue: deque[Changes] = deque()
        self.replies: deque[Frame] = deque()
        self.wire: deque[Frame] = deque()  # to the client
        self.up: deque[Any] = deque()  # from the client

    def welcome(self, changes: Changes) -> None:
        held, self.held = self.held or [], None
        self.cursor = self.sent = changes.cursor
        self.replies.appendleft(Frame("welcome", changes))
        for document in held:
            self.offer(document)

    def offer(self, changes: Changes) -> None:
        """Take a document of the room, by the rule."""
        if self.held is not None:
            self.held.append(changes)
            if len(self.held) > QUEUE_MAX_FRAMES:
                self.held.clear()  # the gap is noticed when the next document is judged
            return
        verdict = self.process.judge("the-rule-at-the-connection", self.cursor, changes)
        if verdict is Verdict.APPLY:
            self.cursor = changes.cursor
            self._enqueue(changes)
        elif verdict is Verdict.READ:
            self.read_again()

    def rewind(self, since: Cursor | None) -> None:
        """Continue from the cursor that the client has sent."""
        if self.held is None:
            self.queue.clear()
            self.cursor = self.sent = since
            self.read_again()

    def read_again(self) -> None:
        self.is_behind = True

    def _enqueue(self, changes: Changes) -> None:
        if len(self.queue) >= QUEUE_MAX_FRAMES:
            self.queue.clear()
            if self.rules.keep("an-overflow-rewinds-to-what-was-sent"):
                self.cursor = self.sent
            if self.rules.keep("an-overflow-is-caught-up"):
                self.read_again()
            self.process.world.did["overflow"] += 1
            return
        self.queue.append(changes)

    @property
    def can_write(self) -> bool:
        if self.held is not None or not self.is_open:
            return False
        if self.replies or self.queue:
            return len(self.wire) < WIRE_FRAMES or self.is_cut
        return self.is_behind and self.catching_up is None

    def write(self) -> None:
        """One turn of the task that empties the queue."""
        if self.replies:
            self._put(self.replies.popleft())
        elif self.queue:
            changes = self.queue.popleft()
            self.sent = changes.cursor
            self._put(Frame("changes", changes))
        else:
            self.is_behind = False
            self.process.catch_up(self)

    def _put(self, frame: Frame) -> None:
        if not self.is_cut:
            self.wire.append(frame)

    def ping(self) -> None:
        if self.held is None and self.is_open:
            self._put(Frame("ping", cursor=self.sent))

    def close(self) -> None:
        """Tell the client to come back."""
        if self.is_open:
            self.is_open = False
            self._put(Frame("close"))

    def obey(self) -> None:
        """Take the client's next command."""
        command = self.up.popleft()
        if isinstance(command, MarkCommand):
            self.is_executing = True
            name = f"a mark of {self.user} at {self.process.name}"
            self.process.spawn(name, self._execute(command))
        else:
            self.rewind(command)

    def _execute(self, command: MarkCommand) -> Steps[None]:
        world = self.process.world
        room = self.process.rooms.get(self.user)
        while room is not None and room.is_marking:  # one at a time
            yield TURN
        if room is not None:
            room.is_marking = True
        try:
            yield DATABASE
            cursor = yield from execute(world, self.user, command)
            self.replies.append(Frame("ack", cursor=cursor, ref=command.ref or 0))
        except DatabaseFailed:
            self.replies.append(Frame("error", ref=command.ref or 0))
        finally:
            self.is_executing = False
            if room is not None:
                room.is_marking = False


def execute(world: World, user: str, command: MarkCommand) -> Steps[Cursor | None]:
    """commands.execute: the mark's transaction, then its ring, then the answer."""
    before = set(world.db.rows)
    if command.mark == ACT:
        cursor, ring, touched = world.db.act(user, command.pairs[0], epoch=command.epoch)
    else:
        cursor, ring, touched = world.db.mark(
            user, command.mark, command.pairs, command.upto, epoch=command.epoch
        )
    assert set(world.db.rows) == before, "A mark created or deleted a row."
    world.check.marked(user, command, touched)
    yield DATABASE
    world.ring([ring] if ring else [])
    return cursor


# -- A room --------------------------------------------------------------------------------------


class Room:
    """The connections of a mailbox in this process, and the cursor up to which they are served."""

    def __init__(self, process: Process, user: str) -> None:
        self.process, self.user, self.rules = process, user, process.world.rules
        self.connections: dict[Connection, None] = {}  # used as a set that keeps its order
        self.cursor: Cursor | None = None
        self.is_made = False
        self.asked = 0  # repairs requested before it was made
        self.is_joined = False
        self.is_moving = False  # joining or leaving, one at a time
        self.is_marking = False
        self.reads = 0  # running reads, of which there is never more than one
        self.is_resting = False  # it has just sent a frame, so the next ones wait to be merged
        self.read_next = False
        self.waiting: list[Changes] = []
        self.unsent: list[Changes] = []
        # The highest cursor that a newcomer received, for the check.
        self.welcomed: Cursor | None = None

    def make(self, cursor: Cursor | None, asked: int) -> None:
        self.is_made, self.cursor = True, cursor
        self._take_waiting()
        if asked < self.asked:
            self.repair()

    def is_above(self, cursor: Cursor | None) -> bool:
        return self.cursor is not None and (cursor is None or cursor < self.cursor)

    def offer(self, changes: Changes) -> None:
        """Take a ring. It waits while rows are being read, and then the rule applies."""
        if not self.is_made or (self.reads and self.rules.keep("one-read-at-a-time")):
            if self.rules.keep("rings-wait-for-the-read"):
                self.waiting.append(changes)
            return
        verdict = self.process.judge("the-rule-at-the-room", self.cursor, changes)
        is_empty = changes.rows is None and self.rules.keep("a-ring-without-rows-is-read")
        if verdict is Verdict.READ or (verdict is Verdict.APPLY and is_empty):
            self.repair()
        elif verdict is Verdict.APPLY:
            self._accept(changes if changes.rows is not None else changes._replace(rows=""))

    def repair(self) -> None:
        """Read the rows after the room's cursor."""
        if self.reads and self.rules.keep("one-read-at-a-time"):
            self.read_next = self.rules.keep("a-repair-asked-during-a-read-follows-it")
        elif self.is_made:
            self.reads += 1
            self.process.spawn(f"a read of {self.user}'s room at {self.process.name}", self._read())
        elif self.rules.keep("a-repair-asked-before-the-making-follows-it"):
            self.asked += 1

    def _read(self) -> Steps[None]:
        try:
            more = True
            while more:
                self.read_next = False
                page = yield from changes(self.process.world, self.user, self.cursor)
                if self.process.judge("", self.cursor, page) is Verdict.APPLY:
                    self._accept(page)
                more = self.read_next or not page.complete
        except DatabaseFailed:
            self.waiting.clear()
            self.welcomed = None
        finally:
            self.reads -= 1
        self._take_waiting()

    def _take_waiting(self) -> None:
        waiting, self.waiting = self.waiting, []
        for document in waiting:
            self.offer(document)

    def _accept(self, changes: Changes) -> None:
        self.cursor = changes.cursor
        self.unsent.append(changes)
        if not self.is_resting:
            self.flush()

    def flush(self) -> None:
        """Send the accepted documents as one frame."""
        self.is_resting = bool(self.unsent)
        if self.unsent:
            frame, self.unsent = merge(self.unsent), []
            for connection in self.connections:
                connection.offer(frame)


# -- The process ---------------------------------------------------------------------------------


class Process:
    """The hub of one web process, and its memberships in the layer."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.rooms: dict[str, Room] = {}
        self.groups: set[str] = set()  # groups whose rings the layer delivers here

    def spawn(self, name: str, steps: Steps[None]) -> Task:
        return self.world.spawn(self, name, steps)

    def judge(self, rule: str, mine: Cursor | None, document: Changes) -> Verdict:
        """Apply the rule. Without it, every document is accepted as the next one."""
        if rule and not self.world.rules.keep(rule):
            return Verdict.DROP if document.cursor is None else Verdict.APPLY
        if document.reset and not self.world.rules.keep("only-a-welcome-lowers"):
            return Verdict.APPLY
        return judge(mine, document.since, document.cursor, reset=document.reset)

    def connections(self) -> list[Connection]:
        return [connection for room in self.rooms.values() for connection in room.connections]

    def hear(self, ring: Ring) -> None:
        room = self.rooms.get(ring.user)
        if room is not None:
            room.offer(ring.changes)

    # -- Coming and going ------------------------------------------------------------------------

    def connect(self, connection: Connection, since: Cursor | None) -> Steps[None]:
        """Join first, then read, then welcome. Rings in between are held."""
        world, keep = self.world, self.world.rules.keep
        user = connection.user
        try:
            yield DATABASE  # signing in
            room = self.rooms.get(user)
            if room is None:
                room = self.rooms[user] = Room(self, user)
            room.connections[connection] = None
            join_first = keep("join-before-read")
            if join_first:
                yield from self._join_soon(room)
            asked = room.asked
            page = yield from changes(world, user, since)
        except DatabaseFailed:
            connection.close()
            return
        if not join_first:
            yield from self._join_soon(room)
        if not connection.is_open:
            return
        if not room.is_made:
            room.make(page.cursor, asked)
        elif page.cursor is not None and (room.cursor is None or page.cursor > room.cursor):
            if not keep("only-the-making-read-sets-the-rooms-cursor"):
                room.cursor = page.cursor
            elif keep("a-late-welcome-repairs-the-room"):
                room.repair()
        room.welcomed = max(filter(None, (room.welcomed, page.cursor)), default=None)
        connection.welcome(page)
        if not page.complete:
            room.repair()
        if room.is_above(connection.cursor) and keep("below-its-room-it-reads-again"):
            connection.read_again()

    def _join_soon(self, room: Room) -> Steps[None]:
        """Join without delaying the handshake. With a slow layer, the room joins later and reads again."""
        if room.is_joined:
            return
        joining = self.spawn(f"{self.name} joins {room.user}'s group", self._join(room))
        yield LAYER
        if self.world.dice.one_in(4):
            self.world.did["late join"] += 1
            return
        while joining.is_alive:
            yield LAYER

    def _join(self, room: Room) -> Steps[None]:
        while room.is_moving:
            yield TURN
        if room.is_joined or not room.connections:
            return
        room.is_moving = True
        yield LAYER
        if self.rooms.get(room.user) is room:
            self.groups.add(room.user)
            room.is_joined = True
            # Rings between the read and a late join were not received here.
            keep = self.world.rules.keep
            if keep("a-late-join-repairs-the-room") and keep("join-before-read"):
                room.repair()
        room.is_moving = False

    def leave(self, connection: Connection) -> Steps[None]:
        """Remove a connection. The last one closes the room."""
        connection.is_open = False
        for task in (connection.arriving, connection.catching_up):
            if task is not None:
                self.world.end(task)
        yield TURN
        room = self.rooms.get(connection.user)
        if room is None:
            return
        room.connections.pop(connection, None)
        if room.connections:
            return
        while room.is_moving:
            yield TURN
        if room.connections or self.rooms.get(room.user) is not room:
            return
        room.is_moving, room.is_joined = True, False
        yield LAYER
        self.groups.discard(room.user)
        yield LAYER
        room.is_moving = False
        if not room.connections and self.rooms.get(room.user) is room:
            del self.rooms[room.user]

    # -- Catching up, sweeping -------------------------------------------------------------------

    def catch_up(self, connection: Connection) -> None:
        """Serve a connection from the rows, from its own cursor to its room's."""
        if connection.catching_up is not None:
            connection.is_behind = True
        elif connection.is_open:
            name = f"{connection.user} catches up at {self.name}"
            connection.catching_up = self.spawn(name, self._catch_up(connection))

    def _catch_up(self, connection: Connection) -> Steps[None]:
        since = connection.cursor
        try:
            page = yield from changes(self.world, connection.user, since)
        except DatabaseFailed:
            connection.close()
            return
        finally:
            connection.catching_up = None
        if not connection.is_open:
            return
        if (
            page.reset
            and since is not None
            and not (page.cursor is not None and since < page.cursor)
        ):
            # This mailbox never had such a cursor, and only a welcome may lower it.
            connection.close()
            return
        connection.offer(page)
        room = self.rooms.get(connection.user)
        if not page.complete or connection.is_behind:
            connection.read_again()
        elif room is not None and room.is_above(connection.cursor):
            if connection.cursor == since:
                room.repair()
            else:
                connection.read_again()

    def sweep(self) -> Steps[None]:
        """Check all rooms once, and repair those that are not where their mailbox is."""
        world = self.world
        known = {
            room.user: room.cursor
            for room in self.rooms.values()
            if room.is_made and room.connections
        }
        if not known or not world.rules.keep("the-sweep"):
            return
        try:
            glances = {user: world.db.look(user) for user in known}
            yield DATABASE
            needing = [user for user in known if glances[user].needs_work]
            if needing:
                yield from tend(world, needing, glances=glances)
                glances = {user: world.db.look(user) for user in known}
                yield DATABASE
        except DatabaseFailed:
            return
        for user, glance in glances.items():
            room = self.rooms.get(user)
            if room is None or glance.cursor in (known[user], room.cursor):
                continue
            is_behind = glance.cursor is not None and room.is_above(glance.cursor)
            if is_behind and not world.rules.keep("the-sweep-repairs-what-is-above-too"):
                continue
            room.repair()
