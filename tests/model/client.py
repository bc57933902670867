"""
A tab: client/src/mailbox/client.js, commands.js and link/connection.js, without their clocks.

It has at most one transport in use (``active``), and at most one that it is trying.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from notify.protocol import Changes, Cursor, Mark, Undo, Verdict
from notify.transports.parser import MarkCommand
from tests.model.database import Row
from tests.model.reader import Reader, is_below
from tests.model.rules import GAPS
from tests.model.server import (
    DATABASE,
    Connection,
    DatabaseFailed,
    Frame,
    Process,
    Steps,
    changes,
    execute,
)

if TYPE_CHECKING:
    from tests.model.world import Task, World


@dataclass
class Question:
    """The request that the client has sent over its socket."""

    is_open: bool = False
    since: Cursor | None = None
    again: bool = False


class Client:
    def __init__(self, world: World, name: str, user: str) -> None:
        self.world, self.name, self.user = world, name, user
        self.reader = Reader(world.rules)
        self.active: Connection | Literal["poll"] | None = None
        self.trial: Connection | None = None
        # The cursor of the request that the last document may answer, for the check.
        self.asked_since: Cursor | None = None
        self.question = Question()
        self.poll: Task | None = None
        self.poll_again = False
        self.pending: dict[int, MarkCommand] = {}
        self.posted: dict[int, Task] = {}
        self.ref = 0
        self.page = 0  # the number of the page: answers to requests of an earlier page are ignored
        world.check.met(self)

    # -- Connecting ------------------------------------------------------------------------------

    def connect(self, process: Process) -> None:
        """Try a WebSocket, in the background while polling."""
        self.trial = connection = Connection(process, self.user)
        connection.since = self.reader.cursor
        self.world.connections[connection] = self
        connection.arriving = process.spawn(
            f"{self.name} connects to {process.name}",
            process.connect(connection, self.reader.cursor),
        )

    def drop(self, connection: Connection | None) -> None:
        """Ignore a connection from now on. The server notices later."""
        if connection is None:
            return
        if self.active is connection:
            self.active = None
        if self.trial is connection:
            self.trial = None
        connection.is_cut = True

    def hear(self, connection: Connection) -> None:
        """Take the next frame of a connection."""
        frame = connection.wire.popleft()
        if frame.kind == "welcome" and connection is self.trial:
            self.trial, self.active, self.poll = None, connection, None
            self._take_frame(connection, frame)
            self.resend()
        elif connection is self.active or not self.world.rules.keep(
            "an-earlier-connection-is-not-heard"
        ):
            self._take_frame(connection, frame)
        elif frame.kind == "close":
            self.drop(connection)

    def _take_frame(self, connection: Connection, frame: Frame) -> None:
        if frame.kind == "welcome":
            assert frame.changes is not None
            self.question.is_open = False
            self.asked_since = connection.since
            self.world.check.told(connection, frame)
            self.take(frame.changes, authoritative=True)
        elif frame.kind == "changes":
            assert frame.changes is not None
            self.asked_since = self.reader.cursor
            self.world.check.told(connection, frame)
            self.take(frame.changes, authoritative=False)
        elif frame.kind == "ping":
            mine = self.reader.cursor
            if is_below(mine, frame.cursor) or (
                "a-cursor-from-elsewhere" not in GAPS and mine != frame.cursor
            ):
                self.ask()
        elif frame.kind == "close":
            self.drop(connection)
        else:
            self.settle(frame)

    def take(self, document: Changes, *, authoritative: bool) -> None:
        question = self.question
        answered = question.is_open and (document.reset or document.since == question.since)
        verdict = self._apply(document, authoritative=authoritative)
        if answered:
            question.is_open = False
        more = (
            self.active == "poll"
            and verdict is Verdict.APPLY
            and self.reader.cursor is not None
            and self.reader.complete != self.reader.cursor
        )
        if verdict is Verdict.READ or more or (answered and question.again):
            self.ask()

    def _apply(self, document: Changes, *, authoritative: bool) -> Verdict:
        rows = self.world.db.book.decode(document.rows)
        before = self.reader.save(self.reader.rows)
        verdict, fresh = self.reader.apply(document, rows, authoritative=authoritative)
        self.world.trace(self, "apply", document, authoritative, fresh=fresh)
        self.world.check.heard(
            self, before, document, rows, fresh, verdict, authoritative=authoritative
        )
        return verdict

    def ask(self) -> None:
        """Ask for changes. Only one request runs at a time."""
        question = self.question
        if question.is_open:
            question.again = True
            return
        is_sent = isinstance(self.active, Connection)
        self.question = Question(is_sent, self.reader.cursor)
        if isinstance(self.active, Connection):
            self.world.check.asked(self.active)
            if not self.active.is_cut:
                self.active.up.append(self.reader.cursor)
        else:
            self.poll_again = True

    @property
    def is_beyond_its_connection(self) -> bool:
        """Returns whether it has learned elsewhere what its connection does not know."""
        return isinstance(self.active, Connection) and is_below(
            self.active.cursor, self.reader.cursor
        )

    # -- Polling ---------------------------------------------------------------------------------

    @property
    def can_poll(self) -> bool:
        is_waiting = self.poll is not None and self.poll.is_alive
        return not is_waiting and not isinstance(self.active, Connection)

    def start_poll(self, process: Process) -> None:
        self.poll_again = False
        self.poll = self.world.spawn(process, f"{self.name} polls {process.name}", self._poll())

    def _poll(self) -> Steps[None]:
        since, page, me = self.reader.cursor, self.page, self.poll
        try:
            if since is not None:
                glance = self.world.db.look(self.user)
                yield DATABASE
                if not glance.needs_work and glance.cursor == since:
                    if self.poll is me and self.page == page and self.active is None:
                        self.active = "poll"
                        self.resend()
                    return
            document = yield from changes(self.world, self.user, since)
        except DatabaseFailed:
            if self.active == "poll":
                self.active = None
            return
        if self.page == page and (self.poll is me) and not isinstance(self.active, Connection):
            was_open, self.active = self.active == "poll", "poll"
            if not was_open:
                self.resend()
            self.asked_since = since
            self.take(document, authoritative=True)

    # -- Marking ---------------------------------------------------------------------------------

    def mark(self, mark: Mark | Undo, rows: list[Row]) -> None:
        pairs = tuple((row.id, row.arrived or 0) for row in rows)
        self._issue(mark, pairs, pairs, None)

    def mark_all(self, mark: Mark) -> None:
        """Mark all that the tab surely knows: up to its complete cursor, and the rows shown above that."""
        rows = self.reader.all()
        complete = self.reader.complete
        if not self.world.rules.keep("mark-all-carries-the-complete-cursor"):
            complete = self.reader.cursor
        if complete is None:
            return self.mark(mark, rows)
        shown = tuple((row.id, row.arrived or 0) for row in rows)
        epoch = self.reader.cursor.epoch if self.reader.cursor else ""
        above = tuple(pair for pair in shown if Cursor(epoch, pair[1]) > complete)
        self._issue(mark, shown, above, complete)

    def _issue(
        self,
        mark: Mark | Undo,
        shown: tuple[tuple[int, int], ...],
        pairs: tuple[tuple[int, int], ...],
        upto: Cursor | None,
    ) -> None:
        self.ref += 1
        self.reader.mark(mark, shown, self.ref)
        self.world.trace(self, "mark", mark, shown, self.ref)
        epoch = self.reader.cursor.epoch if self.reader.cursor else None
        self.pending[self.ref] = command = MarkCommand(mark, pairs, upto, self.ref, epoch)
        self.world.issued.append((self, command))
        self._deliver(command)

    def _deliver(self, command: MarkCommand) -> None:
        """Send a command through the socket, or post the oldest one. Nothing overtakes what is posted."""
        in_order = self.world.rules.keep("nothing-overtakes-a-command")
        if in_order and any(task.is_alive for task in self.posted.values()):
            return
        if isinstance(self.active, Connection):
            if not self.active.is_cut:
                self.active.up.append(command)
        else:
            self.post(next(iter(self.pending.values())) if in_order else command)

    def post(self, command: MarkCommand) -> None:
        """Send a command over HTTP. Any process may answer, in any order."""
        process = self.world.dice.choose(list(self.world.processes.values()))
        name = f"{self.name} posts a mark to {process.name}"
        self.posted[command.ref or 0] = self.world.spawn(process, name, self._post(command))

    def _post(self, command: MarkCommand) -> Steps[None]:
        page, ref = self.page, command.ref or 0
        yield DATABASE
        cursor = yield from execute(self.world, self.user, command)
        yield DATABASE  # the answer is on its way
        if self.page == page:
            self.posted.pop(ref, None)
            self.settle(Frame("ack", cursor=cursor, ref=ref))
            self.resend()

    def resend(self) -> None:
        """Repeat unanswered commands. Marking twice does no harm."""
        if not self.world.rules.keep("marks-are-said-again"):
            return
        for ref, command in self.pending.items():
            if ref not in self.posted or not self.posted[ref].is_alive:
                self.posted.pop(ref, None)
                self._deliver(command)

    def settle(self, frame: Frame) -> None:
        command = self.pending.pop(frame.ref, None)
        if command is None:
            return
        before = self.world.check.view(self)
        if frame.kind == "ack":
            self.reader.acknowledge(frame.ref, frame.cursor)
            self.world.trace(self, "ack", frame.ref, frame.cursor)
            if is_below(self.reader.cursor, frame.cursor) and self.active == "poll":
                self.poll_again = True
            self.world.check.released(self, command, before, frame.cursor)
        else:
            self.reader.fail(frame.ref)
            self.world.trace(self, "fail", frame.ref)

    def wait_for_marks(self) -> None:
        """Let ten seconds pass: marks that were answered but never shown are taken back."""
        for overlay in list(self.reader.overlays):
            if overlay.ref not in self.pending:
                self.reader.fail(overlay.ref)
                self.world.trace(self, "fail", overlay.ref)

    # -- Navigation ------------------------------------------------------------------------------

    def navigate(self) -> None:
        """Load another page of the site. The cursor and the open toasts are kept, everything else is new."""
        open_toasts = [row.id for row in self.reader.all() if row.is_wanted]
        saved: dict[str, Any] = self.reader.save(open_toasts)
        self.drop(self.trial)
        if isinstance(self.active, Connection):
            self.drop(self.active)
        self.active = self.poll = None
        self.question = Question()
        for ref, command in self.pending.items():
            if ref not in self.posted or not self.posted[ref].is_alive:
                self.post(command)  # keepalive: the request outlives the page
        self.pending.clear()
        self.posted.clear()
        self.page += 1
        self.reader = Reader(self.world.rules)
        self.reader.restore(saved)
        self.world.trace(self, "restore", open_toasts)
        self.world.check.navigated(self)
