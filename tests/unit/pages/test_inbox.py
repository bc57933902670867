"""The inbox page: its lists and forms without JavaScript, and the same rows as JSON."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.core.exceptions import ValidationError
from django.db import OperationalError
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

import notify
from notify import inbox
from notify.live import limits
from notify.mailbox import marks
from notify.models import Notification
from notify.tracking import flush
from tests.kit import schema
from tests.kit.deeds import RUN, handled, offer
from tests.kit.mailboxes import mailbox_of, rows_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.users]

INBOX = reverse("notify:inbox")
HOSTILE = "\"><script>alert(1)</script>'&{{ x }}"


@pytest.fixture
def browser(user: Any) -> Client:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    return browser


def get(browser: Client, query: str = "") -> str:
    answer = browser.get(INBOX + query)
    assert answer.status_code == 200
    return answer.content.decode()


def headings(html: str) -> list[str]:
    return [
        re.sub(r"<[^>]+>", "", heading)
        for heading in re.findall(r'role="heading" aria-level="2">(.*?)</div>', html)
    ]


def press(browser: Client, do: str, row: Notification | None = None, **fields: str) -> Any:
    """Submit a form of the page, with the token that the page has set."""
    get(browser)
    if row is not None:
        fields["shown"] = f"{row.pk}:{row.arrived}"
    return browser.post(
        INBOX, {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value, "do": do, **fields}
    )


# -- The page ------------------------------------------------------------------------------------


def test_the_page_shows_the_lists(user, browser):
    kept = notify.send(user, "kept", title="Title")
    inbox.mark_read(user, [notify.send(user, "was read", level="error")])
    inbox.mark_archived(user, [notify.send(user, "archived")])
    html = get(browser)
    assert headings(html) == ["Error: was read", "Unread, Information: Title"]
    assert "1 unread" in html
    assert f'value="{kept.pk}:{kept.arrived}"' in html
    assert headings(get(browser, "?view=unread")) == ["Unread, Information: Title"]
    assert headings(get(browser, "?view=archived")) == ["Information: archived"]


def test_the_list_goes_on_by_a_link(user, browser):
    notify.send_many([user], "old")
    for number in range(26):
        notify.send(user, f"no. {number}")
    html = get(browser)
    (older,) = re.findall(r'<a href="([^"]+)" rel="next"', html)
    assert len(headings(html)) == 25
    html = get(browser, older.removeprefix(INBOX).replace("&amp;", "&"))
    assert [heading.rpartition(" ")[2] for heading in headings(html)] == ["0", "old"]
    assert 'rel="next"' not in html
    assert ">Newest</a>" in html


def test_a_category_is_a_link(user, browser):
    notify.send(user, "one", category="a&b c")
    notify.send(user, "two", category="other")
    assert 'href="?category=a%26b%20c"' in get(browser)
    html = get(browser, "?category=a%26b%20c")
    assert len(headings(html)) == 1
    assert "Show all categories" in html


@pytest.mark.parametrize("query", ["?view=nonsense", "?before=x", "?before=-1", "?category=%00"])
def test_what_does_not_exist_is_404(query, user, browser):
    assert browser.get(INBOX + query).status_code == 404


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "New notifications will appear here."),
        ("?view=unread", "You have read everything."),
        ("?view=archived", "Nothing is archived."),
        ("?before=1", "There is nothing older."),
        ("?category=none", "There is nothing in this category."),
    ],
)
def test_an_empty_list_says_why(query, words, user, browser):
    assert words in get(browser, query)


def test_every_field_of_a_row_is_text(user, browser):
    """Nothing that a sender writes becomes markup, wherever it appears."""
    notify.send(
        user, HOSTILE, title=HOSTILE, category=HOSTILE[:50], group=HOSTILE, key=HOSTILE,
        url=f"/x/?{HOSTILE}", image=f"/i/?{HOSTILE}", actions=[notify.Action(HOSTILE, f"/a/?{HOSTILE}")],
    )  # fmt: skip
    notify.send(user, HOSTILE, group=HOSTILE)
    with notify.progress(user, HOSTILE, total=2, cancellable=True) as task:
        task.update(message=HOSTILE)
        flush()
        html = get(browser)
    assert html.count("<script") == html.count('<script type="module" src="/static/')
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10


def test_the_page_is_for_who_is_signed_in(browser, user, other_user, client):
    notify.send(other_user, "of another")
    assert headings(get(browser)) == []
    answer = client.get(INBOX)
    assert (answer.status_code, answer["Location"]) == (302, f"/accounts/login/?next={INBOX}")


def test_the_page_is_never_cached_for_others(user, browser):
    answer = browser.get(INBOX)
    assert "no-store" in answer["Cache-Control"]
    assert {"Accept", "Cookie"} <= {name.strip() for name in answer["Vary"].split(",")}


@pytest.mark.parametrize("where", ["context", "request"])
def test_the_style_sheets_have_the_nonce_of_a_policy(where, user, rf):
    """The nonces of Django 6 and of django-csp are false until they are used."""

    class Unused(str):
        def __bool__(self) -> bool:
            return False

    request = rf.get(INBOX)
    request.user = user
    context = {"csp_nonce": Unused("abc")} if where == "context" else {}
    if where == "request":
        request.csp_nonce = Unused("abc")
    html = render_to_string("notify/base.html", context, request)
    head = html.partition("</head>")[0]
    assert head.count('nonce="abc"') == 2
    assert "nonce" not in render_to_string("notify/base.html", {}, rf.get(INBOX))


def test_opening_the_page_marks_nothing(user, browser):
    notify.send(user, "one")
    get(browser)
    assert mailbox_of(user).counts == (1, 1)


def test_numbers_and_directions_are_those_of_the_language(user, browser, settings):
    settings.USE_THOUSAND_SEPARATOR = True
    settings.LANGUAGE_CODE = "he"
    row = notify.send(user, "one")
    Notification.objects.filter(pk=row.pk).update(arrived=12345, position=12345)
    with translation.override("he"):
        html = get(browser)
    assert '<html lang="he" dir="rtl">' in html
    assert f'value="{row.pk}:12345"' in html


# -- Forms ---------------------------------------------------------------------------------------


def test_each_button_does_what_it_says(user, browser):
    row = notify.send(user, "one")
    here = f"{INBOX}?view=unread"
    for do, fields in [
        ("read", {"read_at"}),
        ("unread", set()),
        ("archived", {"read_at", "archived_at"}),
        ("unarchive", set()),
    ]:
        answer = press(browser, do, row, next=here)
        assert answer.status_code == 302
        (now,) = rows_of(user)
        assert {name for name in ("read_at", "archived_at") if getattr(now, name)} == fields
        assert answer["Location"].startswith(here)


def test_what_was_archived_can_be_undone_at_once(user, browser):
    row = notify.send(user, "one")
    answer = press(browser, "archived", row, next=INBOX)
    html = browser.get(answer["Location"]).content.decode()
    assert "Archived." in html
    assert f'name="shown" value="{row.pk}:{row.arrived}"' in html
    answer = press(browser, "unarchive", row, next=answer["Location"])
    assert answer["Location"] == INBOX
    assert len(headings(get(browser))) == 1


def test_mark_all_marks_what_was_shown(user, browser):
    notify.send(user, "one")
    (cursor,) = re.findall(r'name="cursor" value="([^"]+)"', get(browser))
    notify.send(user, "came meanwhile")
    press(browser, "read_all", cursor=cursor)
    assert [row.message for row in rows_of(user) if row.read_at is None] == ["came meanwhile"]


def test_content_that_came_meanwhile_is_not_marked(user, browser):
    row = notify.send(user, "one", key="k")
    notify.send(user, "two", key="k")
    press(browser, "read", row)
    assert mailbox_of(user).counts.unread == 1


def test_a_task_is_cancelled(user, browser):
    with notify.progress(user, "Import", total=2, cancellable=True) as task:
        task.advance()
        flush()
        (row,) = inbox.page(user).notifications
        assert 'value="cancel"' in get(browser)
        press(browser, "cancel", row)
        (row,) = inbox.page(user).notifications
        assert row.progress["state"] == "cancelling"
        assert 'value="cancel"' not in get(browser)


def test_the_rows_of_others_are_never_touched(user, other_user, browser):
    row = notify.send(other_user, "of another")
    assert press(browser, "archived", row).status_code == 302
    assert rows_of(other_user)[0].archived_at is None


@pytest.mark.parametrize(
    ("do", "fields"),
    [
        ("", {}),
        ("nonsense", {}),
        ("changes", {}),
        ("read", {"shown": "x"}),
        ("read", {"shown": "1"}),
        ("read", {"shown": "1:x"}),
        ("read", {"shown": f"{'9' * 17}:1"}),
        ("read_all", {"cursor": "x"}),
        ("read", {"shown": "1:1", "epoch": "x"}),
    ],
)
def test_a_form_that_the_page_does_not_have_is_400(do, fields, user, browser):
    answer = press(browser, do, **fields)
    assert answer.status_code == 400
    assert answer["Content-Type"].startswith("text/plain")


def test_a_form_of_another_site_is_refused(user, browser):
    row = notify.send(user, "one")
    data = {"do": "read", "shown": f"{row.pk}:{row.arrived}"}
    assert browser.post(INBOX, data).status_code == 403
    assert rows_of(user)[0].read_at is None


@pytest.mark.parametrize("there", ["https://evil.example/", "//evil.example", "javascript:x", ""])
def test_a_form_leads_to_this_site_alone(there, user, browser):
    row = notify.send(user, "one")
    assert press(browser, "read", row, next=there)["Location"] == INBOX


def test_content_that_came_meanwhile_is_not_said_to_be_archived(user, browser):
    row = notify.send(user, "one", key="k")
    notify.send(user, "two", key="k")
    assert press(browser, "archived", row, next=INBOX)["Location"] == INBOX


def test_a_form_may_lead_back_to_a_query_alone(user, browser):
    """As in a template of the project."""
    row = notify.send(user, "one")
    assert press(browser, "read", row, next="?view=unread")["Location"] == "?view=unread"


def test_forms_have_the_rate_of_commands(user, browser, monkeypatch):
    row = notify.send(user, "one")
    monkeypatch.setattr(limits.Buckets, "take", lambda *args: False)
    assert press(browser, "read", row, next=INBOX)["Location"] == f"{INBOX}?failed=1"
    assert rows_of(user)[0].read_at is None


def test_a_filtered_list_has_no_button_for_all(user, browser):
    notify.send(user, "one", category="c")
    assert 'value="read_all"' in get(browser)
    assert 'value="read_all"' not in get(browser, "?category=c")


def test_what_has_expired_cannot_leave_the_archive(user, browser):
    row = notify.send(user, "one", expires=timedelta(days=1))
    inbox.mark_archived(user, [row])
    assert 'value="unarchive"' in get(browser, "?view=archived")
    Notification.objects.update(
        expires_at=timezone.now(), archived_at=timezone.now() - timedelta(1)
    )
    html = get(browser, "?view=archived")
    assert len(headings(html)) == 1
    assert 'value="unarchive"' not in html


def test_the_query_names_what_can_be_undone_and_nothing_else(user, browser):
    assert 'value="unarchive"' not in get(browser, "?archived=x")
    assert 'name="shown" value="7:8"' in get(browser, "?archived=7:8")


def test_texts_are_escaped_in_a_project_that_does_not_escape(user, browser, settings):
    """A project may set autoescape to False, or use the blocks in a template that does."""
    (engine,) = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "OPTIONS": {**engine["OPTIONS"], "autoescape": False}}]
    notify.send(user, HOSTILE, title=HOSTILE, category=HOSTILE[:50])
    html = get(browser, f"?archived={HOSTILE}")
    assert "<script>alert" not in html


def test_a_database_that_fails_is_said_on_the_page(user, browser):
    row = notify.send(user, "one")
    with patch.object(marks, "mark", side_effect=OperationalError):
        answer = press(browser, "read", row, next=f"{INBOX}?view=unread")
    assert answer["Location"] == f"{INBOX}?view=unread&failed=1"
    assert "Your change could not be saved." in browser.get(answer["Location"]).content.decode()


# -- The rows as JSON ----------------------------------------------------------------------------


def ask(browser: Client, query: str = "") -> tuple[int, dict[str, Any]]:
    answer = browser.get(INBOX + query, headers={"accept": "application/json"})
    return answer.status_code, schema.from_server(answer.content)


def test_a_script_gets_the_rows_and_the_cursor(user, browser):
    notify.send(user, "one", group="g", image="/i.png", toast=False)
    notify.send(user, "two")
    status, document = ask(browser)
    assert (status, document["type"], document["next"]) == (200, "rows", "")
    assert document["cursor"] == str(mailbox_of(user).cursor)
    assert document["counts"] == {"unseen": 2, "unread": 2}
    two, one = document["notifications"]
    assert [two["message"], one["message"]] == ["two", "one"]
    assert (one["group"], one["image"], one["toast"]) == ("g", "/i.png", False)
    assert not {"group", "image", "toast"} & two.keys()


def test_a_script_pages_by_the_place(user, browser):
    for number in range(30):
        notify.send(user, str(number), category="c" if number % 2 else "")
    _, first = ask(browser)
    _, second = ask(browser, f"?before={first['next']}")
    assert [row["message"] for row in second["notifications"]] == ["4", "3", "2", "1", "0"]
    _, narrow = ask(browser, "?category=c&view=unread")
    assert len(narrow["notifications"]) == 15


def test_a_user_without_a_mailbox_has_no_rows(user, browser):
    assert ask(browser) == (
        200,
        {
            "type": "rows",
            "cursor": None,
            "counts": {"unseen": 0, "unread": 0},
            "next": "",
            "notifications": [],
        },
    )


def test_a_wrong_list_is_an_error(user, browser):
    status, document = ask(browser, "?view=nonsense")
    assert (status, document["code"]) == (400, "bad_list")


def test_a_script_that_is_not_signed_in_is_told_so(client):
    status, document = ask(client)
    assert (status, document["code"]) == (401, "not_signed_in")


# -- Actions -------------------------------------------------------------------------------------


def undo(user: Any, notification: Notification, order: int) -> Any:
    if order == 8:
        raise ValidationError(HOSTILE)
    return notify.Outcome(
        f"Order {order} is back.", level="warning", url=f"/orders/{order}/?{HOSTILE}"
    )


def test_a_button_runs_its_action_and_the_outcome_takes_its_place(user, browser):
    with handled(undo):
        row = offer(user)
        html = get(browser)
        assert re.search(
            r'<button type="submit" name="action" value="1"[^>]*><bdi>Undo</bdi>', html
        )
        assert "args" not in html
        assert RUN not in html
        here = f"{INBOX}?view=unread"
        answer = press(browser, "act", row, action="1", next=here)
    assert (answer.status_code, answer["Location"]) == (302, f"{here}#notification-{row.pk}")
    html = get(browser)
    assert '<p class="nf-inbox-outcome" data-level="warning"><a href="/orders/7/?' in html
    assert "Order 7 is back." in html
    assert 'name="action"' not in html
    assert ">Open</bdi></a>" in html
    assert "<script>alert" not in html


def test_a_question_is_a_second_step_without_a_script(user, browser):
    with handled(undo):
        offer(user)
    (details,) = re.findall(r"<details><summary.*?</details>", get(browser), re.DOTALL)
    assert "><bdi>Delete</bdi></summary><p><bdi>Really?</bdi></p><button" in details
    assert 'value="2" data-style="danger"' in details


def test_a_refusal_is_shown_on_the_page(user, browser):
    """No link contains it, because a link could make the page show any text."""
    with handled(undo):
        row = offer(user)
        answer = press(browser, "act", row, action="2")
    html = answer.content.decode()
    assert answer.status_code == 422
    assert 'role="alert"><bdi>&quot;&gt;&lt;script&gt;alert(1)' in html
    assert "<script>alert" not in html
    assert 'name="action" value="2"' in html


def test_an_action_that_is_gone_is_named_on_the_page(user, browser):
    with handled(undo):
        row = offer(user, expires=timedelta(hours=1))
        Notification.objects.update(expires_at=timezone.now())
        answer = press(browser, "act", row, action="1")
    assert answer.status_code == 410
    assert "This can no longer be done." in answer.content.decode()


@pytest.mark.parametrize("action", ["", "-1", "x"])
def test_a_form_without_an_action_is_refused(action, user, browser):
    with handled(undo):
        row = offer(user)
        assert press(browser, "act", row, action=action).status_code == 400


def test_an_action_needs_the_token_of_the_page(user, browser):
    with handled(undo):
        row = offer(user)
        fields = {"do": "act", "shown": f"{row.pk}:{row.arrived}", "action": "1"}
        assert browser.post(INBOX, fields).status_code == 403


def test_labels_and_questions_of_actions_are_text(user, browser):
    with handled(undo):
        action = notify.Action(
            HOSTILE[:50], run=RUN, args={"order": 7}, confirm=f"{HOSTILE}"[:200], style="primary"
        )
        notify.send(user, "Hello", actions=[action])
    html = get(browser)
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
