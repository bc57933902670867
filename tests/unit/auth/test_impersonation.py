"""The ways of the how-to by which an administrator sees the site as one of its users."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from django.test import Client

import notify
from notify.asgi import notify_asgi
from notify.auth.identity import identity
from notify.live.hub import Hub
from notify.protocol import CloseCode
from tests.kit.fakes import Exchange, Socket, close_connections, scope_of, until
from tests.kit.servers import PROJECT

FOLDER = PROJECT / "docs" / "howto" / "impersonation"


def impersonation(get_response: Any) -> Any:
    """The middleware of the how-to, under a name that settings can have."""
    return runpy.run_path(str(FOLDER / "middleware.py"))["impersonation"](get_response)


@pytest.fixture
def customer(other_user: Any) -> Any:
    return other_user


@pytest.fixture
def admin(user: Any, customer: Any) -> Client:
    """The browser of an administrator who sees the site as the customer."""
    user.is_superuser = True
    user.save()
    browser = Client()
    browser.force_login(user)
    session = browser.session
    session["impersonated"] = str(customer.pk)
    session.save()
    return browser


@pytest.mark.django_db
def test_a_poll_of_the_page_is_the_customers(admin: Client, customer: Any, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.impersonation"]
    notify.send(customer, "For the customer")
    answer = admin.get("/notify/changes/", {"user": identity(customer.pk)})
    (row,) = answer.json()["notifications"]
    assert row["message"] == "For the customer"


@pytest.fixture
async def alone(settings: Any) -> Any:
    settings.CHANNEL_LAYERS = {}
    yield
    await Hub.close_here()
    await close_connections()


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """The rest of the site."""


@pytest.mark.django_db(transaction=True)
async def test_a_socket_of_the_page_is_refused_without_more(
    admin: Client, customer: Any, alone: None
) -> None:
    """Its session is the administrator's. So is that of a stream."""
    page = {"session": admin.cookies["sessionid"].value, "page_of": identity(customer.pk)}
    socket = Socket(notify_asgi(nothing), scope_of(**page))
    assert await socket.ended() == CloseCode.ANOTHER_USER
    exchange = Exchange(notify_asgi(nothing), scope_of("/notify/stream/", **page))
    assert await exchange.ended() == 403


@pytest.mark.django_db(transaction=True)
async def test_a_socket_of_the_page_is_the_customers_with_the_middleware(
    admin: Client, customer: Any, alone: None
) -> None:
    """It stays open at a recheck, and ends with the administrator's session."""
    middleware = runpy.run_path(str(FOLDER / "sockets.py"))["Impersonation"]
    app = AuthMiddlewareStack(middleware(notify_asgi(nothing)))
    page = {"session": admin.cookies["sessionid"].value, "page_of": identity(customer.pk)}
    async with Socket(app, scope_of(**page)) as socket:
        await socket.welcome()
        await notify.asend(customer, "For the customer")
        await until(lambda: socket.shown == ["For the customer"])
        assert await Hub.here().sweep.recheck() == 0
        await sync_to_async(admin.logout)()
        assert await Hub.here().sweep.recheck() == 1
        assert await socket.ended() == CloseCode.GOING_AWAY
