"""Server-sent events: the stream of documents that a browser's ``EventSource`` reads."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from notify import protocol
from notify.auth.origin import header
from notify.auth.session import Visitor
from notify.conf import conf
from notify.live.connection import Connection
from notify.live.hub import Hub
from notify.protocol import CloseCode, Cursor
from notify.transports import http
from notify.transports.admission import Refused, admit
from notify.transports.http import Receive, Scope, Send

CONTENT_TYPE = "text/event-stream; charset=utf-8"
RETRY = (1000, 5000)  # milliseconds after which an EventSource comes back, at random between
AGE_SPREAD = 0.2  # the part of its maximum age by which a stream may end earlier
CLOSE_TIMEOUT = 5.0  # seconds; a client that reads nothing does not take the end either


class Stream:
    """
    One tab's stream, as a raw ASGI application.

    The answer starts with the first document, so that until then a refusal is a plain status.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not await http.is_get(scope, send):
            return
        try:
            async with admit(scope, type(self)) as visitor:
                await self._serve(scope, receive, send, visitor)
        except Refused as refused:
            await http.refuse(send, refused.code)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, visitor: Visitor) -> None:
        has_started = False
        carried = 0

        async def put(text: str, *, is_last: bool = False) -> None:
            nonlocal has_started
            if not has_started:
                has_started = True
                await send({"type": "http.response.start", "status": 200, "headers": headers()})
                text = retry(random.randint(*RETRY)) + text
            await send(
                {"type": "http.response.body", "body": text.encode(), "more_body": not is_last}
            )

        async def write(text: str) -> None:
            nonlocal carried
            await put(event(text, cursor=connection.sent))
            # Some servers (daphne) keep for a client what it does not take, without bound, and it
            # cannot say how far it has come. So it comes back, at its cursor.
            carried += len(text)
            if carried > conf.UNANSWERED_MAX_BYTES:
                connection.close(CloseCode.GOING_AWAY)

        async def ping(text: str) -> None:
            await put(event(text, name="ping"))

        async def close(code: int) -> None:
            hub.loop.call_later(CLOSE_TIMEOUT, ended.set)
            if has_started:
                await put(event(protocol.dumps(protocol.close(code)), name="close"), is_last=True)
            else:
                await http.refuse(send, code)
            ended.set()

        hub = Hub.here()
        ended = asyncio.Event()
        connection = Connection(visitor, write, close, hub.catch_up, ping=ping, ticks=True)
        old = hub.loop.call_later(age(), connection.close, CloseCode.GOING_AWAY)
        try:
            async with hub.visit(connection, since_of(scope), type(self)):
                await http.either(http.disconnected(receive), ended.wait())
        finally:
            old.cancel()


def event(text: str, *, name: str = "", cursor: Cursor | None = None) -> str:
    """
    One event. An ``id`` is what an EventSource says when it comes back.

        >>> event("{}", name="ping")
        'event: ping\\ndata: {}\\n\\n'
    """
    # No document has a line break: JSON escapes them.
    lines = [f"event: {name}" if name else "", f"id: {cursor}" if cursor else "", f"data: {text}"]
    return "\n".join([*filter(None, lines), "\n"])


def retry(milliseconds: int) -> str:
    """After which time an EventSource comes back."""
    return f"retry: {milliseconds}\n\n"


def age() -> float:
    """How old a stream becomes: those that began together do not end together."""
    return float(conf.STREAM_MAX_AGE * random.uniform(1 - AGE_SPREAD, 1))


def headers() -> http.Headers:
    return http.headers(CONTENT_TYPE, content_encoding="identity", x_accel_buffering="no")


def since_of(scope: Mapping[str, Any]) -> Cursor | None:
    """
    The cursor to go on from. ``Last-Event-ID`` comes first: a browser that reconnects by itself
    repeats the address of its first time.
    """
    last = http.cursor_or_none(header(scope, b"last-event-id"))
    return last or http.since_of(scope)


stream = Stream()
