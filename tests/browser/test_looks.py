"""How toasts look with long texts, other font sizes, other directions, older browsers and odd pages."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Route, expect

from tests.browser.conftest import RIGHT_TO_LEFT, Person, Tab

PHONE = {"width": 360, "height": 640}
# Features that are newer than the browsers in the README: those that the scripts use only where they exist,
# and those that could be used by mistake.
NEWER = """
for (const [type, names] of Object.entries({
  Array: ["toReversed", "toSorted", "toSpliced", "with", "findLast", "findLastIndex"],
  String: ["isWellFormed", "toWellFormed"],
  Set: ["union", "difference", "intersection", "isSubsetOf"],
  Element: ["checkVisibility", "moveBefore", "setHTML", "ariaNotify", "computedStyleMap",
    "ariaExpanded", "ariaLabel", "ariaHidden", "ariaLabelledByElements"],
  HTMLElement: ["popover", "togglePopover", "showPopover", "hidePopover"],
  Document: ["moveBefore", "ariaNotify", "startViewTransition", "fullscreenElement"],
  Navigator: ["locks"],
})) for (const name of names) delete globalThis[type].prototype[name]
for (const name of ["groupBy"]) { delete Object[name]; delete Map[name] }
for (const name of ["any", "timeout"]) delete AbortSignal[name]
const setAttribute = Element.prototype.setAttribute
Element.prototype.setAttribute = function (name, value) {
  if (name !== "popover") setAttribute.call(this, name, value)
}
delete Promise.withResolvers
delete URL.canParse
delete URL.parse
for (const type of [Element, Document]) for (const name of ["querySelector", "querySelectorAll", "matches"]) {
  const native = type.prototype[name]
  if (native) type.prototype[name] = function (selector) {
    const forgives = selector.startsWith(":where(")
    if (!forgives && /:has\\(|:popover-open|:fullscreen|:open/.test(selector)) throw new SyntaxError(selector)
    return native.call(this, selector)
  }
}
"""
# The members of the document that the scripts use, as far as Playwright itself can do without them.
CLOBBERED = "cookie body hidden hasFocus activeElement addEventListener baseURI querySelectorAll"


def test_a_long_text_is_cut_off_until_the_user_wants_all_of_it(meet: Any) -> None:
    """On a phone the close button is in view before and after, and a word without spaces is broken."""
    alice = meet("alice", viewport=PHONE)
    tab = alice.open("/")
    alice.send("x" * 1900, level="error", title="A word")
    toast = tab.toast("A word")
    more = toast.get_by_role("button", name="Show more")
    expect(more).to_be_visible()
    height = toast.bounding_box()["height"]
    assert height < PHONE["height"] / 2
    assert toast.bounding_box()["width"] <= PHONE["width"]
    more.click()
    expect(more).to_have_count(0)
    assert toast.bounding_box()["height"] > PHONE["height"]
    expect(toast).to_be_focused()
    tab.dismiss("A word")
    tab.shows()
    alice.send("\n".join("abcdefghi"), level="error")
    expect(tab.toasts.get_by_role("button", name="Show more")).to_be_visible()
    alice.send("\n".join("abcdefgh"), level="error")
    expect(tab.toasts.get_by_role("button", name="Show more")).to_have_count(0)


def style_of(tab: Tab, selector: str, name: str) -> str:
    script = "([selector, name]) => getComputedStyle(document.querySelector(selector))[name]"
    return str(tab.page.evaluate(script, [selector, name]))


def test_a_small_root_font_makes_no_small_toasts_and_a_large_one_makes_large_ones(
    alice: Person,
) -> None:
    """Sites set 62.5 %, to count in units of 10 pixels. The token sets any size."""
    tab = alice.open("/")
    alice.send("Hello", level="error")
    tab.shows("Hello")
    sizes = []
    for root, unit in [("62.5%", ""), ("100%", ""), ("150%", ""), ("100%", "20px")]:
        tab.page.evaluate(
            "([root, unit]) => { const { style } = document.documentElement;"
            "  style.fontSize = root; style.setProperty('--nf-unit', unit) }",
            [root, unit],
        )
        sizes.append([style_of(tab, f".nf-{part}", "fontSize") for part in ("toast", "badge")])
    assert sizes == [["14px", "12px"], ["14px", "12px"], ["21px", "18px"], ["17.5px", "15px"]]


def test_a_text_begins_at_the_icon_whatever_its_direction(alice: Person) -> None:
    alice.context.add_init_script(RIGHT_TO_LEFT)
    tab = alice.open("/")
    alice.send("Hello", level="error")
    alice.send("שלום", level="error")
    tab.shows("שלום", "Hello")
    for text in ("Hello", "שלום"):
        toast = tab.toast(text)
        icon = toast.locator("> .nf-icon").bounding_box()
        words = toast.locator(".nf-words").bounding_box()
        assert icon
        assert words
        assert 0 < icon["x"] - (words["x"] + words["width"]) < 20
    assert style_of(tab, ".nf-text", "direction") == "rtl"


def test_delete_dismisses_the_toast_that_f6_goes_to(alice: Person) -> None:
    tab = alice.open("/send/")
    field = tab.page.get_by_label("Message", exact=True)
    field.focus()
    for text in ("First", "Second"):
        alice.send(text, level="error")
    tab.shows("Second", "First")
    tab.page.keyboard.press("F6")
    expect(tab.toast("Second")).to_be_focused()
    tab.page.keyboard.press("Delete")
    tab.shows("First")
    tab.page.keyboard.press("Delete")
    tab.shows()
    expect(field).to_be_focused()


def serve(person: Person, body: str) -> None:
    """Put a text of a user of the site into its page."""

    def insert(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace("<main", f"{body}<main", 1))

    person.context.route("**/polling/", insert)


def test_what_users_name_their_elements_changes_nothing(alice: Person) -> None:
    """In a page with <img name=cookie>, document.cookie is that image, and so with any name."""
    images = "".join(f'<img name="{name}" alt="">' for name in CLOBBERED.split())
    serve(alice, f"<div>{images}</div>")
    tab = alice.tab()
    tab.allowed_errors = (
        "document.addEventListener is not a function",
    )  # in the demo's own script
    tab.open("/polling/", transport="poll")
    assert tab.page.evaluate("String(document.cookie)") == "[object HTMLImageElement]"
    alice.send("Hello", level="error")
    expect(tab.toasts).to_have_count(1)
    with tab.page.expect_response("**/commands/*") as answer:
        tab.dismiss("Hello")
    assert answer.value.status == 200


def test_a_toast_is_named_by_its_own_text(alice: Person) -> None:
    """An element of the page may have any id, and would be found before one of the toast."""
    tab = alice.open("/")
    alice.send("Hello", level="error", title="Import failed")
    expect(tab.toasts).to_have_accessible_name("Error: Import failed")
    assert tab.root.locator("[id]").count() == 0


def test_a_browser_of_the_oldest_supported_version_shows_a_toast(alice: Person) -> None:
    """Later features are removed from the browser here, as these tests cannot run one of that age."""
    alice.hide_tabs()  # what is seen is no longer counted on the badge
    alice.context.add_init_script(NEWER)
    tab = alice.open("/")
    for number in range(5):
        alice.send(f"Number {number}")
    alice.site.call("task", to=alice.name, name="Importing", total=10)
    expect(tab.toast("Importing").locator("progress")).to_be_visible()
    expect(tab.badge).to_have_text("6")
    more = tab.page.locator(".nf-more")
    expect(more).to_have_attribute("aria-expanded", "false")
    tab.take_panel_away()
    more.click()
    expect(more).to_have_attribute("aria-expanded", "true")
    tab.dismiss("Importing")
    expect(tab.page.locator(".nf-ring")).to_be_visible()
