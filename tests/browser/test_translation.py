"""A site in a made-up language, in which numbers have three forms: 1; 2 to 4; and the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Person, Site
from tests.kit import servers, translation


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    servers.need(servers.find_gettext)
    locale = translation.make_catalogue(tmp_path_factory.mktemp("translation"))
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.browser.translated",
        "NOTIFY_TEST_LOCALE": str(locale),
    }
    with Site(servers.Daphne, tmp_path_factory.mktemp("demo"), **env) as site:
        yield site


def test_numbers_take_their_forms_on_the_page_and_in_the_script(alice: Person) -> None:
    """The server renders the badge; the script renders the same, and the button above the toasts."""
    alice.hide_tabs()  # so that nothing is seen
    tab = alice.open("/")
    badge, more = tab.page.locator("notify-badge a"), tab.page.locator(".nf-more")
    news = {1: "one⟦1 new⟧", 2: "few⟦2 new⟧", 5: "many⟦5 new⟧"}
    sent = 0
    for count, text in news.items():
        while sent < count:
            sent += 1
            alice.send(f"Number {sent}")
        name = f"⟦Notifications⟧, {text}"
        expect(badge).to_have_attribute("aria-label", name)
        assert f'aria-label="{name}"' in tab.page.request.get(tab.page.url).text()
    hidden = count_of(more)
    form = {1: "one", 2: "few"}[hidden]
    expect(more).to_have_text(f"{form}⟦{hidden} more⟧")
    tab.take_panel_away()
    more.click()
    expect(more).to_have_text("⟦Show fewer⟧")


def count_of(button: Locator) -> int:
    """Returns the number in a text such as "few⟦2 more⟧"."""
    expect(button).to_be_visible()
    return int("".join(filter(str.isdigit, button.text_content() or "")))


@pytest.mark.parametrize(("count", "name"), [(2, "few⟦2 times⟧"), (5, "many⟦5 times⟧")])
def test_a_toast_is_translated(alice: Person, count: int, name: str) -> None:
    """Its own text is not: the sender has translated it."""
    alice.hide_tabs()
    tab = alice.open("/")
    for _ in range(count):
        alice.send("Hello", key="k", count=True)
    toast = tab.toast("Hello")
    expect(toast.locator(".nf-count")).to_have_attribute("aria-label", name)
    expect(toast.locator(".nf-count")).to_have_text(f"×{count}")
    expect(toast.locator(".nf-sr-text")).to_have_text("⟦Information⟧: ")
    expect(toast.locator(".nf-close")).to_have_attribute("aria-label", "⟦Dismiss⟧: Hello")
    expect(tab.page.locator("notify-root [aria-label='⟦Notifications⟧']").first).to_be_attached()


def test_a_progress_bar_is_translated(alice: Person) -> None:
    tab = alice.open("/")
    alice.site.call("task", to=alice.name, name="Import", cancellable=True, queued=True)
    expect(tab.toast("Import")).to_contain_text("⟦Waiting to start⟧")
    expect(tab.toast("Import").get_by_role("button", name="⟦Cancel⟧")).to_be_visible()
    alice.site.call("tell", name="Import", what="start")
    alice.site.call("tell", name="Import", what="update", done=2, total=5)
    expect(tab.toast("Import")).to_contain_text("⟦2 of 5⟧ (40 %)")
    alice.site.call("tell", name="Import", what="succeed")
    expect(tab.toast("Import")).to_contain_text("⟦Finished.⟧")


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "one⟦1 tasks running⟧"), (4, "few⟦4 tasks running⟧"), (5, "many⟦5 tasks")],
)
def test_tasks_behind_the_button_are_counted(alice: Person, count: int, text: str) -> None:
    """Their toasts are behind those that came later."""
    tab = alice.open("/")
    for number in range(count):
        alice.site.call("task", to=alice.name, name=f"Task {number}")
    for number in range(3):
        alice.send(f"Later {number}")
    expect(tab.page.locator(".nf-more")).to_contain_text(text)
