"""The long poll: a poll whose answer waits until there is something to tell."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from notify import protocol, signals
from notify.auth.session import Visitor
from notify.conf import conf
from notify.exceptions import ProtocolError
from notify.inbox import reader as inbox
from notify.live.connection import Connection
from notify.live.hub import Hub
from notify.protocol import Changes, CloseCode, Cursor
from notify.runtime.executor import in_executor
from notify.transports import http
from notify.transports.admission import Refused, admit
from notify.transports.http import Receive, Scope, Send

GRACE = 5.0  # seconds after its wait in which a question may still be read for; clients take 10

Answer = tuple[int, str]  # the status, and the document


class LongPoll:
    """One question that is held, as a raw ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not await http.is_get(scope, send):
            return
        try:
            since, wait = question(http.query(scope, "since"), http.query(scope, "wait"))
        except ProtocolError as problem:
            error = protocol.error(None, problem.code, str(problem))
            await http.answer(send, 400, protocol.dumps(error))
            return
        try:
            async with admit(scope, type(self)) as visitor:
                if since is None or not wait:
                    await self._tell(send, visitor, since)
                else:
                    await self._hold(receive, send, visitor, since, wait)
        except Refused as refused:
            await http.refuse(send, refused.code)

    async def _tell(self, send: Send, visitor: Visitor, since: Cursor | None) -> None:
        """What need not wait needs no room. A first question gets a cursor to ask from."""
        try:
            page = await in_executor(read, visitor.user, since)
        except Exception as error:
            signals.connect_failed.send_robust(type(self), recipient=visitor.user, error=error)
            raise Refused(CloseCode.GOING_AWAY) from error
        if page.tells_nothing:
            await http.answer(send, 204)
        else:
            more = {} if page.cursor else {"retry_after": http.retry_after()}
            await http.answer(send, 200, page.changes().encode(), **more)

    async def _hold(
        self, receive: Receive, send: Send, visitor: Visitor, since: Cursor, wait: float
    ) -> None:
        def greeting(changes: Changes) -> str | None:
            if not changes.tells_nothing:
                return changes.encode()
            timers.append(hub.loop.call_at(max(ends, hub.loop.time()), give, (204, "")))
            return None

        async def write(text: str) -> None:
            give((200, text))

        async def close(code: int) -> None:
            give(code)

        async def ping(text: str) -> None:
            pass  # an answer always comes in time

        def give(what: Answer | int) -> None:
            connection.is_open = False  # one document is all that it takes
            if not given.done():
                connection.comes_back = not isinstance(what, int)
                given.set_result(what)

        def give_up() -> None:
            if not given.done():  # what was read in time may still be on its way to its client
                error = TimeoutError(f"No rows were read {GRACE:g} seconds after the wait.")
                signals.connect_failed.send_robust(type(self), recipient=visitor.user, error=error)
                give(CloseCode.GOING_AWAY)

        async def tell() -> None:
            what = await given
            if isinstance(what, int):
                await http.refuse(send, what)
            else:
                await http.answer(send, *what)

        hub = Hub.here()
        ends = hub.loop.time() + wait
        # A read may never return: its database is dead, or all threads wait for one that is.
        timers = [hub.loop.call_at(ends + GRACE, give_up)]
        given: asyncio.Future[Answer | int] = hub.loop.create_future()
        connection = Connection(visitor, write, close, hub.catch_up, ping=ping, greeting=greeting)
        try:
            async with hub.visit(connection, since, type(self)):
                await http.either(http.disconnected(receive), tell())
        finally:
            for timer in timers:
                timer.cancel()


def question(since: str | None, wait: str | None) -> tuple[Cursor | None, float]:
    """
    What is asked: the cursor, and the seconds for which the answer may wait.

    Raises:
        ProtocolError: one of them cannot be read.
    """
    try:
        seconds = float(wait or "")
    except ValueError:
        seconds = -1
    if not (0 <= seconds < math.inf):  # nor is it NaN
        raise ProtocolError("wait is a number of seconds, 0 or more.", code="bad_wait")
    return Cursor.parse(since) if since else None, min(seconds, conf.LONGPOLL_WAIT)


def read(recipient: Any, since: Cursor | None) -> inbox.Page:
    """What has changed. A mailbox is made where there is none: nothing can wait without a cursor."""
    page = inbox.changes(recipient, since)
    if page.cursor is None:
        inbox.tend(inbox.look_at([recipient]), made=True)
        page = inbox.changes(recipient)
    return page


long_poll = LongPoll()
