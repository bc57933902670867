"""Every tab of a user shows a notification, and no tab of another user does."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Person
from tests.kit import servers


@pytest.fixture(scope="module", params=[servers.Daphne, servers.Uvicorn], ids=["daphne", "uvicorn"])
def server(request: pytest.FixtureRequest) -> type[servers.Web]:
    return request.param


@pytest.mark.main
def test_every_tab_of_the_user_shows_it_and_no_tab_of_another(alice: Person, bob: Person) -> None:
    """Of two users with two tabs each, only the recipient's tabs show it."""
    alice.hide_tabs()
    bob.hide_tabs()
    tabs = [alice.open("/"), alice.open("/imports/")]
    others = [bob.open("/"), bob.open("/send/")]
    alice.send("Your export is ready", level="success", url="/imports/")
    for tab in tabs:
        tab.shows("Your export is ready")
        expect(tab.badge).to_have_text("1")
    bob.send("For bob")  # earlier messages have been delivered by now
    for tab in others:
        tab.shows("For bob")


def test_a_tab_opened_later_finds_it(alice: Person) -> None:
    alice.send("Sent while no tab was open")
    alice.open("/").shows("Sent while no tab was open")


def test_dismissing_in_one_tab_does_so_in_all(alice: Person) -> None:
    first, second = alice.open("/"), alice.open("/send/")
    alice.send("One")
    alice.send("Two")
    first.shows("Two", "One")
    second.shows("Two", "One")
    second.dismiss("One")
    first.shows("Two")
    second.shows("Two")
    alice.open("/rollback/").shows("Two")


def test_following_its_link_reads_it_everywhere(alice: Person) -> None:
    first, second = alice.open("/"), alice.open("/send/")
    alice.send("The report is there", url="/imports/")
    first.shows("The report is there")
    second.toast("The report is there").get_by_role("link").click()
    expect(second.page).to_have_url(f"{second.url}/imports/")
    first.shows()
    second.shows()
    expect(first.badge).to_be_hidden()


def test_the_same_key_changes_one_toast_in_place(alice: Person) -> None:
    tab = alice.open("/")
    alice.send("3 of 10 done", key="import")
    tab.shows("3 of 10 done")
    alice.send("10 of 10 done", key="import", level="success")
    expect(tab.toast("10 of 10 done")).to_have_count(1)
    tab.shows("10 of 10 done")


def test_a_user_whose_sessions_end_is_told_no_more(alice: Person) -> None:
    """A new password ends all sessions. When the tab reconnects, it is refused for good."""
    tab = alice.open("/")
    tab.allowed_errors = ("401",)
    alice.site.call("sign_out", name=alice.name)
    alice.context.set_offline(True)
    alice.context.set_offline(False)
    tab.page.evaluate("document.querySelector('notify-root').client.close()")
    tab.page.evaluate("document.querySelector('notify-root').client.open()")
    expect(tab.root).to_have_attribute("state", "closed")
