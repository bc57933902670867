"""A tab shows the notifications of the user for whom its page was rendered, and of no other user."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Person, Tab

TRANSPORTS = {"websocket": "/", "poll": "/polling/"}  # each with a page that uses it


def reconnect(tab: Tab) -> None:
    tab.page.evaluate("document.querySelector('notify-root').client.close()")
    tab.page.evaluate("document.querySelector('notify-root').client.open()")


def sign_in_instead(person: Person, name: str) -> None:
    """Sign another user in, in this browser."""
    cookie = person.site.call("visitor", name=name)
    person.context.add_cookies([{**cookie, "url": person.site.web.url}])


@pytest.mark.main
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_tab_that_is_left_open_does_not_become_the_next_users(
    alice: Person, transport: str
) -> None:
    """It reconnects with the cookie of the next user, is refused, and closes its toasts."""
    tab = alice.open(TRANSPORTS[transport], transport=transport)
    tab.allowed_errors = ("403",)
    tab.page.evaluate(
        "document.addEventListener('notify:disconnect', ({ detail }) => { window.end = detail })"
    )
    alice.send("For alice", level="error")
    tab.shows("For alice")
    warnings: list[str] = []
    tab.page.on("console", lambda line: line.type == "warning" and warnings.append(line.text))
    bob = f"{alice.name}-next"
    sign_in_instead(alice, bob)
    alice.site.send(bob, "For bob")
    if transport == "websocket":
        reconnect(tab)
    tab.wait("", "closed")
    tab.shows()
    expect(tab.page.locator(".nf-toast")).to_have_count(0)
    assert warnings == ["notify: closed by the server: another user"]
    if transport == "poll":
        assert tab.page.evaluate("window.end") == {"reason": "another_user", "returns": False}
    tab.page.reload()
    tab.wait(transport)
    tab.shows("For bob")


# -- Signing out -----------------------------------------------------------------------------------

SWAP = """(path) => fetch(path).then((response) => response.text()).then((html) => {
  const page = new DOMParser().parseFromString(html, "text/html");
  document.body.replaceWith(document.adoptNode(page.body));
})"""


def stored(tab: Tab) -> list[str]:
    """The names under which the tab has stored something about notifications."""
    names: list[str] = tab.page.evaluate("Object.keys(sessionStorage)")
    return [name for name in names if name.startswith("notify")]


@pytest.mark.main
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_soft_sign_out_closes_the_toasts_at_once(alice: Person, transport: str) -> None:
    """Turbo and htmx replace the body by that of the login page. Bars of tasks close as well."""
    tab = alice.open(TRANSPORTS[transport], transport=transport)
    alice.send("For alice", level="error")
    alice.site.call("task", to=alice.name, name="Export", total=10)
    tab.shows("Export", "For alice")
    expect(tab.page.locator(".nf-progress")).to_have_count(1)
    assert stored(tab) != []
    tab.page.route("**/signed-out/", lambda route: route.fulfill(body="<body>Welcome</body>"))
    tab.page.evaluate(SWAP, "/signed-out/")
    tab.wait("", "closed")
    expect(tab.page.locator(".nf-toast")).to_have_count(0)
    assert stored(tab) == []
    tab.page.evaluate(SWAP, "/send/")
    tab.wait("")
    tab.shows("Export", "For alice")


def test_a_part_of_the_body_that_is_swapped_closes_nothing(alice: Person) -> None:
    tab = alice.open("/")
    alice.send("For alice")
    tab.shows("For alice")
    tab.page.evaluate("document.querySelector('main').replaceChildren('Another page')")
    alice.send("More for alice")
    tab.shows("More for alice", "For alice")
    tab.wait()


def test_a_task_that_runs_at_the_sign_out_leaves_no_bar(alice: Person) -> None:
    """The user signs out elsewhere. Neither its bar nor a ring on a badge stays."""
    tab = alice.open("/")
    tab.allowed_errors = ("401",)
    for name in ("Export", "Import"):
        alice.site.call("task", to=alice.name, name=name, total=10)
    tab.shows("Import", "Export")
    tab.dismiss("Import")
    expect(tab.page.locator(".nf-ring")).to_have_count(1)
    alice.site.call("sign_out", name=alice.name)
    tab.wait("", "closed")
    expect(tab.page.locator(".nf-progress")).to_have_count(0)
    expect(tab.page.locator(".nf-ring")).to_have_count(0)


def test_signing_out_on_a_page_that_polls_leaves_no_text(alice: Person) -> None:
    """The tab does not notice the sign-out, so the login page wipes what the tab has stored."""
    tab = alice.open("/polling/", transport="poll")
    alice.send("For alice", level="error")
    tab.shows("For alice")
    tab.page.get_by_role("button", name="Sign out").click()
    expect(tab.page.locator("script[data-notify]")).to_have_count(1)
    tab.page.wait_for_load_state()
    assert stored(tab) == []


# -- Whose site ------------------------------------------------------------------------------------


def test_a_root_of_another_site_is_refused(alice: Person) -> None:
    """It comes from text that a site did not escape. The site's own root is not replaced."""
    tab = alice.open("/")
    tab.allowed_errors = ("https://elsewhere.example/ is another site",)
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    tab.page.evaluate(
        "document.querySelector('main').innerHTML ="
        " '<notify-root src=\"https://elsewhere.example/\" transports=poll user=x></notify-root>'"
    )
    expect(tab.root).to_have_count(1)
    assert tab.errors != []
    alice.send("Still here")
    tab.shows("Still here")
    tab.wait()
    assert not [url for url in asked if "elsewhere" in url]


def test_a_base_of_another_site_misleads_no_request(alice: Person) -> None:
    tab = alice.open("/")
    tab.page.evaluate(
        "document.head.prepend("
        "  Object.assign(document.createElement('base'), { href: 'https://elsewhere.example/' }));"
        "const root = document.querySelector('notify-root');"
        "const newer = root.cloneNode();"
        "root.remove();"
        "newer.removeAttribute('state');"
        "document.body.append(newer)"
    )
    tab.wait()
    alice.send("Still here")
    tab.shows("Still here")


FRAME = '<iframe src="/polling/?frame" width="900" height="600"></iframe>'


def allow_frame(tab: Tab) -> None:
    """Let the page be framed, as by X_FRAME_OPTIONS = "SAMEORIGIN"."""

    def allow(route: Route) -> None:
        response = route.fetch()
        headers = {**response.headers, "x-frame-options": "SAMEORIGIN"}
        route.fulfill(response=response, headers=headers)

    tab.page.route(lambda url: url.endswith("?frame"), allow)


@pytest.mark.parametrize("when", ["with the page", "later"])
def test_a_frame_leaves_it_to_the_page_around_it(alice: Person, when: str) -> None:
    """Otherwise each toast would be shown twice."""
    tab = alice.tab()
    allow_frame(tab)
    if when == "with the page":

        def frame_it(route: Route) -> None:
            response = route.fetch()
            text = response.text().replace('<main id="content"', FRAME + '<main id="content"')
            route.fulfill(response=response, body=text)

        tab.page.route("**/polling/", frame_it)
    tab.open("/polling/", transport="poll")
    if when == "later":
        tab.page.evaluate("(html) => document.querySelector('main').innerHTML = html", FRAME)
    inner = tab.page.frame_locator("iframe")
    expect(inner.locator("notify-root:defined")).to_have_count(1)
    tab.page.wait_for_load_state()
    alice.send("Once")
    tab.shows("Once")
    expect(inner.locator("notify-root[state]")).to_have_count(0)
    expect(inner.locator(".nf-toast")).to_have_count(0)


def test_a_frame_in_a_page_without_a_root_shows_its_toasts(alice: Person) -> None:
    tab = alice.tab()
    allow_frame(tab)
    page = f"<!doctype html>{FRAME}"
    tab.page.route("**/around/", lambda route: route.fulfill(body=page, content_type="text/html"))
    tab.page.goto(f"{tab.url}/around/")
    inner = tab.page.frame_locator("iframe")
    expect(inner.locator("notify-root")).to_have_attribute("state", "open")
    alice.send("In the frame")
    expect(inner.locator(".nf-toast")).to_contain_text("In the frame")
