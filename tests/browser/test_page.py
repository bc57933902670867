"""The page around the toasts: its own toasts, repeated ones, floods, quiet returns, and swipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Person, Tab

INBOX = "/notify/inbox/"
TRIGGER = (
    "(detail) => document.body.dispatchEvent(new CustomEvent('notify:toast',"
    " {detail, bubbles: true}))"
)
# Of a user whose clock is wrong by seven hours.
WRONG_CLOCK = "{ const now = Date.now; Date.now = () => now() - 7 * 3_600_000 }"
IS_HIDDEN = (
    'Object.defineProperty(Document.prototype, "hidden", { get: () => %s, configurable: true });'
)
CHANGED = 'document.dispatchEvent(new Event("visibilitychange"))'


def later(tab: Tab, *, seconds: int) -> Tab:
    """Have the server say that it is later, so that all that has arrived is older."""
    tab.page.add_init_script(f"""new MutationObserver(() => {{
      const root = document.querySelector("notify-root[rendered]:not([data-later])")
      if (!root) return
      root.dataset.later = ""
      root.setAttribute("rendered", Number(root.getAttribute("rendered")) + {seconds})
    }}).observe(document, {{ childList: true, subtree: true }})""")
    return tab


def summary(tab: Tab) -> Locator:
    return tab.page.locator("[data-level=notifications]:not([data-state=closing])")


# -- The page's own toasts -----------------------------------------------------------------------


def test_the_page_shows_updates_and_closes_a_toast_of_its_own(alice: Person) -> None:
    tab = alice.open("/")
    tab.page.evaluate(
        "window.toast = document.querySelector('notify-root').success('Saved', "
        "{title: 'Draft', url: '/elsewhere/', actions: [{label: 'Undo', url: '/undo/'}]})"
    )
    toast = tab.toast("Saved")
    expect(toast).to_have_attribute("data-level", "success")
    expect(toast.locator(".nf-link")).to_have_attribute("href", tab.url + "/elsewhere/")
    expect(toast.locator(".nf-action")).to_have_text("Undo")
    tab.page.evaluate("toast.update('Saved again', {level: 'warning'})")
    tab.shows("Saved again")
    expect(tab.toasts).to_have_attribute("data-level", "warning")
    tab.page.evaluate("toast.close()")
    tab.shows()
    expect(tab.badge).to_be_hidden()


def test_an_event_of_the_page_shows_toasts_and_a_hostile_one_raises_nothing(alice: Person) -> None:
    """As htmx dispatches it for HX-Trigger: what is no object comes in ``value``."""
    tab = alice.open("/")
    for detail in ["Plain", {"value": ["One", {"message": "Two", "level": "error"}]}]:
        tab.page.evaluate(TRIGGER, detail)
    tab.shows("Two", "One", "Plain")
    tab.allowed_errors = ("cannot show a toast", "not iterable")
    for detail in [None, 7, [], {}, {"value": [[]]}, {"message": {}}, {"message": "x", "level": 1}]:
        tab.page.evaluate(TRIGGER, detail)
    tab.page.evaluate(TRIGGER, {"message": "x", "actions": 5})
    tab.page.evaluate(TRIGGER, {"message": "<img src=x onerror=alert(1)>", "elt": {}})
    expect(tab.toasts.first).to_contain_text("<img src=x")
    assert len(tab.errors) >= 7


def test_the_same_text_again_is_one_toast_that_counts(alice: Person) -> None:
    """All of them are seen and dismissed with it."""
    tab = alice.open("/")
    for _ in range(3):
        alice.send("Disk almost full")
    tab.shows("Disk almost full ×3")
    expect(tab.page.get_by_label("3 times")).to_be_visible()
    expect(tab.badge).to_be_hidden()  # all three are seen
    tab.dismiss("Disk almost full")
    tab.shows()
    tab.page.reload()
    tab.wait()
    tab.shows()


# -- Many at once --------------------------------------------------------------------------------


COUNT_TOASTS = """() => {
  window.shown = 0
  window.addEventListener("notify:notification", (event) => {
    if (!event.defaultPrevented) window.shown += 1
  })
}"""
IN_TOASTS_OR_IN_LINE = """(sent) => {
  const line = document.querySelector("[data-level=notifications]:not([data-state=closing])")
  return window.shown + parseInt(line?.textContent.match(/\\d+/)) === sent
}"""


def test_a_flood_is_three_toasts_and_a_line_and_nothing_is_lost(alice: Person) -> None:
    """Each has a toast or is in the line. How many have one depends on the speed of the machine."""
    tab = alice.open("/")
    tab.page.evaluate(COUNT_TOASTS)
    alice.site.call("flood", to=alice.name, number=500, seconds=5)
    alice.send("It failed", level="error")
    expect(tab.toast("It failed")).to_be_visible()
    expect(summary(tab)).to_contain_text("new notifications")
    tab.page.wait_for_function(IN_TOASTS_OR_IN_LINE, arg=501)
    assert tab.page.evaluate("shown") < 250
    assert tab.page.locator(".nf-toast:visible:not([data-state=closing])").count() <= 3
    tab.page.goto(tab.url + INBOX)
    expect(tab.page.get_by_text("501 unread")).to_be_visible()


def test_what_came_long_ago_is_one_line_that_survives_a_navigation(alice: Person) -> None:
    """The badge keeps its count, the newest error is a toast, and a panel may open instead of the link."""
    for number in range(6):
        alice.send(f"Old {number}", level="error" if number in (1, 3) else "info")
    alice.context.add_init_script(WRONG_CLOCK)
    tab = later(alice.tab(), seconds=3600).open("/")
    tab.shows("5 new notifications", "Old 3")
    expect(tab.badge).to_have_text("5")  # the error has been seen
    tab.page.reload()
    tab.wait()
    expect(summary(tab)).to_contain_text("5 new notifications")
    tab.page.evaluate(
        "document.addEventListener('notify:open-inbox', (e) => e.preventDefault(), {once: true})"
    )
    expect(tab.badge).to_have_text("5")
    tab.toasts.get_by_role("link", name="5 new").click()
    expect(summary(tab)).to_have_count(0)
    expect(tab.page).to_have_url(tab.url + "/")


def test_a_few_that_came_long_ago_are_toasts(alice: Person) -> None:
    for number in range(3):
        alice.send(f"Old {number}")
    tab = later(alice.tab(), seconds=3600).open("/")
    tab.shows("Old 2", "Old 1", "Old 0")


def test_what_has_just_come_is_shown_one_by_one_whatever_the_clock_of_the_user(
    alice: Person,
) -> None:
    alice.context.add_init_script(WRONG_CLOCK)
    for number in range(5):
        alice.send(f"New {number}")
    tab = alice.open("/")
    expect(tab.page.locator(".nf-more")).to_have_text("2 more")
    expect(summary(tab)).to_have_count(0)


def test_a_line_closes_when_another_tab_has_read_it_all(alice: Person) -> None:
    for number in range(5):
        alice.send(f"Old {number}")
    tab = later(alice.tab(), seconds=3600).open("/")
    expect(summary(tab)).to_contain_text("5 new")
    other = alice.open(INBOX)
    other.page.get_by_role("button", name="Mark all as read").click()
    expect(summary(tab)).to_have_count(0)


def test_toasts_that_came_while_the_page_was_hidden_become_a_line(alice: Person) -> None:
    tab = alice.open("/")
    tab.page.evaluate(IS_HIDDEN % "true" + CHANGED)
    for number in range(4):
        alice.send(f"Hidden {number}")
    expect(tab.page.locator(".nf-more")).to_have_text("1 more")
    tab.page.evaluate("document.querySelector('notify-root').setAttribute('rendered', 2e9)")
    tab.page.evaluate(IS_HIDDEN % "false" + CHANGED)
    expect(summary(tab)).to_contain_text("4 new notifications")
    expect(tab.toasts).to_have_count(1)
    expect(tab.badge).to_have_text("4")


# -- Closing -------------------------------------------------------------------------------------


def test_one_button_closes_all_and_the_focus_returns(alice: Person) -> None:
    tab = alice.open("/send/")
    field = tab.page.get_by_label("Message", exact=True)
    field.focus()
    alice.send("One")
    expect(tab.page.locator(".nf-all")).to_have_count(0)
    for number in range(4):
        alice.send(f"More {number}", level="error")
    tab.page.evaluate("document.querySelector('notify-root').info('Own')")
    tab.page.keyboard.press("F6")
    button = tab.page.get_by_role("button", name="Close all")
    button.focus()
    tab.page.keyboard.press("Enter")
    tab.shows()
    expect(field).to_be_focused()
    alice.open("/").shows()


def swipe(page: Page, locator: Locator, way: int) -> None:
    box = locator.bounding_box()
    assert box
    client = page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch: Callable[[str, list[Any]], Any] = lambda kind, points: client.send(  # noqa: E731
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
    )
    touch("touchStart", [{"x": x, "y": y}])
    for step in range(1, 5):
        touch("touchMove", [{"x": x + way * step / 4, "y": y}])
    touch("touchEnd", [])


@pytest.mark.parametrize(("direction", "sign"), [("ltr", 1), ("rtl", -1)])
def test_a_finger_swipes_a_toast_away(meet: Any, direction: str, sign: int) -> None:
    person = meet("alice", has_touch=True)
    tab = person.open("/")
    tab.page.evaluate("(dir) => { document.querySelector('notify-root').dir = dir }", direction)
    person.send("Swipe me", level="error", url="/elsewhere/")
    toast = tab.toast("Swipe me").locator(".nf-icon").first
    swipe(tab.page, toast, -120 * sign)
    tab.shows("Swipe me")
    swipe(tab.page, tab.toast("Swipe me").locator(".nf-link"), 120 * sign)
    tab.shows("Swipe me")
    swipe(tab.page, toast, 120 * sign)
    tab.shows()
    person.open("/").shows()


# -- Outside the page ----------------------------------------------------------------------------


def test_the_title_of_a_hidden_tab_has_the_number(alice: Person) -> None:
    tab = alice.open("/")
    title = tab.page.title()
    tab.page.evaluate(
        "document.querySelector('notify-root').setAttribute('title-count', '');"
        "import('/static/notify/outside.js')"
    )
    tab.page.evaluate(IS_HIDDEN % "true" + CHANGED)
    alice.send("One")
    expect(tab.page).to_have_title(f"(1) {title}")
    tab.page.evaluate(IS_HIDDEN % "false" + CHANGED)
    expect(tab.page).to_have_title(title)
