"""A notification is seen once it was on the screen for a second, and nothing else is seen or timed."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Person, Tab

MINUTE = 60_000

# A field at the place of the toasts, which cover it completely.
FIELD = """
document.body.append(Object.assign(document.createElement("input"), { id: "field" }))
const rules = new CSSStyleSheet()
rules.replaceSync("#field { position: fixed; bottom: 30px; right: 30px; width: 60px; height: 20px }")
document.adoptedStyleSheets = [rules]
"""

# An element that fills the screen when it is clicked.
STAGE = """(name) => {
  const stage = Object.assign(document.createElement(name), { id: "stage" })
  const button = Object.assign(document.createElement("button"), { id: "enter" })
  button.textContent = "Full screen"
  button.onclick = () => stage.requestFullscreen()
  document.body.prepend(button, stage)
}"""

# Observers are called in the order in which they were made, so those of the page have been called.
NEXT_FRAME = "() => new Promise((done) => new IntersectionObserver(done).observe(document.body))"


def pass_time(tab: Tab, ms: int) -> None:
    tab.page.evaluate(NEXT_FRAME)
    tab.page.clock.run_for(ms)


def seen(tab: Tab) -> Any:
    """Returns the texts of the notifications that the page has marked as seen."""
    return tab.root.evaluate(
        "(root) => root.client.store.all().filter((row) => row.seen_at).map((row) => row.message)"
    )


def open_with_clock(person: Person, **options: Any) -> Tab:
    tab = person.tab()
    tab.page.clock.install()
    return tab.open("/", **options)


def test_toasts_that_are_collapsed_under_the_focus_are_neither_seen_nor_closed(
    alice: Person,
) -> None:
    tab = open_with_clock(alice)
    tab.page.evaluate(FIELD)
    tab.page.locator("#field").focus()
    alice.send("Read me")
    expect(tab.page.get_by_role("button", name="Notifications (1)")).to_be_visible()
    pass_time(tab, MINUTE)
    assert seen(tab) == []
    tab.page.locator("#field").blur()
    tab.page.get_by_role("button", name="Notifications (1)").click()
    expect(tab.toasts).to_be_visible()
    pass_time(tab, 1_000)
    assert seen(tab) == ["Read me"]
    expect(tab.badge).to_be_hidden()


@pytest.mark.main
def test_toasts_work_in_full_screen(alice: Person) -> None:
    """Everything outside an element in full screen is inert, so the toasts move into it."""
    tab = open_with_clock(alice)
    tab.page.evaluate(STAGE, "div")
    alice.send("Before", level="error")
    tab.shows("Before")
    tab.page.locator("#enter").click()
    expect(tab.page.locator("#stage notify-root")).to_have_count(1)
    alice.send("News", level="error")
    tab.shows("News", "Before")
    tab.dismiss("News")
    tab.shows("Before")
    tab.page.evaluate("document.exitFullscreen()")
    expect(tab.page.locator("#stage notify-root")).to_have_count(0)
    tab.dismiss("Before")
    tab.shows()


@pytest.mark.parametrize("name", ["video", "iframe"])
def test_what_comes_during_a_film_in_full_screen_waits_for_its_end(
    alice: Person, name: str
) -> None:
    """A video displays no children, and nothing outside it is painted."""
    tab = open_with_clock(alice)
    tab.page.evaluate(STAGE, name)
    tab.page.locator("#enter").click()
    expect(tab.page.locator("#stage:fullscreen")).to_have_count(1)
    alice.send("News")
    tab.shows("News")
    pass_time(tab, MINUTE)
    assert seen(tab) == []
    tab.page.evaluate("document.exitFullscreen()")
    expect(tab.toasts).to_be_visible()
    pass_time(tab, 1_000)
    assert seen(tab) == ["News"]
    pass_time(tab, 8_000)
    tab.shows()


def test_of_an_expanded_list_only_what_is_in_the_window_is_seen(alice: Person) -> None:
    """The others keep their time, and have it when they come into view."""
    for number in range(12):
        alice.send(f"Number {number}", level="error")  # so many of another level are one line
    tab = open_with_clock(alice)
    tab.page.set_viewport_size({"width": 1100, "height": 300})
    tab.take_panel_away()
    tab.page.locator(".nf-more").click()
    pass_time(tab, 1_000)
    in_window = seen(tab)
    assert 0 < len(in_window) < 12
    assert "Number 11" in in_window
    assert "Number 0" not in in_window
    tab.toast("Number 0").scroll_into_view_if_needed()
    pass_time(tab, 1_000)
    assert "Number 0" in seen(tab)


# -- What screen readers announce ----------------------------------------------------------------

LISTEN = """
const heard = []
Document.prototype.ariaNotify = (text, { priority }) => {
  heard.push(`${priority}: ${text}`)
  document.documentElement.dataset.heard = heard.join(" ")
}
"""


def hears(tab: Tab, text: str) -> None:
    """Wait until exactly this has been announced in the tab."""
    expect(tab.page.locator("html")).to_have_attribute("data-heard", text)


def test_many_notifications_at_once_are_announced_in_one_sentence(alice: Person) -> None:
    alice.context.add_init_script(LISTEN)
    for number in range(6):
        alice.send(f"Number {number}")
    tab = alice.open("/")
    hears(tab, "normal: Notifications: 6 new.")
    alice.send("One more", level="error")
    hears(tab, "normal: Notifications: 6 new. high: Error: One more.")


def test_a_toast_that_was_seen_is_not_announced_again_in_a_new_tab(alice: Person) -> None:
    alice.context.add_init_script(LISTEN)
    tab = alice.open("/")
    alice.send("Standing", level="error")
    hears(tab, "high: Error: Standing.")
    expect(tab.badge).to_be_hidden()
    newer = alice.open("/")
    newer.shows("Standing")
    alice.send("News")
    hears(newer, "normal: Information: News.")
