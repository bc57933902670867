"""
A raw ASGI application as a Django view, for sites whose asgi.py is Django alone.

Under WSGI nothing can be held, so there another view answers in its place.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Self

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.db import connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from notify.live.hub import Hub
from notify.transports.http import Receive, Scope, Send

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class EitherView:
    """
    Two views of one address: a plain one, and one for an event loop.

    Django asks a view whether it is a coroutine function just before it calls it. The answer is
    that of the view at work, as are all the marks that decorators have left on it.
    """

    def __init__(
        self,
        plain: Callable[[HttpRequest], HttpResponse],
        held: Callable[[HttpRequest], Awaitable[HttpResponseBase]],
    ) -> None:
        self._plain = plain
        self._held = markcoroutinefunction(held)

    def __call__(self, request: HttpRequest) -> Any:
        return self._at_work()(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._at_work(), name)

    def _at_work(self) -> Callable[[HttpRequest], Any]:
        # A plain view under ASGI would run in a thread; Django never asks from there.
        return self._held if is_in_loop() else self._plain


def is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def give_connections_back() -> None:
    """
    Close this thread's database connections, or return them to their pool.

    A request keeps its thread until it has been answered, and would keep them too.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


async def respond(application: Application, scope: Scope) -> HttpResponseBase:
    """Run an application until its answer has begun; what follows is streamed."""
    answer = Answer(application, scope)
    try:
        start = await answer.take()
        body = await answer.take()
    except BaseException:
        answer.close()
        raise
    response: HttpResponseBase
    if body.get("more_body"):
        response = StreamingHttpResponse(answer.from_here(body), status=start["status"])
        # One that is lost before it is read (its middleware is cancelled) is not even closed.
        weakref.finalize(response, answer.close).atexit = False
    else:
        await answer.end()
        response = HttpResponse(body["body"], status=start["status"])
    del response["Content-Type"]
    for name, value in start["headers"]:
        response[name.decode()] = value.decode()
    return response


class Answer:
    """
    What an application sends, part by part. It waits with each until the one before has been taken.

    As an iterator it is the content of a response. Django looks whether the client is gone, and
    then cancels who waits for the next part, or closes the response.
    """

    def __init__(self, application: Application, scope: Scope) -> None:
        self._parts: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()  # None: no more come
        self._loop = asyncio.get_running_loop()
        self._has_taken = False
        self._next: dict[str, Any] | None = None
        # Work of the request, so with all that middleware has set: the language, a trace.
        self._work = Hub.here().spawn(self._run(application, scope), copy_context())

    async def _run(self, application: Application, scope: Scope) -> None:
        try:
            await application(scope, self._receive, self._send)
        finally:
            self._parts.put_nowait(None)

    async def _receive(self) -> dict[str, Any]:
        await self._loop.create_future()  # for ever
        raise NotImplementedError

    async def _send(self, part: dict[str, Any]) -> None:
        self._parts.put_nowait(part)
        await self._parts.join()

    async def take(self) -> dict[str, Any]:
        """The next part; so the one before has been sent."""
        if self._has_taken:
            self._parts.task_done()
        part = await self._parts.get()
        self._has_taken = True
        if part is None:
            await self._work  # its error, if it has failed
            raise RuntimeError("The application ended before its answer did.")
        return part

    async def end(self) -> None:
        """Let the application end, after its last part."""
        self._parts.task_done()
        await self._work

    def from_here(self, part: dict[str, Any]) -> Self:
        self._next = part
        return self

    def close(self) -> None:
        """End the application, from any thread."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._work.cancel)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            # Middleware may have asked the database after the view.
            await sync_to_async(give_connections_back)()
            part, self._next = self._next or await self.take(), None
            while part.get("more_body"):
                yield part["body"]
                part = await self.take()
            yield part["body"]
            await self.end()
        finally:
            self.close()  # whatever ends it, an error of the server's send, too
