"""The pages of the demo have no violation of WCAG 2.2, levels A and AA, that axe-core finds."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PROJECT, RIGHT_TO_LEFT, Person, Tab
from tests.kit import servers

AXE = PROJECT / "client" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LEVELS = ("debug", "info", "success", "warning", "error")
DESK, PHONE, ZOOMED = (
    {"width": 1100, "height": 700},
    {"width": 360, "height": 640},
    {"width": 550, "height": 350},  # 200 % of a window of 1100 by 700
)
SIGHTS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESK},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "forced-colors": {"viewport": DESK, "forced_colors": "active"},
    "right-to-left": {"viewport": DESK},
    "phone": {"viewport": PHONE},
    "zoomed": {"viewport": ZOOMED, "device_scale_factor": 2},
}
PAGES = ("/", "/imports/", "/redirect/", "/rollback/", "/actions/", "/send/", "/polling/")
INBOX = "/notify/inbox/"
LISTS = (INBOX, f"{INBOX}?view=unread", f"{INBOX}?view=archived", f"{INBOX}?category=none")
CHECK = """
async (tags) => {
  // Axe reads the colors of a toast, which are not its own before it has arrived.
  await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})))
  // Beside <body>, axe finds no background, and so no contrast.
  const root = document.querySelector("html > notify-root")
  if (root) document.body.moveBefore(root, null)
  // Forced colors are the user's, and axe reads those of the page.
  const rules = { "color-contrast": { enabled: !matchMedia("(forced-colors: active)").matches } }
  const { violations, incomplete } = await axe.run({ runOnly: tags, rules })
  if (root) document.documentElement.moveBefore(root, null)
  const unknown = incomplete.filter(({ id }) => id === "color-contrast")
  return [...violations, ...unknown].flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}\\n  ${html.slice(0, 300)}\\n  ${failureSummary}`))
}
"""
DIALOG = """() => {
  const dialog = document.createElement("dialog")
  dialog.setAttribute("aria-label", "A dialog")
  dialog.append(Object.assign(document.createElement("button"), { textContent: "Close" }))
  document.body.append(dialog)
  dialog.showModal()
}"""
HARM = """() => {
  document.querySelector(".nf-close").removeAttribute("aria-label")
  document.querySelector(".nf-link").style.color = "#bbb"
}"""


@cache
def axe() -> str:
    if not AXE.exists():
        raise servers.MissingProgram(
            "axe-core is missing: make client/node_modules/.package-lock.json"
        )
    return AXE.read_text()


def violations(tab: Tab) -> str:
    """Returns what axe-core finds in the page."""
    tab.page.evaluate(servers.need(axe))
    found = tab.page.evaluate(CHECK, RULES)
    return "\n".join(f"{tab.page.url}: {violation}" for violation in found)


@pytest.fixture(params=SIGHTS)
def viewer(meet: Any, request: pytest.FixtureRequest) -> Person:
    """A person who has a notification of each level."""
    person: Person = meet("alice", **SIGHTS[request.param])
    if request.param == "right-to-left":
        person.context.add_init_script(RIGHT_TO_LEFT)
    for level in LEVELS:
        person.send(f"Message of {level}", level=level, title=f"Title of {level}", url="/send/")
    person.hide_tabs()  # so that no toast closes meanwhile
    return person


def expand(tab: Tab) -> None:
    """Wait until all toasts are there, and show those that are behind the button."""
    more = tab.page.locator(".nf-more")
    expect(more).to_be_visible()
    if more.get_attribute("aria-expanded") == "false":
        tab.take_panel_away()
        more.click()
    expect(tab.toasts).to_have_count(len(LEVELS) + 1)


def test_no_page_of_the_demo_has_a_violation(viewer: Person) -> None:
    tab = viewer.open(PAGES[0])
    viewer.site.call("task", to=viewer.name, name="Importing", total=10, cancellable=True)
    expect(tab.toast("Importing")).to_have_count(1)
    found = []
    for page in PAGES:
        tab.open(page, transport="")
        expand(tab)
        found.append(violations(tab))
    tab.page.evaluate(DIALOG)
    expect(
        tab.page.locator("dialog notify-root :is(.nf-toast, .nf-more):visible").first
    ).to_be_visible()
    found.append(violations(tab))
    assert "\n".join(filter(None, found)) == ""


def test_no_list_of_the_inbox_has_a_violation(viewer: Person) -> None:
    tab = viewer.tab()
    found = []
    for page in LISTS:
        tab.open(page)
        found.append(violations(tab))
    tab.open("/actions/").page.get_by_role("button", name="Ask me for an approval").click()
    # By the keyboard, because toasts may lie over the buttons of a small window.
    tab.open(INBOX).page.locator("summary").first.press("Enter")
    found.append(violations(tab))
    tab.page.get_by_role("button", name="Decline: Approval").press("Enter")
    outcome = tab.page.locator("main").get_by_text("You have declined the payment of €480.")
    expect(outcome).to_be_visible()
    tab.page.get_by_role("button", name="Archive: Title of warning").press("Enter")
    expect(tab.page.get_by_role("button", name="Undo")).to_be_visible()
    found.append(violations(tab))
    assert "\n".join(filter(None, found)) == ""


def test_the_page_to_sign_in_has_no_violation(viewer: Person) -> None:
    tab = viewer.tab()
    tab.page.context.clear_cookies()
    tab.page.goto(f"{tab.url}/login/")
    assert violations(tab) == ""


def test_a_button_without_a_name_and_pale_text_are_found(alice: Person) -> None:
    """Otherwise the tests above would prove nothing."""
    tab = alice.open("/")
    alice.send("Hello", level="error", url="/send/")
    tab.shows("Hello")
    assert violations(tab) == ""
    tab.page.evaluate(HARM)
    found = violations(tab)
    assert "button-name" in found
    assert "color-contrast" in found
