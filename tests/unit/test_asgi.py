"""notify beside any ASGI application: the paths it handles, and that nothing else is touched."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application
from django.test import Client
from django.urls import include, path, set_script_prefix

from notify.asgi import is_ours, notify_asgi
from notify.live.hub import Hub
from tests.kit.fakes import Exchange, Socket, close_connections, scope_of, settle, until

urlpatterns = [path("deep/in/the/site/", include("notify.urls"))]


def is_our_socket(scope):
    return is_ours(scope, "ws")


async def other(scope, receive, send):
    """An application that is wrapped by notify."""
    scope["seen"] = True


class WithoutNotify:
    urlpatterns = []


# -- The path ------------------------------------------------------------------------------------


def test_the_prefix_comes_from_the_urls_alone(settings):
    assert is_our_socket(scope_of("/notify/ws/"))
    assert not is_our_socket(scope_of("/deep/in/the/site/ws/"))
    settings.ROOT_URLCONF = "tests.unit.test_asgi"
    assert is_our_socket(scope_of("/deep/in/the/site/ws/"))
    assert not is_our_socket(scope_of("/notify/ws/"))


@pytest.mark.parametrize(
    "path", ["/", "/ws/", "/notify/ws", "/notify/ws/x", "/x/notify/ws/", "/notify/changes/"]
)
def test_other_paths_are_not_ours(path):
    assert not is_our_socket(scope_of(path))


def test_a_root_path_of_the_server_comes_first():
    """Servers pass the whole path, and some proxies remove the root."""
    assert is_our_socket(scope_of("/app/notify/ws/", root_path="/app"))
    assert is_our_socket(scope_of("/notify/ws/", root_path="/app"))
    assert not is_our_socket(scope_of("/app/notify/ws/"))


@pytest.mark.parametrize("name", ["/app", "/app/"])
def test_a_forced_script_name_comes_first(settings, name):
    settings.FORCE_SCRIPT_NAME = name
    set_script_prefix(name)
    try:
        assert is_our_socket(scope_of("/app/notify/ws/"))
        assert is_our_socket(scope_of("/notify/ws/"))
        assert not is_our_socket(scope_of("/other/notify/ws/"))
    finally:
        set_script_prefix("/")


def test_without_our_urls_nothing_is_ours(settings):
    settings.ROOT_URLCONF = WithoutNotify
    assert not is_our_socket(scope_of("/notify/ws/"))


# -- Other applications --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scope", [{"type": "http", "path": "/notify/ws/"}, {"type": "websocket", "path": "/chat/"}]
)
async def test_all_else_is_passed_on(scope):
    """Other WebSockets are passed on, and so are HTTP requests for our own path, which its view answers."""
    await notify_asgi(other)(scope, None, None)
    assert scope["seen"]


@pytest.mark.parametrize("query", [b"", b"since=x", b"await=1"])
async def test_a_plain_poll_is_passed_on(query):
    scope = {**scope_of("/notify/changes/"), "query_string": query}
    await notify_asgi(other)(scope, None, None)
    assert scope["seen"]


@pytest.mark.parametrize("path", ["/other/stream/", "/notify/stream", "/notify/stream/x/"])
async def test_the_streams_of_others_are_passed_on(path):
    scope = {**scope_of("/notify/stream/"), "path": path}
    await notify_asgi(other)(scope, None, None)
    assert scope["seen"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("path", "options"), [("stream/", {}), ("changes/", {"wait": 25})])
async def test_streams_and_held_polls_are_answered_beside_the_application(path, options, settings):
    settings.CHANNEL_LAYERS = {}
    scope = scope_of(f"/notify/{path}", **options)
    exchange = Exchange(notify_asgi(other), scope)
    assert await exchange.ended() == 401
    assert "seen" not in scope
    await Hub.close_here()
    await close_connections()


@pytest.mark.parametrize("query", [b"&a" * 5000, b"since=" + b"x" * 9000])
async def test_an_overlong_query_is_refused_for_whatever_it_asks(query):
    scope = {**scope_of("/notify/changes/"), "query_string": query}
    exchange = Exchange(notify_asgi(other), scope)
    assert await exchange.ended() == 400
    assert exchange.json()["code"] == "bad_command"


async def test_a_websocket_that_nobody_serves_is_refused():
    """Django itself would raise an error."""
    events = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(event):
        events.append(event)

    await notify_asgi(get_asgi_application())(scope_of("/chat/"), receive, send)
    assert events == [{"type": "websocket.close"}]


@pytest.mark.django_db(transaction=True)
async def test_our_websocket_is_served(user, settings):
    settings.CHANNEL_LAYERS = {}
    browser = Client()
    await browser.aforce_login(user)
    scope = scope_of(session=browser.cookies["sessionid"].value)
    async with Socket(notify_asgi(other), scope) as socket:
        assert (await socket.welcome())["type"] == "welcome"
    await Hub.close_here()
    await close_connections()


def test_a_plain_request_gets_426(client):
    response = client.get("/notify/ws/")
    assert response.status_code == 426


# -- lifespan ------------------------------------------------------------------------------------


async def test_lifespan_is_answered_and_ends_the_hub(settings):
    """Django's handler does not support lifespan."""
    settings.CHANNEL_LAYERS = {}
    asked: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    answers = []

    async def send(event):
        answers.append(event["type"])

    app = asyncio.ensure_future(notify_asgi(other)({"type": "lifespan"}, asked.get, send))
    asked.put_nowait({"type": "lifespan.startup"})
    await until(lambda: answers == ["lifespan.startup.complete"])
    hub = Hub.here()
    asked.put_nowait({"type": "lifespan.shutdown"})
    await app
    assert answers[1:] == ["lifespan.shutdown.complete"]
    assert Hub.here() is not hub
    await Hub.close_here()


class Server:
    """The server's side of a lifespan."""

    def __init__(self, app):
        self.asked: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.answers = []
        self.scope = {"type": "lifespan", "state": {}}
        self.app = asyncio.ensure_future(notify_asgi(app)(self.scope, self.asked.get, self._take))

    async def _take(self, event):
        self.answers.append(event)

    async def ask(self, word):
        before = len(self.answers)
        self.asked.put_nowait({"type": f"lifespan.{word}"})
        await until(lambda: len(self.answers) > before)
        return self.answers[-1]


async def test_the_lifespan_of_an_application_inside_is_its_own(settings):
    """As in FastAPI and Starlette, it opens resources and keeps them in the scope's state."""
    settings.CHANNEL_LAYERS = {}
    lived = []

    async def inside(scope, receive, send):
        lived.append((await receive())["type"])
        scope["state"]["pool"] = "open"
        await send({"type": "lifespan.startup.complete"})
        lived.append((await receive())["type"])
        lived.append(Hub.here() is hub)
        await Hub.close_here()
        await send({"type": "lifespan.shutdown.complete"})

    server = Server(inside)
    assert await server.ask("startup") == {"type": "lifespan.startup.complete"}
    assert server.scope["state"] == {"pool": "open"}
    hub = Hub.here()
    assert await server.ask("shutdown") == {"type": "lifespan.shutdown.complete"}
    assert lived == ["lifespan.startup", "lifespan.shutdown", False]  # the hub ended before it
    await server.app


async def test_an_application_inside_that_cannot_start_stops_the_server():
    async def inside(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "No database."})
        raise RuntimeError

    server = Server(inside)
    failed = {"type": "lifespan.startup.failed", "message": "No database."}
    assert await server.ask("startup") == failed
    await server.app


async def test_an_application_inside_may_answer_before_it_is_asked():
    """Some applications never read their lifespan events."""

    async def inside(scope, receive, send):
        await send({"type": "lifespan.startup.complete", "from": "inside"})
        await asyncio.Event().wait()

    server = Server(inside)
    await settle()
    assert (await server.ask("startup"))["from"] == "inside"
    server.app.cancel()
    await asyncio.wait([server.app])


async def raises(scope, receive, send):
    raise ValueError("No application configured for scope type 'lifespan'")


async def raises_when_asked(scope, receive, send):
    await receive()
    raise AssertionError


@pytest.mark.parametrize(
    "inside", [other, raises, raises_when_asked, ProtocolTypeRouter({}), get_asgi_application()]
)
async def test_an_application_without_a_lifespan_is_served_all_the_same(inside):
    server = Server(inside)
    assert await server.ask("startup") == {"type": "lifespan.startup.complete"}
    assert await server.ask("shutdown") == {"type": "lifespan.shutdown.complete"}
    await server.app


async def test_django_is_not_asked_for_a_lifespan(caplog):
    """It would log an error in every project."""
    caplog.set_level("INFO")
    server = Server(get_asgi_application())
    await server.ask("startup")
    await server.ask("shutdown")
    await server.app
    assert caplog.text == ""


async def test_a_server_that_gives_up_ends_the_application_inside():
    ended = asyncio.Event()

    async def inside(scope, receive, send):
        try:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        finally:
            ended.set()

    server = Server(inside)
    await server.ask("startup")
    server.app.cancel()
    await asyncio.wait([server.app])
    assert ended.is_set()


# -- The import ----------------------------------------------------------------------------------


def test_importing_and_wrapping_imports_no_model():
    """So the line may stand anywhere in asgi.py, even before Django is set up."""
    script = """
import sys
from notify.asgi import notify_asgi
notify_asgi(lambda scope, receive, send: None)
loaded = [name for name in sys.modules if name.startswith(("notify.", "django.", "channels"))]
assert "notify.models" not in loaded, loaded
assert "django.db" not in loaded, loaded
assert "channels" not in loaded, loaded
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_wrapping_is_noticed_for_the_system_check(monkeypatch):
    from notify.asgi import NotifyASGI

    monkeypatch.setattr(NotifyASGI, "made", False)
    notify_asgi(other)
    assert NotifyASGI.made
