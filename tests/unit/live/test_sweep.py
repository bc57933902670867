"""The sweep (invariants 8 and 13) finds in the rows whatever the rings have missed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model, update_session_auth_hash
from django.db import connection
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notify
from notify import doorbell, inbox, signals
from notify.auth import session as auth
from notify.inbox import upkeep
from notify.live import sweep
from notify.live.hub import Hub
from notify.live.source import MAILBOXES
from notify.mailbox import outbox
from notify.models import Notification
from notify.protocol import CloseCode
from tests.kit.fakes import FAKE_LAYER, Tab, document, errors_of, settle, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quiet")]


@pytest.fixture
async def deaf_hub(quiet):
    """A hub that no ring reaches."""
    hub = Hub.here()
    doorbell.hubs.discard(hub)
    yield hub
    await Hub.close_here()


@pytest.fixture
def open_tab(deaf_hub):
    return partial(Tab.open, deaf_hub)


@pytest.fixture
def repaired():
    recipients = []

    def note(recipient_id, **kwargs):
        recipients.append(recipient_id)

    signals.repaired.connect(note)
    yield recipients
    signals.repaired.disconnect(note)


async def captured():
    """Yields the queries of the block, made in Django's own thread."""
    return await sync_to_async(lambda: CaptureQueriesContext(connection).__enter__())()


# -- Invariant 8 ---------------------------------------------------------------------------------


async def test_invariant_8_every_missed_ring_is_repaired(
    open_tab, deaf_hub, user, other_user, repaired
):
    """Missed changes arrive in order and once. Rooms that missed nothing are not read."""
    tab, quiet_tab = await open_tab(user), await open_tab(other_user)
    texts = []
    for round_ in range(3):
        for n in range(3):
            texts.append(f"{round_}.{n}")
            await notify.asend(user, texts[-1])
        await settle()
        assert tab.shown == texts[: 3 * round_]
        assert await deaf_hub.sweep.once() == 1
        await until(lambda: tab.shown == texts)
    assert await deaf_hub.sweep.once() == 0
    assert repaired == [user.pk] * 3
    assert quiet_tab.wire.types == ["welcome"]


async def test_rooms_that_may_have_missed_rings_are_looked_at_together(
    deaf_hub, open_tab, user, other_user, repaired, monkeypatch
):
    """One query checks them a moment later. Only rooms that have missed something are read."""
    looks = []
    look_at = upkeep.look_at
    monkeypatch.setattr(upkeep, "look_at", lambda who: looks.append(who) or look_at(who))
    tab, other = await open_tab(user), await open_tab(other_user)
    await notify.asend(user, "missed")
    for room in deaf_hub.rooms.values():
        deaf_hub.missed(room)
    await until(lambda: tab.shown == ["missed"])
    assert repaired == [user.pk]
    assert [sorted(who) for who in looks if len(who) > 1] == [sorted([user.pk, other_user.pk])]
    assert other.wire.types == ["welcome"]
    await notify.asend(user, "again")
    for room in deaf_hub.rooms.values():
        deaf_hub.missed(room)
    await until(lambda: tab.shown == ["missed", "again"])


async def test_a_look_that_is_due_ends_with_its_hub(deaf_hub, open_tab, user, monkeypatch):
    """A room may have missed a ring directly before the hub is closed."""
    tab = await open_tab(user)
    deaf_hub.missed(deaf_hub.rooms[MAILBOXES.name(user.pk)])
    monkeypatch.setattr(upkeep, "look_at", lambda recipients: pytest.fail("It was looked for."))
    await Hub.close_here()
    assert deaf_hub.sweep._soon.cancelled()
    assert tab.wire.code == CloseCode.GOING_AWAY


async def test_a_look_that_fails_is_left_to_the_sweep(deaf_hub, open_tab, user, monkeypatch):
    def look_at(recipients):
        raise OSError("The database is down.")

    tab = await open_tab(user)
    with errors_of(signals.sweep_failed) as failed, monkeypatch.context() as patch:
        patch.setattr(upkeep, "look_at", look_at)
        deaf_hub.missed(deaf_hub.rooms[MAILBOXES.name(user.pk)])
        await until(lambda: failed)
    await notify.asend(user, "later")
    await deaf_hub.sweep.once()
    await until(lambda: tab.shown == ["later"])


async def test_a_mark_that_was_not_rung_is_repaired(open_tab, deaf_hub, user):
    notification = await notify.asend(user, "Hello")
    tab = await open_tab(user)
    await inbox.amark_read(user, [notification])
    await deaf_hub.sweep.once()
    await until(lambda: tab.counts == {"unseen": 0, "unread": 0})


async def test_a_cursor_that_came_from_a_ring_is_compared_with_the_row(open_tab, deaf_hub, user):
    """A ring that is ahead of the rows makes the room deaf to real ones, but only until the next sweep."""
    await notify.asend(user, "one")
    tab = await open_tab(user)
    (room,) = deaf_hub.rooms.values()
    astray = room.cursor._replace(position=room.cursor.position + 1000)
    wrong = document(5, 6)._replace(since=room.cursor, cursor=astray, head=astray.position)
    deaf_hub.ring([(str(user.pk), wrong)])
    await until(lambda: tab.cursor == astray)
    await notify.asend(user, "two")
    assert await deaf_hub.sweep.once() == 1
    await until(lambda: room.cursor != astray)
    assert room.cursor == (await inbox.achanges(user)).cursor
    await until(lambda: tab.shown == ["one", "two"] or tab.wire.code == CloseCode.GOING_AWAY)


async def test_a_forgotten_row_is_published(open_tab, deaf_hub, user, monkeypatch):
    """Its process died between the commit and the publish."""
    tab = await open_tab(user)
    await notify.asend(user, "first")
    with monkeypatch.context() as died:
        died.setattr(outbox, "publish", lambda *args, **kwargs: 0)
        died.setattr(outbox, "_record_published", lambda *args: None)
        await notify.asend(user, "forgotten")
    assert await sync_to_async(Notification.objects.waiting().count)() == 1
    await deaf_hub.sweep.once()
    await until(lambda: tab.shown == ["first", "forgotten"])


async def test_what_has_expired_is_archived(open_tab, deaf_hub, user):
    await notify.asend(user, "Hello", expires=timezone.now() + timedelta(seconds=60))
    tab = await open_tab(user)
    assert tab.counts["unread"] == 1

    def let_expire():
        past = timezone.now() - timedelta(seconds=1)
        Notification.objects.update(expires_at=past)
        user.notify_mailbox.__class__.objects.update(due=past)

    await sync_to_async(let_expire)()
    await deaf_hub.sweep.once()
    await until(lambda: tab.counts == {"unseen": 0, "unread": 0})
    assert next(iter(tab.rows.values()))["archived_at"]


async def test_all_rooms_are_one_query(open_tab, deaf_hub, make_user, settings):
    """There is no query for each user, nor one for rooms that are not made yet."""
    # Run the queries in the thread of sync_to_async, where they are counted.
    settings.NOTIFY_THREADS = 0
    for n in range(7):
        await open_tab(await sync_to_async(make_user)(f"user{n}"))
    queries = await captured()
    await deaf_hub.sweep.once()
    assert await sync_to_async(len)(queries) == 1
    await sync_to_async(queries.__exit__)(None, None, None)


async def test_a_process_without_rooms_asks_nothing(deaf_hub, monkeypatch):
    monkeypatch.setattr(upkeep, "look_at", lambda *args: 1 / 0)
    assert await deaf_hub.sweep.once() == 0


async def test_a_room_that_everybody_has_left_is_not_looked_at(
    open_tab, deaf_hub, user, monkeypatch
):
    """Its group is still being left."""
    tab = await open_tab(user)
    room = deaf_hub.rooms[MAILBOXES.name(user.pk)]
    monkeypatch.setattr(upkeep, "look_at", lambda *args: 1 / 0)
    room.connections.discard(tab.connection)
    assert await deaf_hub.sweep.once() == 0
    room.connections.add(tab.connection)


async def test_a_user_who_is_gone_disturbs_nobody(open_tab, deaf_hub, user, other_user):
    """The mailbox of a deleted user is deleted too."""
    gone, tab = await open_tab(other_user), await open_tab(user)
    await notify.asend(other_user, "Hello")
    await deaf_hub.sweep.once()
    await until(lambda: gone.shown)
    await sync_to_async(other_user.delete)()
    await notify.asend(user, "Hello")
    assert await deaf_hub.sweep.once() == 1
    await until(lambda: tab.shown == ["Hello"])


# -- The loop ------------------------------------------------------------------------------------


def test_the_interval_is_short_where_no_ring_comes_from_elsewhere(settings):
    settings.NOTIFY_SWEEP_INTERVAL = None
    assert sweep.interval() == 1.0
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    assert sweep.interval() == 1.0
    settings.CHANNEL_LAYERS = FAKE_LAYER
    assert sweep.interval() == 5.0
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.kit.fakes.UnmakeableLayer"}}
    assert sweep.interval() == 1.0
    settings.NOTIFY_SWEEP_INTERVAL = 7
    assert sweep.interval() == 7.0


async def test_the_hub_sweeps_by_itself(settings, user):
    """It needs neither a layer nor a ring. This is how several processes work on SQLite alone."""
    settings.NOTIFY_SWEEP_INTERVAL = 0.02
    hub = Hub.here()
    doorbell.hubs.discard(hub)
    tab = Tab(hub, user)
    await hub.connect(tab.connection, None)
    await notify.asend(user, "Hello")
    await until(lambda: tab.shown == ["Hello"])
    await Hub.close_here()


async def test_a_sweep_that_fails_is_tried_again(settings, user, monkeypatch):
    """The database was down for a moment. The loop continues, and emits a signal."""
    settings.NOTIFY_SWEEP_INTERVAL = 0.02
    monkeypatch.setattr(sweep, "REST_AFTER_FAULT", 0.01)
    hub = Hub.here()
    doorbell.hubs.discard(hub)
    tab = Tab(hub, user)
    await hub.connect(tab.connection, None)
    with errors_of(signals.sweep_failed) as errors, monkeypatch.context() as down:
        down.setattr(upkeep, "look_at", lambda recipients: 1 / 0)
        await until(lambda: len(errors) >= 2)
    await notify.asend(user, "Hello")
    await until(lambda: tab.shown == ["Hello"])
    await Hub.close_here()


async def test_an_interval_that_is_wrong_does_not_end_the_sweep(settings, user, monkeypatch):
    """It is reported, and the sweep continues once the setting is valid."""
    monkeypatch.setattr(sweep, "REST_AFTER_FAULT", 0.01)
    settings.NOTIFY_SWEEP_INTERVAL = "often"
    hub = Hub.here()
    doorbell.hubs.discard(hub)
    tab = Tab(hub, user)
    with errors_of(signals.sweep_failed) as errors:
        await hub.connect(tab.connection, None)
        await until(lambda: len(errors) >= 2)
    settings.NOTIFY_SWEEP_INTERVAL = 0.02
    await notify.asend(user, "Hello")
    await until(lambda: tab.shown == ["Hello"])
    await Hub.close_here()


async def test_an_interval_of_nothing_is_still_a_rest(settings, monkeypatch):
    settings.NOTIFY_SWEEP_INTERVAL = 0
    rests = []

    async def rest(seconds):
        rests.append(seconds)
        raise asyncio.CancelledError

    monkeypatch.setattr(sweep.asyncio, "sleep", rest)
    with pytest.raises(asyncio.CancelledError):
        await sweep.Sweep(None)._repeat(None, sweep.interval)
    assert rests[0] > 0


# -- Invariant 13 --------------------------------------------------------------------------------


@pytest.fixture
def signed_in(client, user):
    """The session key of a signed-in browser."""
    client.force_login(user)
    return client.session.session_key


def make_inactive(user, key):
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)


def change_password(user, key):
    user.set_password("another")
    user.save()


def end_session(user, key):
    from django.contrib.sessions.models import Session

    Session.objects.filter(session_key=key).delete()


def let_expire(user, key):
    from django.contrib.sessions.models import Session

    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))


def delete_user(user, key):
    user.delete()


@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param(
            make_inactive,
            CloseCode.NOT_SIGNED_IN,
            marks=pytest.mark.only_if(settings.USER != "char"),
        ),
        (delete_user, CloseCode.NOT_SIGNED_IN),
        (change_password, CloseCode.GOING_AWAY),
        (end_session, CloseCode.GOING_AWAY),
        (let_expire, CloseCode.GOING_AWAY),
    ],
)
async def test_invariant_13_who_is_no_longer_signed_in_is_sent_away(
    end, code, open_tab, deaf_hub, user, other_user, signed_in
):
    """
    Connections that no session can admit again are closed for good. The others are told to come
    back, so that the handshake decides. Connections of other users stay open.
    """
    tab, stays = await open_tab(user), await open_tab(other_user)
    tab.connection.visitor = await sync_to_async(auth.look_up)(signed_in)
    assert await deaf_hub.sweep.recheck() == 0
    await sync_to_async(end)(user, signed_in)
    assert await deaf_hub.sweep.recheck() == 1
    await until(lambda: tab.wire.code)
    assert tab.wire.code == code
    assert stays.wire.code is None
    assert await sync_to_async(auth.look_up)(signed_in) is None


async def test_a_browser_that_has_a_new_session_is_let_in_again(
    open_tab, deaf_hub, user, client, signed_in
):
    """A new password, set in one tab, gives the browser a new session. Its other tabs reconnect."""
    tab = await open_tab(user)
    tab.connection.visitor = await sync_to_async(auth.look_up)(signed_in)

    def set_password():
        request = HttpRequest()
        request.session, request.user = client.session, user
        user.set_password("another")
        user.save()
        update_session_auth_hash(request, user)
        request.session.save()
        return request.session.session_key

    renewed = await sync_to_async(set_password)()
    assert renewed != signed_in
    await deaf_hub.sweep.recheck()
    await until(lambda: tab.wire.code)
    assert tab.wire.code == CloseCode.GOING_AWAY
    assert (await sync_to_async(auth.look_up)(renewed)).user_id == user.pk


async def test_invariant_13_all_sessions_are_two_queries(open_tab, deaf_hub, make_user, settings):
    """A third query is made only if some sessions have ended."""
    settings.NOTIFY_THREADS = 0
    for n in range(5):
        await open_tab(await sync_to_async(make_user)(f"user{n}"))
    queries = await captured()
    assert await deaf_hub.sweep.recheck() == 0
    assert await sync_to_async(len)(queries) == 1  # their visitors have no session
    for tab in deaf_hub.connections():
        tab.visitor = replace(tab.visitor, session=f"session{tab.visitor.user_id}")
    assert await deaf_hub.sweep.recheck() == 5
    assert await sync_to_async(len)(queries) == 1 + 2 + 1
    await sync_to_async(queries.__exit__)(None, None, None)


async def test_the_hub_rechecks_now_and_then(settings, user):
    """This does not depend on the interval of the sweep."""
    settings.NOTIFY_RECHECK_INTERVAL = 0.02
    hub = Hub.here()
    tab = Tab(hub, user, session="unknown")
    await hub.connect(tab.connection, None)
    await until(lambda: tab.wire.code)
    await Hub.close_here()


async def test_nobody_there_is_nobody_to_check(deaf_hub, monkeypatch):
    monkeypatch.setattr(auth, "still_signed_in", lambda visitors: 1 / 0)
    assert await deaf_hub.sweep.recheck() == 0
