"""
The hub: one for each event loop, between the channel layer and the connections.

It owns one channel and joins the group of each mailbox that has a connection here, so that many
tabs of a user cost one ring, and one text that is written to all. A *room* (``room.py``) is a
mailbox's set of local connections; the *station* (``station.py``) is the end of the layer.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from contextvars import Context, copy_context
from typing import Any

from notify import doorbell, signals
from notify.auth import session as auth
from notify.conf import conf
from notify.inbox import reader as inbox
from notify.live import drain
from notify.live.connection import Connection
from notify.live.membership import Station
from notify.live.room import Room
from notify.protocol import Changes, CloseCode, Cursor
from notify.runtime.executor import in_executor

MAX_GIVEN = 1000  # sends that wait for a loop that is busy; after more the rooms read
LOOK_PAUSE = 0.2  # seconds in which more rooms may miss something
SHORTEST_BEAT = 1.0  # seconds, whatever NOTIFY_HEARTBEAT says
LEAVE_TIMEOUT = 5.0  # seconds; daphne kills an application that takes 10 to end
LINGER = 2.0  # seconds that a room waits for a client that comes back at once
GOODBYE_TIMEOUT = 1.0  # seconds that the end of a hub waits for its clients to be told


class Hub:
    """Rooms by recipient, and the loops that keep them right. Made by :meth:`here`."""

    _hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.rooms: dict[str, Room] = {}
        self.station: Station | None = None
        self.is_draining = False  # the process ends; who comes is sent elsewhere
        self._drain: drain.Drain | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._given: deque[Sequence[tuple[str, Changes]]] = deque(maxlen=MAX_GIVEN)
        self._has_overflowed = False
        self._is_called = False
        self._look: asyncio.TimerHandle | None = None
        self._mark_slots = asyncio.Semaphore(max(1, conf.THREADS - 1))

    @classmethod
    def here(cls) -> Hub:
        """
        The hub of the running event loop; made and started when first asked for.

        By loop, not by process: some servers run several loops in threads of one process.
        """
        loop = asyncio.get_running_loop()
        hub = cls._hubs.get(loop)
        if hub is None:
            cls._forget_closed_loops()
            hub = cls._hubs[loop] = cls()
            hub._start()
        return hub

    @classmethod
    def _forget_closed_loops(cls) -> None:
        """Those whose loop ended without a word. A hub holds its loop, so no collector takes them."""
        for hub in cls.everywhere():
            if hub.loop.is_closed():
                hub._forget()

    @classmethod
    def everywhere(cls) -> list[Hub]:
        """Those of all event loops of this process; other threads may add theirs meanwhile."""
        loops = [ref() for ref in cls._hubs.keyrefs()]
        found = [cls._hubs.get(loop) for loop in loops if loop is not None]
        return [hub for hub in found if hub is not None]

    @classmethod
    def is_draining_here(cls) -> bool:
        """Whether the hub of the running event loop sends its clients elsewhere."""
        hub = cls._hubs.get(asyncio.get_running_loop())
        return hub is not None and hub.is_draining

    @classmethod
    async def close_here(cls) -> None:
        """End the hub of the running event loop, if there is one: its clients come back elsewhere."""
        hub = cls._hubs.pop(asyncio.get_running_loop(), None)
        if hub is not None:
            await hub._stop()

    def _start(self) -> None:
        from notify.live import sweep

        doorbell.hubs.add(self)
        self._drain = drain.watch(self)
        layer = doorbell.layer()
        if layer is not None:
            self.station = Station(layer, self.rooms, self.spawn, self._handle, self.missed)
            self.spawn(self.station.listen())
            self.spawn(self.station.watch())
        self.spawn(sweep.run(self))
        self.spawn(self._beat())

    async def _stop(self) -> None:
        doorbell.hubs.discard(self)
        goodbyes = [connection.close(CloseCode.GOING_AWAY) for connection in self.connections()]
        if goodbyes:
            await asyncio.wait(goodbyes, timeout=GOODBYE_TIMEOUT)
        if self.station is not None:
            await self.station.leave_all()
        if self._look is not None:
            self._look.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        drain.unwatch(self._drain)

    def spawn(
        self, work: Coroutine[Any, Any, Any], context: Context | None = None
    ) -> asyncio.Task[Any]:
        """
        Run in the background; the hub holds the task, for the loop itself does not.

        Args:
            context: its variables. None: it has none, as it serves all and may outlive the request
                that has begun it, whose language, trace and thread it would keep.
        """
        context = Context() if context is None else context
        # Not by create_task(context=…), which a task factory of the project's may not know.
        task = context.run(self.loop.create_task, work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard, context=context)
        return task

    def connections(self) -> Iterator[Connection]:
        for room in tuple(self.rooms.values()):
            yield from tuple(room.connections)

    # -- Rings -----------------------------------------------------------------------------------

    def take(self, rung: Sequence[tuple[str, Changes]]) -> None:
        """Changes by recipient, from any thread: a publisher in this process hands them over."""
        if len(self._given) == self._given.maxlen:
            self._has_overflowed = True
        self._given.append(rung)
        if not self._is_called:  # one wake-up for a burst
            self._is_called = True
            self._call(self._take_given)

    def _take_given(self) -> None:
        self._is_called = False  # first: what is given from now on calls again
        if self._has_overflowed:
            self._has_overflowed = False
            self._given.clear()
            for room in tuple(self.rooms.values()):
                room.repair()
        while self._given:
            self.ring(self._given.popleft())

    def tick(self, ticked: Sequence[tuple[str, str]]) -> None:
        """Ticks by recipient, from any thread."""
        self._call(self._tick, ticked)

    def _tick(self, ticked: Sequence[Sequence[str]]) -> None:
        for recipient, text in ticked:
            if not isinstance(text, str):
                raise ValueError("The tick does not hold a text.")
            room = self.rooms.get(recipient)
            for connection in tuple(room.connections) if room else ():
                connection.tick(text)

    def missed(self, room: Room) -> None:
        """
        Rings may not have come here. One look at all heads soon, for all rooms of which this is said:
        in a storm thousands join late, and few of them have missed anything.
        """
        if not room.is_made:
            room.repair()  # the read that makes it may have begun before
        elif self._look is None:
            self._look = self.loop.call_later(LOOK_PAUSE, self._look_now)

    def _look_now(self) -> None:
        from notify.live import sweep

        self._look = None  # first: what is missed from now on needs another look
        self.spawn(sweep.once(self))

    def kick(self, recipient: str, session: str | None = None) -> None:
        """Close what a session of this user has opened, or all that is his, from any thread."""
        self._call(self.send_away, recipient, session)

    def _call(self, function: Any, *args: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed, and was not told to stop
            self._forget()

    def _forget(self) -> None:
        doorbell.hubs.discard(self)
        self._hubs.pop(self.loop, None)
        drain.unwatch(self._drain)

    def _handle(self, message: dict[str, Any]) -> None:
        """Take a message of some doorbell; strangers may send to the same groups."""
        if message.get("from") == doorbell.process() and self in doorbell.hubs:
            return  # it was given by hand
        if message["type"] == "notify.ring":
            self.ring([doorbell.unpack(ring) for ring in message["rings"]])
        elif message["type"] == "notify.tick":
            self._tick(message["ticks"])
        elif message["type"] == "notify.kick":
            self.send_away(message["recipient"], message["session"])

    def ring(self, rung: Sequence[tuple[str, Changes]]) -> None:
        for recipient, changes in rung:
            room = self.rooms.get(recipient)
            if room is not None:
                room.offer(changes)

    def send_away(self, recipient: str, session: str | None) -> None:
        room = self.rooms.get(recipient)
        for connection in tuple(room.connections) if room else ():
            if session is None:
                connection.close(CloseCode.KICKED)
            elif auth.fingerprint(connection.visitor.session) == session:
                connection.close(CloseCode.NOT_SIGNED_IN)

    # -- Connections -----------------------------------------------------------------------------

    @asynccontextmanager
    async def visit(
        self, connection: Connection, since: Cursor | None, sender: type
    ) -> AsyncIterator[None]:
        """
        Keep a connection in its room while the block runs, whatever ends it.

        Args:
            since: the cursor of its client.
            sender: of the signals; the transport's class.
        """
        arriving = self.spawn(self._arrive(connection, since, sender), copy_context())
        try:
            yield
        finally:
            arriving.cancel()
            # Before anything that could wait: the client may have gone without a word.
            await asyncio.wait([self.spawn(self.leave(connection))], timeout=LEAVE_TIMEOUT)

    async def _arrive(self, connection: Connection, since: Cursor | None, sender: type) -> None:
        if self.is_draining:  # it was signed in meanwhile, and no goodbye has found it
            connection.close(CloseCode.GOING_AWAY)
            return
        try:
            await self.connect(connection, since)
        except Exception as error:
            user = connection.visitor.user
            signals.connect_failed.send_robust(sender, recipient=user, error=error)
            connection.close(CloseCode.GOING_AWAY)

    async def connect(self, connection: Connection, since: Cursor | None) -> None:
        """
        Bring a connection into its room: join first, then read, then welcome it.

        What is rung in between is held, by the room or the connection, so nothing falls between.
        """
        recipient = connection.visitor.user
        room = self.rooms.get(str(recipient))
        if room is None:
            room = self.rooms[str(recipient)] = Room(recipient, self.spawn)
        room.connections.add(connection)
        if self.station is not None and not room.is_joined:
            await self.station.join_soon(room)

        def read() -> tuple[int, inbox.Page]:
            # Asked when a thread is free, seconds later in a storm: joins that ended by then are
            # served by this read, and need no other.
            return room.asked, inbox.changes(recipient, since)

        asked, page = await in_executor(read)
        changes = page.changes()
        if not room.is_made:
            room.make(changes.cursor, asked)
        elif changes.cursor is not None and (room.cursor is None or changes.cursor > room.cursor):
            room.repair()
        connection.welcome(changes)
        self._tell_delivered(connection, changes)
        if not changes.complete:
            room.repair()
        if room.is_above(connection.cursor):
            connection.read_again()

    async def leave(self, connection: Connection) -> None:
        """Take a connection out; the last one closes the room. Never raises for the layer's sake."""
        connection.end()
        name = str(connection.visitor.user)
        room = self.rooms.get(name)
        if room is None:
            return
        room.connections.discard(connection)
        if connection.comes_back and not room.connections:
            if room.lingering is not None:
                room.lingering.cancel()  # since an earlier answer; its time is over too soon
            room.lingering = self.spawn(self._close_later(room))
        else:
            await self._close(room)

    async def _close_later(self, room: Room) -> None:
        """A long poll leaves with each answer. Its group is not left and joined again each time."""
        await asyncio.sleep(LINGER)
        room.lingering = None  # first: nobody may cancel it while it leaves the group
        await self._close(room)

    async def _close(self, room: Room) -> None:
        """Give a room up, if nobody is in it."""
        name = str(room.recipient)
        if room.connections:
            return
        async with room.membership:
            if room.connections or self.rooms.get(name) is not room:
                return  # somebody came while another leave or join was under way
            if self.station is None:
                del self.rooms[name]
            else:
                await self.station.leave(room)

    def catch_up(self, connection: Connection) -> None:
        """Serve a connection from the rows, from its own cursor to its room's."""
        if connection.catching_up is not None:
            connection.is_behind = True  # the running read may have begun too early
        elif connection.is_open:
            connection.catching_up = self.spawn(self._catch_up(connection))

    async def _catch_up(self, connection: Connection) -> None:
        since = connection.cursor
        try:
            page = await in_executor(inbox.changes, connection.visitor.user, since)
        except Exception as error:
            signals.read_failed.send_robust(
                type(self), recipient=connection.visitor.user, error=error
            )
            connection.close(CloseCode.GOING_AWAY)
            return
        finally:
            connection.catching_up = None
        changes = page.changes()
        if changes.reset and since is not None and not _is_below(since, changes.cursor):
            # A cursor that this mailbox never gave. Only a welcome may lower it.
            connection.close(CloseCode.GOING_AWAY)
            return
        connection.offer(changes, changes.encode())
        self._tell_delivered(connection, changes)
        room = self.rooms.get(str(connection.visitor.user))
        if not changes.complete or connection.is_behind:
            connection.read_again()
        elif room is not None and room.is_above(connection.cursor):
            if connection.cursor == since:
                room.repair()  # nothing was found, so it is the room that knows too much
            else:
                connection.read_again()

    def _tell_delivered(self, connection: Connection, changes: Changes) -> None:
        if connection.is_open:
            signals.delivered.send_robust(
                type(self), recipient=connection.visitor.user, cursor=changes.cursor, connections=1
            )

    @asynccontextmanager
    async def marking(self, recipient: Any) -> AsyncIterator[None]:
        """
        One mark at a time for each user, and never in the last thread.

        A mark waits for its mailbox's lock, in a thread; so the marks of a few locked mailboxes
        would keep all others from their welcome.
        """
        room = self.rooms.get(str(recipient))
        async with room.marking if room else nullcontext(), self._mark_slots:
            yield

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(max(conf.HEARTBEAT / 5, SHORTEST_BEAT))
            now = self.loop.time()
            for connection in self.connections():
                connection.beat(now)


def _is_below(one: Cursor, other: Cursor | None) -> bool:
    return other is not None and one < other
