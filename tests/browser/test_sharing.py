"""Many tabs of one user share one connection, and marks show in the other tabs at once."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, Route

from tests.browser.conftest import CHROMIUM_FLAGS, Person, Site, Tab, until
from tests.faults import at_most
from tests.kit import servers

# The attributes that the template tag would write with other settings.
ATTRIBUTES = """
new MutationObserver(() => {
  const root = document.querySelector("notify-root:not([state])")
  for (const [name, value] of Object.entries(%s)) root?.setAttribute(name, value)
}).observe(document, { childList: true, subtree: true })
"""
# Every tab of a headless browser is visible, unless the page overrides it.
VISIBILITY = """
let hidden = false
Object.defineProperty(Document.prototype, "hidden", { get: () => hidden })
window.hide = (value) => { hidden = value; document.dispatchEvent(new Event("visibilitychange")) }
"""
NO_LOCKS = """Object.defineProperty(Navigator.prototype, "locks", { value: undefined })"""
KEPT = """addEventListener("pageshow", ({ persisted }) => { window.kept = persisted })"""
STATES = """
window.states = []
document.addEventListener("notify:state", ({ detail }) => window.states.push(detail.state))
"""
HTTP = ["sse", "longpoll", "poll"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(servers.Uvicorn, tmp_path_factory.mktemp("demo"))
    site.web = servers.Uvicorn("tests.browser.counted:application", env=site.env)
    with site:
        yield site


def count(site: Site, which: str = "open") -> dict[str, int]:
    with urllib.request.urlopen(f"{site.web.url}/count/") as answer:
        return {name: n for name, n in json.load(answer)[which].items() if name and n}


@pytest.fixture(scope="module")
def browser(browser: Browser) -> Iterator[Browser]:
    """A browser with a back/forward cache, which Playwright's own lacks."""
    browser = browser.browser_type.launch(
        executable_path=servers.find_chromium(),
        args=CHROMIUM_FLAGS,
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield browser
    browser.close()


@pytest.fixture
def visit(meet: Callable[..., Person]) -> Callable[..., Person]:
    """Returns a function that makes a person whose pages have these attributes on <notify-root>."""

    def visit(transports: str, *scripts: str, name: str = "alice", **attributes: str) -> Person:
        person = meet(name)
        attributes = {"transports": transports, "poll-interval": "0.5", **attributes}
        for script in (ATTRIBUTES % json.dumps(attributes), STATES, *scripts):
            person.context.add_init_script(script)
        return person

    return visit


def open_tabs(person: Person, number: int, transport: str) -> list[Tab]:
    return [person.open("/", transport=transport) for _ in range(number)]


def forget_states(tabs: list[Tab]) -> None:
    for tab in tabs:
        tab.page.evaluate("window.states = []")


def interruptions(tabs: list[Tab]) -> list[str]:
    states = [state for tab in tabs for state in tab.page.evaluate("window.states")]
    return [state for state in states if state != "open"]


@pytest.mark.parametrize("transport", HTTP)
def test_eight_tabs_have_one_connection(
    visit: Callable[..., Person], site: Site, transport: str
) -> None:
    """Each tab shows each notification once. A tab that closes hands the connection over."""
    alice = visit(f"{transport} poll")
    tabs = open_tabs(alice, 8, transport)
    asking: set[Page] = set()

    def note(request: Request) -> None:
        if "/notify/changes/" in request.url or "/notify/stream/" in request.url:
            asking.add(request.frame.page)

    alice.context.on("request", note)
    alice.send("One")
    for tab in tabs:
        tab.shows("One")
    # A long poll is sent again after each answer.
    until(lambda: count(site), {transport: 1} if transport != "poll" else {})
    assert asking <= {tabs[0].page}

    forget_states(tabs)
    leader, *others = tabs
    before = count(site, "total")[transport]
    leader.page.close()
    took = until(lambda: count(site, "total")[transport] > before, True)
    assert took < at_most(5, 20)  # silence would be noticed after 35
    alice.send("Two")
    for tab in others:
        tab.shows("Two", "One")
    assert interruptions(others) == []
    until(lambda: count(site), {transport: 1} if transport != "poll" else {})


def test_what_is_sent_while_the_lead_changes_comes_once(
    visit: Callable[..., Person], site: Site
) -> None:
    """It is sent while no tab leads."""
    alice = visit("sse poll")
    tabs = open_tabs(alice, 4, "sse")
    for number in range(3):
        tabs.pop(0).page.close()
        alice.send(f"Message {number}")
    for tab in tabs:
        tab.shows("Message 2", "Message 1", "Message 0")


def test_a_frozen_leader_is_followed_by_another(visit: Callable[..., Person], site: Site) -> None:
    """The browser freezes a background tab. Once thawed, the tab catches up."""
    alice = visit("sse poll")
    leader, *others = open_tabs(alice, 3, "sse")
    cdp = alice.context.new_cdp_session(leader.page)
    cdp.send("Page.setWebLifecycleState", {"state": "frozen"})
    alice.send("While it is frozen")
    for tab in others:
        tab.shows("While it is frozen")
    until(lambda: count(site), {"sse": 1})
    cdp.send("Page.setWebLifecycleState", {"state": "active"})
    leader.shows("While it is frozen")


def test_a_leader_that_hangs_is_followed_by_a_tab_that_is_shown(
    visit: Callable[..., Person], site: Site
) -> None:
    alice = visit("sse poll", VISIBILITY)
    leader, other = tabs = open_tabs(alice, 2, "sse")
    forget_states(tabs)
    leader.page.evaluate(
        "setTimeout(() => { const end = Date.now() + 5000; while (Date.now() < end); })"
    )
    other.page.evaluate("hide(false)")
    until(lambda: count(site, "total").get("sse", 0) >= 2, True)
    alice.send("While it hangs")
    other.shows("While it hangs")
    leader.shows("While it hangs")
    assert interruptions(tabs) == []
    until(lambda: count(site), {"sse": 1})


def test_a_leader_that_is_left_hands_over_and_comes_back(
    visit: Callable[..., Person], site: Site
) -> None:
    """Its page waits in the back/forward cache, without a connection. Shown again, it is complete."""
    alice = visit("sse poll", KEPT)
    leader, *others = open_tabs(alice, 3, "sse")
    forget_states(others)
    leader.allowed_errors = ("404",)  # it has no icon
    leader.page.goto(f"{leader.url}/notify/changes/")
    alice.send("While it is away")
    for tab in others:
        tab.shows("While it is away")
    until(lambda: count(site), {"sse": 1})
    leader.page.evaluate("history.back()")
    leader.page.wait_for_url(f"{leader.url}/", wait_until="commit")
    leader.shows("While it is away")
    assert leader.page.evaluate("window.kept")
    assert interruptions(others) == []
    until(lambda: count(site), {"sse": 1})


def test_forty_tabs_leave_the_site_usable(visit: Callable[..., Person], site: Site) -> None:
    """Over HTTP/1.1, a browser has six connections to a host."""
    alice = visit("sse longpoll poll")
    tabs = open_tabs(alice, 40, "sse")
    until(lambda: count(site), {"sse": 1})
    start = time.monotonic()
    last = alice.open("/send/", transport="sse")
    assert last.page.evaluate("fetch('/').then((answer) => answer.status)") == 200
    took = time.monotonic() - start
    print(f"41st page open and a request answered after {took:.2f} s")
    assert took < 30  # if each tab held one of six connections, it would never be
    alice.send("For all")
    for tab in [*tabs, last]:
        tab.shows("For all")
    until(lambda: count(site), {"sse": 1})


def test_eight_tabs_may_share_one_websocket(visit: Callable[..., Person], site: Site) -> None:
    alice = visit("websocket sse longpoll poll", share="websocket")
    leader, *others = open_tabs(alice, 8, "websocket")
    until(lambda: count(site), {"websocket": 1})
    alice.send("One")
    for tab in [leader, *others]:
        tab.shows("One")
    forget_states(others)
    leader.page.close()
    alice.send("Two")
    for tab in others:
        tab.shows("Two", "One")
    others[3].dismiss("One")
    for tab in others:
        tab.shows("Two")
    assert interruptions(others) == []
    until(lambda: count(site), {"websocket": 1})


def test_without_locks_no_tab_holds_a_request(visit: Callable[..., Person], site: Site) -> None:
    """On a site without HTTPS, all tabs of a browser share six connections."""
    before = count(site, "total")
    alice = visit("sse longpoll poll", NO_LOCKS)
    tabs = open_tabs(alice, 3, "poll")
    alice.send("One")
    for tab in tabs:
        tab.shows("One")
    asked = count(site, "total")
    assert [name for name in asked if asked[name] != before.get(name, 0)] == ["poll"]


@pytest.mark.parametrize("transport", ["websocket", "sse"])
def test_a_toast_that_is_dismissed_here_closes_there_before_the_server_answers(
    visit: Callable[..., Person], transport: str
) -> None:
    """It comes back there if the server refuses."""
    alice = visit(f"{transport} poll")
    alice.context.route_web_socket("**/ws/**", mute)
    here, there = open_tabs(alice, 2, transport)
    here.allowed_errors = there.allowed_errors = ("400",)
    alice.send("One")
    alice.send("Two")
    here.shows("Two", "One")
    there.shows("Two", "One")
    held: list[Route] = []

    def hold(route: Route) -> None:
        """Only dismissals are held, not marks as seen."""
        if route.request.post_data_json["type"] == "dismissed":
            held.append(route)
        else:
            route.continue_()

    alice.context.route("**/notify/commands/*", hold)
    here.dismiss("One")
    here.shows("Two")
    there.shows("Two")
    if transport == "websocket":
        return
    refusal = {"type": "error", "ref": None, "code": "bad_command", "message": "No."}
    held.pop().fulfill(status=400, json=refusal)
    there.shows("Two", "One")
    here.shows("Two")


def mute(socket: Any) -> None:
    """A WebSocket that transmits no command."""
    server = socket.connect_to_server()
    socket.on_message(lambda text: '"pong"' in text and server.send(text))


def test_nothing_crosses_to_who_signs_in_next(visit: Callable[..., Person], site: Site) -> None:
    """Two users sign in, one after the other, in a browser that still has a tab of the first one open."""
    alice = visit("sse poll", name="alice")
    alice.hide_tabs()  # so that no tab marks what it shows
    first = alice.open("/", transport="sse")
    alice.send("For alice")
    first.shows("For alice")
    name = f"{alice.name}-next"
    cookie = site.call("visitor", name=name)
    alice.context.add_cookies([{**cookie, "url": site.web.url}])
    second = alice.open("/", transport="sse")
    until(lambda: count(site), {"sse": 2})
    site.send(name, "For bob")
    second.shows("For bob")
    alice.send("More for alice")
    first.shows("More for alice", "For alice")
    second.shows("For bob")
    second.dismiss("For bob")
    first.shows("More for alice", "For alice")
    first.allowed_errors = ("403",)
    first.dismiss("More for alice")  # with the cookie of the next user, so the server refuses it,
    first.wait("", "closed")  # and the tab ends
    first.shows()
    alice.open("/", transport="sse").shows()
