"""
A room: the connections of one audience in this process, and the cursor up to which they are served.

Each incoming ring is judged by ``protocol.judge``, the rule for readers. If the verdict is *read*, the
room reads the rows, one read at a time. Accepted changes are encoded once for all connections, and a
burst is merged into few frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from notify import signals
from notify.live.connection import Connection
from notify.live.source import Source
from notify.live.turns import Turns
from notify.protocol import Changes, CloseCode, Cursor, Verdict, judge, merge
from notify.runtime.executor import in_executor

# Seconds between two frames, so that a burst becomes few frames. Users do not notice so short a delay, and
# a single notification is never delayed. Measured: 12 µs of CPU per delivery in a burst, instead of 19.
COALESCE = 0.02
FRAME_CHARACTERS = 128 * 1024  # a burst of this size is sent without delay
MAX_WAITING = 1000  # rings that wait for a read; beyond this, only the newest is kept

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Room:
    """
    The connections of one audience, and the cursor up to which they are served.

    Args:
        source: the source that the room reads from.
        key: the audience within the source; for a mailbox, the user's primary key.
        spawn: runs a coroutine in the background, and holds its task.
        turns: runs the reads for single connections, which clients may ask for.

    Attributes:
        name: the name of the room's group in the channel layer.
        is_made: whether a read has set the cursor.
        asked: the number of repairs that were requested before the room was made.
        is_joined: whether the hub's channel is in the room's group.
        lingering: the task that closes the empty room unless a client comes back first.
        group_lock: held while the group is joined or left.
    """

    def __init__(self, source: Source, key: Any, spawn: Spawn, turns: Turns) -> None:
        self.source = source
        self.key = key
        self.name = source.name(key)
        self.connections: set[Connection] = set()
        self.cursor: Cursor | None = None
        self.is_made = False
        self.asked = 0
        self.is_joined = False
        self.lingering: asyncio.Task[None] | None = None
        self.group_lock = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._spawn = spawn
        self._turns = turns
        self._reading: asyncio.Task[None] | None = None
        self._read_again = False
        self._waiting: list[Changes] = []
        self._unsent: list[Changes] = []
        self._unsent_size = 0
        self._flush: asyncio.TimerHandle | None = None
        self._flushed = -1.0

    def make(self, cursor: Cursor | None, asked: int | None = None) -> None:
        """
        Set the cursor from the first read, and judge the rings that arrived during it.

        Args:
            asked: the value of ``self.asked`` when that read began. If repairs were requested since
                then, the read may have missed their rings, so the room is repaired now.
        """
        self.is_made, self.cursor = True, cursor
        self._take_waiting()
        if asked is not None and asked < self.asked:
            self.repair()

    def is_above(self, cursor: Cursor | None) -> bool:
        """Returns whether the room's cursor is above the given cursor."""
        return self.cursor is not None and (cursor is None or cursor < self.cursor)

    def offer(self, changes: Changes) -> None:
        """Judge a ring by ``protocol.judge``. While rows are being read, it waits for the read to end."""
        if not self.is_made or self._reading is not None:
            self._waiting.append(changes)
            if len(self._waiting) > MAX_WAITING:
                del self._waiting[:-1]
            return
        verdict = judge(self.cursor, changes.since, changes.cursor, reset=changes.reset)
        if verdict is Verdict.READ or (verdict is Verdict.APPLY and changes.rows is None):
            self.repair()
        elif verdict is Verdict.APPLY:
            self._accept(changes)

    def repair(self) -> None:
        """Read the rows above the room's cursor."""
        if self._reading is not None:
            self._read_again = True
        elif self.is_made:
            self._reading = self._spawn(self._read())
        else:
            self.asked += 1

    async def _read(self) -> None:
        try:
            more = True
            while more:
                self._read_again = False
                changes = await in_executor(self.source.read, self.key, self.cursor)
                verdict = judge(self.cursor, changes.since, changes.cursor, reset=changes.reset)
                if verdict is Verdict.APPLY:
                    self._accept(changes)
                elif changes.reset and changes.cursor is not None and self.is_above(changes.cursor):
                    # The room's cursor did not come from this source, for example because its database
                    # was restored. Only a welcome may lower a client's cursor, so all must reconnect.
                    self.cursor = changes.cursor
                    for connection in tuple(self.connections):
                        connection.close(CloseCode.GOING_AWAY)
                more = self._read_again or not changes.complete
        except Exception as error:
            # Otherwise each waiting ring would start its own read against a database that is down. The
            # sweep finds the changes that they announced.
            self._waiting.clear()
            signals.read_failed.send_robust(type(self), recipient_id=self.key, error=error)
        finally:
            self._reading = None
        self._take_waiting()  # Not in the finally block, which also runs if the hub is closing.

    def _take_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for changes in waiting:
            self.offer(changes)

    def _accept(self, changes: Changes) -> None:
        self.cursor = changes.cursor
        self._unsent.append(changes)
        self._unsent_size += len(changes.rows or "")
        now = self._loop.time()
        due = self._flushed + COALESCE
        if now >= due or self._unsent_size > FRAME_CHARACTERS:
            self.flush()
        elif self._flush is None:
            self._flush = self._loop.call_at(due, self.flush)

    def flush(self) -> None:
        """Send the accepted changes as one frame, encoded once."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._unsent:
            frame = merge(self._unsent)
            self._unsent, self._unsent_size = [], 0
            self._flushed = self._loop.time()
            text = self.source.encode(self.key, frame)
            taking = [connection for connection in self.connections if connection.is_open]
            for connection in taking:
                connection.offer(frame, text)
            if taking:
                self._emit_delivered(type(self), frame, len(taking))

    def _emit_delivered(self, sender: type, changes: Changes, connections: int) -> None:
        signals.delivered.send_robust(
            sender, recipient_id=self.key, cursor=changes.cursor, connections=connections
        )

    # -- One connection --------------------------------------------------------------------------

    async def welcome(self, connection: Connection, since: Cursor | None, sender: type) -> None:
        """
        Read the changes since the client's cursor, and greet the client with them.

        Args:
            sender: the sender of the signals.
        """

        def read() -> tuple[int, Changes]:
            # `asked` is read in the thread because in a storm the thread may start seconds later. This
            # read also serves the joins that ended by then, so they need no other.
            return self.asked, self.source.read(self.key, since)

        asked, changes = await in_executor(read)
        if not self.is_made:
            self.make(changes.cursor, asked)
        elif changes.cursor is not None and (self.cursor is None or changes.cursor > self.cursor):
            self.repair()
        connection.welcome(changes)
        if connection.is_open:
            self._emit_delivered(sender, changes, 1)
        if not changes.complete:
            self.repair()
        if self.is_above(connection.cursor):
            connection.read_again()

    def catch_up(self, connection: Connection, sender: type) -> None:
        """Read the rows above the cursor of a connection that is behind, and send them to it."""
        if connection.catching_up is not None:
            connection.is_behind = True  # The running read may have begun too early.
        elif connection.is_open:
            connection.catching_up = self._spawn(self._catch_up(connection, sender))

    async def _catch_up(self, connection: Connection, sender: type) -> None:
        since = connection.cursor
        try:
            read = partial(self.source.read, self.key, since)
            changes = await self._turns.run(("read", self.name), read)
        except Exception as error:
            signals.read_failed.send_robust(sender, recipient_id=self.key, error=error)
            connection.close(CloseCode.GOING_AWAY)
            return
        finally:
            connection.catching_up = None
        cursor = changes.cursor
        if changes.reset and since is not None and (cursor is None or since >= cursor):
            # The client's cursor did not come from this source, and only a welcome may lower it.
            connection.close(CloseCode.GOING_AWAY)
            return
        connection.offer(changes, self.source.encode(self.key, changes))
        if connection.is_open:
            self._emit_delivered(sender, changes, 1)
        if not changes.complete or connection.is_behind:
            connection.read_again()
        elif self.is_above(connection.cursor):
            if connection.cursor == since:
                self.repair()  # The rows hold nothing new, so the room's cursor is too high.
            else:
                connection.read_again()
