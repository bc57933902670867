"""Actions that the server runs, answered in a toast and in the panel."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import Person
from tests.browser.test_panel import open_panel, panel

APPROVE: dict[str, Any] = {"label": "Approve", "run": "demo.approve", "args": {"amount": 480}}
DECLINE: dict[str, Any] = {
    **{"label": "Decline", "run": "demo.decline", "args": {"amount": 480}},
    **{"style": "danger", "confirm": "Decline the payment?"},
}
UNDO: dict[str, Any] = {"label": "Undo", "run": "demo.undo_export", "args": {"name": "missing.csv"}}


def test_an_answer_in_a_toast_shows_its_outcome_in_every_tab(alice: Person) -> None:
    tab, other = alice.open("/"), alice.open("/")
    tab.page.bring_to_front()
    alice.send("A payment waits", actions=[APPROVE, DECLINE])
    toast = tab.toast("A payment waits")
    toast.get_by_role("button", name="Decline").click()
    expect(toast.get_by_role("group", name="Decline the payment?")).to_be_visible()
    expect(toast.get_by_role("button", name="Cancel")).to_be_focused()
    toast.get_by_role("button", name="Decline").click()
    for it in (tab, other):
        expect(it.toast("A payment waits")).to_contain_text("You have declined the payment")
        expect(it.toast("A payment waits").locator(".nf-run")).to_have_count(0)


def test_an_answer_in_the_panel_shows_its_outcome_in_the_toast(alice: Person) -> None:
    tab, other = alice.open("/"), alice.open("/")
    alice.send("A payment waits", actions=[APPROVE])
    expect(other.toast("A payment waits")).to_be_visible()
    dialog = open_panel(tab)
    dialog.get_by_role("button", name="Approve", exact=True).click()
    expect(dialog.locator(".nf-outcome")).to_contain_text("is approved and booked")
    expect(other.toast("A payment waits")).to_contain_text("is approved and booked")


def test_an_action_that_fails_says_why_and_may_be_tried_again(alice: Person) -> None:
    alice.send("The export is ready", toast=False, actions=[UNDO])
    tab = alice.open("/")
    open_panel(tab)
    button = panel(tab.page).get_by_role("button", name="Undo", exact=True)
    button.click()
    expect(panel(tab.page).get_by_role("alert")).to_have_text(
        "The export has already been deleted."
    )
    expect(button).to_be_focused()
    expect(button).not_to_have_attribute("aria-disabled", "true")
