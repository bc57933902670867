"""The bar of one task inside a page, from its start to its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Person, Site, Tab
from tests.kit import servers

NAME = "Exporting"


@pytest.fixture(scope="module")
def site(redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("demo")
    settings = {"DJANGO_SETTINGS_MODULE": "tests.browser.htmx", "REDIS_URL": redis_server.url}
    with Site(servers.Uvicorn, folder, **settings) as site:
        yield site


def place(tab: Tab) -> Locator:
    return tab.page.locator("main notify-progress")


def begin(alice: Person, **options: Any) -> None:
    alice.site.call("task", to=alice.name, name=NAME, key="export", total=10, **options)


def tell(alice: Person, what: str, **arguments: Any) -> None:
    alice.site.call("tell", name=NAME, what=what, **arguments)


def test_it_follows_its_task_from_the_start_to_the_result(alice: Person) -> None:
    tab = alice.open("/watched/")
    expect(place(tab)).to_be_empty()
    begin(alice)
    bar = place(tab).locator("progress")
    expect(place(tab)).to_have_attribute("state", "running")
    expect(bar).to_have_js_property("max", 10)
    tell(alice, "update", done=4, message="Page 4")
    expect(bar).to_have_js_property("value", 4)
    expect(place(tab)).to_contain_text("Page 4")
    tell(alice, "succeed", message="Ten pages", url="/imports/")
    expect(bar).to_be_hidden()
    expect(place(tab)).to_have_attribute("state", "succeeded")
    result = place(tab).get_by_role("link", name="Ten pages")
    expect(result).to_have_attribute("href", f"{tab.url}/imports/")
    tab.page.reload()
    expect(place(tab).get_by_role("link", name="Ten pages")).to_be_visible()


def test_it_is_right_on_reload_and_without_javascript(
    alice: Person, meet: Callable[..., Person]
) -> None:
    begin(alice)
    tell(alice, "update", done=7, message="Page 7")
    tab = alice.open("/watched/")
    expect(place(tab).locator("progress")).to_have_js_property("value", 7)
    plain = meet(alice.name, number=False, java_script_enabled=False).tab()
    plain.page.goto(f"{plain.url}/watched/")
    expect(place(plain).locator("progress")).to_have_attribute("value", "7")
    expect(place(plain)).to_contain_text("Page 7")
    tell(alice, "succeed", message="Done")


def test_it_moves_between_two_writings_of_its_row(alice: Person) -> None:
    tab = alice.open("/watched/")
    begin(alice)
    bar = place(tab).locator("progress")
    expect(bar).to_be_visible()
    for done in range(1, 9):
        alice.site.call("advance", name=NAME, n=1)
        expect(bar).to_have_js_property("value", done)
    tell(alice, "succeed", message="Done")


def test_nobody_else_sees_it(alice: Person, bob: Person) -> None:
    other = bob.open("/watched/")
    begin(alice)
    tell(alice, "succeed", message="Ten pages")
    bob.send("For bob")
    other.shows("For bob")
    expect(place(other)).to_be_empty()
