"""
All of it together, and the steps that may come next.

A step has a name, and takes a *dice* for its choices (which task, which ring, which row). It
returns a description for the history, or nothing if it is not possible now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from notify import protocol
from notify.protocol import Mark, Undo, merge
from notify.transports.parser import MarkCommand
from tests.model.check import Check, Violation
from tests.model.client import Client
from tests.model.database import ACT, Database, Ring, Row
from tests.model.reader import is_below
from tests.model.rules import GAPS, Rules
from tests.model.server import (
    DATABASE,
    Connection,
    DatabaseFailed,
    Process,
    Steps,
    publish,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

USERS = ("ann", "bob")
KEYS = ("", "", "build")
MARKS = (*Mark, Mark.ARCHIVED)
ONE_BY_ONE = (*Undo, ACT)  # no command does it to all
PATIENCE = 200  # rounds after which a world that has not come to rest never will


class Dice:
    """Choices derived from one number, so that a step with its number is the same in every run."""

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def below(self, limit: int) -> int:
        self.number, choice = divmod(self.number, limit)
        return choice

    def choose(self, things: Sequence[T]) -> T:
        return things[self.below(len(things))]

    def one_in(self, n: int) -> bool:
        return self.below(n) == n - 1


class Clock:
    """Stands for ``time`` and ``secrets`` in the protocol, which makes epochs from the model's hours."""

    def __init__(self) -> None:
        self.seconds = 1_000_000_000.0
        self.noise = 0

    def time(self) -> float:
        return self.seconds

    def randbits(self, bits: int) -> int:
        self.noise += 1
        self.seconds += 0.01  # time passes between two epochs
        return self.noise % 2**bits


@contextmanager
def told_by(clock: Clock) -> Iterator[None]:
    """Let the protocol take the time from this clock."""
    before = protocol.time, protocol.secrets
    protocol.time = protocol.secrets = clock  # type: ignore[assignment]
    try:
        yield
    finally:
        protocol.time, protocol.secrets = before


class Task:
    """A running generator, and the process or sender with which it dies."""

    def __init__(self, owner: Any, name: str, steps: Steps[None]) -> None:
        self.owner, self.name, self.steps = owner, name, steps
        self.is_alive = True
        self.waits_for = ""


class World:
    def __init__(self, rules: Rules, tracer: Callable[..., None] | None = None) -> None:
        self.rules, self.tracer = rules, tracer
        self.clock = Clock()
        self.users = USERS
        self.dice = Dice()
        self.did: Counter[str] = Counter()
        self.issued: list[tuple[Client, MarkCommand]] = []
        self.check = Check(self)
        self.db = Database(rules)
        self.tasks: list[Task] = []
        self.connections: dict[Connection, Client] = {}
        self.processes = {name: Process(self, name) for name in ("P", "Q")}
        self.flights: list[tuple[Process, Ring]] = []
        self.rung: list[tuple[str, Ring]] = []
        self.backups: list[Any] = []
        self.texts = 0
        self.positions: Counter[str] = Counter()  # only if positions are assigned when recording
        # Two tabs of one user, which start at different processes, and one of another user.
        self.clients = [Client(self, "ann1", "ann"), Client(self, "ann2", "ann")]
        self.clients.append(Client(self, "bob1", "bob"))
        self.steps: dict[str, Callable[[Dice], str | None]] = {
            name.removeprefix("do_").replace("_", " "): getattr(self, name)
            for name in dir(self)
            if name.startswith("do_")
        }

    def step(self, name: str, number: int) -> str | None:
        """Take a step, if it is possible. Then everything must hold."""
        self.dice = Dice(number)
        told = self.steps[name](self.dice)
        if told is not None:
            self.did[name] += 1
            self.check.tables()
        return told

    def trace(self, client: Client, *what: Any, **more: Any) -> None:
        if self.tracer is not None:
            self.tracer(client, *what, **more)

    # -- Tasks -----------------------------------------------------------------------------------

    def spawn(self, owner: Any, name: str, steps: Steps[None]) -> Task:
        task = Task(owner, name, steps)
        self.tasks.append(task)
        return task

    def go_on(self, task: Task, error: Exception | None = None) -> None:
        try:
            task.waits_for = task.steps.throw(error) if error else next(task.steps)
            self.tasks.remove(task)
            self.tasks.append(task)  # the others first
            return
        except (StopIteration, DatabaseFailed):
            pass
        self.end(task)

    def end(self, task: Task) -> None:
        task.is_alive = False
        task.steps.close()
        if task in self.tasks:
            self.tasks.remove(task)

    def do_go(self, dice: Dice) -> str | None:
        if not self.tasks:
            return None
        task = dice.choose(self.tasks)
        for _ in range(dice.choose((1, 2, 30))):
            if task.is_alive:
                self.go_on(task)
        return f"{task.name} goes on" if task.is_alive else f"{task.name} is done"

    def do_db_fails(self, dice: Dice) -> str | None:
        waiting = [task for task in self.tasks if task.waits_for == DATABASE]
        if not waiting:
            return None
        task = dice.choose(waiting)
        self.go_on(task, DatabaseFailed())
        return f"the database fails {task.name}"

    # -- Senders ---------------------------------------------------------------------------------

    def new_row(self, dice: Dice, user: str, *, key: bool = True) -> Row:
        self.texts += 1
        expires = self.db.hour + 1 + dice.below(30) if dice.one_in(8) else None
        name = dice.choose(KEYS) if key else ""
        return Row(self.db.take_id(), user, f"text {self.texts}", name, expires)

    def do_send(self, dice: Dice) -> str | None:
        if sum(task.owner == "sender" for task in self.tasks) >= 3:
            return None
        users = [USERS[dice.one_in(5)] for _ in range(1 + dice.below(3))]
        fails = dice.one_in(5)
        self.spawn(
            "sender", f"a transaction for {', '.join(users)}", self._send(users, dice, fails)
        )
        return f"a transaction begins that {'will fail' if fails else 'sends'}"

    def _send(self, users: list[str], dice: Dice, fails: bool) -> Steps[None]:
        recorded = []
        for user in users:
            row = self.new_row(dice, user)
            if not self.rules.keep("positions-are-given-at-publish"):
                box = self.db.boxes.get(user)
                self.positions[user] = max(self.positions[user], box.head if box else 0) + 1
                at = self.positions[user]
                row = row._replace(key="", position=at, arrived=at)
            recorded.append(row)
            yield "its caller"
        if fails:
            return
        if not self.rules.keep("positions-are-given-at-publish"):
            self.ring(self.db.commit_with_positions(recorded))
            return
        self.db.commit(recorded)
        yield DATABASE  # committed, not yet published
        yield from publish(self, sorted(set(users)))

    def do_send_at_once(self, dice: Dice) -> str | None:
        user = USERS[dice.one_in(5)]
        steps = self._send_at_once(user, dice)
        if not self.rules.keep("positions-are-given-at-publish"):
            steps = self._send([user], dice, fails=False)
        self.spawn("sender", f"a send to {user}", steps)
        return f"a send to {user} outside atomic()"

    def _send_at_once(self, user: str, dice: Dice) -> Steps[None]:
        ring = None
        while ring is None:
            self.db.ensure([user])
            yield DATABASE
            ring = self.db.send_one(self.new_row(dice, user, key=False))
        yield DATABASE  # committed, not yet rung
        self.ring([ring])

    def do_sender_dies(self, dice: Dice) -> str | None:
        senders = [task for task in self.tasks if task.owner == "sender"]
        if not senders:
            return None
        task = dice.choose(senders)
        self.end(task)
        return f"{task.name} dies"

    # -- Rings -----------------------------------------------------------------------------------

    def ring(self, rings: Iterable[Ring]) -> None:
        """Send to the group. The ring reaches the processes that have joined by now."""
        for ring in rings:
            if self.dice.one_in(6):
                ring = ring._replace(changes=ring.changes._replace(rows=None))  # too large
            for process in self.processes.values():
                if ring.user in process.groups:
                    self.flights.append((process, ring))
                    self.rung.append((process.name, ring))

    def do_ring(self, dice: Dice) -> str | None:
        if not self.flights:
            return None
        # They mostly arrive in order, but this is not guaranteed.
        index = dice.below(len(self.flights)) if dice.one_in(3) else 0
        process, ring = self.flights.pop(index)
        return self._arrive(process, ring)

    def _arrive(self, process: Process, ring: Ring) -> str:
        if self.processes[process.name] is process:
            process.hear(ring)
        return f"a ring of {ring.user} up to {ring.changes.cursor} reaches {process.name}"

    def do_rings_join(self, dice: Dice) -> str | None:
        """Join rings that continue each other into one."""
        for index, (process, ring) in enumerate(self.flights):
            for later, (other, more) in enumerate(self.flights):
                if (
                    (other, more.user, more.changes.since)
                    == (process, ring.user, ring.changes.cursor)
                    and ring.changes.rows is not None
                    and more.changes.rows is not None
                ):
                    del self.flights[max(index, later)], self.flights[min(index, later)]
                    joined = Ring(ring.user, merge([ring.changes, more.changes]))
                    self.flights.append((process, joined))
                    return "two rings join"
        return None

    def do_lose_ring(self, dice: Dice) -> str | None:
        if not self.flights:
            return None
        process, ring = self.flights.pop(dice.below(len(self.flights)))
        return f"a ring of {ring.user} up to {ring.changes.cursor} to {process.name} is lost"

    def do_late_ring(self, dice: Dice) -> str | None:
        """Deliver a ring twice, at once or much later."""
        if not self.rung:
            return None
        name, ring = dice.choose(self.rung)
        return f"again {self._arrive(self.processes[name], ring)}"

    # -- Connections -----------------------------------------------------------------------------

    def _connections(self, which: Callable[[Connection], Any]) -> list[Connection]:
        return [connection for connection in self.connections if which(connection)]

    def do_connect(self, dice: Dice) -> str | None:
        ready = [
            client
            for client in self.clients
            if client.trial is None and not isinstance(client.active, Connection)
        ]
        if not ready:
            return None
        client = dice.choose(ready)
        process = self.processes[dice.choose("PQ")]
        client.connect(process)
        return f"{client.name} opens a socket to {process.name} since {client.reader.cursor}"

    def do_write(self, dice: Dice) -> str | None:
        ready = self._connections(lambda connection: connection.can_write)
        if not ready:
            return None
        connection = dice.choose(ready)
        connection.write()
        return f"{connection.process.name} writes to {self.connections[connection].name}"

    def do_hear(self, dice: Dice) -> str | None:
        ready = self._connections(lambda connection: connection.wire and not connection.is_cut)
        if not ready:
            return None
        connection = dice.choose(ready)
        client, frame = self.connections[connection], connection.wire[0]
        client.hear(connection)
        more = f" {frame.changes.since}..{frame.changes.cursor}" if frame.changes else ""
        return f"{client.name} receives {frame.kind}{more} and is at {client.reader.cursor}"

    def do_stale(self, dice: Dice) -> str | None:
        """Deliver a frame of a connection that its client has already dropped."""
        ready = self._connections(lambda connection: connection.wire and connection.is_cut)
        if not ready:
            return None
        connection = dice.choose(ready)
        self.connections[connection].hear(connection)
        return f"{self.connections[connection].name} receives a frame of an earlier connection"

    def do_obey(self, dice: Dice) -> str | None:
        ready = self._connections(
            lambda connection: connection.up and connection.is_open and not connection.is_executing
        )
        if not ready:
            return None
        connection = dice.choose(ready)
        connection.obey()
        return f"{connection.process.name} takes a command of {self.connections[connection].name}"

    def do_notice(self, dice: Dice) -> str | None:
        """Let a server notice that a connection is gone."""
        ready = self._connections(lambda connection: connection.is_cut)
        if not ready:
            return None
        connection = dice.choose(ready)
        client = self.connections.pop(connection)
        connection.process.spawn(
            f"{client.name} leaves {connection.process.name}", connection.process.leave(connection)
        )
        return f"{connection.process.name} notices that {client.name} is gone"

    def do_flush(self, dice: Dice) -> str | None:
        ready = [
            room
            for process in self.processes.values()
            for room in process.rooms.values()
            if room.is_resting
        ]
        if not ready:
            return None
        room = dice.choose(ready)
        room.flush()
        return f"{room.user}'s room at {room.process.name} has rested"

    def do_ping(self, dice: Dice) -> str | None:
        ready = self._connections(lambda connection: connection.is_open and not connection.wire)
        if not ready:
            return None
        connection = dice.choose(ready)
        connection.ping()
        return f"{connection.process.name} pings {self.connections[connection].name}"

    def do_cut(self, dice: Dice) -> str | None:
        """Cut the network. Frames under way are lost, in both directions."""
        ready = [client for client in self.clients if client.active]
        if not ready:
            return None
        client = dice.choose(ready)
        if isinstance(client.active, Connection):
            client.active.up.clear()
            client.drop(client.active)
        client.active = client.poll = None
        return f"{client.name} is cut"

    def do_give_up(self, dice: Dice) -> str | None:
        """Let a client give up on a late welcome."""
        ready = [client for client in self.clients if client.trial]
        if not ready:
            return None
        client = dice.choose(ready)
        client.drop(client.trial)
        return f"{client.name} stops waiting for its welcome"

    # -- Actions of users ------------------------------------------------------------------------

    def do_poll(self, dice: Dice) -> str | None:
        ready = [client for client in self.clients if client.can_poll]
        if not ready:
            return None
        client = dice.choose(ready)
        client.start_poll(self.processes[dice.choose("PQ")])
        return f"{client.name} polls since {client.reader.cursor}"

    def do_mark(self, dice: Dice) -> str | None:
        ready = [client for client in self.clients if client.reader.rows]
        if not ready:
            return None
        client = dice.choose(ready)
        mark, rows = dice.choose((*MARKS, *ONE_BY_ONE)), client.reader.all()
        chosen = [dice.choose(rows)]
        if dice.one_in(3) and mark != ACT:
            chosen = rows
        client.mark(mark, chosen)
        return f"{client.name} marks {mark} {[(row.id, row.arrived) for row in chosen]}"

    def do_mark_all(self, dice: Dice) -> str | None:
        ready = [client for client in self.clients if client.reader.rows]
        if not ready:
            return None
        client, mark = dice.choose(ready), dice.choose(MARKS)
        client.mark_all(mark)
        return f"{client.name} marks all {mark} up to {client.reader.complete}"

    def do_doubt(self, dice: Dice) -> str | None:
        """Let a client ask without need."""
        ready = [client for client in self.clients if isinstance(client.active, Connection)]
        if not ready:
            return None
        client = dice.choose(ready)
        client.ask()
        return f"{client.name} asks since {client.reader.cursor}"

    def do_retry(self, dice: Dice) -> str | None:
        """The timer of commands whose POST failed."""
        ready = [
            client
            for client in self.clients
            if any(
                ref in client.posted and not client.posted[ref].is_alive for ref in client.pending
            )
        ]
        if not ready:
            return None
        client = dice.choose(ready)
        client.resend()
        return f"{client.name} repeats its unanswered commands"

    def do_navigate(self, dice: Dice) -> str | None:
        client = dice.choose(self.clients)
        client.navigate()
        return f"{client.name} goes to another page"

    # -- Time and what the operator does ---------------------------------------------------------

    def do_sweep(self, dice: Dice) -> str | None:
        process = self.processes[dice.choose("PQ")]
        process.spawn(f"a sweep of {process.name}", process.sweep())
        return f"{process.name} sweeps"

    def do_time(self, dice: Dice) -> str | None:
        hours = dice.choose((1, 5, 25))
        self.db.hour += hours
        self.clock.seconds += 3600 * hours
        return f"{hours} h pass"

    def do_clock_back(self, dice: Dice) -> str | None:
        # A new mailbox cannot know the epoch of a deleted one: only the clock ensures a new one.
        if self.did["lose mailbox"]:
            return None
        self.clock.seconds -= 3600
        return "the clock of the servers steps back an hour"

    def do_prune(self, dice: Dice) -> str | None:
        user = USERS[dice.one_in(5)]
        self.db.prune(user)
        return f"{user}'s old rows are pruned"

    def do_crash(self, dice: Dice) -> str | None:
        """Kill a web process, and start it again."""
        name = dice.choose("PQ")
        process = self.processes[name]
        for task in [task for task in self.tasks if task.owner is process]:
            self.end(task)
        self.processes[name] = Process(self, name)
        for connection in self._connections(lambda connection: connection.process is process):
            client = self.connections.pop(connection)
            client.drop(connection)
        return f"{name} is killed and starts again"

    def do_backup(self, dice: Dice) -> str | None:
        self.backups.append(self.db.backup())
        return "a backup"

    def do_restore(self, dice: Dice) -> str | None:
        """Restore an old state. Open transactions are lost."""
        if not self.backups:
            return None
        for task in [task for task in self.tasks if task.owner == "sender"]:
            self.end(task)
        epochs = {box.epoch for box in self.db.boxes.values()}
        self.db.restore(dice.choose(self.backups))
        self.check.restored(epochs | {box.epoch for box in self.db.boxes.values()})
        if dice.one_in(2):
            self.do_new_epoch(dice)
            return "a backup is restored, and every mailbox gets a new epoch"
        return "a backup is restored"

    def do_new_epoch(self, dice: Dice) -> str | None:
        """``notify_check --new-epoch``"""
        if not any(map(self.db.is_torn, USERS)):
            return None
        for user, box in list(self.db.boxes.items()):
            self.ring([self.db.new_epoch(user, box.epoch)])
        return "every mailbox gets a new epoch"

    def do_lose_mailbox(self, dice: Dice) -> str | None:
        user = USERS[dice.one_in(5)]
        if user not in self.db.boxes or self.did["clock back"]:
            return None
        self.db.lose_mailbox(user)
        self.check.is_upset = True
        return f"{user}'s mailbox is deleted by hand"

    # -- Stages at which a history may begin ------------------------------------------------------

    def everybody_is_here(self) -> None:
        """Each tab has a socket, and usually a mailbox with rows."""
        for client, name in zip(self.clients, "PQP", strict=True):
            client.connect(self.processes[name])
        self._do("send at once", 0)
        self.drain(back=False)

    def a_tab_is_pages_behind(self) -> None:
        """
        ann1 has everything and has marked the oldest. ann2 polls, and knows only that there is a
        mailbox.
        """
        ann1, ann2, _ = self.clients
        self.db.ensure(["ann"])
        ann2.start_poll(self.processes["P"])
        self.drain(back=False)
        for _ in range(5):
            self._do("send at once", 0)
        self.drain(back=False)
        ann1.start_poll(self.processes["P"])
        self.drain(back=False)
        self.db.mark("ann", Mark.SEEN, [(1, 1), (2, 2)])

    def a_tab_was_away_for_a_day(self) -> None:
        """Both tabs hold two rows. ann1 has archived them, which ann2 does not know."""
        ann1, ann2, _ = self.clients
        for _ in range(2):
            self._do("send at once", 0)
        self.drain(back=False)
        for client in (ann1, ann2):
            client.start_poll(self.processes["P"])
        self.drain(back=False)
        self.db.mark("ann", Mark.ARCHIVED, [(1, 1), (2, 2)])
        self._do("time", 2)

    def a_room_is_about_to_be_made(self) -> None:
        """The room's join is late, its read is on its way, and a notification is sent."""
        self._connect_late()
        self._go("ann1 connects")
        self._do("send at once", 0)

    def a_room_reads(self) -> None:
        """The same a little later: the room is made, and reads because a newcomer knew more."""
        self._connect_late()
        self._go("ann1 connects", 4)
        self._do("send at once", 0)
        self._go("a send", 9)
        self.clients[1].drop(self.clients[1].active)  # type: ignore[arg-type]
        self.clients[1].connect(self.processes["P"])
        self._go("ann2 connects", 2)
        self.dice = Dice(3)
        self._go("ann2 connects", 3)
        self._go("a read", 2)
        self._do("send at once", 0)

    def _connect_late(self) -> None:
        """ann2 is connected to Q. ann1 connects to P, and stops waiting before the layer answers."""
        ann1, ann2, _ = self.clients
        self.db.ensure(["ann"])
        ann2.connect(self.processes["Q"])
        self.drain(back=False)
        ann1.connect(self.processes["P"])
        self._go("ann1 connects", 2)
        self.dice = Dice(3)
        self._go("ann1 connects")

    def a_welcome_came_too_late(self) -> None:
        """ann1 has given up one socket, whose welcome is on its way, and has reconnected with another."""
        ann1 = self.clients[0]
        self.db.ensure(["ann"])
        ann1.connect(self.processes["P"])
        for _ in range(9):
            self._go("P joins")
            self._go("ann1 connects")
        late = ann1.trial
        assert late is not None
        late.write()
        ann1.drop(late)
        ann1.connect(self.processes["Q"])
        self._do("send at once", 0)
        self.drain(back=False)
        self.connections[late] = ann1  # its server has not noticed yet

    def _do(self, name: str, number: int) -> None:
        self.dice = Dice(number)
        self.steps[name](self.dice)

    def _go(self, name: str, times: int = 1) -> None:
        for task in list(self.tasks):
            for _ in range(times):
                if task.is_alive and task.name.startswith(name):
                    self.go_on(task)

    # -- Rest ------------------------------------------------------------------------------------

    def come_to_rest(self, *, calm: bool) -> None:
        """Stop all faults, finish the running work, and let each client reconnect and read to the end."""
        self.dice = Dice()
        self.drain()
        if any(map(self._only_the_operator_knows, USERS)):
            self.do_new_epoch(self.dice)
        self.drain()
        self.check.quiet()
        for client in self.clients if "a-cursor-from-elsewhere" in GAPS else ():
            if self.check.restores and client.is_beyond_its_connection:
                client.drop(client.trial or client.active)  # type: ignore[arg-type]
        for _ in range(0 if calm else 2):
            for process in self.processes.values():
                process.spawn(f"the last sweep of {process.name}", process.sweep())
            self.drain()
            for connection in self._connections(lambda connection: connection.is_open):
                connection.ping()
            self.drain()
        if not calm:
            for client in self.clients:
                client.wait_for_marks()
        self.check.at_rest()

    def _only_the_operator_knows(self, user: str) -> bool:
        """Returns whether a restored mailbox assigned positions again before any cursor could prove it."""
        box = self.db.boxes.get(user)
        if box is None or not self.db.is_torn(user):
            return False
        readers = [client.reader for client in self.clients if client.user == user]
        if self.check.restores > 1:
            return True  # the epoch of the history in between may be above this one
        return box.head > self.db.torn[user, box.epoch] or any(
            not is_below(box.cursor, reader.cursor)
            and (is_below(box.cursor, reader.counts_at) or is_below(box.cursor, reader.newest))
            for reader in readers
        )

    def drain(self, *, back: bool = True) -> None:
        """Take all running steps, until no work is left."""
        names = ("ring", "write", "hear", "obey", "notice", "flush", "retry")
        for _ in range(PATIENCE):
            moved = bool(self.tasks)
            for _ in range(len(self.tasks)):
                self.step("go", 0)
            for name in names:
                for _ in range(PATIENCE):
                    if self.step(name, 0) is None:
                        break
                    moved = True
            if not moved and not (back and self._come_back()):
                return
        raise Violation("The world never comes to rest.")

    def _come_back(self) -> bool:
        """Reconnect clients that were told to come back, and let polling ones ask for the rest."""
        moved = False
        for client in self.clients:
            if client.active == "poll" and client.can_poll:
                glance, reader = self.db.look(client.user), client.reader
                # In a restored mailbox, the rest of its page may be missing until the new epoch.
                is_whole = reader.complete == reader.cursor or self.db.is_torn(client.user)
                is_done = is_whole and reader.cursor == glance.cursor
                if client.poll_again or glance.needs_work or not is_done:
                    client.start_poll(self.processes["P"])
                    moved = True
            elif client.active is None and client.trial is None:
                client.connect(self.processes["P"])
                moved = True
        return moved
