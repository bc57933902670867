"""
A room: a mailbox's connections in this process, and the cursor up to which they have been told.

Rings come in by the rule; where it says *read*, the room reads the rows, one read at a time. What
was accepted goes out encoded once, and a burst of it as few frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from notify import doorbell, signals
from notify.conf import conf
from notify.inbox import reader as inbox
from notify.live.connection import Connection
from notify.protocol import Changes, CloseCode, Cursor, Verdict, judge, merge
from notify.runtime.executor import in_executor

FRAME_CHARACTERS = 128 * 1024  # a burst is sent when it has grown to this
MAX_WAITING = 1000  # rings that wait for a read; more are seen as a gap

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Room:
    """
    Args:
        recipient: primary key of the user.
        spawn: runs a coroutine in the background, and holds its task.
    """

    def __init__(self, recipient: Any, spawn: Spawn) -> None:
        self.recipient = recipient
        self.group = doorbell.group_of(str(recipient))
        self.connections: set[Connection] = set()
        self.cursor: Cursor | None = None
        self.is_made = False  # whether a read has set the cursor
        self.asked = 0  # repairs asked for before it was made
        self.is_joined = False
        self.lingering: asyncio.Task[None] | None = None  # waits for who comes back
        self.membership = asyncio.Lock()  # joining and leaving, one at a time
        self.marking = asyncio.Lock()  # its marks wait for one another in the database anyway
        self._loop = asyncio.get_running_loop()
        self._spawn = spawn
        self._reading: asyncio.Task[None] | None = None
        self._read_again = False
        self._waiting: list[Changes] = []
        self._unsent: list[Changes] = []
        self._unsent_size = 0
        self._flush: asyncio.TimerHandle | None = None
        self._flushed = -1.0

    def make(self, cursor: Cursor | None, asked: int | None = None) -> None:
        """
        Take the cursor of the read that makes the room; then what was rung meanwhile, by the rule.

        Args:
            asked: how many repairs were asked for when that read began. It knows nothing of later ones.
        """
        self.is_made, self.cursor = True, cursor
        self._take_waiting()
        if asked is not None and asked < self.asked:
            self.repair()

    def is_above(self, cursor: Cursor | None) -> bool:
        """Whether it knows more than a reader at this cursor."""
        return self.cursor is not None and (cursor is None or cursor < self.cursor)

    def offer(self, changes: Changes) -> None:
        """Take a ring. It waits while rows are being read: one read at a time, then the rule."""
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
        """Read the rows from the room's cursor on."""
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
                page = await in_executor(inbox.changes, self.recipient, self.cursor)
                changes = page.changes()
                verdict = judge(self.cursor, changes.since, changes.cursor, reset=changes.reset)
                if verdict is Verdict.APPLY:
                    self._accept(changes)
                elif changes.reset and changes.cursor is not None and self.is_above(changes.cursor):
                    # This mailbox never gave the room's cursor. Only a welcome may lower one.
                    self.cursor = changes.cursor
                    for connection in tuple(self.connections):
                        connection.close(CloseCode.GOING_AWAY)
                more = self._read_again or not changes.complete
        except Exception as error:
            self._waiting.clear()  # else each starts a read of its own; the sweep finds what they told
            signals.read_failed.send_robust(type(self), recipient=self.recipient, error=error)
        finally:
            self._reading = None
        self._take_waiting()  # not when cancelled, as the hub ends

    def _take_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for changes in waiting:
            self.offer(changes)

    def _accept(self, changes: Changes) -> None:
        self.cursor = changes.cursor
        self._unsent.append(changes)
        self._unsent_size += len(changes.rows or "")
        now = self._loop.time()
        due = self._flushed + conf.COALESCE
        if now >= due or self._unsent_size > FRAME_CHARACTERS:
            self.flush()
        elif self._flush is None:
            self._flush = self._loop.call_at(due, self.flush)

    def flush(self) -> None:
        """Send what was accepted as one frame, encoded once. A burst leaves as few frames."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._unsent:
            frame = merge(self._unsent)
            self._unsent, self._unsent_size = [], 0
            self._flushed = self._loop.time()
            text = frame.encode()
            taking = [connection for connection in self.connections if connection.is_open]
            for connection in taking:
                connection.offer(frame, text)
            if taking:
                signals.delivered.send_robust(
                    type(self),
                    recipient=self.recipient,
                    cursor=frame.cursor,
                    connections=len(taking),
                )
