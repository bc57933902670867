"""Server-sent events: a response that stays open, and that a browser's ``EventSource`` reads."""

from __future__ import annotations

import asyncio
import random

from notify import protocol
from notify.auth.origin import header
from notify.auth.session import Visitor
from notify.live import limits
from notify.live.connection import Wire
from notify.live.hub import Hub
from notify.protocol import CloseCode, Cursor
from notify.transports import http
from notify.transports.admission import HttpTransport
from notify.transports.http import Receive, Scope, Send

CONTENT_TYPE = "text/event-stream; charset=utf-8"
RETRY = (1000, 5000)  # milliseconds after which an EventSource reconnects; random between these
AGE_SPREAD = 0.2  # a stream may end earlier by up to this part of its maximum age
CLOSE_TIMEOUT = 5.0  # seconds; a client that does not read does not accept the end either


class StreamWire(Wire):
    """Writes events. The first event starts the response; until then, a refusal is a plain HTTP status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_started = False
        self._written = 0
        self.ended = asyncio.Event()

    async def send(self, text: str) -> None:
        await self._write(event(text, cursor=self.connection.sent))
        self._written += len(text)
        if self._written > limits.UNANSWERED_MAX_CHARACTERS:
            # A stream's client cannot answer pings, and some servers (daphne) buffer without bound. So
            # the stream ends, which empties the buffer, and the client reconnects at its cursor.
            self.connection.close(CloseCode.GOING_AWAY)

    async def ping(self, text: str) -> bool:
        await self._write(event(text, name="ping"))
        return False

    async def close(self, code: int) -> None:
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.ended.set)
        if self._has_started:
            text = event(protocol.dumps(protocol.close(code)), name="close")
            await self._write(text, is_last=True)
        else:
            await http.refuse(self._send, code)
        self.ended.set()

    async def _write(self, text: str, *, is_last: bool = False) -> None:
        if not self._has_started:
            self._has_started = True
            start = http.headers(CONTENT_TYPE, content_encoding="identity", x_accel_buffering="no")
            await self._send({"type": "http.response.start", "status": 200, "headers": start})
            text = f"retry: {random.randint(*RETRY)}\n\n{text}"
        part = {"type": "http.response.body", "body": text.encode(), "more_body": not is_last}
        await self._send(part)


class Stream(HttpTransport):
    """Serves one tab's stream."""

    async def serve(self, scope: Scope, receive: Receive, send: Send, visitor: Visitor) -> None:
        hub, wire = Hub.here(), StreamWire(send)
        async with hub.visit(visitor, wire, since_of(scope), type(self)) as connection:
            old = hub.loop.call_later(age(), connection.close, CloseCode.GOING_AWAY)
            try:
                await http.either(http.disconnected(receive), wire.ended.wait())
            finally:
                old.cancel()


def event(text: str, *, name: str = "", cursor: Cursor | None = None) -> str:
    """
    Returns one event. When an EventSource reconnects, it sends back the last ``id``.

        >>> event("{}", name="ping")
        'event: ping\\ndata: {}\\n\\n'
    """
    # A document has no line breaks, because JSON escapes them.
    lines = [f"event: {name}" if name else "", f"id: {cursor}" if cursor else "", f"data: {text}"]
    return "\n".join([*filter(None, lines), "\n"])


def age() -> float:
    """Returns a random age at which a stream ends. Otherwise all that began together would end together."""
    return limits.STREAM_MAX_AGE * random.uniform(1 - AGE_SPREAD, 1)


def since_of(scope: Scope) -> Cursor | None:
    """
    Returns the cursor to continue from. ``Last-Event-ID`` takes precedence over ``?since=``, because a
    browser that reconnects by itself repeats the URL of its first request.
    """
    last = http.cursor_or_none(header(scope, b"last-event-id"))
    return last or http.since_of(scope)


stream = Stream()
