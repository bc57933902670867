"""
The wrapper for asgi.py: serves notify's push transports alongside any ASGI application.

    # asgi.py
    from notify.asgi import notify_asgi

    application = notify_asgi(get_asgi_application())
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from notify.transports.http import Receive, Scope, Send, is_overlong, query

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("notify")


class NotifyASGI:
    """
    Serves the push transports under the prefix of ``notify.urls``, and passes everything else on.

    Models are imported only on the first connection, so the wrapper may be called anywhere in asgi.py.
    Streams and long polls are served outside Django, because inside it each would occupy a thread for as
    long as it is open. The hub is closed when the server sends ``lifespan.shutdown``.
    """

    made = False  # whether an application has been wrapped; read by the system check

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
            await send({"type": "websocket.close"})  # Django would raise an exception.
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
    The lifespan of the wrapped application.

    An application that returns or raises before it answers is assumed not to support lifespan, as
    servers assume too. Django's own handler always raises, so it is not called.
    """

    def __init__(self, app: Application, scope: Scope) -> None:
        self._app = app
        self._scope = scope
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        # None marks the end of the answers.
        self._answers: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._running = asyncio.ensure_future(self._run())

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Pass a message from the server to the application. Returns the answer for the server."""
        self._messages.put_nowait(message)
        answer = await self._answers.get()
        if answer is None:
            self._answers.put_nowait(None)
            return {"type": f"{message['type']}.complete"}
        return answer

    async def end(self) -> None:
        """Cancel the wrapped application if it is still running."""
        self._running.cancel()
        await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            if not is_django(self._app):
                await self._app(self._scope, self._messages.get, self._answers.put)
        except Exception:
            logger.info(
                "The application inside notify_asgi does not support lifespan, or its lifespan handler"
                " ended early.",
                exc_info=True,
            )
        finally:
            self._answers.put_nowait(None)


def notify_asgi(app: Application) -> Application:
    """
    Wrap an ASGI application so that it serves notify's push transports.

    Args:
        app: ``get_asgi_application()``, a ``ProtocolTypeRouter``, or any other ASGI application.
    """
    return NotifyASGI(app)


def ours_for(scope: Scope) -> Application | None:
    """Returns the push transport for this scope, or None if the wrapped application should handle it."""
    if scope["type"] == "websocket" and is_ours(scope, "ws"):
        from notify.transports.websocket import NotifyConsumer

        return NotifyConsumer()
    if scope["type"] == "http" and is_ours(scope, "stream"):
        from notify.transports.sse import stream

        return stream
    # A request without ``wait`` is a plain poll, which Django answers.
    if scope["type"] == "http" and is_ours(scope, "changes") and may_wait(scope):
        from notify.transports.longpoll import long_poll

        return long_poll
    return None


def may_wait(scope: Scope) -> bool:
    """Returns whether a request for ``changes/`` is a long poll, or too long to tell, which is refused."""
    return is_overlong(scope) or query(scope, "wait") is not None


def is_ours(scope: Scope, name: str) -> bool:
    """Returns whether the path is notify's URL of this name, below the server's root path."""
    # Every request to the site passes through here, so most are ruled out without importing the URLconf.
    if not scope["path"].endswith(f"/{name}/"):
        return False
    from django.conf import settings
    from django.urls import NoReverseMatch, get_script_prefix, reverse

    try:
        ours = reverse(f"notify:{name}").removeprefix(get_script_prefix())
    except NoReverseMatch:
        return False
    root = settings.FORCE_SCRIPT_NAME or scope.get("root_path", "")
    return bool(scope["path"].removeprefix(root).removeprefix("/") == ours)


def is_django(app: Application) -> bool:
    """Returns whether the application is Django's own handler."""
    from django.core.handlers.asgi import ASGIHandler

    return isinstance(app, ASGIHandler)
