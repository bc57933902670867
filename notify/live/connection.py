"""
One tab's end: its queue, its cursor, and what happens when it is slow.

A slow connection never delays another. Its queue is bounded; on overflow it is emptied and the
connection is *behind*: once it takes frames again it is served from the rows.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from notify import protocol
from notify.auth.session import Visitor
from notify.conf import conf
from notify.live.limits import Bucket
from notify.protocol import Changes, CloseCode, Cursor, Verdict, judge

MAX_REPLIES = 100  # answers that wait for a client which asks and does not read
REFUSED_BURSTS = 10  # of NOTIFY_COMMAND_BURST refusals each, after which it is closed


class Connection:
    """
    Args:
        visitor: who is signed in at the other end.
        send: writes one text frame; it may suspend for as long as the client takes.
        close: closes the transport with a code.
        fell_behind: called when the queue is empty and frames were left out.
        ping: writes a heartbeat to a client that cannot answer one. That it is written is the answer.
        greeting: the first text, from what the client missed; None where there is nothing to say.
        ticks: whether it can tell what has no cursor.

    Attributes:
        comes_back: it has ended in order, and its client asks again at once.
    """

    def __init__(
        self,
        visitor: Visitor,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[int], Awaitable[None]],
        fell_behind: Callable[[Connection], None],
        *,
        ping: Callable[[str], Awaitable[None]] | None = None,
        greeting: Callable[[Changes], str | None] | None = None,
        ticks: bool = False,
    ) -> None:
        self.visitor = visitor
        self.cursor: Cursor | None = None  # of the last document queued
        self.sent: Cursor | None = None  # below it an overflow loses nothing
        self.is_open = True
        self.is_behind = False
        self.comes_back = False
        self.catching_up: asyncio.Task[None] | None = None
        self._send = send
        self._send_heartbeat = ping
        self._greeting = greeting or _welcome
        self._takes_ticks = ticks
        self._tick: str | None = None  # the newest, until it is sent
        self._close = close
        self._fell_behind = fell_behind
        self._held: list[tuple[Changes, str]] | None = []  # what comes before the welcome
        self._queue: deque[tuple[str, Cursor | None]] = deque()
        self._size = 0
        self._replies: deque[str] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._last_sent = self._loop.time()
        self._ping: str | None = None  # a ping that waits to be sent
        self._pinged: float | None = None  # since when a ping is not answered
        self._ref = 0  # of the last ping; who has not read it cannot guess it
        self._unanswered = 0  # characters sent since the last ping that was answered
        self._since_ping = 0
        self._asked = Bucket(conf.COMMAND_RATE, conf.COMMAND_BURST, self._last_sent)

    # -- What comes in ---------------------------------------------------------------------------

    def welcome(self, changes: Changes) -> None:
        """Begin: the client knows this much, and what was held follows by the rule."""
        held, self._held = self._held or [], None
        self.cursor = self.sent = changes.cursor
        self._last_sent = self._loop.time()
        # The first frame, whatever the client has asked meanwhile; and no overflow may lose it.
        if (text := self._greeting(changes)) is not None:
            self._replies.appendleft(text)
        self._wake()
        for document, held_text in held:
            self.offer(document, held_text)

    def offer(self, changes: Changes, text: str) -> None:
        """Take a document of the room, encoded once for all its connections."""
        if self._held is not None:
            self._held.append((changes, text))
            if len(self._held) > conf.QUEUE_MAX_FRAMES:
                self._held.clear()  # the gap is seen when the next document is judged
            return
        verdict = judge(self.cursor, changes.since, changes.cursor, reset=changes.reset)
        if verdict is Verdict.APPLY:
            self.cursor = changes.cursor
            self._enqueue(text, changes.cursor)
        elif verdict is Verdict.READ:
            self.read_again()

    def tick(self, text: str) -> None:
        """Take how far tasks are. Only the newest is told, and nothing waits for it."""
        if self._takes_ticks and self._held is None:
            self._tick = text
            self._wake()

    def reply(self, text: str) -> None:
        """Answer a command. Answers are kept apart: an overflow does not lose them."""
        if len(self._replies) >= MAX_REPLIES:
            self.close(CloseCode.TOO_SLOW)
            return
        self._replies.append(text)
        self._wake()

    def answered(self, ref: int | None) -> bool:
        """The client has answered our ping, and so has taken all that was sent before it."""
        if self._pinged is None or ref != self._ref:
            return False  # a client that reads nothing could say pong all day
        self._pinged = None
        self._unanswered = self._since_ping
        self._wake()
        return True

    def may_ask(self) -> bool:
        """Whether the client may ask one thing more now. One that never stops asking is closed."""
        if self._asked.take(self._loop.time()):
            return True
        if self._asked.refused >= conf.COMMAND_BURST * REFUSED_BURSTS:
            self.close(CloseCode.PROTOCOL)  # to come back would be to go on
        return False

    def rewind(self, since: Cursor | None) -> None:
        """The client says what it knows, and asks for the rest."""
        if self._held is None:
            self._empty()
            self.cursor = self.sent = since
            self.read_again()

    def read_again(self) -> None:
        """Serve it from the rows, once what is queued has been taken."""
        self.is_behind = True
        self._wake()

    def beat(self, now: float) -> None:
        """Ping a quiet connection; end one that has not answered for long, or takes nothing."""
        if self._held is not None:
            return  # the welcome comes first
        if self._pinged is not None and now - self._pinged > conf.STALL_TIMEOUT:
            self.close(CloseCode.TOO_SLOW)
        elif now - self._last_sent >= conf.HEARTBEAT:
            self._send_ping()

    # -- What goes out ---------------------------------------------------------------------------

    def _enqueue(self, text: str, cursor: Cursor | None) -> None:
        full = (
            len(self._queue) >= conf.QUEUE_MAX_FRAMES
            or self._size + len(text) > conf.QUEUE_MAX_BYTES
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
        if self._held is None and self.is_open and (self._drain is None or self._drain.done()):
            self._drain = self._loop.create_task(self._write())

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
                    # Before the write: one that is cut short is a lost connection anyway.
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
        except Exception:  # the transport is gone; its consumer ends and cleans up
            self.is_open = False
        finally:
            self._drain = None

    async def _put(self, text: str) -> None:
        self._unanswered += len(text)
        self._since_ping += len(text)
        await self._send(text)
        self._last_sent = self._loop.time()
        if self._unanswered > conf.UNANSWERED_MAX_BYTES // 2:
            self._send_ping()

    async def _put_tick(self, text: str) -> None:
        last_sent = self._last_sent
        await self._put(text)
        # It says nothing of the cursor, which the next ping is to do in time.
        self._last_sent = last_sent

    async def _put_ping(self, text: str) -> None:
        if self._send_heartbeat is None:
            await self._put(text)
        else:
            await self._send_heartbeat(text)
            self._last_sent = self._loop.time()
            self.answered(self._ref)

    def _is_held_back(self) -> bool:
        """Some servers (daphne) buffer without bound, so the client says how far it has come."""
        return self._unanswered > conf.UNANSWERED_MAX_BYTES and self._pinged is not None

    def _send_ping(self) -> None:
        if self._pinged is None:
            self._pinged = self._loop.time()
            self._since_ping = 0
            self._ref = secrets.randbits(32)
            self._ping = protocol.ping(self.sent, self._ref)
            self._wake()

    # -- The end ---------------------------------------------------------------------------------

    def close(self, code: int) -> asyncio.Task[None]:
        """Say goodbye with a close code, once; the consumer ends when the transport does."""
        self.is_open = False
        if self._closing is None:
            self._closing = self._loop.create_task(self._say_goodbye(code))
        return self._closing

    async def _say_goodbye(self, code: int) -> None:
        with suppress(Exception):  # it is gone already
            await self._close(code)

    def end(self) -> None:
        """The transport is gone."""
        self.is_open = False
        for task in (self._drain, self._closing, self.catching_up):
            if task is not None:
                task.cancel()


def _welcome(changes: Changes) -> str:
    return protocol.welcome(changes, conf.HEARTBEAT)
