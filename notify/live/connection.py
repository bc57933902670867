"""
A connection: one tab's queue, its cursor, and what happens when the tab is slow.

A slow connection never delays another. Its queue is bounded. On overflow the queue is emptied and the
connection is *behind*: as soon as the client accepts frames again, it is served from the rows.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from notify import protocol
from notify.auth.session import Visitor
from notify.conf import conf
from notify.live import limits
from notify.live.limits import Bucket
from notify.protocol import Changes, CloseCode, Cursor, Verdict, judge

MAX_REPLIES = 100  # queued answers to a client that sends commands but does not read
# A connection is closed once COMMAND_BURST times this many commands were refused.
REFUSED_BURSTS = 10


class Wire:
    """
    The transport's end of a connection, which writes to one client. Each transport has a subclass.

    Attributes:
        connection: the connection that writes to this wire. The connection sets this attribute.
        takes_ticks: whether the transport can carry documents that have no cursor.
    """

    connection: Connection
    takes_ticks = True

    async def send(self, text: str) -> None:
        """Write one document. May suspend until the client accepts it."""
        raise NotImplementedError

    async def close(self, code: int) -> None:
        """Close the transport with a close code."""
        raise NotImplementedError

    async def ping(self, text: str) -> bool:
        """
        Write a heartbeat.

        Returns whether the client will answer; if not, the write itself is taken as the answer.
        """
        await self.send(text)
        return True

    def greet(self, changes: Changes) -> str | None:
        """Returns the first document, made from the missed changes, or None to write nothing."""
        return protocol.welcome(changes, conf.HEARTBEAT)


class Connection:
    """
    One tab, with the queue of what is still to be written to it.

    Args:
        visitor: the user who is signed in at the other end.
        wire: writes to the client.
        fell_behind: called when the rows must be read and the queue has been written.

    Attributes:
        cursor: the cursor of the last queued document.
        sent: the cursor of the last written document. An overflow loses nothing at or below it.
        is_behind: whether the rows must be read once the queue is empty, as when frames were dropped.
        comes_back: whether the connection ended normally, so that its client asks again at once.
        catching_up: the task that reads rows for this connection alone.
    """

    def __init__(
        self, visitor: Visitor, wire: Wire, fell_behind: Callable[[Connection], None]
    ) -> None:
        self.visitor = visitor
        self.cursor: Cursor | None = None
        self.sent: Cursor | None = None
        self.is_open = True
        self.is_behind = False
        self.comes_back = False
        self.catching_up: asyncio.Task[None] | None = None
        self._wire = wire
        wire.connection = self
        self._fell_behind = fell_behind
        self._held: list[tuple[Changes, str]] | None = []  # until the welcome
        self._queue: deque[tuple[str, Cursor | None]] = deque()
        self._size = 0
        self._replies: deque[str] = deque()
        self._tick: str | None = None  # the newest tick, until it is written
        self._writing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._last_sent = self._loop.time()
        self._ping: str | None = None  # a ping that is yet to be written
        self._pinged: float | None = None  # time of the ping that is still unanswered
        self._ref = 0  # ref of the last ping; a client that has not read the ping cannot guess it
        self._unanswered = 0  # characters written since the last ping that was answered
        self._since_ping = 0
        self._asked = Bucket(limits.COMMAND_RATE, limits.COMMAND_BURST, self._last_sent)

    # -- Incoming --------------------------------------------------------------------------------

    def welcome(self, changes: Changes) -> None:
        """Greet the client with the changes it missed, then judge the frames held until now."""
        held, self._held = self._held or [], None
        self.cursor = self.sent = changes.cursor
        self._last_sent = self._loop.time()
        # The welcome goes before the replies to earlier commands. In the queue, an overflow would drop it.
        if (text := self._wire.greet(changes)) is not None:
            self._replies.appendleft(text)
        self._wake()
        for document, held_text in held:
            self.offer(document, held_text)

    def offer(self, changes: Changes, text: str) -> None:
        """Accept a document from the room, which has encoded it once for all its connections."""
        if self._held is not None:
            self._held.append((changes, text))
            if len(self._held) > limits.QUEUE_MAX_FRAMES:
                self._held.clear()  # The gap is noticed when the next document is judged.
            return
        verdict = judge(self.cursor, changes.since, changes.cursor, reset=changes.reset)
        if verdict is Verdict.APPLY:
            self.cursor = changes.cursor
            self._enqueue(text, changes.cursor)
        elif verdict is Verdict.READ:
            self.read_again()

    def tick(self, text: str) -> None:
        """Accept a tick. Only the newest is written, after everything else."""
        if self._wire.takes_ticks and self._held is None:
            self._tick = text
            self._wake()

    def reply(self, text: str) -> None:
        """Answer a command. Answers have their own queue, which an overflow does not empty."""
        if len(self._replies) >= MAX_REPLIES:
            self.close(CloseCode.TOO_SLOW)
            return
        self._replies.append(text)
        self._wake()

    def answered(self, ref: int | None) -> bool:
        """
        Accept the answer to a ping: the client has read everything that was written before the ping.

        Returns False if no such ping was written. Otherwise a client could send pongs without reading.
        """
        if self._pinged is None or ref != self._ref:
            return False
        self._pinged = None
        self._unanswered = self._since_ping
        self._wake()
        return True

    def may_ask(self, units: int = 1) -> bool:
        """
        Returns whether the rate limit allows that many more commands.

        Closes the connection of a client that sends far too many.
        """
        if self._asked.take(self._loop.time(), units):
            return True
        if self._asked.refused >= limits.COMMAND_BURST * REFUSED_BURSTS:
            self.close(CloseCode.PROTOCOL)  # With a non-final code, the client would reconnect.
        return False

    def rewind(self, since: Cursor | None) -> None:
        """Go back to the cursor that the client holds, and serve it from the rows."""
        if self._held is None:
            self._empty()
            self.cursor = self.sent = since
            self.read_again()

    def read_again(self) -> None:
        """Serve the client from the rows once the queue has been written."""
        self.is_behind = True
        self._wake()

    def beat(self, now: float) -> None:
        """
        Ping the client if the connection is quiet.

        Close the connection if a ping is unanswered for too long.
        """
        if self._held is not None:
            return  # The welcome has to come first.
        if self._pinged is not None and now - self._pinged > limits.STALL_TIMEOUT:
            self.close(CloseCode.TOO_SLOW)
        elif now - self._last_sent >= conf.HEARTBEAT:
            self._send_ping()

    # -- Outgoing --------------------------------------------------------------------------------

    def _enqueue(self, text: str, cursor: Cursor | None) -> None:
        full = (
            len(self._queue) >= limits.QUEUE_MAX_FRAMES
            or self._size + len(text) > limits.QUEUE_MAX_CHARACTERS
        )
        if full and self._queue:
            self._empty()
            self.cursor = self.sent
            self.read_again()
            return
        self._queue.append((text, cursor))
        self._size += len(text)
        self._wake()

    def _empty(self) -> None:
        self._queue.clear()
        self._size = 0

    def _wake(self) -> None:
        if self._held is None and self.is_open and (self._writing is None or self._writing.done()):
            self._writing = self._loop.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self.is_open:
                if self._ping is not None:
                    text, self._ping = self._ping, None
                    await self._put_ping(text)
                elif self._is_held_back():
                    return
                elif self._replies:
                    await self._put(self._replies.popleft())
                elif self._queue:
                    text, cursor = self._queue.popleft()
                    self._size -= len(text)
                    # Set before the write, because a write that is cut short loses the connection anyway.
                    self.sent = cursor
                    await self._put(text)
                elif self.is_behind:
                    self.is_behind = False
                    self._fell_behind(self)
                    return
                elif self._tick is not None:
                    text, self._tick = self._tick, None
                    await self._put_tick(text)
                else:
                    return
        except Exception:  # The client is gone. The transport's application ends and cleans up.
            self.is_open = False
        finally:
            self._writing = None

    async def _put(self, text: str) -> None:
        self._unanswered += len(text)
        self._since_ping += len(text)
        await self._wire.send(text)
        self._last_sent = self._loop.time()
        if self._unanswered > limits.UNANSWERED_MAX_CHARACTERS // 2:
            self._send_ping()

    async def _put_tick(self, text: str) -> None:
        last_sent = self._last_sent
        await self._put(text)
        # A tick carries no cursor, so it must not delay the ping, which carries one.
        self._last_sent = last_sent

    async def _put_ping(self, text: str) -> None:
        self._unanswered += len(text)
        self._since_ping += len(text)
        is_answered_later = await self._wire.ping(text)
        self._last_sent = self._loop.time()
        if not is_answered_later:
            self.answered(self._ref)

    def _is_held_back(self) -> bool:
        """Returns whether writing must wait for a pong: some servers (daphne) buffer without bound."""
        return self._unanswered > limits.UNANSWERED_MAX_CHARACTERS and self._pinged is not None

    def _send_ping(self) -> None:
        if self._pinged is None:
            self._pinged = self._loop.time()
            self._since_ping = 0
            self._ref = secrets.randbits(32)
            self._ping = protocol.ping(self.sent, self._ref)
            self._wake()

    # -- The end ---------------------------------------------------------------------------------

    def close(self, code: int) -> asyncio.Task[None]:
        """Close the transport once, with a close code. The transport's application then ends."""
        self.is_open = False
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(code))
        return self._closing

    async def _close(self, code: int) -> None:
        with suppress(Exception):  # The client may already be gone.
            await self._wire.close(code)

    def end(self) -> None:
        """Stop writing, because the transport is gone."""
        self.is_open = False
        for task in (self._writing, self._closing, self.catching_up):
            if task is not None:
                task.cancel()
