"""What the push transports over HTTP share, as raw ASGI: the question, the short answer, the end."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from notify import protocol
from notify.conf import conf
from notify.exceptions import ProtocolError
from notify.protocol import CloseCode, Cursor

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = "application/json"


def query(scope: Mapping[str, Any], name: str) -> str | None:
    """A parameter of the address; the last one, as in Django. None: it was not given."""
    text = scope.get("query_string", b"").decode("latin-1")
    values = parse_qs(text, keep_blank_values=True).get(name)
    return values[-1] if values else None


def since_of(scope: Mapping[str, Any]) -> Cursor | None:
    """The cursor in ``?since=``. What is none starts anew: not every transport can answer 400."""
    return cursor_or_none(query(scope, "since"))


def cursor_or_none(text: str | None) -> Cursor | None:
    try:
        return Cursor.parse(text or "")
    except ProtocolError:
        return None


def headers(content_type: str | None, **more: str) -> Headers:
    """
    Those of every answer: it is one user's, of one moment, and nobody on the way may keep,
    collect or change it.
    """
    found = {
        "cache-control": "no-cache, no-store, no-transform, private",
        "vary": "Cookie",
        "x-content-type-options": "nosniff",
        **({"content-type": content_type} if content_type else {}),
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return [(name.encode(), value.encode()) for name, value in found.items()]


async def answer(
    send: Send, status: int, text: str = "", *, content_type: str = JSON, **more: str
) -> None:
    """A whole answer. Who does not take it is left in the end: it has a place among the connections."""
    body = text.encode()
    if body:
        more["content_length"] = str(len(body))
    start = headers(content_type if body else None, **more)
    with suppress(TimeoutError):
        async with asyncio.timeout(conf.STALL_TIMEOUT):
            await send({"type": "http.response.start", "status": status, "headers": start})
            await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, code: int) -> None:
    """Say over HTTP what a WebSocket is told by this close code."""
    refusal = protocol.REFUSALS[CloseCode(code)]
    more = {}
    if refusal.pause:  # at random, so that those who were refused together do not return so
        more["retry_after"] = str(random.randint(refusal.pause, 2 * refusal.pause))
    await answer(send, refusal.status, protocol.dumps(refusal.document()), **more)


def retry_after() -> str:
    """With an answer that was not held: when to ask again, in whole seconds."""
    return str(max(1, math.ceil(conf.POLL_INTERVAL)))


async def is_get(scope: Scope, send: Send) -> bool:
    """Whether it is a GET; else it has been answered."""
    if scope["method"] == "GET":
        return True
    await answer(send, 405, allow="GET")
    return False


async def disconnected(receive: Receive) -> None:
    """Wait until the client is gone; what it sends meanwhile is not read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def either(*works: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of them is done, and end the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        with suppress(OSError):  # the client was gone
            task.result()
