"""HTTP as raw ASGI: query parameters, complete responses, refusals, and disconnects."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from notify import protocol
from notify.conf import conf
from notify.exceptions import ProtocolError
from notify.live import limits
from notify.protocol import CloseCode, Cursor

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = "application/json"
# A query string beyond either bound is refused unread, because anyone may send one. There is room for a token
# that a middleware of the site expects.
MAX_QUERY_BYTES = 8 * 1024
MAX_QUERY_FIELDS = 100
_QUERY = "notify.query"  # the key in the scope that holds the parsed query


class Refusal(NamedTuple):
    """
    The HTTP response that corresponds to a WebSocket close code.

    Attributes:
        pause: minimum number of seconds before the client may retry; 0 if it should not retry.
    """

    status: int
    code: str
    message: str
    pause: int = 0

    def document(self, hint: str = "") -> dict[str, Any]:
        return protocol.error(None, self.code, hint or self.message)


REFUSALS = {
    CloseCode.GOING_AWAY: Refusal(503, "going_away", "Try again later.", 1),
    CloseCode.TOO_SLOW: Refusal(503, "too_slow", "Try again later.", 1),
    CloseCode.TOO_MANY: Refusal(503, "too_many", "Too many connections. Use polling.", 10),
    CloseCode.PROTOCOL: Refusal(400, "bad_command", "The request is not understood."),
    CloseCode.NOT_SIGNED_IN: Refusal(401, "not_signed_in", "Sign in to receive notifications."),
    CloseCode.FOREIGN_ORIGIN: Refusal(403, "foreign_origin", "The page belongs to another site."),
    CloseCode.KICKED: Refusal(403, "kicked", "The site has closed your connections."),
    CloseCode.ANOTHER_USER: Refusal(
        403, "another_user", "The page was rendered for another user. Reload it."
    ),
}


def query(scope: Scope, name: str) -> str | None:
    """Returns a query parameter, or None if it is missing. The last value wins, as in Django."""
    return _query(scope).get(name)


def is_overlong(scope: Scope) -> bool:
    """Returns whether the query string is too long to be read. Its parameters are then missing."""
    text = scope.get("query_string", b"")
    return len(text) > MAX_QUERY_BYTES or text.count(b"&") >= MAX_QUERY_FIELDS


def _query(scope: Scope) -> dict[str, str]:
    """Returns the query parameters. They are parsed once, as the scope keeps them."""
    found: dict[str, str] | None = scope.get(_QUERY)
    if found is None:
        text = "" if is_overlong(scope) else scope.get("query_string", b"").decode("latin-1")
        found = scope[_QUERY] = dict(parse_qsl(text, keep_blank_values=True))
    return found


def since_of(scope: Scope) -> Cursor | None:
    """Returns the cursor in ``?since=``."""
    return cursor_or_none(query(scope, "since"))


def cursor_or_none(text: str | None) -> Cursor | None:
    """Returns the parsed cursor, or None if it is invalid, because not every transport can answer 400."""
    try:
        return Cursor.parse(text or "")
    except ProtocolError:
        return None


def headers(content_type: str | None, **more: str) -> Headers:
    """
    Returns the headers that every response has. A response is private to one user and must not be cached,
    buffered or transformed by proxies.
    """
    found = {
        "cache-control": "no-cache, no-store, no-transform, private",
        "vary": "Cookie",
        "x-content-type-options": "nosniff",
        **({"content-type": content_type} if content_type else {}),
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return [(name.encode(), value.encode()) for name, value in found.items()]


async def answer(send: Send, status: int, text: str = "", **more: str) -> None:
    """
    Send a complete response.

    Gives up if the client does not accept it; otherwise that client would keep counting as a connection.
    """
    body = text.encode()
    if body:
        more["content_length"] = str(len(body))
    start = headers(JSON if body else None, **more)
    with suppress(TimeoutError):
        async with asyncio.timeout(limits.STALL_TIMEOUT):
            await send({"type": "http.response.start", "status": status, "headers": start})
            await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, code: int, hint: str = "") -> None:
    """Answer with the status and the document that correspond to a close code, or with a hint in it."""
    refusal = REFUSALS[CloseCode(code)]
    more = {}
    if refusal.pause:  # Random, because clients that were refused together would return together.
        more["retry_after"] = str(random.randint(refusal.pause, 2 * refusal.pause))
    await answer(send, refusal.status, protocol.dumps(refusal.document(hint)), **more)


def retry_after() -> str:
    """Returns the value of Retry-After for a long poll that was not held."""
    return str(max(1, math.ceil(conf.POLL_INTERVAL)))


async def disconnected(receive: Receive) -> None:
    """Wait until the client is gone. Discards any body that the client sends."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def either(*works: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of the coroutines is done, and cancel the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        with suppress(OSError):  # The client is gone.
            task.result()
