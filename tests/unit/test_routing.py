"""notify under the project's own ProtocolTypeRouter."""

from __future__ import annotations

import importlib

import pytest
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.test import Client
from django.urls import set_script_prefix

import notify
from notify import routing
from notify.asgi import notify_asgi
from notify.live.hub import Hub
from notify.protocol import CloseCode
from tests.kit.fakes import Socket, close_connections, scope_of, until


@pytest.fixture(autouse=True)
async def alone(settings):
    settings.CHANNEL_LAYERS = {}
    settings.NOTIFY_SWEEP_INTERVAL = 3600
    yield
    await close_connections()


STACKS = {
    "bare": lambda patterns: URLRouter(patterns),
    "with Channels' authentication": lambda patterns: AuthMiddlewareStack(URLRouter(patterns)),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
async def test_it_works_under_a_router_of_ones_own(user, stack):
    browser = Client()
    await browser.aforce_login(user)
    app = ProtocolTypeRouter({"websocket": stack(routing.websocket_urlpatterns)})
    async with Socket(app, scope_of(session=browser.cookies["sessionid"].value)) as socket:
        await socket.welcome()
        await notify.asend(user, "Hello")
        await until(lambda: socket.shown == ["Hello"])
    await Hub.close_here()


@pytest.mark.django_db(transaction=True)
async def test_a_copied_snippet_is_safe():
    """Without any middleware, it refuses foreign pages and anonymous visitors itself."""
    app = URLRouter(routing.websocket_urlpatterns)
    foreign = Socket(app, scope_of(headers={"origin": "http://evil.com"}))
    assert await foreign.ended() == CloseCode.FOREIGN_ORIGIN
    assert await Socket(app, scope_of()).ended() == CloseCode.NOT_SIGNED_IN


@pytest.mark.django_db(transaction=True)
async def test_a_router_may_be_wrapped_too():
    """notify_asgi answers first, and the rest of the router is unchanged."""
    reached = []

    async def chat(scope, receive, send):
        reached.append(scope["path"])

    app = notify_asgi(ProtocolTypeRouter({"websocket": chat}))
    assert await Socket(app, scope_of()).ended() == CloseCode.NOT_SIGNED_IN
    await app(scope_of("/chat/"), None, None)
    assert reached == ["/chat/"]


@pytest.mark.parametrize(
    ("path", "more"),
    [("/app/notify/ws/", {}), ("/notify/ws/", {}), ("/app/notify/ws/", {"root_path": "/app"})],
)
@pytest.mark.django_db(transaction=True)
async def test_a_forced_script_name_is_found_in_every_shape(settings, path, more):
    """
    As the browser requests it, without the root that a proxy removed, and with the root path of a
    server.
    """
    settings.FORCE_SCRIPT_NAME = "/app"
    set_script_prefix("/app/")
    try:
        patterns = importlib.reload(routing).websocket_urlpatterns
        assert await Socket(URLRouter(patterns), scope_of(path, **more)).ended() == (
            CloseCode.NOT_SIGNED_IN
        )
    finally:
        set_script_prefix("/")
        importlib.reload(routing)
