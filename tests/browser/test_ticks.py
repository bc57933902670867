"""Ticks on the screen. They need a channel layer, because the task runs in another process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Person, Site
from tests.kit import servers

NAME = "Importing customers"
TICKED = """() => {
  const { client } = document.querySelector("notify-root");
  client.on("tick", ({ ticks: [{ id, done }] }) => {
    window.ticked = [done, client.store.get(id).progress.done];
  });
}"""


@pytest.fixture(scope="module")
def site(redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("demo")
    with Site(servers.Uvicorn, folder, REDIS_URL=redis_server.url) as site:
        yield site


def test_a_bar_moves_between_two_writings_of_its_row(alice: Person) -> None:
    tab = alice.open("/")
    alice.site.call("task", to=alice.name, name=NAME, total=10_000)
    bar = tab.toast(NAME).locator("progress")
    expect(bar).to_be_visible()
    tab.page.evaluate(TICKED)
    ticked = None
    for _ in range(50):
        alice.site.call("advance", name=NAME, n=200)
        tab.page.wait_for_timeout(100)
        if ticked := tab.page.evaluate("window.ticked"):
            break
    assert ticked
    told, in_row = ticked
    assert told > in_row, "the row does not contain it yet"
    expect(bar).not_to_have_js_property("value", in_row)
    alice.site.call("tell", name=NAME, what="update", done=9_000)
    expect(bar).to_have_js_property("value", 9_000)
