"""The best available transport, the next one if it fails, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import Person
from tests.faults import at_most

MINUTE = 60_000

# The APIs that a browser must lack to use each transport.
WAYS = {"websocket": [], "sse": ["WebSocket"], "longpoll": ["WebSocket", "EventSource"]}


class Proxy:
    """Stands between a browser and its WebSockets. While shut, it refuses and cuts them."""

    def __init__(self, person: Person) -> None:
        self.is_open = True
        self._sockets: list[WebSocketRoute] = []
        person.context.route_web_socket("**/ws/**", self._connect)

    def _connect(self, socket: WebSocketRoute) -> None:
        if self.is_open:
            socket.connect_to_server()
            self._sockets.append(socket)
        else:
            socket.close(code=1011)

    def shut(self) -> None:
        self.is_open = False
        for socket in self._sockets:
            socket.close(code=1011)
        self._sockets.clear()


def lacking(person: Person, names: list[str]) -> None:
    """Remove these APIs from the windows of the person's browser."""
    for name in names:
        person.context.add_init_script(f"delete window.{name}")


@pytest.mark.main
def test_a_blocked_websocket_falls_back_to_a_stream(alice: Person) -> None:
    Proxy(alice).shut()
    tab = alice.open("/", transport="sse")
    alice.send("Streamed")
    tab.shows("Streamed")


def test_a_websocket_that_carries_nothing_falls_back_to_a_stream(alice: Person) -> None:
    """Some proxies accept the socket and swallow every frame, so an open socket may still be dead."""
    alice.context.route_web_socket("**/ws/**", lambda socket: None)
    tab = alice.open("/", transport="sse")
    alice.send("Streamed")
    tab.shows("Streamed")


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
def test_what_a_browser_does_not_have_is_passed_over(alice: Person, transport: str) -> None:
    lacking(alice, WAYS[transport])
    tab = alice.open("/", transport=transport)
    alice.send("One")
    tab.shows("One")
    alice.send("Two")
    tab.shows("Two", "One")


def test_a_cut_websocket_comes_back_without_loss_or_double(alice: Person) -> None:
    """While it is refused, a stream takes over. Later the socket continues at the cursor."""
    proxy = Proxy(alice)
    tab = alice.open("/")
    alice.send("Before the cut")
    tab.shows("Before the cut")
    proxy.shut()
    alice.send("During the cut")
    tab.wait("sse")
    tab.shows("During the cut", "Before the cut")
    proxy.is_open = True
    tab.page.evaluate("dispatchEvent(new Event('online'))")  # it probes at once
    tab.wait("websocket")
    alice.send("After the cut")
    tab.shows("After the cut", "During the cut", "Before the cut")


def test_the_next_page_begins_with_what_was_had_last(alice: Person) -> None:
    """A socket that was refused on the first page is not tried on the second."""
    Proxy(alice).shut()
    alice.open("/", transport="sse")
    asked: list[str] = []
    tab = alice.tab()
    tab.page.on("websocket", lambda socket: asked.append(socket.url))
    tab.open("/", transport="sse")
    alice.send("Streamed")
    tab.shows("Streamed")
    assert asked == []


def test_a_mark_that_did_not_reach_the_server_is_sent_by_the_next_page(alice: Person) -> None:
    Proxy(alice).shut()
    alice.context.route("**/commands/*", lambda route: route.abort())
    tab = alice.tab()
    tab.allowed_errors = ("WebSocket connection", "net::")
    tab.open("/", transport="sse")
    alice.send("Dismiss me", level="error")
    tab.shows("Dismiss me")
    tab.dismiss("Dismiss me")
    tab.open("/send/", transport="sse")
    with tab.page.expect_response("**/commands/*") as answer:
        alice.context.unroute("**/commands/*")
    assert answer.value.ok
    alice.open("/", transport="sse").shows()


def test_the_life_of_the_connection_is_told_on_the_page(alice: Person) -> None:
    proxy = Proxy(alice)
    alice.context.add_init_script(
        """
        window.told = []
        const names = ["connecting", "connect", "disconnect", "connect_error"]
        for (const name of [...names, "reconnect_attempt", "reconnect", "transport"]) {
          document.addEventListener("notify:" + name, ({ detail }) => told.push([name, detail]))
        }
        """
    )
    tab = alice.open("/")
    alice.send("One")
    tab.shows("One")
    proxy.shut()
    tab.wait("sse")
    proxy.is_open = True
    tab.page.evaluate("dispatchEvent(new Event('online'))")
    tab.wait("websocket")
    told = tab.page.evaluate("told")
    assert [name for name, detail in told] == [
        *["connecting", "connect", "disconnect"],
        *["connecting", "reconnect_attempt", "connect_error", "transport", "connect", "reconnect"],
        "transport",
    ]
    details = dict(told[:6])
    assert details["connect"] == {"transport": "websocket", "recovered": 0}
    assert details["disconnect"] == {"reason": "lost", "returns": True}
    assert details["connect_error"] == {"transport": "websocket", "reason": "lost"}
    assert told[8] == ["reconnect", {"attempt": 1, "recovered": 0}]
    assert told[9] == ["transport", {"from": "sse", "to": "websocket"}]


def test_a_restarted_server_is_found_again(alice: Person) -> None:
    tab = alice.open("/")
    tab.allowed_errors = ("WebSocket connection", "ERR_CONNECTION_REFUSED", "net::")
    alice.site.web.kill()
    alice.send("Sent while the server was down")
    alice.site.web.start()
    tab.wait("")
    tab.shows("Sent while the server was down")


def test_a_session_that_has_ended_closes_for_good(alice: Person) -> None:
    tab = alice.open("/")
    tab.allowed_errors = ("401",)
    tab.page.get_by_role("button", name="Sign out").click()
    expect(tab.root).to_have_count(0)


# -- A tab that was away ------------------------------------------------------------------------

WATCH = """
window.seenAt = new Promise((resolve) => {
  const look = () => document.querySelector(".nf-toast") && resolve(performance.now())
  new MutationObserver(look).observe(document, { childList: true, subtree: true })
})
"""

LIMIT = 1000 * at_most(1.0, 9)  # ms; a tab that waits for its next try may wait 20 seconds


@pytest.mark.parametrize("transport", WAYS)
def test_a_tab_that_was_offline_for_a_minute_has_caught_up_within_a_second(
    alice: Person, transport: str
) -> None:
    """
    The page's clock advances by a minute without a network.

    The page catches up when the network is back, on every transport.
    """
    lacking(alice, WAYS[transport])
    alice.context.add_init_script(WATCH)
    tab = alice.tab()
    tab.allowed_errors = ("ERR_INTERNET_DISCONNECTED", "WebSocket connection", "net::")
    tab.page.clock.install()
    tab.open("/", transport=transport)
    alice.context.set_offline(True)
    tab.page.clock.fast_forward(MINUTE)
    expect(tab.root).not_to_have_attribute("state", "open")
    alice.send("While you were away")
    tab.page.evaluate("addEventListener('online', () => { window.backAt = performance.now() })")
    alice.context.set_offline(False)
    tab.shows("While you were away")
    took = real_time(tab.page)
    assert took < LIMIT, f"{took:.0f} ms"


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "untold"])
@pytest.mark.parametrize("transport", WAYS)
def test_a_tab_that_was_frozen_for_ten_minutes_has_caught_up_within_a_second(
    alice: Person, transport: str, is_told: bool
) -> None:
    """
    A browser notifies a tab of freezing and thawing; a laptop that is closed notifies nothing. In
    both cases, the page's tasks stand still while the clock goes on.

    Headless pages are always visible, and Chromium sends `freeze` and `resume` only to hidden ones,
    so the test dispatches these events itself.
    """
    lacking(alice, WAYS[transport])
    alice.context.add_init_script(WATCH)
    tab = alice.tab()
    tab.page.clock.install()
    tab.open("/", transport=transport)
    cdp = alice.context.new_cdp_session(tab.page)
    if is_told:
        tab.page.evaluate("document.dispatchEvent(new Event('freeze'))")
        expect(tab.root).to_have_attribute("state", "closed")
    cdp.send("Page.setWebLifecycleState", {"state": "frozen"})
    alice.send("While you were away")
    tab.page.clock.fast_forward(10 * MINUTE)
    cdp.send("Page.setWebLifecycleState", {"state": "active"})
    tab.page.evaluate(
        """(events) => {
          window.backAt = performance.now()
          for (const name of events) document.dispatchEvent(new Event(name))
        }""",
        ["resume", "visibilitychange"] if is_told else ["visibilitychange"],
    )
    tab.shows("While you were away")
    took = real_time(tab.page)
    assert took < LIMIT, f"{took:.0f} ms"


def real_time(page: Page) -> Any:
    """Returns the ms from the return of the page to its toast."""
    took = page.evaluate("seenAt.then((at) => at - backAt)")
    print(f"Caught up {took:.0f} ms after it was back")
    return took
