from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.test import Client

from tests import servers
from tests.fakes import close_connections
from tests.transports.tabs import PollTab, Tab, WebSocketTab

APPLICATION = "tests.asgi:application"
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.transports.settings"}

# The server, whether Redis carries rings between the processes, and the transport.
TRANSPORTS: dict[str, tuple[str, type[Tab]]] = {
    "websocket-daphne-sweeps": ("daphne", WebSocketTab),
    "websocket-uvicorn-rings": ("uvicorn", WebSocketTab),
    "poll-daphne": ("daphne", PollTab),
}


@pytest.fixture(scope="session")
def daphne(django_db_setup: None) -> Iterator[servers.Web]:
    """Daphne without a channel layer."""
    with servers.Daphne(APPLICATION, SETTINGS) as server:
        yield server


@pytest.fixture(scope="session")
def uvicorn(django_db_setup: None, redis_server: servers.Redis) -> Iterator[servers.Web]:
    """Uvicorn with the pubsub layer."""
    env = SETTINGS | {"NOTIFY_TEST_RINGS": redis_server.url}
    with servers.Uvicorn(APPLICATION, env) as server:
        yield server


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest, settings: Any) -> Callable[[dict[str, str]], Tab]:
    """Makes a tab of a browser with these cookies, over the transport of this run."""
    server, kind = TRANSPORTS[request.param]
    web = request.getfixturevalue(server)
    settings.CHANNEL_LAYERS = {}
    if server == "uvicorn":  # this process, which sends, rings it
        hosts = [request.getfixturevalue("redis_server").url]
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": hosts},
            }
        }
    return lambda cookies: kind(web.address, cookies)


@pytest.fixture
def browser(user: Any) -> Client:
    """The browser in which the user is signed in."""
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
    """Makes a tab of a browser, or of a user in a new one; it is not open yet."""
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
    """Opens one more tab: in the user's browser, or in one of another user."""

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
