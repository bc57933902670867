"""Live progress on the screen: one toast for the whole life of a task, in every tab."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import WebSocket, expect

from tests.browser.conftest import PROJECT, Person, Tab
from tests.browser.test_toasts import LOOKS

NAME = "Importing customers"


def bar(tab: Tab) -> Any:
    return tab.toast(NAME).locator("progress")


@pytest.mark.main
def test_a_task_shows_a_bar_that_moves_and_its_result_in_place(alice: Person) -> None:
    """This holds in every tab, and after a reload. No node of the toast is replaced while the task runs."""
    here, there = alice.open("/"), alice.open("/")
    alice.site.call("task", to=alice.name, name=NAME)
    for tab in (here, there):
        expect(bar(tab)).to_be_visible()
        expect(bar(tab)).not_to_have_attribute("value", "0")  # without a total
    here.page.evaluate("document.querySelector('progress').dataset.first = 'yes'")
    alice.site.call("tell", name=NAME, what="update", done=420, total=1200, message="Page 3")
    for tab in (here, there):
        expect(tab.toast(NAME)).to_contain_text("420 of 1,200 (35 %) · Page 3")
        expect(bar(tab)).to_have_js_property("value", 420)
        expect(bar(tab)).to_have_attribute(
            "aria-valuetext", "420 of 1,200 (35\u00a0%)\u00a0· Page 3"
        )
    expect(bar(here)).to_have_attribute("data-first", "yes")
    here.page.reload()
    expect(bar(here)).to_have_js_property("value", 420)
    alice.site.call(
        "tell", name=NAME, what="succeed", message="1,200 customers imported", url="/imports/"
    )
    for tab in (here, there):
        expect(tab.toast(NAME)).to_contain_text("1,200 customers imported")
        expect(tab.toast(NAME).get_by_role("link")).to_have_attribute(
            "href", tab.page.url + "imports/"
        )
        expect(bar(tab)).to_have_count(0)
        expect(tab.toasts).to_have_count(1)


RECORD = """
delete Document.prototype.ariaNotify  // as in older browsers
window.said = []
new MutationObserver((records) => {
  for (const { target, addedNodes } of records)
    if (target.closest?.("[aria-live]")) for (const node of addedNodes) said.push(node.textContent)
    else for (const node of addedNodes) if (node.matches?.("[data-fresh]")) said.push("fresh")
}).observe(document, { childList: true, subtree: true })
"""


def test_a_tab_that_finds_a_task_at_work_says_nothing_of_it(alice: Person) -> None:
    """The task was announced where it began. Later changes are news in each tab."""
    here = alice.open("/")
    alice.site.call("task", to=alice.name, name=NAME, total=100)
    alice.site.call("tell", name=NAME, what="update", done=42)
    expect(bar(here)).to_have_js_property("value", 42)
    alice.context.add_init_script(RECORD)
    there = alice.open("/")
    for _ in range(2):
        expect(bar(there)).to_have_js_property("value", 42)
        alice.send("Hello")
        expect(there.toast("Hello")).to_be_visible()
        said = there.page.evaluate("said")
        assert [text for text in said if text != "fresh"] == ["Information: Hello."]
        assert said.count("fresh") == 1
        there.dismiss("Hello")
        there.shows(NAME)
        there.page.reload()
    alice.site.call("tell", name=NAME, what="succeed", message="All imported")
    expect(there.root.locator("[aria-live=polite]")).to_contain_text("All imported")


def test_many_tasks_are_one_line_until_the_user_wants_to_see_them(alice: Person) -> None:
    """A task that ends leaves the line, with its result. A screen reader announces the beginning of one."""
    alice.context.add_init_script("delete Document.prototype.ariaNotify")
    tab = alice.open("/")
    names = [f"Import {number}" for number in range(1, 6)]
    for name in names:
        alice.site.call("task", to=alice.name, name=name, total=10)
    more = tab.page.locator(".nf-more")
    expect(tab.root.locator("[aria-live=polite]")).to_contain_text("5 tasks running, 0 %")
    for done, name in enumerate(names):
        alice.site.call("tell", name=name, what="update", done=done)
    expect(more).to_have_text("5 tasks running, 20 %")
    expect(more.locator("progress")).to_have_js_property("value", 20)
    expect(tab.toasts).to_have_count(0)
    tab.page.keyboard.press("F6")
    expect(more).to_have_css("outline-style", "solid")
    tab.page.keyboard.press("F6")
    alice.send("Hello")
    alice.site.call("tell", name="Import 1", what="succeed", message="All is imported")
    tab.shows("All is imported", "Hello")
    expect(more).to_have_text("4 tasks running, 25 %")
    tab.page.reload()
    expect(more).to_have_text("4 tasks running, 25 %")
    tab.take_panel_away()
    for x in (30, 120):  # on its bar, and on its text
        more.click(position={"x": x, "y": 14})
        expect(tab.toasts).to_have_count(6)
        expect(tab.toast("Import 5").locator("progress")).to_have_js_property("value", 4)
        expect(more).to_have_text("Show fewer")
        more.click()
        expect(more).to_have_text("4 tasks running, 25 %")
        tab.shows("All is imported", "Hello")
    for name in names[1:]:
        alice.site.call("tell", name=name, what="cancel")
    expect(tab.toasts.filter(has=tab.page.locator("progress"))).to_have_count(0)


@pytest.mark.parametrize("viewport", [None, {"width": 360, "height": 480}], ids=["wide", "narrow"])
def test_many_tasks_are_opened_and_folded_by_keyboard(
    meet: Callable[..., Person], viewport: Any
) -> None:
    """
    The way back is in reach in a stack of any length, and its label names its target.

    Nothing is announced again.
    """
    reader = meet("reader", **({"viewport": viewport} if viewport else {}))
    reader.context.add_init_script(RECORD)
    tab = reader.open("/")
    tab.take_panel_away()
    names = [f"Import {number}" for number in range(1, 9)]
    for name in names:
        reader.site.call("task", to=reader.name, name=name, total=10)
    more = tab.page.locator(".nf-more")
    expect(more).to_have_text("8 tasks running, 0 %")
    expect(more).to_have_attribute("aria-expanded", "false")
    tab.page.keyboard.press("F6")
    tab.page.keyboard.press("Tab")
    expect(more).to_be_focused()
    said = tab.page.evaluate("said.length")
    tab.page.keyboard.press("Enter")
    expect(tab.toasts).to_have_count(8)
    expect(more).to_have_text("Show fewer")
    expect(more).to_have_attribute("aria-expanded", "true")
    expect(more).to_be_in_viewport(ratio=1)
    expect(more).to_be_focused()
    tab.page.keyboard.press("Shift+Tab")
    expect(tab.toasts.last.locator(".nf-close")).to_be_focused()
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    expect(more).to_have_text("8 tasks running, 0 %")
    expect(more).to_be_focused()
    expect(more).to_have_attribute("aria-expanded", "false")
    tab.shows()
    words = tab.page.evaluate("said")[said:]
    assert [text for text in words if text != "fresh"] == []
    for name in names:
        reader.site.call("tell", name=name, what="cancel")


def test_a_task_whose_toast_was_closed_is_a_ring_on_the_badge(alice: Person) -> None:
    """
    It is a ring in every tab, also in new ones, until the task has ended.

    Screen readers announce it with the link.
    """
    here = alice.open("/")
    for name in (NAME, "Another"):
        alice.site.call("task", to=alice.name, name=name)
        expect(here.toast(name)).to_be_visible()
    ring = here.page.locator("notify-badge .nf-ring")
    expect(ring).to_have_count(0)
    expect(here.page.locator("notify-badge")).to_have_attribute("count", "0")  # both were seen
    for name in (NAME, "Another"):
        here.dismiss(name)
    expect(ring).to_be_visible()
    expect(ring).to_have_attribute("data-known", "false")
    alice.site.call("tell", name=NAME, what="update", done=31, total=50)
    expect(ring).to_have_attribute("data-known", "true")
    link = here.page.locator("notify-badge a")
    expect(link).to_have_accessible_name(re.compile(r"^Notifications.* 2 tasks running, 62\s%$"))
    there = alice.open("/")
    expect(there.page.locator("notify-badge a")).to_have_accessible_name(
        re.compile(r"2 tasks running, 62\s%$")
    )
    here.page.reload()
    expect(link).to_have_accessible_name(re.compile(r"2 tasks running, 62\s%$"))
    for tab in (here, there):
        tab.shows()
    alice.site.call("tell", name="Another", what="cancel")
    expect(link).to_have_accessible_name(re.compile(r" 1 task running, 62\s%$"))
    alice.site.call("tell", name=NAME, what="succeed", message="All is imported")
    for tab in (here, there):
        expect(tab.page.locator("notify-badge .nf-ring")).to_have_count(0)
        expect(tab.page.locator("notify-badge a")).to_have_accessible_name("Notifications, 2 new")


def test_work_of_the_page_itself_is_a_toast_in_this_tab_alone(alice: Person) -> None:
    """It ends in place, and is not sent to the server."""
    here, there = alice.open("/"), alice.open("/")
    sent: list[str] = []

    def watch(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: sent.append(str(frame)))

    here.page.on("websocket", watch)
    here.page.reload()
    here.wait()
    alice.send("Before")
    expect(here.toast("Before")).to_be_visible()
    here.page.evaluate("""() => {
        const root = document.querySelector("notify-root")
        const work = new Promise((resolve) => window.finish = resolve)
        const words = { loading: "Uploading", success: (name) => name + " is uploaded" }
        window.same = root.promise(work, words) === work
    }""")
    assert here.page.evaluate("same")
    here.shows("Uploading", "Before")
    expect(here.toast("Uploading").locator("progress")).not_to_have_attribute("value", "0")
    here.page.evaluate("finish('photo.png')")
    here.shows("photo.png is uploaded", "Before")
    expect(here.page.locator(".nf-toast progress")).to_have_count(0)
    here.page.evaluate("""() => {
        const answer = new Response("", { status: 500 })
        const words = { loading: "Saving", error: ({ status }) => "Not saved: " + status }
        document.querySelector("notify-root").promise(Promise.resolve(answer), words)
    }""")
    error = here.toast("Not saved: 500")
    expect(error).to_have_attribute("data-level", "error")
    here.dismiss("photo.png is uploaded")
    here.dismiss("Not saved: 500")
    here.dismiss("Before")
    there.shows()
    here.page.evaluate("""() => {
        const work = new Promise((resolve) => window.finish = resolve)
        document.querySelector("notify-root").promise(work, { loading: "Counting", success: "Counted" })
    }""")
    here.dismiss("Counting")
    link = here.page.locator("notify-badge a")
    expect(link).to_have_accessible_name(re.compile("1 task running$"))
    here.page.evaluate("finish()")
    here.shows("Counted")
    expect(here.page.locator("notify-badge .nf-ring")).to_have_count(0)
    here.dismiss("Counted")
    assert [frame for frame in sent if "dismissed" in frame]
    assert not [frame for frame in sent if re.search(r"\[-\d", frame)]
    here.page.reload()
    here.wait()
    here.shows()


@pytest.mark.parametrize(("transport", "path"), [("websocket", "/"), ("poll", "/polling/")])
def test_the_user_cancels_a_task(alice: Person, transport: str, path: str) -> None:
    """Every tab shows that it is ending. The task receives the cancellation, and ends."""
    there, here = alice.open("/"), alice.open(path, transport=transport)
    alice.site.call("task", to=alice.name, name=NAME, total=10, cancellable=True)
    here.toast(NAME).get_by_role("button", name="Cancel").click()
    for tab in (here, there):
        expect(tab.toast(NAME)).to_contain_text("Cancelling…")
        expect(tab.toast(NAME).get_by_role("button", name="Cancel")).to_have_count(0)
    assert alice.site.call("tell", name=NAME, what="advance")
    alice.site.call("tell", name=NAME, what="cancel")
    for tab in (here, there):
        expect(tab.toast(NAME)).to_contain_text("Cancelled.")
        expect(bar(tab)).to_have_count(0)


@pytest.mark.parametrize(("name", "look", "options"), LOOKS, ids=[look for _, look, _ in LOOKS])
def test_a_bar_fits_the_screen(
    meet: Callable[..., Person], name: str, look: str, options: dict[str, Any]
) -> None:
    reader = meet(name, number=False, **options)
    tab = reader.open("/")
    reader.site.call("task", to=reader.name, name=NAME, total=1200, cancellable=True)
    reader.site.call("tell", name=NAME, what="update", done=420)
    expect(bar(tab)).to_have_js_property("value", 420)
    box = bar(tab).bounding_box()
    assert box
    assert tab.page.viewport_size
    assert box["x"] + box["width"] <= tab.page.viewport_size["width"]
    tab.page.screenshot(
        path=PROJECT / "test-results" / f"progress-{look}.png", animations="disabled"
    )
    reader.site.call("tell", name=NAME, what="cancel")


MORE_LOOKS = [
    *((look, options) for _, look, options in LOOKS),
    ("forced", {"forced_colors": "active", "reduced_motion": "reduce"}),
    ("still", {"color_scheme": "dark", "reduced_motion": "reduce"}),
]


@pytest.mark.parametrize(("look", "options"), MORE_LOOKS, ids=[look for look, _ in MORE_LOOKS])
def test_many_tasks_fit_the_screen(
    meet: Callable[..., Person], look: str, options: dict[str, Any]
) -> None:
    """The bars, the line into which they fold, and the ring are all drawn on the screen."""
    reader = meet("reader", **options)
    tab = reader.open("/")
    more, ring = tab.page.locator(".nf-more"), tab.page.locator("notify-badge .nf-ring")

    def draw(name: str) -> None:
        path = PROJECT / "test-results" / f"{name}-{look}.png"
        tab.page.screenshot(path=path, animations="disabled")

    reader.site.call("task", to=reader.name, name="Hidden")
    expect(tab.toast("Hidden")).to_be_visible()
    draw("endless")
    tab.dismiss("Hidden")
    tab.page.mouse.move(0, 0)  # toasts under the pointer are not folded
    expect(ring).to_have_attribute("aria-label", "1 task running")
    turns = ring.evaluate("ring => ring.lastChild.getAnimations().length > 0")
    assert turns is (options.get("reduced_motion") != "reduce")
    reader.site.call("tell", name="Hidden", what="update", done=6, total=10)
    expect(ring).to_have_attribute("aria-label", "1 task running, 60\u00a0%")
    names = ["Sending letters", "Making the report", "Importing customers", "Counting stock"]
    for name in names[:3]:
        reader.site.call("task", to=reader.name, name=name, total=10, cancellable=name == names[2])
    for done, name in enumerate(names[1:3], start=3):
        reader.site.call("tell", name=name, what="update", done=done, message="Page 3")
    expect(tab.toast(names[2])).to_contain_text("4 of 10 (40 %) · Page 3")
    draw("tasks")
    reader.site.call("task", to=reader.name, name=names[3])
    reader.send("The backup is done", level="success")
    expect(more).to_have_text("4 tasks running, 23 %")
    tab.shows("The backup is done")
    draw("fold")
    for item in (more, ring):
        box = item.bounding_box()
        assert box
        assert tab.page.viewport_size
        assert 0 <= box["x"] <= tab.page.viewport_size["width"] - box["width"]
    for name in ("Hidden", *names):
        reader.site.call("tell", name=name, what="cancel")


def test_what_is_said_of_tasks_has_its_own_direction(alice: Person) -> None:
    """A page from right to left must not turn "420 of 1,200" into "of 1,200 420"."""
    alice.context.add_init_script(
        "addEventListener('DOMContentLoaded', () => { document.documentElement.dir = 'rtl' })"
    )
    tab = alice.open("/")
    alice.site.call("task", to=alice.name, name=NAME, total=1200)
    note = tab.toast(NAME).locator(".nf-note")
    expect(note).to_have_text("0 of 1,200 (0 %)")
    direction = "note => getComputedStyle(note).direction"
    assert tab.root.evaluate(direction) == "rtl"
    assert note.evaluate(direction) == "ltr"
    for name in ("2", "3", "4"):
        alice.site.call("task", to=alice.name, name=name)
    words = tab.page.locator(".nf-more bdi")
    expect(words).to_have_text("4 tasks running, 0 %")
    assert words.evaluate(direction) == "ltr"
    for name in (NAME, "2", "3", "4"):
        alice.site.call("tell", name=name, what="cancel")


def test_a_task_in_steps_is_shown_in_percent(alice: Person) -> None:
    tab = alice.open("/")
    alice.site.call("task", to=alice.name, name=NAME, total=4)
    alice.site.call("step", name=NAME, step="Reading")
    expect(tab.toast(NAME).locator(".nf-note")).to_have_text("25 % · Reading")
