from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.test import Client

from tests.conformance.tabs import LongPollTab, PollTab, SSETab, Tab, WebSocketTab
from tests.kit import servers
from tests.kit.fakes import close_connections

APPLICATION = "tests.asgi:application"
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.conformance.settings"}

TABS: dict[str, type[Tab]] = {
    "websocket": WebSocketTab,
    "sse": SSETab,
    "longpoll": LongPollTab,
    "poll": PollTab,
}
# The servers, each with rings between the processes (through Redis) or with sweeps only.
SERVERS: dict[str, type[servers.Web]] = {
    "daphne-sweeps": servers.Daphne,
    "uvicorn-rings": servers.Uvicorn,
}
# The newest Python runs with all of them.
has_all_servers = sys.version_info >= (3, 13) or bool(os.environ.get("NOTIFY_TEST_ALL_SERVERS"))
if has_all_servers:
    SERVERS |= {"hypercorn-rings": servers.Hypercorn, "granian-sweeps": servers.Granian}
ON_ONE_SERVER = [f"{tab}-uvicorn-rings" for tab in TABS]
ON_EVERY_SERVER = [f"{tab}-{server}" for server in SERVERS for tab in TABS]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each promise on every transport, and those that a server could break on every server."""
    if "transport" in metafunc.fixturenames:
        everywhere = metafunc.definition.get_closest_marker("every_server")
        transports = ON_EVERY_SERVER if everywhere else ON_ONE_SERVER
        metafunc.parametrize("transport", transports, indirect=True)


@pytest.fixture(scope="session")
def web(
    request: pytest.FixtureRequest, django_db_setup: None
) -> Iterator[Callable[[str], servers.Web]]:
    """Returns a function that starts a server by name, once."""
    with ExitStack() as stack:

        @cache
        def web(name: str) -> servers.Web:
            env = SETTINGS
            if name.endswith("-rings"):
                redis: servers.Redis = request.getfixturevalue("redis_server")
                env = SETTINGS | {"NOTIFY_TEST_RINGS": redis.url}
            return stack.enter_context(SERVERS[name](APPLICATION, env))

        yield web


@pytest.fixture(scope="session")
def daphne(web: Callable[[str], servers.Web]) -> servers.Web:
    """Daphne without a channel layer."""
    return web("daphne-sweeps")


@pytest.fixture
def transport(
    request: pytest.FixtureRequest, settings: Any, web: Callable[[str], servers.Web]
) -> Callable[[dict[str, str]], Tab]:
    """Returns a function that makes a tab with these cookies, over the transport of this run."""
    tab, _, server = request.param.partition("-")
    address = web(server).address
    settings.CHANNEL_LAYERS = {}
    if server.endswith("-rings"):  # this process sends, so it must reach the server's rings
        hosts = [request.getfixturevalue("redis_server").url]
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": hosts},
            }
        }
    return lambda cookies: TABS[tab](address, cookies)


@pytest.fixture
def browser(user: Any) -> Client:
    """The cookies of the browser in which the user is signed in."""
    return sign_in(user)


def sign_in(user: Any) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def cookies_of(browser: Client) -> dict[str, str]:
    name = django_settings.SESSION_COOKIE_NAME
    return {name: browser.cookies[name].value} if name in browser.cookies else {}


@pytest.fixture
async def make_tab(
    transport: Callable[[dict[str, str]], Tab], transactional_db: None
) -> AsyncIterator[Callable[..., Tab]]:
    """
    Returns a function that makes a tab in a given browser, or in a new browser of a user, without
    opening it.
    """
    made = []

    def make_tab(browser: Client) -> Tab:
        tab = transport(cookies_of(browser))
        made.append(tab)
        return tab

    yield make_tab
    for tab in made:
        await tab.close()
    await close_connections()


@pytest.fixture
async def open_tab(make_tab: Callable[..., Tab], browser: Client) -> Any:
    """Returns a function that opens another tab, in the user's browser or in a browser of another user."""

    async def open_tab(user: Any = None) -> Tab:
        tab = make_tab(browser if user is None else await sync_to_async(sign_in)(user))
        await tab.open()
        return tab

    return open_tab


@pytest.fixture
async def tab(open_tab: Any) -> Tab:
    """An open tab of the user."""
    opened: Tab = await open_tab()
    return opened
