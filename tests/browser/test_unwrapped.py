"""A site whose asgi.py lacks notify_asgi: its tabs poll."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Request

from tests.browser.conftest import Person, Site
from tests.faults import at_most
from tests.kit import servers


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(servers.Uvicorn, tmp_path_factory.mktemp("demo"))
    site.web = servers.Uvicorn("tests.browser.unwrapped:application", env=site.env)
    with site:
        yield site


def test_a_tab_polls_at_once_and_seldom_tries_for_more(alice: Person) -> None:
    """Each refusal starts the next transport. Refused transports are tried again after growing pauses."""
    asked: list[str] = []
    moments: list[float] = []

    def note(request: Request) -> None:
        url = urlsplit(request.url)
        if url.path.startswith("/notify/"):
            moments.append(time.monotonic())
            asked.append(url.path + ("?wait" if "wait=" in url.query else ""))

    tab = alice.tab()
    tab.allowed_errors = ("501", "WebSocket connection")
    tab.page.on("request", note)
    tab.page.on("websocket", lambda socket: asked.append("/notify/ws/"))
    tab.open("/", transport="poll")
    # From the stream to the poll. A transport that did not answer would take 2.5 seconds alone.
    assert moments[2] - moments[0] < at_most(2 * 2.5, 10)
    # A browser hides why a stream was refused, so a read asks whether the session is over.
    stream = ["/notify/stream/", "/notify/changes/"]
    ladder = ["/notify/ws/", *stream, "/notify/changes/?wait", "/notify/changes/"]
    assert asked[:5] == ladder
    alice.send("One")
    tab.shows("One")  # with the next poll, after 6 seconds at most
    counts = Counter(asked)
    assert counts["/notify/stream/"] <= 2
    assert counts["/notify/changes/?wait"] <= 2
    assert counts["/notify/ws/"] <= 10
