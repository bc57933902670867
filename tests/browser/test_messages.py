"""
Django's messages become toasts, and stay a list where no toast can be shown.

htmx is not installed: the tests send its header, and dispatch the events of a response as htmx does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Person, Site, Tab
from tests.kit import servers

# As htmx 2 does with the header HX-Trigger: what is no object is put into `value`.
REQUEST = """async ([path, target]) => {
  const response = await fetch(path, { headers: { "HX-Request": "true" } });
  const element = document.querySelector(target);
  for (const [name, detail] of Object.entries(JSON.parse(response.headers.get("HX-Trigger") ?? "{}"))) {
    const isObject = Object.prototype.toString.call(detail) === "[object Object]";
    element.dispatchEvent(new CustomEvent(name, {
      bubbles: true, cancelable: true, composed: true, detail: isObject ? detail : { value: detail },
    }));
  }
  element.append(document.createRange().createContextualFragment(await response.text()));
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("demo")
    with Site(servers.Daphne, folder, DJANGO_SETTINGS_MODULE="tests.browser.htmx") as site:
        yield site


def decline(tab: Tab) -> None:
    """Have the next page show a warning."""
    tab.page.locator("button[name=rollback]").click()


def test_a_message_is_a_toast_and_stays_where_it_is_asked_for(alice: Person) -> None:
    alice.hide_tabs()
    tab = alice.open("/rollback/")
    decline(tab)
    tab.shows("The card was declined")
    expect(tab.page.locator("main .messages li.warning")).to_have_text(
        "The card was declined: nothing is booked, and nothing is sent."
    )
    assert alice.open("/").page.locator(".nf-toast").count() == 0


def test_without_javascript_it_is_the_usual_list(meet: Callable[..., Person]) -> None:
    carol = meet("carol", java_script_enabled=False)
    tab = carol.tab()
    tab.page.goto(f"{tab.url}/rollback/")
    decline(tab)
    expect(tab.page.locator("main .messages li.warning")).to_be_visible()


def test_a_fragment_sends_its_messages_in_a_header(alice: Person) -> None:
    alice.hide_tabs()
    tab = alice.open("/")
    tab.page.evaluate(REQUEST, ["/headed/", "main"])
    tab.shows("Stock is low", "Größe saved")
    expect(tab.toast("Stock is low")).to_have_attribute("data-level", "error")
    expect(tab.page.locator("main")).to_contain_text("New")


def test_a_list_in_a_fragment_becomes_toasts(alice: Person) -> None:
    alice.hide_tabs()
    tab = alice.open("/")
    tab.page.evaluate(REQUEST, ["/listed/", "main"])
    tab.shows("Listed")
    expect(tab.page.locator("notify-messages")).to_have_count(0)


def test_they_are_in_no_inbox_and_no_badge(alice: Person) -> None:
    tab = alice.open("/")
    tab.page.evaluate(REQUEST, ["/headed/", "main"])
    expect(tab.toasts).to_have_count(2)
    expect(tab.badge).to_be_hidden()
    tab.dismiss("Stock is low")
    expect(tab.toast("Stock is low")).to_have_count(0)
    tab.open("/notify/inbox/")
    expect(tab.page.get_by_role("main")).not_to_contain_text("Stock is low")
