"""WebSocket where it can be had, polling where not, and back."""

from __future__ import annotations

from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import Person


class Proxy:
    """Stands between a browser and its WebSockets; shut, it refuses and cuts them."""

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


def test_a_blocked_websocket_falls_back_to_polling(alice: Person) -> None:
    Proxy(alice).shut()
    tab = alice.open("/", transport="poll")
    alice.send("Polled")
    tab.shows("Polled")


def test_a_websocket_that_carries_nothing_falls_back_to_polling(alice: Person) -> None:
    """Some proxies accept the socket and swallow every frame: open is not healthy."""
    alice.context.route_web_socket("**/ws/**", lambda socket: None)
    tab = alice.open("/", transport="poll")
    alice.send("Polled")
    tab.shows("Polled")


def test_a_cut_websocket_comes_back_without_loss_or_double(alice: Person) -> None:
    """Cut and refused: polling takes over. Allowed again: the socket does, at the cursor."""
    proxy = Proxy(alice)
    tab = alice.open("/")
    alice.send("Before the cut")
    tab.shows("Before the cut")
    proxy.shut()
    alice.send("During the cut")
    tab.wait("poll")
    tab.shows("During the cut", "Before the cut")
    proxy.is_open = True
    tab.page.evaluate("dispatchEvent(new Event('online'))")  # probes at once
    tab.wait("websocket")
    alice.send("After the cut")
    tab.shows("After the cut", "During the cut", "Before the cut")


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
