"""
The pictures of bell, panel, page and toasts with actions, as users see them.

Each run writes them to test-results/, and with NOTIFY_WRITE_SCREENSHOT=1 to docs/images/ as well.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PROJECT, RIGHT_TO_LEFT, Person, Tab
from tests.browser.test_accessibility import DESK, PHONE

INBOX = "/notify/inbox/"
SIDEWAYS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESK},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": PHONE},
    "right-to-left": {"viewport": DESK},
}
APPROVAL = [
    {"label": "Approve", "run": "demo.approve", "args": {"amount": "1200"}, "style": "primary"},
    {"label": "Decline", "run": "demo.decline", "args": {"amount": "1200"}},
]


@pytest.fixture(params=LOOKS)
def look(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tab(meet: Callable[..., Person], look: str) -> Tab:
    """A page of somebody with a day's notifications, of which the newest can be answered in a toast."""
    person = meet("alice", **LOOKS[look])
    if look == "right-to-left":
        person.context.add_init_script(RIGHT_TO_LEFT)
    person.hide_tabs()
    send = person.send
    send("1,200 customers came in.", level="success", title="Import finished", toast=False)
    send("Row 41 has no date.", level="error", title="Import failed", url="/imports/", toast=False)
    send("The backup took 4 minutes.", title="Nightly backup", toast=False)
    tab = person.open("/")
    send("€1,200 to Acme Paper", title="A payment waits for your approval", actions=APPROVAL)
    expect(tab.toasts.get_by_role("button", name="Approve")).to_be_visible()
    return tab


def picture(tab: Tab, name: str, look: str) -> None:
    """Take the picture. Nothing may be cut off at the side."""
    assert not tab.page.evaluate(SIDEWAYS)
    file = PROJECT / "test-results" / f"{name}-{look}.png"
    tab.page.screenshot(path=file, animations="disabled")
    if os.environ.get("NOTIFY_WRITE_SCREENSHOT"):
        shutil.copy(file, PROJECT / "docs" / "images" / f"{name}-{look}.png")


def test_a_toast_with_actions(tab: Tab, look: str) -> None:
    picture(tab, "actions", look)


def test_the_panel(tab: Tab, look: str) -> None:
    tab.page.locator(".nf-bell a").click()
    expect(tab.page.locator(".nf-panel .nf-inbox-title")).to_have_count(4)
    picture(tab, "panel", look)


def test_the_inbox_page(tab: Tab, look: str) -> None:
    tab.open(INBOX)
    expect(tab.page.locator(".nf-inbox-title")).to_have_count(4)
    picture(tab, "inbox", look)
