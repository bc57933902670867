"""
The page behind proxies: the transport in use in the end, the time until the first toast, and that
nothing is lost or duplicated on the way there.

docs/topics/transports.md contains the times. Run with -s, the tests print them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Person, Site
from tests.faults import at_most, is_thorough
from tests.kit import servers
from tests.kit.patience import PATIENCE
from tests.kit.proxies.web import WebProxy

FIRST, REMEMBERED = at_most(5.0), at_most(1.0)  # seconds until the first toast
VISITS = 3  # one of so many visits has to be fast enough
STEADY = 5.5  # seconds after which a connection counts as stable, and a little more
PACE = 0.1  # seconds between two numbered messages
LATENCY = 2.0  # seconds that a proxy adds to each request and its answer
IDLE = 10.0 if is_thorough() else 3.5  # seconds after which a proxy cuts a silent connection

WATCH = """
window.watched = { told: [], start: 0 }
document.addEventListener("notify:notification", ({ detail }) => {
  watched.told.push({ text: detail.notification.message, at: performance.now() / 1000 })
})
new MutationObserver(() => { watched.start ||= performance.now() / 1000 }).observe(
  document, { subtree: true, attributeFilter: ["state"] }
)
"""


@pytest.fixture(scope="module")
def site(server: type[servers.Web], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = {"DJANGO_SETTINGS_MODULE": "tests.browser.settings"}
    with Site(server, tmp_path_factory.mktemp("demo"), **settings) as site:
        yield site


@pytest.fixture
def alice(meet: Callable[..., Person]) -> Person:
    alice = meet("alice", ignore_https_errors=True)
    alice.context.add_init_script(WATCH)
    return alice


class Watched:
    """A tab whose page records its events, with the seconds since the page was requested."""

    def __init__(self, person: Person, url: str) -> None:
        self.tab = person.tab(url)
        self.tab.allowed_errors = ("WebSocket connection", "Failed to load resource")
        self.page = self.tab.page
        self.page.goto(url)

    @property
    def transport(self) -> str | None:
        return self.tab.root.get_attribute("transport")

    @property
    def told(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = self.page.evaluate("watched.told")
        return told

    def wait_for(self, text: str) -> float:
        """Wait for an event. Returns its moment."""
        found = self.page.wait_for_function(
            "(text) => watched.told.find((one) => one.text === text)?.at", arg=text
        )
        at: float = found.json_value()
        return at

    def knows(self, texts: list[str]) -> bool:
        """Wait until the page has shown all of them, in this order, each once."""
        self.wait_for(texts[-1])
        return [one["text"] for one in self.told] == texts

    @property
    def start(self) -> float:
        """The moment at which the page's script began to connect."""
        start: float = self.page.evaluate("watched.start")
        return start


class Numbers:
    """Sends 1, 2, 3 and so on, independently of all else, as errors, which have toasts in a flood too."""

    def __init__(self, to: Person) -> None:
        self.to = to
        self.sent: list[str] = []
        self._numbers = itertools.count(1)

    def send(self, count: int = 1) -> str:
        for _ in range(count):
            self.sent.append(str(next(self._numbers)))
            self.to.send(self.sent[-1], level="error")
        return self.sent[-1]

    def until(self, is_done: Callable[[], bool], within: float = PATIENCE) -> None:
        """Send one number after the other until the condition is true."""
        began = time.monotonic()
        while not is_done():
            assert time.monotonic() < began + within, "The condition did not become true in time."
            self.send()
            time.sleep(PACE)


# -- The transport in use behind each proxy -------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """
    Attributes:
        transport: the transport that must be in use in the end.
        site: the nginx file, if any.
        secure: add TLS and HTTP/2 to a file that has neither.
        hostile: the settings of the hostile proxy, if there is one.
        adds: seconds of latency that no transport can avoid.
        protocol: the HTTP version over which the page is loaded.
    """

    transport: str
    site: str = ""
    secure: bool = False
    hostile: Callable[[WebProxy], None] | None = None
    adds: float = 0.0
    protocol: str = "http/1.1"

    @contextmanager
    def stand_before(self, web: servers.Web) -> Iterator[str]:
        """Returns the address at which the site is reached."""
        if self.site:
            servers.need(servers.Nginx.check)
            with servers.Nginx(self.site, web.address, secure=self.secure) as nginx:
                yield nginx.url
        elif self.hostile:
            with WebProxy(web.address) as proxy:
                self.hostile(proxy)
                yield f"http://{proxy.address}"
        else:
            yield web.url


def collect_streams(proxy: WebProxy) -> None:
    proxy.refuse_upgrades()
    proxy.collect()


def delay(proxy: WebProxy) -> None:
    proxy.delay(up=LATENCY / 2, down=LATENCY / 2)


SCENES = {
    "nothing": Scene("websocket"),
    "nginx with notify.conf, HTTP/1.1": Scene("websocket", "http.conf"),
    "nginx with notify.conf, HTTP/2": Scene("websocket", "https.conf", protocol="h2"),
    "nginx without it, HTTP/1.1": Scene("sse", "plain.conf"),
    "nginx without it, HTTP/2": Scene("sse", "plain.conf", secure=True, protocol="h2"),
    "a proxy that refuses the upgrade": Scene("sse", hostile=WebProxy.refuse_upgrades),
    "a proxy that swallows frames": Scene("sse", hostile=WebProxy.swallow_frames),
    "a proxy that collects streams, and refuses the upgrade": Scene(
        "longpoll", hostile=collect_streams
    ),
    "a proxy that adds 2 s": Scene("websocket", hostile=delay, adds=LATENCY),
}


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Returns the lines for the documentation."""
    lines: list[str] = []
    yield lines
    print("\n" + "\n".join(lines))


@pytest.mark.parametrize("name", SCENES)
def test_the_first_toast_is_soon_there_and_nothing_is_lost(
    alice: Person, site: Site, table: list[str], name: str
):
    """
    It takes at most 5 seconds on a first visit, and 1 once the browser has learned which transports
    work.

    Messages are sent all the time, from before the page is loaded until after it has settled.
    """
    scene = SCENES[name]
    with scene.stand_before(site.web) as url:
        numbers = Numbers(alice)
        numbers.send()
        page = Watched(alice, url)
        numbers.until(lambda: page.transport == scene.transport)
        numbers.send(5)
        assert page.knows(numbers.sent)
        expect(page.tab.toasts.first).to_contain_text(numbers.sent[-1])
        hop = page.page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")
        assert hop == scene.protocol
        if scene.transport != "websocket":
            with page.page.expect_response("**/notify/commands/*") as answer:
                page.tab.toasts.first.locator(".nf-close").click()
            assert answer.value.status == 200
        first = page.wait_for("1") - (page.start if scene.adds else 0)
        page.page.close()

        times = []
        while len(times) < VISITS and (not times or min(times) > REMEMBERED + scene.adds):
            last = numbers.send()
            again = Watched(alice, url)
            times.append(again.wait_for(last) - (again.start if scene.adds else 0))
            assert again.transport == scene.transport
            texts = [one["text"] for one in again.told]
            assert len(set(texts)) == len(texts)
            again.page.close()
    table.append(f"| {name} | `{scene.transport}` | {first:.2f} s | {min(times):.2f} s |")
    assert first <= FIRST
    assert min(times) <= REMEMBERED + scene.adds


# -- Changes while the page is open --------------------------------------------------------------


@pytest.fixture
def proxy(site: Site) -> Iterator[WebProxy]:
    with WebProxy(site.web.address) as proxy:
        yield proxy


@pytest.fixture
def page(alice: Person, proxy: WebProxy) -> Watched:
    return Watched(alice, f"http://{proxy.address}")


@pytest.fixture
def numbers(alice: Person) -> Numbers:
    return Numbers(alice)


def test_a_page_moves_down_and_up_and_loses_nothing(
    page: Watched, proxy: WebProxy, numbers: Numbers
):
    """Messages are sent all the time. With each transport, each is shown once and in order."""
    numbers.until(lambda: page.transport == "websocket")
    proxy.refuse_upgrades()
    proxy.cut()
    numbers.until(lambda: page.transport == "sse")
    proxy.collect()
    proxy.cut()
    numbers.until(lambda: page.transport == "longpoll")
    proxy.heal()
    # It probes for a better transport at once.
    page.page.evaluate("dispatchEvent(new Event('online'))")
    numbers.until(lambda: page.transport == "websocket")
    numbers.send()
    assert page.knows(numbers.sent)


def test_a_site_that_answers_502_for_a_while_is_found_again(
    alice: Person, proxy: WebProxy, numbers: Numbers, table: list[str]
):
    """On a first visit and later, the page recovers as soon as the pause between two attempts allows."""

    def break_down() -> None:
        """Wait until all four transports were refused."""
        proxy.answer(502, below="/notify/")
        proxy.cut()
        proxy.requests.clear()

    def recovers() -> float:
        """Returns the seconds from the last 502 to the first toast."""
        numbers.until(lambda: sum("/notify/" in line for line in proxy.requests) >= 4)
        proxy.heal()
        began = time.monotonic()
        page.wait_for(numbers.send())
        return time.monotonic() - began

    break_down()
    page = Watched(alice, f"http://{proxy.address}")
    first = recovers()
    numbers.until(lambda: page.transport == "websocket")
    # After a connection that has lasted, the pauses are short again.
    steady = time.monotonic() + STEADY
    numbers.until(lambda: time.monotonic() > steady)
    break_down()
    again = recovers()
    numbers.until(lambda: page.transport == "websocket")
    numbers.send()
    assert page.knows(numbers.sent)
    table.append(
        f"| a proxy that answers 502 for a while | `websocket` | {first:.2f} s | {again:.2f} s |"
    )
    assert max(first, again) <= FIRST


@pytest.mark.parametrize(
    ("transport", "refused"), [("websocket", False), ("longpoll", True)], ids=["", "no-websocket"]
)
def test_a_link_that_cuts_idle_connections_is_kept_busy(
    alice: Person,
    proxy: WebProxy,
    numbers: Numbers,
    table: list[str],
    transport: str,
    refused: bool,
):
    """
    Two cuts after the same silence teach the client the limit.

    From then on, a WebSocket pings, and a long poll is answered, before the time is over. A stream
    can do neither, so it is given up.
    """
    if refused:
        proxy.refuse_upgrades()
    proxy.cut_idle(IDLE)
    numbers.send()
    page = Watched(alice, f"http://{proxy.address}")
    first = page.wait_for("1")
    page.tab.wait("sse" if refused else "websocket")
    deadline = time.monotonic() + PATIENCE + 5 * IDLE
    while proxy.cuts < 2 or page.transport != transport:
        assert time.monotonic() < deadline, "The connection is still being cut."
        page.page.wait_for_timeout(100)
    page.tab.wait(transport)
    numbers.send()
    assert page.knows(numbers.sent)
    cuts = proxy.cuts
    page.page.wait_for_timeout(1.5 * IDLE * 1000)  # silence
    assert proxy.cuts == cuts
    assert page.transport == transport
    page.wait_for(numbers.send())
    assert page.knows(numbers.sent)
    upgrade = ", and refuses the upgrade" if refused else ""
    table.append(
        f"| a proxy that cuts after {IDLE:g} s of silence{upgrade} | `{transport}` | {first:.2f} s | |"
    )
    assert first <= FIRST
