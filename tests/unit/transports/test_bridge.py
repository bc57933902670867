"""A raw ASGI application as a view of Django, under ASGI; and another view in its place elsewhere."""

from __future__ import annotations

import asyncio
import gc
from contextvars import ContextVar

import pytest
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.db import connection, transaction
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt

from notify.live.hub import Hub
from notify.transports import bridge
from notify.transports.bridge import EitherView, respond
from tests.kit.fakes import close_connections, settle, until


@pytest.fixture(autouse=True)
async def quiet(settings):
    settings.CHANNEL_LAYERS = {}
    yield
    await Hub.close_here()


def start(status=200, **headers):
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def body(text, *, more=True):
    return {"type": "http.response.body", "body": text.encode(), "more_body": more}


class Streams:
    """An application that sends what it is told to, and notes how it ended."""

    def __init__(self, *parts, fails_after=None):
        self.parts = parts
        self.fails_after = fails_after
        self.sent = 0
        self.end = ""

    async def __call__(self, scope, receive, send):
        try:
            await send(start(**{"content-type": "text/event-stream", "x-of": scope["path"]}))
            for part in self.parts:
                if self.sent == self.fails_after:
                    raise ZeroDivisionError
                await send(body(part))
                self.sent += 1
            await receive()  # for ever, as the client is Django's
        except asyncio.CancelledError:
            self.end = "cancelled"
            raise


async def first_parts(response, count):
    parts = aiter(response.streaming_content)
    return [await anext(parts) for _ in range(count)]


# -- A whole answer ------------------------------------------------------------------------------


async def test_an_answer_that_is_whole_is_a_plain_response():
    async def app(scope, receive, send):
        await send(start(503, **{"content-type": "application/json", "retry-after": "2"}))
        await send({"type": "http.response.body", "body": b"{}"})

    response = await respond(app, {"path": "/"})
    assert not response.streaming
    assert (response.status_code, response.content) == (503, b"{}")
    assert {name.lower(): value for name, value in response.items()} == {
        "content-type": "application/json",
        "retry-after": "2",
    }


async def test_an_answer_without_a_body_has_no_type():
    async def app(scope, receive, send):
        await send(start(204))
        await send({"type": "http.response.body", "body": b""})

    response = await respond(app, {})
    assert (response.status_code, response.content, dict(response.items())) == (204, b"", {})


async def test_an_application_that_fails_before_its_answer_raises():
    async def app(scope, receive, send):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await respond(app, {})


async def test_an_application_that_ends_without_an_answer_is_an_error():
    async def app(scope, receive, send):
        await send(start())

    with pytest.raises(RuntimeError, match="ended before its answer"):
        await respond(app, {})


async def test_an_application_sees_what_middleware_has_set():
    """Such as the language or the trace of the request: it is the request's own work."""
    language: ContextVar[str] = ContextVar("language")

    async def app(scope, receive, send):
        await send(start())
        await send(body(language.get(), more=False))

    language.set("de")
    assert (await respond(app, {})).content == b"de"


async def test_a_view_that_is_cancelled_ends_the_application():
    """As Django does it, when a client is gone before the answer."""
    app = Streams()
    asking = asyncio.ensure_future(respond(app, {"path": "/"}))
    await settle()
    assert not asking.done()
    asking.cancel()
    await until(lambda: app.end)
    assert app.end == "cancelled"


# -- A stream ------------------------------------------------------------------------------------


async def test_a_stream_is_streamed():
    response = await respond(Streams("a", "b"), {"path": "/x/"})
    assert response.streaming
    assert response["content-type"] == "text/event-stream"
    assert response["x-of"] == "/x/"
    assert await first_parts(response, 2) == [b"a", b"b"]
    response.close()


async def test_a_stream_that_ends_is_whole():
    async def app(scope, receive, send):
        await send(start())
        await send(body("a"))
        await send(body("b", more=False))

    response = await respond(app, {})
    assert [part async for part in response.streaming_content] == [b"a", b"b"]


async def test_no_part_is_sent_before_the_one_before_was_taken():
    """A slow client holds the application, not the memory of the process."""
    app = Streams("a", "b", "c")
    response = await respond(app, {"path": "/"})
    parts = aiter(response.streaming_content)
    assert await anext(parts) == b"a"
    await settle()
    assert app.sent == 0  # still being sent
    assert await anext(parts) == b"b"
    await settle()
    assert app.sent == 1
    response.close()


async def test_a_stream_that_fails_raises_where_it_is_read():
    response = await respond(Streams("a", "b", fails_after=1), {"path": "/"})
    parts = aiter(response.streaming_content)
    assert await anext(parts) == b"a"
    with pytest.raises(ZeroDivisionError):
        await anext(parts)


async def test_a_reader_that_is_cancelled_ends_the_application():
    """As Django does it, when the client of a stream is gone."""
    app = Streams("a")
    response = await respond(app, {"path": "/"})
    reading = asyncio.ensure_future(first_parts(response, 2))
    await until(lambda: app.sent)
    reading.cancel()
    await until(lambda: app.end)
    assert app.end == "cancelled"


async def test_a_response_that_is_closed_ends_the_application():
    """By Django, in a thread; also one that nobody has read."""
    app = Streams("a")
    response = await respond(app, {"path": "/"})
    await asyncio.to_thread(response.close)
    await until(lambda: app.end)


# -- Either view ---------------------------------------------------------------------------------


@csrf_exempt
def plain(request):
    return HttpResponse(f"plain {request}")


async def held(request):
    return HttpResponse(f"held {request}")


def test_without_an_event_loop_it_is_the_plain_view():
    view = EitherView(plain, held)
    assert not iscoroutinefunction(view)
    assert view.csrf_exempt
    assert view("x").content == b"plain x"
    assert view.__name__ == "plain"


async def test_in_an_event_loop_it_is_the_other():
    view = EitherView(plain, held)
    assert iscoroutinefunction(view)
    assert not hasattr(view, "csrf_exempt")
    assert (await view("x")).content == b"held x"


# -- Connections ---------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
async def test_connections_are_given_back_but_not_out_of_a_transaction():
    def give_back():
        connection.ensure_connection()
        with transaction.atomic():
            bridge.give_connections_back()
            inside = connection.connection
        bridge.give_connections_back()
        return inside, connection.connection

    inside, outside = await sync_to_async(give_back)()
    assert inside is not None
    assert outside is None
    await close_connections()


async def test_a_response_that_is_lost_ends_the_application():
    """Nobody closes one that a cancelled middleware never returned."""
    app = Streams("a", "b")
    response = await respond(app, {"path": "/"})
    del response
    gc.collect()
    await until(lambda: app.end)
    assert app.end == "cancelled"


async def test_what_middleware_opened_after_the_view_is_given_back(monkeypatch):
    given = []
    response = await respond(Streams("a", "b"), {"path": "/"})
    monkeypatch.setattr(bridge, "give_connections_back", lambda: given.append("back"))
    assert await first_parts(response, 1) == [b"a"]
    assert given == ["back"]
    response.close()
