"""
notify beside any ASGI application.

    # asgi.py
    from notify.asgi import notify_asgi

    application = notify_asgi(get_asgi_application())
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("notify")


class NotifyASGI:
    """
    Answers the push transports under notify's prefix, and ends the hub on ``lifespan``; passes all
    else on.

    The prefix is where ``notify.urls`` is included. Nothing of Django's models is imported before
    the first connection comes, so the line may stand anywhere in asgi.py. Streams and held polls
    are answered beside Django: inside, each would keep a thread for as long as it is open.
    """

    made = False  # whether some application was wrapped, for the system check

    def __init__(self, app: Application) -> None:
        self.app = app
        type(self).made = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif (ours := ours_for(scope)) is not None:
            await ours(scope, receive, send)
        elif scope["type"] == "websocket" and is_django(self.app):
            await receive()
            await send({"type": "websocket.close"})  # Django itself would raise
        else:
            await self.app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        inner = Lifespan(self.app, scope)
        try:
            while True:
                message = await receive()
                if message["type"] == "lifespan.shutdown":
                    from notify.live.hub import Hub

                    await Hub.close_here()
                answer = await inner.ask(message)
                await send(answer)
                if answer["type"] != "lifespan.startup.complete":
                    return
        finally:
            await inner.end()


class Lifespan:
    """
    The lifespan of the application inside.

    One that returns or raises before it answers has none, as a server sees it too. Django's own
    handler, which raises, is not even asked.
    """

    def __init__(self, app: Application, scope: Scope) -> None:
        self._app = app
        self._scope = scope
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()  # None: no more come
        self._running = asyncio.ensure_future(self._run())

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Pass a message of the server on; returns the answer for the server."""
        self._messages.put_nowait(message)
        answer = await self._answers.get()
        if answer is None:
            self._answers.put_nowait(None)
            return {"type": f"{message['type']}.complete"}
        return answer

    async def end(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            if not is_django(self._app):
                await self._app(self._scope, self._messages.get, self._answers.put)
        except Exception:
            logger.info("What notify_asgi wraps has no lifespan, or left it.", exc_info=True)
        finally:
            self._answers.put_nowait(None)


def notify_asgi(app: Application) -> Application:
    """
    Wrap an ASGI application so that it serves notify's push transports.

    Args:
        app: ``get_asgi_application()``, a ``ProtocolTypeRouter``, or any other.
    """
    return NotifyASGI(app)


def ours_for(scope: Scope) -> Application | None:
    """What answers this scope in the application's place; None where it is not ours."""
    if scope["type"] == "websocket" and is_ours(scope, "ws"):
        from notify.transports.websocket import NotifyConsumer

        return NotifyConsumer()
    if scope["type"] == "http" and is_ours(scope, "stream"):
        from notify.transports.sse import stream

        return stream
    if scope["type"] == "http" and is_ours(scope, "changes"):
        from notify.transports.http import query

        if query(scope, "wait") is not None:  # else it is a plain poll, and Django's
            from notify.transports.longpoll import long_poll

            return long_poll
    return None


def is_ours(scope: Scope, name: str) -> bool:
    """Whether the path is that of the URL of this name, below the server's root path."""
    if not scope["path"].endswith(f"/{name}/"):
        return False  # without a look at the URLs, as each request of the site comes by here
    from django.conf import settings
    from django.urls import NoReverseMatch, get_script_prefix, reverse

    try:
        ours = reverse(f"notify:{name}").removeprefix(get_script_prefix())
    except NoReverseMatch:
        return False
    root = settings.FORCE_SCRIPT_NAME or scope.get("root_path", "")
    return bool(scope["path"].removeprefix(root).removeprefix("/") == ours)


def is_django(app: Application) -> bool:
    from django.core.handlers.asgi import ASGIHandler

    return isinstance(app, ASGIHandler)
