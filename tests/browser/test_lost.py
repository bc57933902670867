"""A worker is killed in the middle of its task."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Person, Site
from tests.kit import servers

NAME = "Importing customers"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("demo")
    settings = "tests.browser.hasty"
    with Site(servers.Uvicorn, folder, DJANGO_SETTINGS_MODULE=settings) as site:
        yield site


def test_a_task_whose_worker_was_killed_says_so_and_then_that_it_is_lost(alice: Person) -> None:
    """This holds in every tab: no progress bar may stay forever."""
    here, there = alice.open("/"), alice.open("/polling/", transport="poll")
    alice.site.call("task", to=alice.name, name=NAME, total=10)
    alice.site.call("tell", name=NAME, what="advance", n=4)
    for tab in (here, there):
        expect(tab.toast(NAME).locator("progress")).to_have_js_property("value", 4)
    alice.site.end("die")
    # A tab that polls every five seconds may find the task already lost.
    expect(here.toast(NAME)).to_contain_text("No response for a while")
    for tab in (here, there):
        expect(tab.toast(NAME)).to_contain_text("Contact with this task was lost")
        expect(tab.toast(NAME).locator("progress")).to_be_hidden()
    here.page.reload()
    expect(here.toast(NAME)).to_contain_text("Contact with this task was lost")
