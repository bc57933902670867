"""The panel of the inbox behind the bell, by its states."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Person, Tab

INBOX = "/notify/inbox/"
PHONE = {"width": 360, "height": 640}
SCROLLS = (
    "(panel) => [panel, ...panel.children].some((part) => part.scrollWidth > part.clientWidth)"
)
NO_SOCKET = """
window.WebSocket = class extends EventTarget {
  constructor() {
    super()
    setTimeout(() => this.dispatchEvent(new CloseEvent("close", { code: 1006 })))
  }
  send() {}
  close() {}
}
"""


def bell(page: Page) -> Locator:
    return page.locator(".nf-bell a")


def panel(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Notifications")


def titles(page: Page) -> Locator:
    return page.locator(".nf-panel .nf-inbox-title bdi")


def open_panel(tab: Tab) -> Locator:
    bell(tab.page).click()
    expect(panel(tab.page)).to_be_visible()
    expect(tab.page.locator(".nf-panel-list")).to_have_attribute("aria-busy", "false")
    return panel(tab.page)


def fill(person: Person, count: int) -> None:
    for number in range(count):
        person.send(f"Number {number}", toast=False)


def test_it_opens_by_mouse_and_keyboard_and_gives_the_focus_back(alice: Person) -> None:
    alice.send("One", toast=False)
    tab = alice.open("/")
    button = tab.page.get_by_role("button", name="Notifications, 1 new")
    expect(button).to_have_attribute("aria-haspopup", "dialog")
    expect(button).to_have_attribute("aria-expanded", "false")
    open_panel(tab)
    expect(panel(tab.page)).to_be_focused()
    expect(bell(tab.page)).to_have_attribute("aria-expanded", "true")
    expect(titles(tab.page)).to_have_text(["One"])
    bell(tab.page).click()
    expect(panel(tab.page)).to_be_hidden()
    expect(bell(tab.page)).to_have_attribute("aria-expanded", "false")
    for key in ("Enter", "Space"):
        bell(tab.page).focus()
        tab.page.keyboard.press(key)
        expect(panel(tab.page)).to_be_focused()
        tab.page.keyboard.press("Escape")
        expect(panel(tab.page)).to_be_hidden()
        expect(bell(tab.page)).to_be_focused()
    open_panel(tab)
    tab.page.mouse.click(5, 400)
    expect(panel(tab.page)).to_be_hidden()


def test_the_bell_stays_a_link_where_the_script_does_not_load(alice: Person) -> None:
    tab = alice.tab()
    tab.allowed_errors = ("Failed to load resource",)
    tab.page.route("**/inbox.js", lambda route: route.abort())
    tab.open("/")
    bell(tab.page).click()
    expect(tab.page).to_have_url(alice.site.web.url + INBOX)


def test_a_click_with_control_opens_the_page_in_a_new_tab(alice: Person) -> None:
    tab = alice.open("/")
    with alice.context.expect_page() as opened:
        bell(tab.page).click(modifiers=["Control"])
    expect(opened.value).to_have_url(alice.site.web.url + INBOX)
    expect(panel(tab.page)).to_be_hidden()


def test_seen_is_only_what_is_on_the_screen(alice: Person) -> None:
    """A row that is seen stays unread."""
    fill(alice, 20)
    tab = alice.open("/")
    expect(tab.badge).to_have_text("20")
    open_panel(tab)
    expect(titles(tab.page)).to_have_count(20)
    rows = tab.page.locator(".nf-panel .nf-inbox-row")
    on_screen = tab.page.evaluate(
        """() => {
          const list = document.querySelector(".nf-panel-list").getBoundingClientRect()
          const rows = [...document.querySelectorAll(".nf-panel .nf-inbox-row")]
          const boxes = rows.map((row) => row.getBoundingClientRect())
          const middles = boxes.map((row) => row.top + row.height / 2)
          return middles.filter((middle) => middle <= list.bottom).length
        }"""
    )
    assert 0 < on_screen < 20
    expect(tab.badge).to_have_text(str(20 - on_screen))
    expect(tab.page.locator(".nf-panel .nf-inbox-row[data-unread]")).to_have_count(20)
    rows.last.scroll_into_view_if_needed()
    expect(tab.badge).not_to_have_text(str(20 - on_screen))


def test_nothing_is_seen_in_a_hidden_tab(alice: Person) -> None:
    alice.hide_tabs()
    alice.send("One", toast=False)
    tab = alice.open("/")
    open_panel(tab)
    expect(titles(tab.page)).to_have_text(["One"])
    alice.send("Two", toast=False)  # comes after the marks of the first, if there were any
    expect(tab.badge).to_have_text("2")


def test_what_is_archived_can_be_brought_back_by_mouse_and_keyboard(alice: Person) -> None:
    fill(alice, 3)
    tab, other = alice.open("/"), alice.open("/")
    open_panel(tab)
    open_panel(other)
    tab.page.bring_to_front()
    tab.page.get_by_role("button", name="Archive: Number 1").focus()
    tab.page.keyboard.press("Enter")
    undo = tab.page.get_by_role("button", name="Undo: Number 1")
    expect(undo).to_be_focused()
    expect(titles(tab.page)).to_have_text(["Number 2", "Number 0"])
    expect(titles(other.page)).to_have_text(["Number 2", "Number 0"])
    tab.page.keyboard.press("Enter")
    for page in (tab.page, other.page):
        expect(titles(page)).to_have_text(["Number 2", "Number 1", "Number 0"])
    tab.page.get_by_role("button", name="Archive: Number 2").click()
    tab.page.get_by_text("Archived", exact=True).click()
    expect(titles(tab.page)).to_have_text(["Number 2"])
    tab.page.get_by_role("button", name="Move to inbox: Number 2").click()
    expect(panel(tab.page)).to_contain_text("Nothing is archived.")
    expect(titles(other.page)).to_have_text(["Number 2", "Number 1", "Number 0"])


def test_read_and_unread_in_every_tab(alice: Person) -> None:
    fill(alice, 2)
    tab, other = alice.open("/"), alice.open("/")
    open_panel(tab)
    open_panel(other)
    tab.page.get_by_role("button", name="Mark as read: Number 0").click()
    for page in (tab.page, other.page):
        expect(page.locator(".nf-inbox-count")).to_have_text("1 unread")
        expect(page.get_by_role("button", name="Mark as unread: Number 0")).to_be_visible()
    tab.page.get_by_text("Unread", exact=True).click()
    expect(titles(tab.page)).to_have_text(["Number 1"])
    other.page.get_by_role("button", name="Mark as unread: Number 0").click()
    expect(titles(tab.page)).to_have_text(["Number 1", "Number 0"])


def test_all_that_was_shown_is_read_and_not_what_came_meanwhile(alice: Person) -> None:
    fill(alice, 2)
    tab = alice.open("/")
    dialog = open_panel(tab)
    expect(titles(tab.page)).to_have_count(2)
    titles(tab.page).first.hover()
    alice.send("Late", toast=False)
    expect(dialog.get_by_role("button", name="1 new")).to_be_visible()
    dialog.get_by_role("button", name="Mark all as read").focus()
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator(".nf-inbox-count")).to_have_text("1 unread")
    tab.page.get_by_text("Unread", exact=True).click()
    expect(titles(tab.page)).to_have_text(["Late"])


def test_nothing_moves_under_a_reader(alice: Person) -> None:
    fill(alice, 3)
    tab = alice.open("/")
    dialog = open_panel(tab)
    titles(tab.page).first.hover()
    alice.send("Four", toast=False)
    alice.send("Five", toast=False)
    pill = dialog.get_by_role("button", name="2 new")
    expect(pill).to_be_visible()
    expect(titles(tab.page)).to_have_text(["Number 2", "Number 1", "Number 0"])
    pill.click()
    expect(pill).to_be_hidden()
    expect(titles(tab.page)).to_have_text(["Five", "Four", "Number 2", "Number 1", "Number 0"])
    tab.page.mouse.move(5, 400)
    dialog.focus()
    alice.send("Six", toast=False)
    expect(titles(tab.page).first).to_have_text("Six")


def test_it_says_that_there_is_no_connection_and_tries_again(alice: Person) -> None:
    alice.send("One", toast=False)
    tab = alice.tab()
    tab.allowed_errors = ("Failed to load resource",)
    tab.open("/")
    broken = True

    def answer(route: Route) -> None:
        if broken:
            route.abort()
        else:
            route.fallback()

    tab.page.route("**/notify/inbox/?*", answer)
    bell(tab.page).click()
    expect(panel(tab.page)).to_contain_text("The notifications could not be loaded.")
    expect(tab.page.locator(".nf-panel-bones")).to_be_hidden()
    broken = False
    panel(tab.page).get_by_role("button", name="Try again").click()
    expect(titles(tab.page)).to_have_text(["One"])
    expect(panel(tab.page)).not_to_contain_text("could not be loaded")


def test_it_is_there_while_a_tab_waits_for_its_connection(alice: Person) -> None:
    """The list comes by HTTP, and says that it may be out of date."""
    alice.send("One", toast=False)
    alice.context.add_init_script(NO_SOCKET)
    tab = alice.tab()
    tab.allowed_errors = ("Failed to load resource",)
    for path in ("stream", "changes"):
        tab.page.route(f"**/notify/{path}/*", lambda route: route.abort())
    tab.page.goto(tab.url)
    tab.wait("", "waiting")
    bell(tab.page).click()
    expect(titles(tab.page)).to_have_text(["One"])
    expect(panel(tab.page)).to_contain_text("There is no connection.")


def test_following_a_link_reads(alice: Person) -> None:
    alice.send("Look", toast=False, url="/send/")
    tab = alice.open("/")
    open_panel(tab)
    panel(tab.page).get_by_role("link", name="Look").click()
    expect(tab.page).to_have_url(alice.site.web.url + "/send/")
    open_panel(tab)
    expect(tab.page.get_by_role("button", name="Mark as unread: Look")).to_be_visible()


def test_the_toasts_that_have_no_room_are_in_the_panel(alice: Person) -> None:
    tab = alice.open("/")
    for number in range(5):
        alice.send(f"Number {number}", level="warning")
    more = tab.page.locator(".nf-more")
    expect(more).to_have_text("2 more")
    more.click()
    expect(panel(tab.page)).to_be_focused()
    expect(titles(tab.page)).to_have_count(5)
    expect(more).to_have_attribute("aria-expanded", "false")
    tab.page.keyboard.press("Escape")
    expect(more).to_be_focused()
    tab.take_panel_away()
    more.click()
    expect(tab.toasts).to_have_count(5)


def test_older_rows_follow_and_the_lists_are_kept_apart(alice: Person) -> None:
    fill(alice, 60)
    tab = alice.open("/")
    open_panel(tab)
    expect(titles(tab.page)).to_have_count(25)
    expected = 25
    while expected < 60:
        titles(tab.page).last.scroll_into_view_if_needed()
        tab.page.mouse.wheel(0, 5000)
        expected = min(60, expected + 25)
        expect(titles(tab.page)).to_have_count(expected)
    expect(titles(tab.page).last).to_have_text("Number 0")
    tab.page.get_by_text("Archived", exact=True).click()
    expect(panel(tab.page)).to_contain_text("Nothing is archived.")


def test_a_task_has_its_bar_and_can_be_cancelled(alice: Person) -> None:
    alice.site.call("task", to=alice.name, name="Import", cancellable=True)
    alice.site.call("tell", name="Import", what="update", done=2, total=5)
    tab = alice.open("/")
    dialog = open_panel(tab)
    bar = dialog.get_by_role("progressbar", name="Import")
    expect(bar).to_have_attribute("aria-valuetext", "2 of 5 (40\xa0%)")
    alice.site.call("tell", name="Import", what="update", done=3, total=5)
    expect(bar).to_have_attribute("aria-valuetext", "3 of 5 (60\xa0%)")
    dialog.get_by_role("button", name="Cancel: Import").click()
    expect(dialog).to_contain_text("Cancelling…")


def test_hostile_text_stays_text(alice: Person) -> None:
    hostile = (
        "<img src=x onerror=\"document.title='hacked'\"> \u202e</bdi></script>{{ 7 }}%(count)s"
    )
    alice.send(
        hostile,
        title=hostile,
        category=hostile[:50],
        group="g" + hostile,
        key=hostile[:90],
        image="/x\"onerror='document.title=1'",
        actions=[{"label": hostile[:40], "url": '/"><script>'}],
        url="/?<script>",
        toast=False,
    )
    tab = alice.tab()
    tab.allowed_errors = ("Failed to load resource",)
    tab.open("/")
    open_panel(tab)
    expect(titles(tab.page)).to_have_text([hostile])
    expect(tab.page.locator(".nf-panel .nf-panel-text")).to_have_text(hostile)
    # An image that does not load gives way to the picture of the level.
    expect(tab.page.locator(".nf-panel .nf-inbox-face svg")).to_be_visible()
    assert tab.page.locator(".nf-panel").locator("img, script").count() == 0
    assert "hacked" not in tab.page.title()


def test_it_fits_a_phone(meet: Any) -> None:
    alice = meet("alice", viewport=PHONE)
    alice.send(
        "x" * 500, title="Report " * 12, toast=False, actions=[{"label": "y" * 40, "url": "/"}]
    )
    tab = alice.open("/")
    dialog = open_panel(tab)
    expect(titles(tab.page)).to_have_count(1)
    assert dialog.bounding_box() == {"x": 0, "y": 0, "width": 360, "height": 640}
    assert not dialog.evaluate(SCROLLS)
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    expect(bell(tab.page)).to_be_focused()


@pytest.mark.parametrize("policy", ["'nonce-fresh'", "'nonce-fresh' 'strict-dynamic'"])
def test_it_loads_under_a_policy_of_nonces(alice: Person, policy: str) -> None:
    """The script has the nonce of page.js, and its style sheets that of the bell."""
    alice.send("One", toast=False)
    tab = alice.tab()
    # The page comes from the test, so that the browser does not know that it is of this machine.
    tab.allowed_errors = ("LOCAL_NETWORK_ACCESS_CHECKS",)

    def strict(route: Route) -> None:
        answer = route.fetch()
        body = answer.text()
        for tag in ("<link ", "<script ", "<notify-bell "):
            body = body.replace(tag, f'{tag}nonce="fresh" ')
        csp = f"default-src 'self'; script-src {policy}; style-src 'nonce-fresh'"
        headers = {**answer.headers, "content-security-policy": csp}
        route.fulfill(response=answer, body=body, headers=headers)

    tab.page.route(alice.site.web.url + "/", strict)
    tab.open("/", transport="")
    dialog = open_panel(tab)
    expect(titles(tab.page)).to_have_text(["One"])
    assert dialog.evaluate("(it) => getComputedStyle(it).display") == "flex"
