"""Marks, undos and actions from three tabs at once, some of them cut off: at rest, all show the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Person, Tab, until
from tests.faults.proxy import Proxy

PHONE = {"width": 360, "height": 640}
STEPS = 30
MARKS = ["seen", "read", "archived", "dismissed", "unread", "unarchive"]
APPROVE = {"label": "Approve", "run": "demo.approve", "args": {"amount": "1.00"}}
ALL = ["seen", "read", "archived"]
CLIENT = "document.querySelector('notify-root').client"
# The marks of the rows that a tab shows. Their moments differ until the server has answered.
SHOWN = f"""Object.fromEntries({CLIENT}.store.all().map((row) => [row.message,
  ["seen_at", "read_at", "archived_at", "dismissed_at", "acted_at"].filter((name) => row[name])]))"""
SEEN = f"[{SHOWN}, {{...{CLIENT}.counts}}]"
DO = f"""([how, mark, text]) => {{
  const rows = {CLIENT}.store.all().filter(({{ message }}) => message === text)
  if (how === "all") {CLIENT}.markAll(mark)
  else if (how === "mark") {CLIENT}.mark(mark, rows)
  else for (const row of rows) {CLIENT}.act(row, 0)
}}"""


class Cut:
    """A tab behind a link of its own."""

    def __init__(self, person: Person, link: Proxy) -> None:
        self.link = link
        self.tab: Tab = person.tab(f"http://{link.address}")
        self.tab.allowed_errors = ("WebSocket connection", "Failed to load resource")
        self.page: Page = self.tab.page
        self.tab.open("/")

    def cut(self) -> None:
        self.link.cut()
        self.link.refuse()

    def come_back(self) -> None:
        self.link.heal()


@pytest.fixture
def tabs(meet: Callable[..., Person], alice: Person) -> Iterator[list[Cut]]:
    people = [
        meet(alice.name, number=False),
        meet(alice.name, number=False, viewport=PHONE),
        alice,
    ]
    links = [Proxy(alice.site.web.address) for _ in people]
    for link in links:
        link.start()
    yield [Cut(person, link) for person, link in zip(people, links, strict=True)]
    for link in links:
        link.close()


@pytest.mark.parametrize("seed", range(3))
def test_three_tabs_show_the_same_at_rest(alice: Person, tabs: list[Cut], seed: int) -> None:
    dice = random.Random(seed)
    texts: list[str] = []

    def send(text: str) -> None:
        texts.append(text)
        alice.send(text, level="error", actions=[APPROVE])

    for number in range(5):
        send(f"Message {number}")
    for tab in tabs:
        tab.page.wait_for_function(f"() => {CLIENT}.store.all().length === {len(texts)}")
    did = []
    for _ in range(STEPS):
        tab, text = dice.choice(tabs), dice.choice(texts)
        do = dice.choice(
            [*MARKS, *MARKS, "act", "act", "all", "cut", "come_back", "come_back", "send"]
        )
        did.append((tabs.index(tab), do, text))
        if do == "send":
            send(f"Message {len(texts)}")
        elif do in ("cut", "come_back"):
            getattr(tab, do)()
        else:
            mark = dice.choice(ALL) if do == "all" else do
            tab.page.evaluate(DO, [do if do in ("act", "all") else "mark", mark, text])
    for number, tab in enumerate(tabs):
        tab.come_back()
        send(f"End {number}")
    # The commands of a tab are executed in order, so nothing is on its way after these.
    for number, tab in enumerate(tabs):
        tab.page.wait_for_function(f"() => 'End {number}' in {SHOWN}")
        tab.page.evaluate(DO, ["mark", "read", f"End {number}"])
    ends = [f"End {number}" for number in range(len(tabs))]

    def stored() -> Any:
        return alice.site.call("stored", to=alice.name)

    print(did)  # shown if the test fails
    until(lambda: all("read_at" in stored()["rows"][end] for end in ends), True)

    def difference(tab: Cut) -> Any:
        now = stored()  # read again, because a toast that is looked at is marked as seen
        shown = tab.page.evaluate(SEEN)
        return None if shown == [now["rows"], now["counts"]] else [shown, now]

    for tab in tabs:
        tab.tab.wait(transport="", state="open")
        until(partial(difference, tab), None)
    end = stored()
    assert end["acts"] == sum("acted_at" in row for row in end["rows"].values())
