"""The long poll: a poll whose answer waits until there is something new."""

from __future__ import annotations

import asyncio
import math
from functools import partial

from notify import protocol, signals
from notify.auth.session import Visitor
from notify.conf import conf
from notify.exceptions import ProtocolError
from notify.live.connection import Wire
from notify.live.hub import Hub
from notify.live.source import MAILBOXES
from notify.protocol import Changes, CloseCode, Cursor
from notify.transports import http
from notify.transports.admission import HttpTransport, Refused
from notify.transports.http import Receive, Scope, Send

GRACE = 5.0  # seconds after the wait in which a read may still finish; clients wait 10

Answer = tuple[int, str]  # HTTP status and document


class AnswerWire(Wire):
    """
    Holds the one document that answers a long poll, or the close code that refuses it.

    Args:
        wait: number of seconds after which the answer is 204 if nothing is new.
        sender: the sender of the signals, which is the transport's class.
    """

    takes_ticks = False  # The only answer must be a document with a cursor.

    def __init__(self, wait: float, sender: type) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends = self._loop.time() + wait
        self._sender = sender
        # A read may never return: the database may hang, or all threads may be waiting for it.
        self._timers = [self._loop.call_at(self._ends + GRACE, self._give_up)]
        self.answer: asyncio.Future[Answer | int] = self._loop.create_future()

    def greet(self, changes: Changes) -> str | None:
        """Returns the new changes, or None to answer at the next ring or at the end of the wait."""
        if not changes.tells_nothing:
            return changes.encode()
        due = max(self._ends, self._loop.time())
        self._timers.append(self._loop.call_at(due, self._resolve, (204, "")))
        return None

    async def send(self, text: str) -> None:
        self._resolve((200, text))

    async def ping(self, text: str) -> bool:
        return False  # A ping is not needed, because the wait ends in time.

    async def close(self, code: int) -> None:
        self._resolve(code)

    def cancel(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _resolve(self, answer: Answer | int) -> None:
        self.connection.is_open = False  # A long poll cannot take a second document.
        if not self.answer.done():
            self.connection.comes_back = not isinstance(answer, int)
            self.answer.set_result(answer)

    def _give_up(self) -> None:
        if not self.answer.done():  # A finished answer may still be on its way to the client.
            problem = f"The rows were still not read {GRACE:g} seconds after the end of the wait."
            user_id = self.connection.visitor.user_id
            error = TimeoutError(problem)
            signals.connect_failed.send_robust(self._sender, recipient_id=user_id, error=error)
            self._resolve(CloseCode.GOING_AWAY)


class LongPoll(HttpTransport):
    """Serves a long poll, which is held until there is an answer."""

    async def serve(self, scope: Scope, receive: Receive, send: Send, visitor: Visitor) -> None:
        try:
            since, wait = question(http.query(scope, "since"), http.query(scope, "wait"))
        except ProtocolError as problem:
            error = protocol.error(None, problem.code, str(problem))
            await http.answer(send, 400, protocol.dumps(error))
            return
        if since is None or not wait:
            await self._answer(send, visitor, since)
        else:
            await self._hold(receive, send, visitor, since, wait)

    async def _answer(self, send: Send, visitor: Visitor, since: Cursor | None) -> None:
        """Answer at once, without a room. A client without a cursor gets its first cursor this way."""
        user_id = visitor.user_id
        try:
            read = partial(MAILBOXES.read_or_make, user_id, since)
            changes = await Hub.here().turns.run(("poll", user_id), read, is_guest=True)
        except Exception as error:
            signals.connect_failed.send_robust(type(self), recipient_id=user_id, error=error)
            raise Refused(CloseCode.GOING_AWAY) from error
        if changes.tells_nothing:
            await http.answer(send, 204)
        else:
            more = {} if changes.cursor else {"retry_after": http.retry_after()}
            await http.answer(send, 200, changes.encode(), **more)

    async def _hold(
        self, receive: Receive, send: Send, visitor: Visitor, since: Cursor, wait: float
    ) -> None:
        async def write_answer() -> None:
            answer = await wire.answer
            if isinstance(answer, int):
                await http.refuse(send, answer)
            else:
                await http.answer(send, *answer)

        wire = AnswerWire(wait, type(self))
        try:
            async with Hub.here().visit(visitor, wire, since, type(self)):
                await http.either(http.disconnected(receive), write_answer())
        finally:
            wire.cancel()


def question(since: str | None, wait: str | None) -> tuple[Cursor | None, float]:
    """
    Returns the cursor of a long poll, and the number of seconds for which its answer may wait.

    Raises:
        ProtocolError: if one of them is invalid.
    """
    try:
        seconds = float(wait or "")
    except ValueError:
        seconds = -1
    if not (0 <= seconds < math.inf):  # also rejects NaN
        raise ProtocolError("wait must be a number of seconds, 0 or more.", code="bad_wait")
    return Cursor.parse(since) if since else None, min(seconds, conf.LONGPOLL_WAIT)


long_poll = LongPoll()
