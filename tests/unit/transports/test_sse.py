"""Server-sent events from the viewpoints of a server and an EventSource."""

from __future__ import annotations

import asyncio
import json
import signal
import threading

import pytest

import notify
from notify import inbox
from notify.auth import session as auth
from notify.live import drain, limits
from notify.live.hub import Hub
from notify.protocol import CloseCode, Cursor
from notify.transports import sse
from notify.transports.sse import event, since_of, stream
from tests.kit.fakes import (
    EPOCH,
    Exchange,
    at,
    scope_of,
    settle,
    until,
)
from tests.kit.patience import PATIENCE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quiet")]

STREAM = "/notify/stream/"


def open_stream(session="", **more) -> Exchange:
    return Exchange(stream, scope_of(STREAM, session=session, **more))


def the_connection():
    return next(iter(Hub.here().connections()))


# -- The answer ----------------------------------------------------------------------------------


async def test_a_stream_begins_with_the_welcome(session):
    async with open_stream(session) as exchange:
        welcome = await exchange.welcome()
        assert exchange.status == 200
        assert (welcome["type"], welcome["version"], welcome["heartbeat"]) == ("welcome", 1, 25)
        assert exchange.body.startswith("retry: ")
        assert 1000 <= int(exchange.body.split()[1]) <= 5000


async def test_nobody_on_the_way_keeps_collects_or_changes_it(session):
    async with open_stream(session) as exchange:
        await exchange.welcome()
        assert exchange.headers == {
            "cache-control": "no-cache, no-store, no-transform, private",
            "content-encoding": "identity",
            "content-type": "text/event-stream; charset=utf-8",
            "vary": "Cookie",
            "x-accel-buffering": "no",
            "x-content-type-options": "nosniff",
        }


async def test_what_is_sent_comes_as_an_unnamed_event_with_its_cursor_as_id(session, user):
    await notify.asend(user, "one")
    async with open_stream(session) as exchange:
        await exchange.welcome()
        await notify.asend(user, "zwei\n🎉")
        await until(lambda: exchange.shown == ["one", "zwei\n🎉"])
        first, second = exchange.events
        assert first["event"] == second["event"] == "message"
        assert first["id"] == json.loads(first["data"])["changes"]["cursor"]
        assert second["id"] == json.loads(second["data"])["cursor"] == str(exchange.cursor)


async def test_without_a_mailbox_there_is_no_id(session):
    async with open_stream(session) as exchange:
        await exchange.welcome()
        assert exchange.events[0]["id"] is None


async def test_a_quiet_stream_carries_a_named_heartbeat(session, user):
    """The client does not answer it, and the stream continues."""
    await notify.asend(user, "one")
    async with open_stream(session) as exchange:
        await exchange.welcome()
        for count in (1, 2):
            now = asyncio.get_running_loop().time()
            the_connection().beat(now + 26)
            await until(lambda count=count: len(exchange.events) == 1 + count)
        (_, ping, _) = exchange.events
        assert (ping["event"], ping["id"]) == ("ping", None)
        assert json.loads(ping["data"])["cursor"] == str(exchange.cursor)
        the_connection().beat(now + 1000)
        await settle()
        assert the_connection().is_open


def test_an_event_is_lines_and_a_blank_one():
    assert event("{}") == "data: {}\n\n"
    assert event("{}", name="ping") == "event: ping\ndata: {}\n\n"
    assert event("{}", cursor=at(5)) == f"id: {EPOCH}:5\ndata: {{}}\n\n"


# -- Coming back ---------------------------------------------------------------------------------


async def test_a_stream_goes_on_at_its_cursor(session, user):
    await notify.asend(user, "one")
    cursor = (await inbox.asnapshot(user)).cursor
    await notify.asend(user, "two")
    for options in ({"since": cursor}, {"headers": {"last-event-id": str(cursor)}}):
        async with open_stream(session, **options) as exchange:
            changes = (await exchange.welcome())["changes"]
            assert changes["since"] == str(cursor)
            assert [row["message"] for row in changes["notifications"]] == ["two"]


@pytest.mark.parametrize("cursor", ["garbage", "0" * 17 + ":7", ""])
async def test_a_cursor_that_cannot_be_continued_gives_a_snapshot(cursor, session, user):
    """An EventSource that received a 400 would never come back."""
    await notify.asend(user, "one")
    async with open_stream(session, headers={"last-event-id": cursor}) as exchange:
        assert (await exchange.welcome())["changes"]["reset"]


def test_the_last_event_comes_before_the_address():
    """A browser that reconnects by itself repeats the address of its first request."""
    headers = {"last-event-id": str(at(6))}
    assert since_of(scope_of(STREAM, since=at(5), headers=headers)) == at(6)
    assert since_of(scope_of(STREAM, since=at(5))) == at(5)
    assert since_of(scope_of(STREAM, since=at(5), headers={"last-event-id": "x"})) == at(5)
    assert since_of(scope_of(STREAM)) is None


# -- The end -------------------------------------------------------------------------------------


async def test_a_client_that_goes_is_left_at_once(session):
    exchange = open_stream(session)
    await exchange.welcome()
    assert len(Hub.here().rooms) == 1
    exchange.disconnect()
    await exchange.ended()
    assert Hub.here().rooms == {}
    assert limits.connections()[limits.EVERYBODY] == 0


@pytest.mark.parametrize("code", [CloseCode.GOING_AWAY, CloseCode.KICKED])
async def test_a_stream_that_is_closed_says_so_in_its_last_event(code, session):
    exchange = open_stream(session)
    await exchange.welcome()
    the_connection().close(code)
    await exchange.ended()
    last = exchange.events[-1]
    assert (last["event"], last["id"]) == ("close", None)
    assert json.loads(last["data"]) == {"type": "close", "code": int(code)}
    assert exchange.is_over
    assert Hub.here().rooms == {}


def test_streams_that_began_together_do_not_end_together():
    ages = {sse.age() for _ in range(1000)}
    assert len(ages) > 900
    assert 1440 <= min(ages) < 1460
    assert 1780 < max(ages) <= 1800


async def test_an_old_stream_ends_and_its_client_comes_back(session, monkeypatch):
    monkeypatch.setattr(limits, "STREAM_MAX_AGE", 0.1)
    exchange = open_stream(session)
    await exchange.welcome()
    await exchange.ended()
    assert exchange.frames[-1] == {"type": "close", "code": 4000}


async def test_a_stream_that_has_carried_much_ends_and_loses_nothing(session, user, monkeypatch):
    """Some servers buffer without bound what a client does not read."""
    monkeypatch.setattr(limits, "UNANSWERED_MAX_CHARACTERS", 3000)
    exchange = open_stream(session)
    await exchange.welcome()
    texts = [f"{number} {'x' * 500}" for number in range(5)]
    for text in texts[:4]:
        await notify.asend(user, text)
    await exchange.ended()
    assert exchange.frames[-1] == {"type": "close", "code": 4000}
    await notify.asend(user, texts[4])
    last = exchange.events[-2]["id"]
    assert 3000 < sum(len(one["data"]) for one in exchange.events[:-1]) < 6000
    monkeypatch.setattr(limits, "UNANSWERED_MAX_CHARACTERS", 10**6)
    async with open_stream(session, headers={"last-event-id": last}) as again:
        again.cursor = Cursor.parse(last)
        await again.welcome()
        await until(lambda: exchange.shown + again.shown == texts)


async def test_a_client_that_takes_nothing_is_left_in_the_end(session, monkeypatch):
    monkeypatch.setattr(sse, "CLOSE_TIMEOUT", 0.05)
    exchange = open_stream(session)
    await exchange.welcome()
    exchange.holds = True
    the_connection().close(CloseCode.TOO_SLOW)
    await exchange.ended()
    assert Hub.here().rooms == {}


async def test_a_server_that_cancels_leaves_no_room(session):
    exchange = open_stream(session)
    await exchange.welcome()
    exchange.app.cancel()
    await asyncio.wait([exchange.app])
    assert Hub.here().rooms == {}


# -- Refusals ------------------------------------------------------------------------------------


def refusal_of(exchange):
    return exchange.status, exchange.json()["code"], exchange.json()["ref"]


async def test_nobody_is_401(session):
    exchange = open_stream("no-such-session")
    await exchange.ended()
    assert refusal_of(exchange) == (401, "not_signed_in", None)
    assert exchange.headers["content-type"] == "application/json"
    assert "retry-after" not in exchange.headers


@pytest.mark.parametrize(
    "header", [{"origin": "http://evil.com"}, {"sec-fetch-site": "cross-site"}]
)
async def test_a_foreign_page_is_403(header, session, monkeypatch):
    monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
    exchange = open_stream(session, headers=header)
    await exchange.ended()
    assert refusal_of(exchange) == (403, "foreign_origin", None)


async def test_one_too_many_is_503(session, settings):
    settings.NOTIFY_MAX_CONNECTIONS_PER_USER = 1
    async with open_stream(session) as exchange:
        await exchange.welcome()
        second = open_stream(session)
        await second.ended()
        assert refusal_of(second) == (503, "too_many", None)
        assert 10 <= int(second.headers["retry-after"]) <= 20


@pytest.mark.parametrize("broken", ["notify.auth.session.sign_in", "notify.inbox.changes"])
async def test_a_database_that_fails_is_503(broken, session, monkeypatch):
    monkeypatch.setattr(broken, lambda *args: 1 / 0)
    exchange = open_stream(session)
    await exchange.ended()
    assert refusal_of(exchange) == (503, "going_away", None)
    assert 1 <= int(exchange.headers["retry-after"]) <= 2
    assert Hub.here().rooms == {}


async def test_a_process_that_ends_is_503(session):
    Hub.here().is_draining = True
    exchange = open_stream(session)
    await exchange.ended()
    assert refusal_of(exchange) == (503, "going_away", None)


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "DELETE"])
async def test_only_get_is_answered(method, session):
    exchange = open_stream(session, method=method)
    assert await exchange.ended() == 405
    assert exchange.headers["allow"] == "GET"
    assert exchange.body == ""


# -- The life of the hub -------------------------------------------------------------------------


async def test_the_end_of_the_hub_ends_its_streams(session):
    exchange = open_stream(session)
    await exchange.welcome()
    await Hub.close_here()
    await exchange.ended()
    assert exchange.frames[-1] == {"type": "close", "code": 4000}


async def test_a_thousand_streams_leave_nothing_behind(session):
    """No task, room or count remains."""
    await settle()
    before = len(asyncio.all_tasks())
    for _ in range(20):
        many = [open_stream(session) for _ in range(50)]
        for exchange in many[::2]:
            await exchange.welcome()
        for exchange in many:
            exchange.disconnect()
        await asyncio.gather(*(exchange.ended() for exchange in many))
    hub = Hub.here()
    assert hub.rooms == {}
    assert limits.connections()[limits.EVERYBODY] == 0
    own = 3  # of the hub: the sweep, whose two loops are gathered, and the beat
    await until(lambda: len(asyncio.all_tasks()) <= before + own + 1)


async def test_who_is_signed_in_after_the_goodbyes_of_a_drain_is_sent_elsewhere(
    session, monkeypatch
):
    """Otherwise the process would wait half an hour for the stream."""
    at_the_door, may_go_on = threading.Event(), threading.Event()
    sign_in = auth.sign_in

    def late(scope):
        at_the_door.set()
        may_go_on.wait(PATIENCE)
        return sign_in(scope)

    monkeypatch.setattr(auth, "sign_in", late)
    handed = []
    goodbye = drain.Drain(Hub.here(), lambda number, frame: handed.append(number))
    exchange = open_stream(session)
    await until(at_the_door.is_set)
    goodbye.on_signal(signal.SIGTERM, None)
    await until(lambda: handed)
    may_go_on.set()
    assert await exchange.ended() == 503
    assert Hub.here().rooms == {}
