"""The pages of the demo, used as their visitors use them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Person
from tests.projects.texts import DOCS, blocks


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    """A file as written by a spreadsheet in Germany: semicolons, cp1252, and one bad row."""
    rows = [
        "Name;E-Mail;Ort",
        *(f"Käthe {n};k{n}@example.com;Köln" for n in range(1200)),
        ";nobody@example.com;Köln",
    ]
    path = tmp_path / "kunden.csv"
    path.write_bytes("\r\n".join(rows).encode("cp1252"))
    return path


def test_an_import_tells_its_user_in_every_tab(alice: Person, bob: Person, customers: Path) -> None:
    """The worker imports the file. Each tab of the user links to the result, and bob's tabs show nothing."""
    tab, elsewhere, stranger = alice.open("/imports/"), alice.open("/send/"), bob.open("/imports/")
    tab.page.set_input_files("input[type=file]", customers)
    tab.page.locator("main").get_by_role("button", name="Import", exact=True).click()
    expect(elsewhere.toasts).to_have_count(1)
    expect(elsewhere.toasts).to_contain_text(re.compile(r"1,200"))
    tab.wait()
    expect(tab.toasts.or_(tab.page.locator("main"))).to_contain_text([re.compile(r"1,200")])
    elsewhere.toasts.get_by_role("link").first.click()
    expect(elsewhere.page).to_have_url(re.compile(r"/imports/\d+/$"))
    expect(elsewhere.page.locator("main")).to_contain_text("kunden.csv")
    alice.open("/").shows()  # read in one tab, gone in all
    bob.send("For bob")
    stranger.shows("For bob")


@pytest.mark.parametrize("button", ["immediate", "worker"])
def test_a_task_that_ends_during_the_redirect_is_told_once(alice: Person, button: str) -> None:
    alice.hide_tabs()
    tab = alice.open("/redirect/")
    tab.page.locator(f"button[name={button}]").click()
    expect(tab.page).to_have_url(f"{tab.url}/redirect/done/")
    tab.wait()
    expect(tab.toasts).to_have_count(1)
    tab.page.reload()
    tab.wait()
    expect(tab.toasts).to_have_count(1)
    expect(tab.badge).to_have_text("1")


def test_what_is_sent_between_two_pages_is_there_once(alice: Person) -> None:
    """The old page is gone and the new one has no connection yet, so the row waits."""
    tab = alice.open("/")

    def send_first(route: Route) -> None:
        alice.send("Sent in between")
        route.continue_()

    tab.page.route("**/notify.js", send_first, times=1)
    tab.page.goto(f"{tab.url}/send/")
    tab.wait()
    tab.shows("Sent in between")
    tab.page.goto(f"{tab.url}/imports/")
    tab.wait()
    tab.shows("Sent in between")


def test_what_is_rolled_back_is_never_shown(alice: Person) -> None:
    tab = alice.open("/rollback/")
    tab.page.locator("button[name=rollback]").click()
    expect(tab.page.locator(".messages")).to_contain_text("declined")
    tab.wait()
    alice.send("Sent after the rollback")
    tab.shows("Sent after the rollback")
    tab.page.get_by_role("button", name="Pay €120", exact=True).click()
    tab.wait()
    expect(tab.toast("is booked")).to_have_count(1)


def test_a_form_sends_to_anyone(alice: Person, bob: Person) -> None:
    tab, receiver = alice.open("/send/"), bob.open("/")
    tab.page.get_by_label("Recipient").select_option(label=bob.name)
    tab.page.get_by_label("Message", exact=True).fill("Lunch?")
    tab.page.locator("main").get_by_role("button", name="Send", exact=True).click()
    receiver.shows("Lunch?")
    tab.wait()
    alice.send("For alice")
    tab.shows("For alice")


def test_the_command_of_the_readme_sends(alice: Person) -> None:
    tab = alice.open("/")
    alice.site.manage("notify_send", alice.name, "Hello", "--level", "success", "--url", "/x/")
    tab.shows("Hello")
    expect(tab.toasts).to_have_attribute("data-level", "success")
    expect(tab.toasts.get_by_role("link")).to_have_attribute("href", f"{tab.url}/x/")


@pytest.mark.main
def test_a_page_limited_to_polling_shows_the_same(alice: Person) -> None:
    tab = alice.open("/polling/", transport="poll")
    alice.send("This came without a WebSocket")
    tab.shows("This came without a WebSocket")


def test_without_script_the_count_and_the_list_are_there(meet) -> None:
    """The server renders the badge, which links to a page with the new notifications."""
    carol = meet("carol", java_script_enabled=False)
    carol.send("For those without script")
    page = carol.tab().page
    page.goto(f"{carol.site.web.url}/send/")
    expect(page.locator("notify-badge")).to_contain_text("1")
    page.locator("notify-badge a").click()
    expect(page.locator("main")).to_contain_text("For those without script")


def test_a_badge_of_unread_notifications_counts_as_its_page_says(alice: Person) -> None:
    """docs/howto/migrate.md keeps the badge of another package, which counts what is unread."""
    code = dict(blocks(DOCS / "howto" / "migrate.md"))
    tab = alice.open("/")
    tab.page.evaluate(
        "([markup, script]) => { const part = document.createElement('p'); part.innerHTML = markup;"
        " document.body.append(part); (0, eval)(script) }",
        [code["html"].replace("{{ unread }}", "0"), code["js"]],
    )
    unread = tab.page.locator(".unread")
    alice.send("One")
    alice.send("Two")
    expect(unread).to_have_text("2")
    expect(tab.badge).to_be_hidden()  # both were seen,
    tab.dismiss("Two")
    tab.shows("One")
    expect(unread).to_have_text("2")  # but none was read


@pytest.mark.parametrize("name", ["The command", "The code of this page"])
def test_code_that_is_wider_than_a_phone_scrolls_by_keyboard(alice: Person, name: str) -> None:
    page = alice.open("/send/").page
    page.set_viewport_size({"width": 360, "height": 640})
    page.locator("details.source summary").click()
    code = page.get_by_role("group", name=name)
    expect(code).to_have_attribute("tabindex", "0")  # not every browser focuses what scrolls
    code.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, "the page scrolls sideways"
