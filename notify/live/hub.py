"""
The hub: connects the channel layer to the connections. Each event loop has one hub.

The hub owns one channel of the layer and joins one group for each room. However many tabs a user has
open, the hub receives one ring and encodes one text, which is written to all of them.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from typing import Any

from notify import doorbell, signals
from notify.auth import session as auth
from notify.auth.session import Visitor
from notify.conf import conf
from notify.live import drain, incoming
from notify.live.connection import Connection, Wire
from notify.live.membership import GroupMembership
from notify.live.room import Room
from notify.live.source import MAILBOXES
from notify.live.sweep import Sweep
from notify.live.turns import Turns
from notify.protocol import Changes, CloseCode, Cursor

MAX_HANDED = 1000  # sends that wait for a busy loop; beyond this the rooms read the rows
SHORTEST_BEAT = 1.0  # minimum number of seconds, even if NOTIFY_HEARTBEAT is lower
LEAVE_TIMEOUT = 5.0  # seconds; daphne kills an application that takes 10 seconds to end
LINGER = 2.0  # seconds that an empty room is kept for a client that comes back at once
CLOSE_TIMEOUT = 1.0  # seconds that a closing hub waits for its clients to accept the close


class Hub:
    """The rooms of an event loop, and the tasks that keep them up to date. Made by :meth:`here`."""

    _hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.rooms: dict[str, Room] = {}  # by name; only the hub adds or removes rooms
        self.membership: GroupMembership | None = None
        self.sweep = Sweep(self)
        self.is_draining = False  # whether new connections are refused, as the process is ending
        self._drain: drain.Drain | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._handed: deque[Sequence[tuple[str, Changes]]] = deque(maxlen=MAX_HANDED)
        self._has_overflowed = False
        self._is_called = False
        # One thread is always left for clients that are arriving.
        self.turns = Turns(max(1, conf.THREADS - 1), self.spawn)

    @classmethod
    def here(cls) -> Hub:
        """
        Returns the hub of the running event loop. The first call makes and starts it.

        Hubs are per loop, not per process, because some servers run several loops in threads of one process.
        """
        loop = asyncio.get_running_loop()
        hub = cls._hubs.get(loop)
        if hub is None:
            for other in cls.everywhere():
                # A hub references its loop, so the weak keys never expire by themselves.
                if other.loop.is_closed():
                    other._forget()
            hub = cls._hubs[loop] = cls()
            hub._start()
        return hub

    @classmethod
    def everywhere(cls) -> list[Hub]:
        """Returns all hubs of this process. Safe while other threads are creating hubs."""
        loops = [ref() for ref in cls._hubs.keyrefs()]
        found = [cls._hubs.get(loop) for loop in loops if loop is not None]
        return [hub for hub in found if hub is not None]

    @classmethod
    def is_draining_here(cls) -> bool:
        """Returns whether the hub of the running event loop refuses new connections."""
        hub = cls._hubs.get(asyncio.get_running_loop())
        return hub is not None and hub.is_draining

    @classmethod
    async def close_here(cls) -> None:
        """Close the hub of the running event loop, if it has one. Its clients reconnect elsewhere."""
        hub = cls._hubs.pop(asyncio.get_running_loop(), None)
        if hub is not None:
            await hub._stop()

    def _start(self) -> None:
        doorbell.hubs.add(self)
        self._drain = drain.watch(self)
        layer = doorbell.layer()
        if layer is not None:
            self.membership = GroupMembership(layer, self)
            self.spawn(self.membership.listen())
            self.spawn(self.membership.watch())
        self.spawn(self.sweep.run())
        self.spawn(self._beat())

    async def _stop(self) -> None:
        doorbell.hubs.discard(self)
        closing = [connection.close(CloseCode.GOING_AWAY) for connection in self.connections()]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
        if self.membership is not None:
            await self.membership.leave_all()
        self.sweep.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        # Without a timeout this could hang: a cancelled receive of channels_redis still waits for Redis.
        done, _ = await asyncio.wait(tuple(self._tasks), timeout=LEAVE_TIMEOUT)
        await asyncio.gather(*done, return_exceptions=True)
        drain.unwatch(self._drain)

    def _forget(self) -> None:
        """Drop a hub whose loop was closed without :meth:`close_here`."""
        doorbell.hubs.discard(self)
        self._hubs.pop(self.loop, None)
        drain.unwatch(self._drain)

    def spawn(
        self, work: Coroutine[Any, Any, Any], context: Context | None = None
    ) -> asyncio.Task[Any]:
        """
        Run a coroutine in the background. The hub holds the task, because the loop itself does not.

        Args:
            context: the context variables to run with. The default is an empty context. The work serves
                all users and may outlive the request that started it, so it must not keep that
                request's language, trace and thread.
        """
        context = Context() if context is None else context
        # create_task(context=…) would fail if the project has a task factory that does not accept it.
        task = context.run(self.loop.create_task, work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard, context=context)
        return task

    def connections(self) -> Iterator[Connection]:
        """Yield all connections of all rooms."""
        for room in tuple(self.rooms.values()):
            yield from tuple(room.connections)

    def _mailbox(self, user_id: Any) -> Room | None:
        """Returns the room of this user's mailbox, if one of their tabs is connected here."""
        return self.rooms.get(MAILBOXES.name(user_id))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(max(conf.HEARTBEAT / 5, SHORTEST_BEAT))
            now = self.loop.time()
            for connection in self.connections():
                connection.beat(now)

    # -- From doorbells: any thread may call take, tick and kick; the layer calls handle -------------

    def take(self, rung: Sequence[tuple[str, Changes]]) -> None:
        """Accept changes, by recipient, from a publisher in this process."""
        if len(self._handed) == self._handed.maxlen:
            self._has_overflowed = True
        self._handed.append(rung)
        if not self._is_called:  # A burst wakes the loop only once.
            self._is_called = True
            self._call(self._take_handed)

    def _take_handed(self) -> None:
        self._is_called = False  # Reset first: changes that arrive from now on need another call.
        if self._has_overflowed:
            self._has_overflowed = False
            self._handed.clear()
            for room in tuple(self.rooms.values()):
                room.repair()
        while self._handed:
            self.ring(self._handed.popleft())

    def tick(self, ticked: Sequence[tuple[str, str]]) -> None:
        """Write ticks, by recipient, to the tabs that are connected here."""
        self._call(self._tick, ticked)

    def _tick(self, ticked: Sequence[tuple[str, str]]) -> None:
        for user_id, text in ticked:
            room = self._mailbox(user_id)
            for connection in tuple(room.connections) if room else ():
                connection.tick(text)

    def kick(self, recipient: str, session: str | None = None) -> None:
        """Close the user's connections; with a session's fingerprint, only those of that session."""
        self._call(self._kick, recipient, session)

    def _kick(self, user_id: str, session: str | None) -> None:
        room = self._mailbox(user_id)
        for connection in tuple(room.connections) if room else ():
            if session is None:
                connection.close(CloseCode.KICKED)
            elif auth.fingerprint(connection.visitor.session) == session:
                connection.close(CloseCode.NOT_SIGNED_IN)

    def _call(self, function: Any, *args: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # The loop was closed without close_here().
            self._forget()

    def handle(self, message: dict[str, Any]) -> None:
        """Handle a message from a doorbell. Raises an error if :mod:`notify.live.incoming` refuses it."""
        if message.get("from") == doorbell.process() and self in doorbell.hubs:
            return  # A publisher in this process has already handed it over.
        incoming.handle(self, message)

    def ring(self, rung: Sequence[tuple[str, Changes]]) -> None:
        """Offer changes to the rooms of their recipients."""
        for user_id, changes in rung:
            room = self._mailbox(user_id)
            if room is not None:
                room.offer(changes)

    def repair(self, user_id: Any) -> None:
        """Read the rows above the cursor of this user's room, if one of their tabs is connected here."""
        room = self._mailbox(user_id)
        if room is not None:
            room.repair()

    def missed(self, room: Room) -> None:
        """Repair a room that may have missed rings."""
        if room.is_made:
            self.sweep.soon()
        else:
            room.repair()  # The read that makes the room may have begun before the missed rings.

    # -- Connections -----------------------------------------------------------------------------

    @asynccontextmanager
    async def visit(
        self, visitor: Visitor, wire: Wire, since: Cursor | None, sender: type
    ) -> AsyncIterator[Connection]:
        """
        Keep a connection in its room while the block runs, and remove it however the block ends.

        Args:
            since: the client's cursor.
            sender: the sender of the signals, which is the transport's class.
        """
        connection = Connection(visitor, wire, self.catch_up)
        arriving = self.spawn(self._arrive(connection, since, sender), copy_context())
        try:
            yield connection
        finally:
            arriving.cancel()
            # A task of its own, because some servers cancel the application when a client is gone.
            await asyncio.wait([self.spawn(self.leave(connection))], timeout=LEAVE_TIMEOUT)

    async def _arrive(self, connection: Connection, since: Cursor | None, sender: type) -> None:
        if self.is_draining:  # The drain began during sign-in, so it missed this connection.
            connection.close(CloseCode.GOING_AWAY)
            return
        try:
            await self.connect(connection, since)
        except Exception as error:
            user_id = connection.visitor.user_id
            signals.connect_failed.send_robust(sender, recipient_id=user_id, error=error)
            connection.close(CloseCode.GOING_AWAY)

    async def connect(self, connection: Connection, since: Cursor | None) -> None:
        """
        Add a connection to its room: join the room's group, then read, then greet the client.

        The room or the connection holds rings that arrive in between, so no ring is lost.
        """
        key = connection.visitor.user_id
        room = self._mailbox(key)
        if room is None:
            room = Room(MAILBOXES, key, self.spawn, self.turns)
            self.rooms[room.name] = room
        room.connections.add(connection)
        if self.membership is not None and not room.is_joined:
            await self.membership.join_soon(room)

        await room.welcome(connection, since, type(self))

    async def leave(self, connection: Connection) -> None:
        """Remove a connection from its room, and close the room if it was the last. Never raises."""
        connection.end()
        room = self._mailbox(connection.visitor.user_id)
        if room is None:
            return
        room.connections.discard(connection)
        if connection.comes_back and not room.connections:
            if room.lingering is not None:
                room.lingering.cancel()  # An earlier answer started it, so it would end too soon.
            room.lingering = self.spawn(self._close_later(room))
        else:
            await self._close(room)

    async def _close_later(self, room: Room) -> None:
        """Close an empty room later: long polls leave after each answer and would rejoin every time."""
        await asyncio.sleep(LINGER)
        # Reset first: a cancel while the group is being left would leave the room half closed.
        room.lingering = None
        await self._close(room)

    async def _close(self, room: Room) -> None:
        """Leave the group of a room and drop the room, if the room is empty."""
        if room.connections:
            return
        async with room.group_lock:
            if room.connections or self.rooms.get(room.name) is not room:
                return  # A connection joined, or the room was closed, while waiting for the lock.
            if self.membership is not None:
                await self.membership.leave(room)
            if room.connections:
                return  # A connection joined while the group was being left.
            del self.rooms[room.name]

    def catch_up(self, connection: Connection) -> None:
        """Read the rows above the cursor of a connection that is in its room, and send them to it."""
        room = self.rooms[MAILBOXES.name(connection.visitor.user_id)]
        room.catch_up(connection, type(self))
