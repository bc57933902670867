"""The delivery promises of notify to a tab. Each is written once and kept by every transport."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction
from django.test import Client

import notify
from notify import asend, inbox
from tests.conformance.tabs import cursor_of
from tests.kit.fakes import until
from tests.kit.mailboxes import age

pytestmark = pytest.mark.django_db(transaction=True)


def in_one_transaction(*texts, to, fails=False):
    """Send notifications in one transaction, which is rolled back if it fails."""

    def send():
        with transaction.atomic():
            for text in texts:
                notify.send(to, text)
            transaction.set_rollback(fails)

    return sync_to_async(send)()


# -- Showing -------------------------------------------------------------------------------------


@pytest.mark.every_server
async def test_what_is_sent_is_shown_in_order_and_once(tab, user):
    texts = [f"number {n}" for n in range(20)]
    for text in texts:
        await asend(user, text)
    await tab.shows(*texts)
    assert tab.counts == {"unseen": 20, "unread": 20}


async def test_a_transaction_is_shown_when_it_has_committed_and_never_when_it_has_not(tab, user):
    await in_one_transaction("never", to=user, fails=True)
    await in_one_transaction("one", "two", "three", to=user)
    await tab.shows("one", "two", "three")


async def test_every_tab_shows_it(tab, open_tab, user):
    """The tabs of the same browser and those of another browser."""
    tabs = [tab, await open_tab(), await open_tab(user)]
    await asend(user, "Hello")
    for each in tabs:
        await each.shows("Hello")


async def test_nobody_else_sees_it(tab, open_tab, user, other_user):
    stranger = await open_tab(other_user)
    await asend(user, "for alice")
    await asend(other_user, "for bob")
    await tab.shows("for alice")
    await stranger.shows("for bob")


async def test_a_tab_that_opens_later_finds_what_stands(open_tab, user):
    """Archived and dismissed notifications are not shown again."""
    for text in ("one", "two", "three"):
        await asend(user, text)
    page = await inbox.asnapshot(user)
    await inbox.amark_archived(user, page.notifications[:1])
    await (await open_tab()).shows("two", "three")


async def test_the_same_key_changes_the_one_toast(tab, user):
    await asend(user, "1 of 2", key="import")
    await tab.shows("1 of 2")
    await asend(user, "2 of 2", key="import", count=True)
    await tab.shows("1 of 2", "2 of 2")
    assert len(tab.rows) == 1
    assert tab.row("2 of 2")["count"] == 2


# -- Coming back ---------------------------------------------------------------------------------


@pytest.mark.every_server
async def test_nothing_is_lost_while_the_tab_sleeps(tab, user):
    """A tab that comes back receives what happened in between, in order, and nothing twice."""
    await asend(user, "before")
    await tab.shows("before")
    await tab.close()
    await asend(user, "one")
    await asend(user, "two")
    resets = tab.resets
    await tab.open()
    await tab.shows("before", "one", "two")
    await asend(user, "after")
    await tab.shows("before", "one", "two", "after")
    assert tab.resets == resets


async def test_a_tab_that_missed_nothing_is_told_nothing_again(tab, user):
    await asend(user, "one")
    await tab.shows("one")
    await tab.reopen()
    await asend(user, "two")
    await tab.shows("one", "two")


async def test_a_long_sleep_is_caught_up_page_by_page(tab, user):
    await asend(user, "0")
    await tab.shows("0")
    await tab.close()
    texts = [str(n) for n in range(1, 251)]
    await in_one_transaction(*texts, to=user)
    await tab.open()
    await tab.shows("0", *texts)


@pytest.mark.parametrize("what", ["garbage", "foreign epoch"])
async def test_a_cursor_that_cannot_be_continued_starts_over(tab, user, what):
    """A snapshot replaces the contents of the tab, which continues from its cursor."""
    await asend(user, "one")
    await tab.shows("one")
    resets = tab.resets
    await tab.reopen("garbage" if what == "garbage" else f"{'0' * 17}:7")
    assert tab.resets == resets + 1
    await tab.shows("one")
    await asend(user, "two")
    await tab.shows("one", "two")


async def test_a_restored_database_starts_over(tab, user):
    """A cursor of a later epoch shows that positions are being assigned a second time."""
    await asend(user, "one")
    await tab.shows("one")
    before = tab.cursor
    await sync_to_async(age)(user)
    await tab.reopen(str(before))
    await tab.shows("one")
    assert tab.cursor.epoch > before.epoch
    await asend(user, "two")
    await tab.shows("one", "two")


# -- Marks ---------------------------------------------------------------------------------------


async def test_a_mark_shows_in_the_other_tab(tab, open_tab, user):
    other = await open_tab()
    await asend(user, "Hello")
    for each in (tab, other):
        await each.shows("Hello")
    await tab.mark("dismissed", "Hello")
    await until(lambda: other.row("Hello")["dismissed_at"])
    await tab.mark("read", "Hello")
    await until(lambda: other.row("Hello")["read_at"])
    assert other.row("Hello")["seen_at"]
    assert other.counts == {"unseen": 0, "unread": 0}
    assert other.shown == ["Hello"]


async def test_a_mark_shows_in_its_own_tab_at_the_cursor_of_its_ack(tab, user):
    """So the client knows when an optimistic mark is confirmed."""
    await asend(user, "Hello")
    await tab.shows("Hello")
    answer = await tab.mark("seen", "Hello")
    assert answer["type"] == "ack"
    assert cursor_of(answer) > tab.cursor or tab.row("Hello")["seen_at"]
    await until(lambda: tab.cursor >= cursor_of(answer))
    assert tab.row("Hello")["seen_at"]
    assert tab.counts == {"unseen": 0, "unread": 1}


async def test_a_mark_that_changes_nothing_is_answered_with_a_cursor_that_is_reached(tab, user):
    await asend(user, "Hello")
    await tab.shows("Hello")
    first = await tab.mark("read", "Hello")
    again = await tab.mark("read", "Hello")
    assert again["cursor"] == first["cursor"]


async def test_marking_all_spares_what_the_tab_has_not_shown(tab, user):
    """The tab's cursor limits what is marked, not the moment of the click."""
    await asend(user, "one")
    await tab.shows("one")
    cursor = str(tab.cursor)
    await asend(user, "two")
    await tab.shows("one", "two")
    answer = await tab.mark("read_all", cursor=cursor)
    await until(lambda: tab.cursor >= cursor_of(answer))
    assert tab.row("one")["read_at"]
    assert tab.row("two")["read_at"] is None
    assert tab.counts == {"unseen": 1, "unread": 1}


async def test_a_bad_command_is_answered_with_its_ref(tab, user):
    answer = await tab.mark("no_such_mark")
    assert (answer["type"], answer["code"]) == ("error", "bad_command")


# -- Access --------------------------------------------------------------------------------------


async def test_who_is_not_signed_in_is_refused_for_good(make_tab):
    tab = make_tab(Client())
    await tab.open()
    assert tab.refusal == "not_signed_in"
    assert tab.shown == []


@pytest.mark.every_server
async def test_a_logout_ends_the_tabs_of_that_browser(tab, open_tab, browser, user):
    """It ends all tabs of the browser, also in other processes. The user's other browsers stay connected."""
    second, elsewhere = await open_tab(), await open_tab(user)
    await sync_to_async(browser.logout)()
    await until(lambda: tab.refusal and second.refusal)
    assert tab.refusal == second.refusal == "not_signed_in"
    await asend(user, "Hello")
    await elsewhere.shows("Hello")
    assert tab.shown == []


async def test_a_new_password_ends_the_tabs(tab, user):
    def change():
        user.set_password("another")
        user.save()

    await sync_to_async(change)()
    await until(lambda: tab.refusal)
    assert tab.refusal == "not_signed_in"
