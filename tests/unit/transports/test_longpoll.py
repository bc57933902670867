"""The long poll from the viewpoints of a server and a client."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test.utils import CaptureQueriesContext

import notify
from notify import inbox, signals
from notify.auth.session import Visitor
from notify.exceptions import ProtocolError
from notify.inbox import upkeep
from notify.live import hub as hub_module
from notify.live import limits
from notify.live.connection import Connection
from notify.live.hub import Hub
from notify.models import Mailbox
from notify.protocol import CloseCode, Cursor
from notify.transports import longpoll
from notify.transports.longpoll import AnswerWire, LongPoll, long_poll, question
from tests.kit.fakes import (
    FAKE_LAYER,
    Exchange,
    at,
    document,
    scope_of,
    settle,
    until,
)
from tests.kit.patience import PATIENCE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quiet")]

CHANGES = "/notify/changes/"


@pytest.fixture(autouse=True)
def short_linger(monkeypatch):
    monkeypatch.setattr(hub_module, "LINGER", 0.01)


@pytest.fixture
def cursor(user) -> Cursor:
    """The cursor of a mailbox with a row."""
    notify.send(user, "before")
    return inbox.snapshot(user).cursor


def ask(session="", wait: object = 25, **more) -> Exchange:
    return Exchange(long_poll, scope_of(CHANGES, session=session, wait=wait, **more))


async def held() -> Hub:
    """Wait until a request is held."""
    hub = Hub.here()
    await until(lambda: any(one._held is None for one in hub.connections()))
    return hub


def texts(exchange) -> list[str]:
    return [row["message"] for row in exchange.json()["notifications"]]


# -- Answers -------------------------------------------------------------------------------------


async def test_what_comes_while_it_waits_is_answered_at_once(session, user, cursor):
    exchange = ask(session, since=cursor)
    await held()
    await notify.asend(user, "now")
    assert await exchange.ended() == 200
    assert texts(exchange) == ["now"]
    assert exchange.json()["since"] == str(cursor)
    assert exchange.headers["content-type"] == "application/json"
    assert "no-store" in exchange.headers["cache-control"]
    assert "retry-after" not in exchange.headers


async def test_what_has_come_already_is_answered_at_once(session, user, cursor):
    await notify.asend(user, "meanwhile")
    exchange = ask(session, since=cursor)
    assert await exchange.ended() == 200
    assert texts(exchange) == ["meanwhile"]


async def test_what_comes_between_the_look_and_the_wait_is_not_missed(
    session, user, cursor, monkeypatch
):
    """The room is joined before the read."""
    looked, go_on, look = threading.Event(), threading.Event(), inbox.changes

    def slow(*args):
        page = look(*args)
        looked.set()
        go_on.wait(PATIENCE)
        return page

    monkeypatch.setattr(inbox, "changes", slow)
    exchange = ask(session, since=cursor)
    await until(looked.is_set)
    await notify.asend(user, "in between")
    go_on.set()
    assert await exchange.ended() == 200
    assert texts(exchange) == ["in between"]


async def test_without_news_it_is_204_when_the_time_is_over(session, cursor):
    exchange = ask(session, since=cursor, wait=0.05)
    assert await exchange.ended() == 204
    assert exchange.body == ""
    assert "content-type" not in exchange.headers
    assert "retry-after" not in exchange.headers


async def test_no_wait_is_longer_than_the_setting(session, cursor, settings):
    settings.NOTIFY_LONGPOLL_WAIT = 0.05
    assert await ask(session, since=cursor, wait=10**9).ended() == 204


async def test_without_a_cursor_it_does_not_wait(session, user, cursor):
    exchange = ask(session)
    assert await exchange.ended() == 200
    assert exchange.json()["reset"]
    assert texts(exchange) == ["before"]


async def test_a_first_answer_always_has_a_cursor_to_wait_from(session, user):
    """Otherwise a client without a mailbox would ask again at once, forever."""
    exchange = ask(session)
    await exchange.ended()
    assert exchange.json()["cursor"] is not None
    assert "retry-after" not in exchange.headers
    again = ask(session, since=exchange.json()["cursor"])
    await held()
    await notify.asend(user, "first")
    await again.ended()
    assert texts(again) == ["first"]


async def test_a_mailbox_that_cannot_be_made_is_polled(session, monkeypatch):
    monkeypatch.setattr(upkeep, "tend", lambda *args, **kwargs: None)
    exchange = ask(session)
    assert await exchange.ended() == 200
    assert exchange.json()["cursor"] is None
    assert exchange.headers["retry-after"] == "5"


async def test_another_epoch_is_a_reset_at_once(session, cursor):
    exchange = ask(session, since="0" * 17 + ":7")
    assert await exchange.ended() == 200
    assert exchange.json()["reset"]


async def test_a_mark_is_news(session, user, cursor):
    exchange = ask(session, since=cursor)
    await held()
    await inbox.amark_seen(user)
    await exchange.ended()
    assert exchange.json()["counts"] == {"unseen": 0, "unread": 1}


async def test_it_is_not_held_for_the_news_of_others(session, other_user, cursor):
    exchange = ask(session, since=cursor, wait=0.2)
    await held()
    await notify.asend(other_user, "private")
    assert await exchange.ended() == 204


# -- Costs ---------------------------------------------------------------------------------------


async def test_a_question_that_is_held_costs_three_queries(session, cursor, settings):
    """They are for the session, the user and the glance. Waiting costs none."""
    settings.NOTIFY_THREADS = 0  # so that the queries are counted

    def capture():
        context = CaptureQueriesContext(connections["default"])
        context.__enter__()
        return context

    context = await sync_to_async(capture)()
    exchange = ask(session, since=cursor, wait=0.1)
    assert await exchange.ended() == 204
    await sync_to_async(context.__exit__)(None, None, None)
    statements = [query["sql"] for query in context.captured_queries]
    assert len(statements) == 3, statements
    assert all(statement.startswith("SELECT") for statement in statements)


async def test_a_client_that_comes_back_at_once_finds_its_room(
    session, user, cursor, settings, monkeypatch
):
    """The group of the channel layer is not left and joined again for each answer."""
    monkeypatch.setattr(hub_module, "LINGER", 0.5)
    settings.CHANNEL_LAYERS = FAKE_LAYER
    for number in range(3):
        exchange = ask(session, since=cursor)
        hub = await held()
        await notify.asend(user, f"{number}")
        await exchange.ended()
        assert texts(exchange) == [f"{number}"]
        cursor = Cursor.parse(exchange.json()["cursor"])
    (room,) = hub.rooms.values()
    assert hub.membership.layer.count("group_add", room.name) == 1
    assert hub.membership.layer.count("group_discard", room.name) == 0
    await until(lambda: hub.rooms == {})
    assert hub.membership.layer.count("group_discard", room.name) == 1


async def test_an_earlier_answer_does_not_end_the_time_of_a_later_one(session, cursor, monkeypatch):
    """The room waits for its client after the last answer, not after each."""
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(hub_module, "LINGER", 0.2)
    await ask(session, since=cursor, wait=0.01).ended()
    answered = loop.time()
    monkeypatch.setattr(hub_module, "LINGER", 3600)
    await ask(session, since=cursor, wait=0.01).ended()
    await until(lambda: loop.time() > answered + 0.3)
    await settle()
    assert len(Hub.here().rooms) == 1


async def test_a_client_that_has_gone_is_not_waited_for(session, cursor, monkeypatch):
    monkeypatch.setattr(hub_module, "LINGER", 3600)
    exchange = ask(session, since=cursor)
    hub = await held()
    exchange.disconnect()
    await exchange.ended()
    assert hub.rooms == {}
    assert exchange.status is None
    assert limits.connections()[limits.EVERYBODY] == 0


async def test_what_is_sent_while_a_room_waits_for_its_client_is_not_missed(
    session, user, cursor, monkeypatch
):
    """The room receives the ring, and the next request reads the rows anyway."""
    monkeypatch.setattr(hub_module, "LINGER", 3600)
    await ask(session, since=cursor, wait=0).ended()
    await notify.asend(user, "in between")
    exchange = ask(session, since=cursor)
    await exchange.ended()
    assert texts(exchange) == ["in between"]
    again = ask(session, since=exchange.json()["cursor"])
    await held()
    await notify.asend(user, "after")
    await again.ended()
    assert texts(again) == ["after"]


# -- Invalid requests ----------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["", "soon", "-1", "nan", "inf", "1e400", "1,5"])
async def test_a_wait_that_is_no_number_is_400(wait, session):
    exchange = ask(session, wait=wait)
    assert await exchange.ended() == 400
    assert exchange.json()["code"] == "bad_wait"


@pytest.mark.parametrize("since", ["44", "null", "🎉"])
async def test_a_bad_cursor_is_400(since, session):
    """As with a poll, the client asks again without a cursor."""
    exchange = ask(session, since=since)
    assert await exchange.ended() == 400
    assert (exchange.json()["code"], exchange.json()["ref"]) == ("bad_cursor", None)


def test_a_question_is_a_cursor_and_seconds():
    assert question(str(at(5)), "3.5") == (at(5), 3.5)
    assert question(None, "0") == question("", "0") == (None, 0)
    assert question(None, "60") == (None, 25)
    with pytest.raises(ProtocolError):
        question("x", "1")


# -- Refusals ------------------------------------------------------------------------------------


def refusal_of(exchange):
    return exchange.status, exchange.json()["code"], exchange.json()["ref"]


async def test_nobody_is_401():
    exchange = ask("no-such-session")
    await exchange.ended()
    assert refusal_of(exchange) == (401, "not_signed_in", None)


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (CloseCode.NOT_SIGNED_IN, (401, "not_signed_in", None)),
        (CloseCode.KICKED, (403, "kicked", None)),
        (CloseCode.GOING_AWAY, (503, "going_away", None)),
    ],
)
async def test_a_question_that_is_held_is_refused_when_its_connection_is_closed(
    code, refusal, session, cursor, monkeypatch
):
    """A logout, a kick or a drain closes it, and its room is left at once."""
    monkeypatch.setattr(hub_module, "LINGER", 3600)
    exchange = ask(session, since=cursor)
    hub = await held()
    next(hub.connections()).close(code)
    await exchange.ended()
    assert refusal_of(exchange) == refusal
    assert ("retry-after" in exchange.headers) == (refusal[0] == 503)
    assert hub.rooms == {}


async def test_the_end_of_the_hub_answers_what_is_held(session, cursor):
    exchange = ask(session, since=cursor)
    await held()
    await Hub.close_here()
    await exchange.ended()
    assert refusal_of(exchange) == (503, "going_away", None)


@pytest.mark.parametrize("broken", ["notify.auth.session.sign_in", "notify.inbox.changes"])
@pytest.mark.parametrize("is_first", [False, True])
async def test_a_database_that_fails_is_503(broken, is_first, session, cursor, monkeypatch, caplog):
    monkeypatch.setattr(broken, lambda *args: 1 / 0)
    exchange = ask(session, since=None if is_first else cursor)
    await exchange.ended()
    assert refusal_of(exchange) == (503, "going_away", None)
    assert "division by zero" in caplog.text
    await until(lambda: Hub.here().rooms == {})


async def test_a_room_that_cannot_be_read_answers_with_a_refusal(
    session, user, cursor, monkeypatch
):
    """The room's cursor is above the client's, and the rows cannot be read."""
    exchange = ask(session, since=cursor)
    hub = await held()
    monkeypatch.setattr(inbox, "changes", lambda *args: 1 / 0)
    next(hub.connections()).read_again()
    await exchange.ended()
    assert refusal_of(exchange) == (503, "going_away", None)


async def test_a_read_that_never_returns_is_503_soon_after_the_wait(
    session, user, cursor, monkeypatch
):
    """A thread that hangs in a dead database keeps neither the client nor its place."""
    told, may_end = [], threading.Event()

    def note(recipient_id, error, **kwargs):
        told.append((recipient_id, type(error)))

    monkeypatch.setattr(inbox, "changes", lambda *args: may_end.wait(PATIENCE) and 1 / 0)
    monkeypatch.setattr(longpoll, "GRACE", 0.05)
    signals.connect_failed.connect(note)
    try:
        exchange = ask(session, since=cursor, wait=0.05)
        await exchange.ended()
    finally:
        signals.connect_failed.disconnect(note)
        may_end.set()
    assert refusal_of(exchange) == (503, "going_away", None)
    assert exchange.headers["retry-after"] in ("1", "2")
    assert told == [(user.pk, TimeoutError)]
    assert Hub.here().rooms == {}
    assert limits.connections()[limits.EVERYBODY] == 0


async def test_an_answer_that_is_not_taken_in_time_is_not_told_as_a_failure(
    session, user, cursor, monkeypatch
):
    """The rows were read and sent. A slow client is no fault of the database."""
    monkeypatch.setattr(limits, "STALL_TIMEOUT", 1.0)
    told = []

    def note(**kwargs):
        told.append(kwargs)

    # Longer than the read takes, shorter than the stall.
    monkeypatch.setattr(longpoll, "GRACE", 0.5)
    signals.connect_failed.connect(note)
    try:
        exchange = ask(session, since=cursor, wait=0.5)  # time for the read
        exchange.holds = True
        await asyncio.wait_for(asyncio.shield(exchange.app), PATIENCE)
    finally:
        signals.connect_failed.disconnect(note)
    assert told == []


async def test_an_answer_is_not_replaced_by_the_refusal_of_a_later_close(user):
    """The answer may still be on its way to a slow client when the process ends."""
    wire = AnswerWire(25, LongPoll)
    connection = Connection(Visitor(user.pk, ""), wire, lambda connection: None)
    connection.welcome(document(5, 6))
    answer = await wire.answer
    await connection.close(CloseCode.GOING_AWAY)
    assert wire.answer.result() == answer == (200, document(5, 6).encode())
    assert connection.comes_back
    wire.cancel()


async def test_a_heartbeat_is_no_answer(session, user, cursor):
    """A question is held for longer than NOTIFY_HEARTBEAT if the site has set that low."""
    exchange = ask(session, since=cursor)
    hub = await held()
    connection = next(hub.connections())
    connection.beat(hub.loop.time() + 3600)
    await settle()
    assert exchange.status is None
    assert connection.is_open
    await notify.asend(user, "now")
    assert await exchange.ended() == 200
    assert texts(exchange) == ["now"]


async def test_it_counts_as_a_connection_while_it_is_held(session, cursor, settings):
    settings.NOTIFY_MAX_CONNECTIONS = 1
    exchange = ask(session, since=cursor)
    await held()
    second = ask(session, since=cursor)
    await second.ended()
    assert refusal_of(second) == (503, "too_many", None)
    exchange.disconnect()
    await exchange.ended()
    assert await ask(session, since=cursor, wait=0).ended() == 204


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
async def test_only_get_is_answered(method, session):
    exchange = ask(session, method=method)
    assert await exchange.ended() == 405
    assert exchange.headers["allow"] == "GET"


async def test_a_client_that_takes_no_answer_is_left_in_the_end(session, user, cursor, monkeypatch):
    monkeypatch.setattr(limits, "STALL_TIMEOUT", 0.05)
    exchange = ask(session, since=cursor)
    await held()
    exchange.holds = True
    await notify.asend(user, "now")
    await exchange.ended()
    await until(lambda: Hub.here().rooms == {})
    assert limits.connections()[limits.EVERYBODY] == 0


async def test_a_thousand_questions_leave_nothing_behind(session, user, cursor):
    """No task, room or count remains, whether they were answered, dropped or timed out."""
    await settle()
    before = len(asyncio.all_tasks())
    hub = Hub.here()
    for _ in range(20):
        many = [ask(session, since=cursor, wait=0.2) for _ in range(50)]
        for exchange in many[::2]:
            exchange.disconnect()
        await asyncio.gather(*(exchange.ended() for exchange in many))
    await until(lambda: hub.rooms == {})
    assert limits.connections()[limits.EVERYBODY] == 0
    assert await sync_to_async(Mailbox.objects.count)() == 1
    own = 4  # of the hub: the sweep with its two loops, and the beat
    await until(lambda: len(asyncio.all_tasks()) <= before + own)


async def test_a_room_that_waits_for_its_client_joins_again_after_a_fault(
    session, cursor, settings, monkeypatch
):
    """Otherwise the next requests would receive no ring."""
    settings.CHANNEL_LAYERS = FAKE_LAYER
    monkeypatch.setattr(hub_module, "LINGER", 3600)
    assert await ask(session, wait=0.01, since=cursor).ended() == 204
    hub = Hub.here()
    (room,) = hub.rooms.values()
    assert hub.membership.layer.members(room.name) == 1
    hub.membership.layer.forget()
    hub.membership.is_dirty = True
    await hub.membership.rejoin()
    async with ask(session, since=cursor):
        await until(lambda: hub.membership.layer.members(room.name) == 1)


async def test_nothing_is_delivered_to_a_room_that_waits_for_its_client(
    session, user, cursor, monkeypatch
):
    monkeypatch.setattr(hub_module, "LINGER", 3600)
    told = []

    def note(connections, **kwargs):
        told.append(connections)

    assert await ask(session, wait=0.01, since=cursor).ended() == 204
    (room,) = Hub.here().rooms.values()
    before = room.cursor
    signals.delivered.connect(note)
    await notify.asend(user, "nobody is here")
    await until(lambda: room.cursor != before)
    await settle()
    signals.delivered.disconnect(note)
    assert told == []


async def test_the_wait_begins_with_the_question(session, cursor, monkeypatch):
    """It does not begin with the end of the read, which is slow in a storm."""
    read, may_go_on = inbox.changes, threading.Event()
    monkeypatch.setattr(inbox, "changes", lambda *args: may_go_on.wait(PATIENCE) and read(*args))
    loop = asyncio.get_running_loop()
    call_at, dues = loop.call_at, []

    def note(when, callback, *args, **kwargs):
        if callback.__name__ == "_resolve":
            dues.append(when - loop.time())
        return call_at(when, callback, *args, **kwargs)

    monkeypatch.setattr(loop, "call_at", note)
    exchange = ask(session, wait=0.05, since=cursor)
    asked = loop.time()
    await until(lambda: loop.time() > asked + 0.1)
    may_go_on.set()
    assert await exchange.ended() == 204
    assert len(dues) == 1
    assert dues[0] <= 0  # it is already over


async def test_a_first_answer_that_is_not_taken_is_left_in_the_end(session, monkeypatch):
    monkeypatch.setattr(limits, "STALL_TIMEOUT", 0.05)
    exchange = ask(session, wait=0)
    exchange.holds = True
    await asyncio.wait_for(asyncio.shield(exchange.app), PATIENCE)
    assert limits.connections()[limits.EVERYBODY] == 0
