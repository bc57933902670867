"""With NOTIFY_ECHO = "quiet", the tab that sent a request alone shows the toast."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Person, Site, Tab
from tests.kit import servers


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("demo")
    with Site(servers.Daphne, folder, DJANGO_SETTINGS_MODULE="tests.browser.quiet") as site:
        yield site


def book(tab: Tab) -> None:
    tab.page.locator("button[name=commit]").click()


def fetch(tab: Tab, headers: str) -> None:
    """Send the form of the page by a script."""
    tab.page.evaluate(
        f"""() => fetch(location.href, {{
            method: "POST", headers: {headers}, body: new FormData(document.querySelector("main form")),
        }})"""
    )


def test_a_form_shows_its_toast_in_its_own_tab(alice: Person) -> None:
    """It survives the redirect; the other tab counts it. A later send of another process is in both."""
    alice.hide_tabs()
    other, tab = alice.open("/"), alice.open("/rollback/")
    book(tab)
    tab.shows("is booked")
    expect(other.badge).to_have_text("1")
    alice.send("For all")
    tab.shows("For all", "is booked")
    other.shows("For all")
    assert "notify_tab" not in {cookie["name"] for cookie in alice.context.cookies()}


def test_the_other_way_round(alice: Person) -> None:
    """Each tab has a name of its own, which does not depend on the order."""
    alice.hide_tabs()
    tab, other = alice.open("/rollback/"), alice.open("/rollback/")
    book(other)
    other.shows("is booked")
    expect(tab.badge).to_have_text("1")
    book(tab)
    tab.shows("is booked")
    expect(other.badge).to_have_text("2")
    expect(other.toasts).to_have_count(1)


def test_a_script_names_its_tab_by_a_header(alice: Person) -> None:
    alice.hide_tabs()
    tab, other = alice.open("/rollback/"), alice.open("/")
    fetch(tab, '{ "X-Notify-Tab": document.documentElement.dataset.notifyTab }')
    tab.shows("is booked")
    expect(other.badge).to_have_text("1")
    expect(other.toasts).to_have_count(0)


def test_without_a_name_all_tabs_show_it(alice: Person) -> None:
    alice.hide_tabs()
    tab, other = alice.open("/rollback/"), alice.open("/")
    fetch(tab, "{}")
    tab.shows("is booked")
    other.shows("is booked")


def test_a_tab_that_is_gone_leaves_it_in_the_inbox(alice: Person) -> None:
    alice.hide_tabs()
    tab, other = alice.open("/rollback/"), alice.open("/")
    fetch(tab, '{ "X-Notify-Tab": document.documentElement.dataset.notifyTab }')
    tab.shows("is booked")
    tab.page.close()
    later = alice.tab().open("/notify/inbox/")
    expect(later.page.get_by_role("main")).to_contain_text("is booked")
    expect(other.badge).to_have_text("1")
