"""The main part of what Chromium shows, in Firefox."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Site
from tests.kit import servers
from tests.kit.firefox import Firefox, Page

OPEN = ".nf-toast:not([data-state=closing])"
TEXTS = f"[...document.querySelectorAll('{OPEN} :is(.nf-words, .nf-link)')].map((name) => name.textContent)"
BADGE = "document.querySelector('notify-badge .nf-badge').textContent"
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def firefox() -> Iterator[Firefox]:
    servers.need(Firefox.check)
    with Firefox() as firefox:
        yield firefox


class Visitor:
    """A user with a profile of their own."""

    def __init__(self, name: str, site: Site, firefox: Firefox) -> None:
        self.name, self.site = name, site
        self.profile = firefox.profile()
        self.profile.add_cookie(site.web.url, **site.call("visitor", name=name))
        self.pages: list[Page] = []

    def open(self, path: str = "/", transport: str = "websocket") -> Page:
        page = self.profile.page()
        self.pages.append(page)
        page.goto(self.site.web.url + path)
        page.until(transport_of("transport"), transport)
        page.until(transport_of("state"), "open")
        return page

    def send(self, message: str, **options: Any) -> None:
        self.site.send(self.name, message, **options)


def transport_of(attribute: str) -> str:
    return f"document.querySelector('notify-root')?.getAttribute('{attribute}')"


@pytest.fixture
def alice(firefox: Firefox, site: Site) -> Iterator[Visitor]:
    """A user without notifications. At the end, none of their pages may have logged an error."""
    visitor = Visitor(f"fox{next(numbers)}", site, firefox)
    yield visitor
    errors = [error for page in visitor.pages for error in page.errors]
    visitor.profile.close()
    assert errors == []


def shows(page: Page, *texts: str) -> None:
    page.until(TEXTS, list(texts))


def close_of(text: str) -> str:
    return f".nf-close[aria-label={json.dumps('Dismiss: ' + text)}]"


def test_every_tab_shows_what_is_sent_and_loses_what_one_dismisses(alice: Visitor) -> None:
    one, two = alice.open("/"), alice.open("/send/")
    alice.send("Ready", level="error")
    for page in (one, two):
        page.until(BADGE, "1")
        shows(page, "Ready")
    one.show()
    one.click(close_of("Ready"))
    for page in (one, two):
        shows(page)


def test_an_error_in_the_console_is_noticed(alice: Visitor) -> None:
    page = alice.open("/")
    page.run("console.error('Noticed')")
    page.until("true")
    assert page.errors == ["Noticed"]
    page.errors.clear()


def test_a_page_that_only_polls_shows_the_same(alice: Visitor) -> None:
    page = alice.open("/polling/", transport="poll")
    alice.send("Ready", level="error")
    shows(page, "Ready")
    page.click(close_of("Ready"))
    shows(page)


def test_a_toast_survives_a_navigation_and_comes_once(alice: Visitor) -> None:
    page = alice.open("/")
    alice.send("Kept", level="error")
    shows(page, "Kept")
    page.goto(alice.site.web.url + "/send/")
    page.until(transport_of("state"), "open")
    alice.send("New", level="error")
    shows(page, "New", "Kept")


def test_the_keyboard_reaches_the_newest_toast_and_goes_back(alice: Visitor) -> None:
    page = alice.open("/send/")
    page.show()
    page.run("document.querySelector('[name=message]').focus()")
    for text in ("First", "Second"):
        alice.send(text, level="error")
    shows(page, "Second", "First")
    page.press("F6")
    page.until("document.activeElement.ariaLabel", "Error: Second")
    page.press("Delete")
    shows(page, "First")
    page.press("Escape")
    shows(page)
    page.until("document.activeElement.name", "message")


def test_a_toast_can_be_clicked_above_a_modal_dialog(alice: Visitor) -> None:
    page = alice.open("/")
    page.show()
    page.run(
        "(() => { const dialog = document.body.appendChild(document.createElement('dialog'));"
        " dialog.style.inset = '0 auto auto 0'; dialog.append('Sure?'); dialog.showModal() })()"
    )
    alice.send("Above", level="error")
    shows(page, "Above")
    page.click(close_of("Above"))
    shows(page)


def test_a_task_goes_on_in_one_toast_to_its_result(alice: Visitor) -> None:
    page = alice.open("/")
    name = f"Importing for {alice.name}"
    alice.site.call("task", to=alice.name, name=name, total=4)
    shows(page, name)
    value = "document.querySelector('.nf-toast progress')?.value"
    alice.site.call("tell", name=name, what="advance", n=2)
    page.until(value, 2)
    alice.site.call("tell", name=name, what="succeed", message="Imported")
    page.until(f"{TEXTS}.length", 1)
    page.until("document.querySelector('.nf-toast').textContent.includes('Imported')")


@pytest.mark.parametrize("action", ["Archive", "Mark as read"])
def test_the_inbox_page_works_and_the_other_tab_follows(alice: Visitor, action: str) -> None:
    alice.send("Listed", level="error")
    tab = alice.open("/")
    shows(tab, "Listed")
    inbox = alice.open("/notify/inbox/")
    inbox.show()
    inbox.click(f"[aria-label^='{action}']")
    shows(tab)
