"""The inbox page, with and without JavaScript, beside a tab that shows toasts."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Person

INBOX = "/notify/inbox/"
PHONE = {"width": 360, "height": 640}
SCROLLS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture
def plain(meet: Any, alice: Person) -> Page:
    """The inbox page of alice, in a browser that runs no scripts."""
    page: Page = meet(alice.name, number=False, java_script_enabled=False).tab().page
    page.goto(alice.site.web.url + INBOX)
    return page


def rows(page: Page) -> Any:
    return page.locator(".nf-inbox-title bdi")


def test_without_a_toast_a_notification_is_in_the_bell_and_in_the_inbox(alice: Person) -> None:
    tab = alice.open("/")
    alice.send("Only listed", toast=False)
    expect(tab.badge).to_have_text("1")
    alice.send("Shown", key="k")
    tab.shows("Shown")
    alice.send("No longer shown", key="k", toast=False)
    tab.shows()
    tab.page.locator(".nf-bell a").click()
    tab.page.get_by_role("link", name="Open the inbox").click()
    expect(tab.page).to_have_url(alice.site.web.url + INBOX)
    expect(rows(tab.page)).to_have_text(["No longer shown", "Only listed"])


def test_forms_without_javascript_reach_the_other_tabs(alice: Person, plain: Page) -> None:
    alice.hide_tabs()
    tab = alice.open("/")
    alice.send("One")
    alice.send("Two")
    tab.shows("Two", "One")
    expect(tab.badge).to_have_text("2")
    plain.reload()
    plain.get_by_role("button", name="Archive: Two").click()
    expect(rows(plain)).to_have_text(["One"])
    tab.shows("One")
    expect(tab.badge).to_have_text("1")
    plain.get_by_role("button", name="Undo").click()
    expect(rows(plain)).to_have_text(["Two", "One"])
    expect(tab.badge).to_have_text("2")
    tab.shows("One")  # The toast of what was archived does not come back.
    plain.get_by_role("button", name="Mark all as read").click()
    expect(plain.get_by_text("0 unread")).to_be_visible()
    tab.shows()
    expect(tab.badge).to_be_hidden()


def test_a_retracted_notification_is_gone_everywhere(alice: Person, plain: Page) -> None:
    tab = alice.open("/")
    alice.send("Order 7 waits for your approval", key="order:7", level="warning")
    tab.shows("Order 7 waits")
    alice.site.call("retract", to=alice.name, key="order:7")
    tab.shows()
    expect(tab.badge).to_be_hidden()
    plain.reload()
    expect(plain.get_by_text("You have no notifications.")).to_be_visible()


def test_the_page_fits_a_phone(meet: Any) -> None:
    """A word without spaces is broken, and so is a long title with actions."""
    alice = meet("alice", viewport=PHONE)
    for _ in range(3):
        alice.send("x" * 500, toast=False, title="Report " * 12, group="g", category="c" * 50)
    alice.send("y" * 90, toast=False, url="/", image="/static/demo/icon.svg")
    tab = alice.open(INBOX)
    expect(rows(tab.page)).to_have_count(4)
    tab.page.get_by_text("2 more like this").click()
    expect(rows(tab.page).last).to_be_visible()
    assert not tab.page.evaluate(SCROLLS)


def test_an_action_is_taken_without_javascript_and_shown_in_every_tab(
    alice: Person, plain: Page
) -> None:
    """The second form asks a question first, in a part of the page that opens without a script."""
    tab = alice.open("/actions/")
    tab.page.get_by_role("button", name="Ask me for an approval").click()
    tab.shows("waits for your approval")
    plain.reload()
    question = plain.get_by_text("Decline the payment of €480?")
    expect(question).to_be_hidden()
    plain.locator("summary").click()
    expect(question).to_be_visible()
    plain.get_by_role("button", name="Approve: Approval").click()
    expect(plain.get_by_text("of €480 is approved and booked.")).to_be_visible()
    expect(plain.locator("button[name=action]")).to_have_count(0)
    expect(tab.badge).to_be_hidden()
    tab.shows()
    plain.get_by_text("is approved and booked.").click()
    expect(plain.locator("ul.plain li")).to_contain_text("of €480")
