"""Toasts with the keyboard, a screen reader, the pointer, dialogs, and the page's own code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import PROJECT, Person

NARROW = {"width": 360, "height": 640}
LOOKS = [
    ("alice", "light", {"color_scheme": "light"}),
    ("bob", "dark", {"color_scheme": "dark"}),
    ("admin", "narrow", {"color_scheme": "light", "viewport": NARROW}),
]


def test_both_live_regions_are_there_before_the_first_toast(alice: Person) -> None:
    """A screen reader announces only changes in a region that it already knows."""
    alice.context.add_init_script("delete Document.prototype.ariaNotify")  # as in older browsers
    tab = alice.open("/")
    polite, assertive = (
        tab.root.locator("[aria-live=polite]"),
        tab.root.locator("[aria-live=assertive]"),
    )
    expect(polite).to_have_count(1)
    expect(assertive).to_have_count(1)
    alice.send("For your ears", level="success")
    expect(polite).to_contain_text("For your ears")
    alice.send("It failed", level="error")
    expect(assertive).to_contain_text("It failed")
    expect(tab.toasts.first).not_to_have_attribute("role", "alert")


def test_a_browser_that_can_announce_is_asked_to(alice: Person) -> None:
    alice.context.add_init_script(
        "Document.prototype.ariaNotify = function (text, { priority }) {"
        "  document.documentElement.dataset.said = priority + ' ' + text }"
    )
    tab = alice.open("/")
    alice.send("It failed", level="error")
    expect(tab.page.locator("html")).to_have_attribute("data-said", re.compile("^high .*It failed"))


def test_the_keyboard_reaches_and_leaves_the_toasts(alice: Person) -> None:
    """F6 goes to the newest toast, Escape dismisses it, and F6 returns to the previous focus."""
    tab = alice.open("/send/")
    field = tab.page.get_by_label("Message", exact=True)
    field.focus()
    alice.send("First", level="error")
    alice.send("Second", level="error")
    tab.shows("Second", "First")
    expect(field).to_be_focused()  # a toast never takes the focus
    tab.page.keyboard.press("F6")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Escape")
    expect(tab.toasts).to_have_count(1)
    tab.page.keyboard.press("F6")
    expect(field).to_be_focused()


def test_three_are_shown_and_the_rest_waits(alice: Person) -> None:
    tab = alice.open("/")
    for number in range(1, 6):
        alice.send(f"Number {number}")
    expect(tab.page.locator(".nf-more")).to_contain_text("2")
    expect(tab.page.locator(".nf-toast:visible:not([data-state=closing])")).to_have_count(3)


def test_toasts_work_above_a_modal_dialog(alice: Person) -> None:
    """Everything outside an open modal dialog is inert, so the toasts move into the dialog."""
    tab = alice.open("/")
    tab.page.evaluate(
        "document.body.append(Object.assign(document.createElement('dialog'), {textContent: 'Sure?'}));"
        "document.querySelector('dialog').showModal()"
    )
    alice.send("Above the dialog")
    tab.shows("Above the dialog")
    tab.dismiss("Above the dialog")
    tab.shows()


def test_the_strictest_policy_is_kept(alice: Person) -> None:
    """With Trusted Types, no string may become markup. A violation is an error in the console."""
    policy = "default-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"

    def tighten(route: Route) -> None:
        response = route.fetch()
        headers = {**response.headers, "content-security-policy": policy}
        route.fulfill(response=response, headers=headers)

    alice.context.route("**/polling/", tighten)
    # Chromium opens no WebSocket from a page that came through a proxy.
    tab = alice.open("/polling/", transport="poll")
    alice.send("Under lock and key", url="/imports/", actions=[{"label": "More", "url": "/send/"}])
    tab.shows("Under lock and key")
    tab.dismiss("Under lock and key")
    tab.shows()


def test_text_is_text(alice: Person) -> None:
    tab = alice.open("/")
    alice.send("<img src=x onerror=alert(1)>", title="<b>bold</b>")
    expect(tab.toasts).to_contain_text("<img src=x onerror=alert(1)>")
    expect(tab.toasts).to_contain_text("<b>bold</b>")
    expect(tab.toasts.locator("img")).to_have_count(0)


def test_a_page_may_draw_it_by_itself(alice: Person) -> None:
    """preventDefault() on notify:notification suppresses the toast, but the counts change."""
    tab = alice.open("/")
    tab.page.evaluate(
        "document.addEventListener('notify:notification', (event) => {"
        "  event.preventDefault(); document.title = event.detail.notification.message })"
    )
    alice.send("Mine to draw")
    expect(tab.page).to_have_title("Mine to draw")
    expect(tab.badge).to_have_text("1")
    tab.shows()


def test_a_body_that_is_swapped_keeps_its_toasts(alice: Person) -> None:
    """Turbo and htmx replace <body>. The root is kept beside it, and the new page's root gives way."""
    tab = alice.open("/")
    alice.send("Still here")
    tab.shows("Still here")
    tab.page.evaluate(
        "fetch('/send/').then((r) => r.text()).then((html) => {"
        "  const page = new DOMParser().parseFromString(html, 'text/html');"
        "  document.body.replaceWith(document.adoptNode(page.body)) })"
    )
    expect(tab.page.get_by_role("heading", name="Send from anywhere")).to_be_visible()
    expect(tab.root).to_have_count(1)
    tab.shows("Still here")
    alice.send("And alive")
    tab.shows("And alive", "Still here")


def test_a_position_set_by_a_script_survives_a_swapped_body(alice: Person) -> None:
    """
    The attributes that the tag writes on each page are adopted or removed.

    A position is only replaced by another.
    """
    tab = alice.open("/")
    tab.page.evaluate(
        "const root = document.querySelector('notify-root');"
        "root.setAttribute('position', 'block-start');"
        "root.setAttribute('csrf-token', 'old')"
    )
    swap = (
        "(position) => {"
        "  const newer = document.querySelector('notify-root').cloneNode();"
        "  for (const name of ['id', 'position', 'csrf-token']) newer.removeAttribute(name);"
        "  if (position) newer.setAttribute('position', position);"
        "  document.body.replaceChildren(newer) }"
    )
    tab.page.evaluate(swap, None)
    expect(tab.root).to_have_count(1)
    expect(tab.root).to_have_attribute("position", "block-start")
    expect(tab.page.locator("notify-root[csrf-token]")).to_have_count(0)
    tab.page.evaluate(swap, "inline-start")
    expect(tab.root).to_have_count(1)
    expect(tab.root).to_have_attribute("position", "inline-start")


@pytest.mark.parametrize(("name", "look", "options"), LOOKS, ids=[look for _, look, _ in LOOKS])
def test_toasts_fit_the_screen(
    meet: Callable[..., Person], name: str, look: str, options: dict[str, Any]
) -> None:
    """In light, dark and 360 px wide, nothing is cut off or scrolls sideways."""
    reader = meet(name, number=False, **options)
    tab = reader.open("/")
    reader.send("Row 41 has no date.", level="error", title="Import failed", url="/imports/")
    reader.send("1,200 rows came in.", level="success", title="Import finished", url="/imports/")
    expect(tab.toast("1,200 rows came in.")).to_be_visible()
    assert tab.page.viewport_size
    width = tab.page.viewport_size["width"]
    for toast in tab.page.locator(".nf-toast:visible").all():
        box = toast.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    picture = PROJECT / "test-results" / f"toast-{look}.png"
    tab.page.screenshot(path=picture, animations="disabled")
