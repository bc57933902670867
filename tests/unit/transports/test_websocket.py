"""The WebSocket from the viewpoints of a server and a browser, and the invariants of its begin and end."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from channels.consumer import AsyncConsumer
from django.test import Client

import notify
from notify import inbox, signals
from notify.auth import session as auth
from notify.live import hub as hub_module
from notify.live import limits
from notify.live.hub import Hub
from notify.models import Notification
from notify.protocol import CloseCode, Cursor
from notify.transports import commands, websocket
from notify.transports.parser import MAX_COMMAND_BYTES
from notify.transports.websocket import NotifyConsumer, since_of
from tests.kit.deeds import handled, offer
from tests.kit.fakes import (
    EPOCH,
    Socket,
    at,
    scope_of,
    settle,
    sign_in,
    start_thread,
    until,
)
from tests.kit.patience import PATIENCE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quiet")]


def open_socket(session="", **more) -> Socket:
    return Socket(NotifyConsumer(), scope_of(session=session, **more))


async def rows() -> list[Notification]:
    return await sync_to_async(lambda: list(Notification.objects.order_by("pk")))()


# -- Admission -----------------------------------------------------------------------------------


async def test_a_signed_in_user_is_welcomed(session):
    async with open_socket(session) as socket:
        frame = await socket.welcome()
        assert frame["type"] == "welcome"
        assert frame["version"] == 1
        assert frame["heartbeat"] == 25
        assert frame["changes"]["type"] == "changes"
        assert socket.accepted


async def test_a_late_welcome_is_announced(session, monkeypatch):
    """A ping shows that the socket carries frames, so the client waits. It is sent once, and first."""
    monkeypatch.setattr(websocket, "WELCOME_DUE", 0.01)
    may_go_on = threading.Event()
    sign_in = auth.sign_in
    monkeypatch.setattr(auth, "sign_in", lambda scope: may_go_on.wait(PATIENCE) and sign_in(scope))
    async with open_socket(session) as socket:
        await until(lambda: socket.frames)
        may_go_on.set()
        await socket.welcome()
        socket.send(type="ping", ref=1)
        await until(lambda: socket.answer_to(1))
    assert [frame["type"] for frame in socket.frames] == ["ping", "welcome", "pong"]
    assert socket.frames[0] == {"type": "ping", "cursor": None, "ref": 0}


@pytest.mark.parametrize("cookie", ["", "no-such-session"])
async def test_nobody_is_accepted_and_then_closed_for_good(cookie):
    """A browser cannot distinguish a refused handshake from a broken network."""
    socket = open_socket(cookie)
    assert await socket.ended() == CloseCode.NOT_SIGNED_IN
    assert socket.reason == "not_signed_in"
    assert socket.accepted
    assert socket.frames == []


async def test_a_foreign_page_is_accepted_and_then_closed_for_good(session, monkeypatch):
    """The session is not looked up."""
    monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
    socket = open_socket(session, headers={"origin": "http://evil.com"})
    assert await socket.ended() == CloseCode.FOREIGN_ORIGIN
    assert socket.accepted
    assert socket.frames == []


async def test_a_look_up_that_fails_lets_the_client_come_back(session, monkeypatch, caplog):
    monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
    socket = open_socket(session)
    assert await socket.ended() == CloseCode.GOING_AWAY
    assert "could not look up" in caplog.text


async def test_a_read_that_fails_lets_the_client_come_back(session, monkeypatch, caplog):
    monkeypatch.setattr(inbox, "changes", lambda *args: 1 / 0)
    socket = open_socket(session)
    assert await socket.ended() == CloseCode.GOING_AWAY
    assert "could not read the mailbox" in caplog.text
    assert Hub.here().rooms == {}


# -- Limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("debug", [False, True])
async def test_with_debug_a_foreign_page_is_told_the_likely_cause(session, settings, debug):
    """Before the close frame, as daphne does not pass on the reason of one. A script can log it."""
    settings.DEBUG = debug
    socket = open_socket(session, headers={"origin": "http://testserver:8443"})
    assert await socket.ended() == CloseCode.FOREIGN_ORIGIN
    assert [(frame["type"], frame["ref"], frame["code"]) for frame in socket.frames] == (
        [("error", None, "foreign_origin")] if debug else []
    )
    assert all("$http_host" in frame["message"] for frame in socket.frames)


@pytest.fixture
def refused():
    """The arguments of the signal connection_refused."""
    notes = []

    def note(setting, recipient_id, **kwargs):
        notes.append((setting, recipient_id))

    signals.connection_refused.connect(note)
    yield notes
    signals.connection_refused.disconnect(note)


async def test_a_full_process_sends_on_to_the_poll(session, settings, refused, monkeypatch):
    """The close code lets the client come back, and is sent before any query."""
    settings.NOTIFY_MAX_CONNECTIONS = 2
    async with open_socket(session) as one, open_socket(session) as two:
        await one.welcome()
        await two.welcome()
        with monkeypatch.context() as asked:
            asked.setattr(auth, "sign_in", lambda scope: 1 / 0)
            third = open_socket(session)
            assert await third.ended() == CloseCode.TOO_MANY
        assert third.accepted
        assert third.frames == []
        assert refused == [("NOTIFY_MAX_CONNECTIONS", None)]
    async with open_socket(session) as again:  # a place is free once a client has left
        await again.welcome()
    assert limits.connections()[limits.EVERYBODY] == 0


async def test_handshakes_under_way_count(session, settings, monkeypatch):
    """Handshakes that wait for the database count too, because a restart brings thousands of them."""
    settings.NOTIFY_MAX_CONNECTIONS = 2
    gate, sign_in = threading.Event(), auth.sign_in
    monkeypatch.setattr(auth, "sign_in", lambda scope: gate.wait(PATIENCE) and sign_in(scope))
    waiting = [open_socket(session), open_socket("no-such-session")]
    await until(lambda: all(socket.accepted for socket in waiting))
    assert await open_socket(session).ended() == CloseCode.TOO_MANY
    gate.set()
    assert await waiting[1].ended() == CloseCode.NOT_SIGNED_IN
    async with waiting[0] as socket, open_socket(session) as next_one:
        await socket.welcome()
        await next_one.welcome()


async def test_a_user_with_very_many_tabs_leaves_room_for_others(
    session, user, other_user, settings, refused
):
    settings.NOTIFY_MAX_CONNECTIONS_PER_USER = 2
    async with (
        open_socket(session) as one,
        open_socket(session) as two,
        open_socket(await sync_to_async(sign_in)(other_user)) as other,
    ):
        for socket in (one, two, other):
            await socket.welcome()
        assert await open_socket(session).ended() == CloseCode.TOO_MANY
        assert refused == [("NOTIFY_MAX_CONNECTIONS_PER_USER", user.pk)]
        one.disconnect()
        await one.ended()
        async with open_socket(session) as again:
            await again.welcome()
    assert limits.connections()[user.pk] == limits.connections()[other_user.pk] == 0


async def test_forty_tabs_are_not_many(session):
    sockets = [open_socket(session) for _ in range(40)]
    for socket in sockets:
        await socket.welcome()
    for socket in sockets:
        socket.disconnect()
        await socket.ended()


@pytest.mark.parametrize("when", ["look-up", "refusal", "foreign page", "cancelled"])
async def test_however_a_handshake_ends_it_counts_no_more(session, monkeypatch, when):
    options = {}
    if when == "look-up":
        monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
    elif when == "refusal":
        session = ""
    elif when == "foreign page":
        options = {"headers": {"origin": "http://evil.com"}}
    socket = open_socket(session, **options)
    if when == "cancelled":
        await socket.welcome()
        socket.app.cancel()
        with pytest.raises(asyncio.CancelledError):
            await socket.app
    else:
        await socket.ended()
    assert limits.connections()._counts == {}


# -- Documents -----------------------------------------------------------------------------------


async def test_what_is_sent_arrives(session, user):
    async with open_socket(session) as socket:
        await socket.welcome()
        await notify.asend(user, "Hello", title="A title", level="success")
        await until(lambda: socket.shown == ["Hello"])
        row = next(iter(socket.rows.values()))
        assert (row["title"], row["level"]) == ("A title", "success")


async def test_a_cursor_in_the_address_resumes(session, user):
    await notify.asend(user, "one")
    known = (await inbox.achanges(user)).cursor
    await notify.asend(user, "two")
    async with open_socket(session, since=known) as socket:
        frame = await socket.welcome()
        assert frame["changes"]["since"] == str(known)
        assert [row["message"] for row in frame["changes"]["notifications"]] == ["two"]


@pytest.mark.parametrize(
    "since", ["x", f"{EPOCH}:5", f"{EPOCH}:-1", "v" * 17 + ":5", "0" * 17 + ":0"]
)
async def test_a_cursor_that_is_none_or_foreign_starts_anew(session, user, since):
    await notify.asend(user, "one")
    async with open_socket(session, since=since) as socket:
        frame = await socket.welcome()
        assert frame["changes"]["reset"] is True
        assert socket.shown == ["one"]
        await notify.asend(user, "two")
        await until(lambda: socket.shown == ["one", "two"])


def test_the_cursor_of_a_scope():
    assert since_of(scope_of(since=at(5))) == at(5)
    assert since_of(scope_of()) is None
    assert since_of({"query_string": b"since=%ff&since=x"}) is None
    assert since_of({}) is None


# -- Commands ------------------------------------------------------------------------------------


async def test_a_mark_is_answered_and_shown_in_every_tab(session, user):
    sent = await notify.asend(user, "Hello")
    async with open_socket(session) as socket, open_socket(session) as other:
        await socket.welcome()
        await other.welcome()
        socket.send(type="read", ids=[[sent.pk, sent.arrived]], ref=7)
        answer = await until(lambda: socket.answer_to(7))
        assert answer["type"] == "ack"
        for tab in (socket, other):
            await until(lambda tab=tab: tab.counts == {"unseen": 0, "unread": 0})
            assert tab.cursor == Cursor.parse(answer["cursor"])
            assert tab.rows[sent.pk]["read_at"]


async def test_an_act_is_answered_and_its_outcome_shown_in_every_tab(session, user):
    """A handler that is a coroutine function uses the transaction of the thread that runs it."""

    async def undo(user, notification, order):
        await notify.asend(user, f"Order {order} is back.", toast=False)

    with handled(undo):
        sent = await sync_to_async(offer)(user)
        async with open_socket(session) as socket, open_socket(session) as other:
            await socket.welcome()
            await other.welcome()
            for ref in (7, 8):  # a second click
                socket.send(type="act", ids=[[sent.pk, sent.arrived]], action=1, ref=ref)
                answer = await until(lambda ref=ref: socket.answer_to(ref))
                assert answer["type"] == "ack"
            for tab in (socket, other):
                await until(lambda tab=tab: tab.rows[sent.pk].get("outcome"))
                assert tab.rows[sent.pk]["outcome"]["message"] == "Done."
                assert "order" not in json.dumps(tab.rows[sent.pk]["actions"][1])
                await until(lambda tab=tab: len(tab.rows) == 2)
            socket.send(type="act", ids=[[sent.pk, sent.arrived - 1]], action=1, ref=9)
            assert (await until(lambda: socket.answer_to(9)))["code"] == "gone"


async def test_marks_that_wait_for_a_lock_keep_nobody_waiting(
    session, user, other_user, make_user, settings, monkeypatch
):
    """Each user has one running mark at a time, and a thread is left for new clients."""
    settings.NOTIFY_THREADS = 4
    gate = threading.Event()
    running = []

    def execute(recipient, command):
        running.append(recipient)
        assert gate.wait(PATIENCE)
        return {"type": "ack", "ref": command.ref}

    monkeypatch.setattr(commands, "execute", execute)
    users = [user, other_user, *[await sync_to_async(make_user)(f"user{n}") for n in range(3)]]
    sockets = []
    for one in [*users, user, user]:
        socket = open_socket(await sync_to_async(sign_in)(one))
        await socket.welcome()
        sockets.append(socket)
    for socket in (sockets[0], *sockets[-2:], *sockets[1:-2]):
        socket.send(type="read", ids=[[1, 1]], ref=1)
        await settle()
    await until(lambda: len(running) == 3)
    assert len(set(running)) == 3  # of three users, one each
    assert user.pk in running
    async with open_socket(session) as late:
        await late.welcome()
    gate.set()
    await until(lambda: all(socket.answer_to(1) for socket in sockets))
    assert running.count(user.pk) == 3
    for socket in sockets:
        socket.disconnect()
        await socket.ended()


@pytest.fixture
def held(monkeypatch):
    """Holds the commands that are executed until it is set. `held.running` has their refs."""
    gate = threading.Event()
    gate.running = []

    def execute(recipient, command):
        gate.running.append(command.ref)
        assert gate.wait(PATIENCE)
        return {"type": "ack", "ref": command.ref}

    monkeypatch.setattr(commands, "execute", execute)
    yield gate
    gate.set()


async def test_a_mark_keeps_its_place_when_its_tab_is_cut_off(session, settings, held):
    """
    The thread still waits for the lock, so a mark of the user's next tab must not occupy another one. Marks
    that have not begun are dropped with their tab.
    """
    settings.NOTIFY_THREADS = 2
    for ref in (1, 2, 3):
        async with open_socket(session) as socket:
            await socket.welcome()  # a thread is free
            socket.send(type="read", ids=[[1, 1]], ref=ref)
            if ref == 1:
                await until(lambda: held.running)
            await settle()
            socket.app.cancel()
            await asyncio.wait([socket.app])
    async with open_socket(session) as socket:
        await socket.welcome()
        socket.send(type="read", ids=[[1, 1]], ref=4)
        await settle()
        assert held.running == [1]
        held.set()
        await until(lambda: socket.answer_to(4))
    assert held.running == [1, 4]


async def test_what_a_client_has_sent_and_left_is_dropped(session, held):
    """Only the command that was running is executed to the end."""
    socket = open_socket(session)
    await socket.welcome()
    for ref in range(150):
        socket.send(type="read", ids=[[1, 1]], ref=ref)
    await until(lambda: held.running)
    socket.disconnect()
    await socket.returned()
    held.set()
    async with open_socket(session) as after:
        await after.welcome()
        after.send(type="read", ids=[[1, 1]], ref=999)
        await until(lambda: after.answer_to(999))
    assert held.running == [0, 999]


async def test_a_mark_is_executed_even_if_its_tab_is_closed_at_once(session, user):
    sent = await notify.asend(user, "Hello")
    socket = open_socket(session)
    await socket.welcome()
    socket.send(type="read", ids=[[sent.pk, sent.arrived]], ref=1)
    socket.disconnect()
    await socket.returned()
    hub = Hub.here()
    await until(lambda: not hub.turns._locks)
    assert (await rows())[0].read_at


async def test_a_busy_consumer_takes_its_frames_from_the_server(session, held):
    """Some servers (daphne) queue frames without bound. Pings are answered meanwhile."""
    async with open_socket(session) as socket:
        await socket.welcome()
        for ref in range(50):
            socket.send(type="read", ids=[[1, 1]], ref=ref)
        socket.send(type="ping", ref=99)
        await until(lambda: socket.answer_to(99))
        assert socket._events.empty()
        await until(lambda: held.running)
        assert held.running == [0]


async def test_more_than_may_wait_closes_the_socket(session, held, monkeypatch):
    """The code lets the client come back, because the database may be the reason."""
    monkeypatch.setattr(limits, "COMMAND_RATE", 1e9)
    monkeypatch.setattr(limits, "COMMAND_BURST", 3)
    socket = open_socket(session)
    await socket.welcome()
    for ref in range(8):  # one runs, and two bursts may wait
        socket.send(type="read", ids=[[1, 1]], ref=ref)
        await settle()
    assert await socket.ended() == CloseCode.GOING_AWAY
    assert held.running == [0]


async def test_what_comes_before_the_sign_in_is_bounded(session, monkeypatch):
    """Frames within the bound are handled after it; beyond it, the socket is closed."""
    gate, sign_in = threading.Event(), auth.sign_in
    monkeypatch.setattr(auth, "sign_in", lambda scope: gate.wait(PATIENCE) and sign_in(scope))
    few, many = open_socket(session), open_socket(session)
    few.send(type="ping", ref=1)
    for _ in range(300):
        many.send(type="ping")
    await until(lambda: many._events.empty() and few._events.empty())
    gate.set()
    await until(lambda: few.answer_to(1))
    assert await many.ended() == CloseCode.PROTOCOL
    few.disconnect()
    await few.returned()


async def test_a_large_command_counts_as_many(session, monkeypatch):
    """A command that is refused is not parsed, so its ref is not known."""
    monkeypatch.setattr(limits, "COMMAND_RATE", 0.001)
    large = json.dumps({"type": "read", "ids": [[1, 1]] * 400, "ref": 5}).ljust(64 * 1024)
    async with open_socket(session) as socket:
        await socket.welcome()
        for _ in range(3):
            socket.send_text(large)
        await until(lambda: len(socket.frames) == 4)
        monkeypatch.setattr(websocket.parser, "parse_command", lambda text: 1 / 0)
        socket.send_text(large)
        await until(lambda: len(socket.frames) == 5)
        assert [frame["type"] for frame in socket.frames[1:]].count("ack") == 3
        refused = next(frame for frame in socket.frames if frame["type"] == "error")
        assert (refused["code"], refused["ref"]) == ("too_many", None)


async def test_large_nonsense_is_charged_once(session, monkeypatch):
    monkeypatch.setattr(limits, "COMMAND_RATE", 0.001)
    async with open_socket(session) as socket:
        await socket.welcome()
        socket.send_text("x" * 64 * 1024)
        await until(lambda: socket.frames[-1]["type"] == "error")
        assert socket.frames[-1]["code"] == "bad_command"
        assert next(iter(Hub.here().connections()))._asked._left == pytest.approx(200 - 64, abs=1)


async def test_marks_touch_only_the_users_own(session, user, other_user):
    sent = await notify.asend(other_user, "Hello")
    async with open_socket(session) as socket:
        await socket.welcome()
        socket.send(type="archived", ids=[[sent.pk, sent.arrived]], ref=1)
        await until(lambda: socket.answer_to(1))
    assert (await rows())[0].archived_at is None


async def test_changes_are_read_again_on_request(session, user):
    async with open_socket(session) as socket:
        await socket.welcome()
        for text in ("one", "two"):
            await notify.asend(user, text)
        await until(lambda: socket.shown == ["one", "two"])
        since = Cursor(socket.cursor.epoch, 0)
        before = len(socket.frames)
        socket.send(type="changes", since=str(since), ref=3)
        await until(lambda: len(socket.frames) > before)
        again = socket.frames[-1]
        assert again["type"] == "changes"
        assert again["since"] == str(since)
        assert len(again["notifications"]) == 2


async def test_a_ping_is_answered_with_the_cursor(session, user):
    await notify.asend(user, "Hello")
    async with open_socket(session) as socket:
        await socket.welcome()
        socket.send(type="ping", cursor=None)
        await until(lambda: socket.frames[-1]["type"] == "pong")
        assert socket.frames[-1]["cursor"] == str(socket.cursor)


async def test_a_pong_is_taken_as_a_sign_of_life(session):
    async with open_socket(session) as socket:
        await socket.welcome()
        connection = next(iter(Hub.here().connections()))
        connection.beat(connection._last_sent + 25)
        await until(lambda: socket.frames[-1]["type"] == "ping")
        assert connection._pinged is not None
        socket.send(type="pong", cursor=None, ref=socket.frames[-1]["ref"])
        await until(lambda: connection._pinged is None)


async def test_a_pong_to_no_ping_of_ours_has_no_answer(session):
    """Nor does it close the connection: it may answer a ping that was sent before a pause."""
    async with open_socket(session) as socket:
        await socket.welcome()
        socket.send(type="pong", ref=5)
        socket.send(type="ping", ref=6)
        await until(lambda: socket.answer_to(6))
        assert [frame["type"] for frame in socket.frames] == ["welcome", "pong"]


@pytest.mark.parametrize(
    ("text", "ref"),
    [("", None), ("x", None), ("[]", None), ('{"type": "no", "ref": 5}', 5), ("[" * 9999, None)],
    ids=["empty", "no json", "no object", "unknown", "deep"],
)
async def test_a_bad_command_is_answered_and_closes_nothing(session, text, ref):
    async with open_socket(session) as socket:
        await socket.welcome()
        socket.send_text(text)
        await until(lambda: socket.frames[-1]["type"] == "error")
        assert socket.frames[-1]["ref"] == ref
        socket.send(type="ping")
        await until(lambda: socket.frames[-1]["type"] == "pong")


async def test_a_command_that_fails_is_answered(session, monkeypatch, caplog):
    """The database was down. The reason is in the log, not on the wire."""
    async with open_socket(session) as socket:
        await socket.welcome()
        monkeypatch.setattr(websocket.commands, "execute", lambda *args: 1 / 0)
        socket.send(type="seen", ids=[], ref=4)
        answer = await until(lambda: socket.answer_to(4))
        assert (answer["type"], answer["code"]) == ("error", "unavailable")
        assert "Zero" not in str(answer)
        assert "ZeroDivisionError" in caplog.text


async def test_a_message_that_the_server_should_have_refused_is_told(session, user, caplog):
    """Its size is in the log, and the options of servers. A binary frame has other reasons."""
    notes = []

    def note(sender, size, recipient_id, **kwargs):
        notes.append((sender, size, recipient_id))

    signals.message_refused.connect(note)
    for send in (
        lambda socket: socket.send_text("x" * (MAX_COMMAND_BYTES + 1)),
        lambda socket: socket.send_bytes(b"{}"),
    ):
        socket = open_socket(session)
        await socket.welcome()
        send(socket)
        assert await socket.ended() == CloseCode.PROTOCOL
    signals.message_refused.disconnect(note)
    assert notes == [(NotifyConsumer, MAX_COMMAND_BYTES + 1, user.pk)]
    (record,) = [record for record in caplog.records if "--ws-max-size 65536" in record.message]
    assert "sent 65537 characters" in record.message
    assert record.exc_info is None


async def test_what_is_too_large_or_binary_closes_for_good(session):
    for send in (
        lambda socket: socket.send_text("x" * (MAX_COMMAND_BYTES + 1)),
        lambda socket: socket.send_text("😀" * (MAX_COMMAND_BYTES // 4 + 1)),
        lambda socket: socket.send_bytes(b"{}"),
    ):
        socket = open_socket(session)
        await socket.welcome()
        send(socket)
        assert await socket.ended() == CloseCode.PROTOCOL


async def test_too_many_commands_are_answered_and_not_done(session, user, monkeypatch):
    """They cause no query. After a while, the client may ask again."""
    monkeypatch.setattr(limits, "COMMAND_BURST", 3)
    monkeypatch.setattr(limits, "COMMAND_RATE", 0.001)
    sent = await notify.asend(user, "Hello")
    async with open_socket(session) as socket:
        await socket.welcome()
        for ref in range(3):
            socket.send(type="seen", ids=[], ref=ref)
        await until(lambda: socket.answer_to(2))
        monkeypatch.setattr(commands, "execute", lambda *args: 1 / 0)
        socket.send(type="read", ids=[[sent.pk, sent.arrived]], ref=7)
        socket.send(type="changes", since=None, ref=8)
        socket.send(type="ping", ref=9)
        await until(lambda: socket.answer_to(9))
        for ref in (7, 8, 9):
            answer = socket.answer_to(ref)
            assert (answer["type"], answer["code"]) == ("error", "too_many")
        assert next(iter(Hub.here().connections())).is_open
    assert (await rows())[0].read_at is None


async def test_what_is_no_command_counts_too(session, monkeypatch):
    monkeypatch.setattr(limits, "COMMAND_BURST", 2)
    monkeypatch.setattr(limits, "COMMAND_RATE", 0.001)
    async with open_socket(session) as socket:
        await socket.welcome()
        for text in ("x", "{"):
            socket.send_text(text)
        socket.send(type="ping", ref=1)
        await until(lambda: socket.answer_to(1))
        assert [frame.get("code") for frame in socket.frames[1:]] == [
            "bad_command",
            "bad_command",
            "too_many",
        ]


async def test_the_answer_to_our_own_ping_does_not_count(session, monkeypatch):
    monkeypatch.setattr(limits, "COMMAND_BURST", 1)
    monkeypatch.setattr(limits, "COMMAND_RATE", 0.001)
    async with open_socket(session) as socket:
        await socket.welcome()
        connection = next(iter(Hub.here().connections()))
        for _ in range(5):
            connection._send_ping()
            await until(lambda: socket.frames[-1]["type"] == "ping")
            socket.send(type="pong", ref=socket.frames[-1]["ref"])
            await until(lambda: connection._pinged is None)
            socket.frames.append({"type": "answered"})
        socket.send(type="ping", ref=1)
        assert (await until(lambda: socket.answer_to(1)))["type"] == "pong"
        socket.send(type="pong", ref=2)  # to no ping of this server
        assert (await until(lambda: socket.answer_to(2)))["code"] == "too_many"


@pytest.mark.parametrize(
    "text", ['{"type":"ping"}', '{"type":"seen","ids":[]}', '{"type":"changes"}', "x", "[" * 9999]
)
async def test_a_flood_is_closed_for_good_and_disturbs_nobody(
    session, user, other_user, monkeypatch, text
):
    """Its commands are answered until then. The other tabs, of any user, are served as usual."""
    monkeypatch.setattr(limits, "COMMAND_BURST", 20)
    flood = open_socket(session)
    async with (
        open_socket(session) as beside,
        open_socket(await sync_to_async(sign_in)(other_user)) as other,
    ):
        for socket in (flood, beside, other):
            await socket.welcome()
        for _ in range(1000):
            flood.send_text(text)
        await notify.asend(user, "Hello")
        await notify.asend(other_user, "Hello")
        assert await flood.ended() == CloseCode.PROTOCOL
        await until(lambda: beside.shown == other.shown == ["Hello"])
        for socket in (beside, other):
            socket.send(type="ping", ref=1)
            await until(lambda socket=socket: socket.answer_to(1))


async def test_after_the_close_no_command_is_done(session, user):
    """Commands that were on their way when the browser was signed out are dropped."""
    sent = await notify.asend(user, "Hello")
    socket = open_socket(session)
    await socket.welcome()
    next(iter(Hub.here().connections())).close(CloseCode.NOT_SIGNED_IN)
    socket.send(type="read", ids=[[sent.pk, sent.arrived]], ref=1)
    await socket.ended()
    assert (await rows())[0].read_at is None


# -- Logout --------------------------------------------------------------------------------------


async def test_invariant_13_a_logout_closes_the_tabs_of_that_browser(session, user):
    browser = Client()
    await sync_to_async(browser.force_login)(user)
    leaves, stays = open_socket(browser.session.session_key), open_socket(session)
    await leaves.welcome()
    await stays.welcome()
    await sync_to_async(browser.logout)()
    assert await leaves.ended() == CloseCode.NOT_SIGNED_IN
    await settle()
    assert stays.code is None
    stays.disconnect()
    await stays.ended()


async def test_a_user_who_is_disconnected_stops_for_good(session, user):
    """An active user may connect again after the next load of a page."""
    socket = open_socket(session)
    await socket.welcome()
    await notify.adisconnect(user)
    assert await socket.ended() == CloseCode.KICKED
    async with open_socket(session) as again:
        await again.welcome()


# -- Invariant 5: cleanup after every end ----------------------------------------------------------


async def ended_by_disconnect(socket, user):
    socket.disconnect()
    await socket.ended()


async def ended_by_a_send_that_raises(socket, user):
    """uvicorn's send raises, and websocket.disconnect may then never come."""
    socket.fails = True
    await notify.asend(user, "Hello")
    await settle()
    socket.disconnect()
    await socket.ended()


async def ended_by_cancellation(socket, user):
    socket.app.cancel()
    with pytest.raises(asyncio.CancelledError):
        await socket.app


async def ended_by_an_error_of_receive(socket, user):
    socket._events.put_nowait(None)
    with pytest.raises(TypeError):
        await socket.ended()


@pytest.mark.parametrize(
    "end",
    [
        ended_by_disconnect,
        ended_by_a_send_that_raises,
        ended_by_cancellation,
        ended_by_an_error_of_receive,
    ],
)
async def test_invariant_5_nothing_is_left_however_it_ends(session, user, end):
    socket = open_socket(session)
    await socket.welcome()
    hub = Hub.here()
    assert len(list(hub.connections())) == 1
    await end(socket, user)
    await until(lambda: hub.rooms == {})
    assert list(hub.connections()) == []


@pytest.mark.parametrize("when", ["accept", "welcome"])
async def test_invariant_5_a_client_that_is_gone_at_once_leaves_nothing(session, when):
    socket = open_socket(session)
    if when == "accept":
        socket.fails = True
        with pytest.raises(ConnectionError):
            await socket.ended()
    else:
        await until(lambda: socket.accepted)
        socket.fails = True
        socket.disconnect()
        await socket.ended()
    await until(lambda: Hub.here().rooms == {})


async def test_invariant_5_a_client_that_leaves_during_the_handshake_leaves_nothing(
    session, monkeypatch
):
    """Its rows are being read. Once the read is over, the room is empty."""
    reading, gate = threading.Event(), threading.Event()
    read = inbox.changes

    def slow(*args):
        reading.set()
        gate.wait(PATIENCE)
        return read(*args)

    monkeypatch.setattr(inbox, "changes", slow)
    socket = open_socket(session)
    await until(reading.is_set)
    socket.disconnect()
    await socket.ended()
    gate.set()
    await until(lambda: Hub.here().rooms == {})
    assert socket.frames == []


async def test_invariant_5_a_layer_that_hangs_does_not_hold_the_consumer(
    session, settings, monkeypatch
):
    """Daphne kills a consumer that takes ten seconds to end."""
    monkeypatch.setattr(hub_module, "LEAVE_TIMEOUT", 0.05)
    async with open_socket(session) as socket:
        await socket.welcome()
        hub = Hub.here()
        monkeypatch.setattr(hub, "leave", lambda connection: asyncio.Event().wait())
        begun = time.monotonic()
        socket.disconnect()
        await socket.ended()
        assert time.monotonic() - begun < 5


async def test_a_client_that_takes_nothing_is_left_in_the_end(session, monkeypatch):
    """It does not take the close frame either, and never closes its side."""
    monkeypatch.setattr(websocket, "CLOSE_TIMEOUT", 0.05)
    socket = open_socket(session)
    await socket.welcome()
    socket.holds = True
    next(iter(Hub.here().connections())).close(CloseCode.TOO_SLOW)
    assert await socket.ended() is None
    assert Hub.here().rooms == {}


# -- Invariant 11: no dispatch -------------------------------------------------------------------


async def test_invariant_11_no_message_passes_dispatch(session, user, monkeypatch):
    """dispatch() would hop through one process-wide thread for each message. Here, that thread is busy."""

    async def dispatch(self, message):
        raise AssertionError("A message passed dispatch().")

    monkeypatch.setattr(AsyncConsumer, "dispatch", dispatch)
    sent = await notify.asend(user, "one")
    gate = threading.Event()
    busy = asyncio.ensure_future(sync_to_async(gate.wait)(PATIENCE))
    async with open_socket(session) as socket:
        assert (await socket.welcome())["type"] == "welcome"
        thread = start_thread(lambda: notify.send(user, "two"))
        await until(lambda: socket.shown == ["one", "two"])
        socket.send(type="seen", ids=[[sent.pk, sent.arrived]], ref=1)
        await until(lambda: socket.answer_to(1))
        thread.join()
    gate.set()
    await busy


async def test_invariant_11_it_takes_no_channel_of_the_layer(session, settings):
    """The hub's only channel serves all."""
    from channels.layers import get_channel_layer

    from tests.kit.fakes import FAKE_LAYER

    settings.CHANNEL_LAYERS = FAKE_LAYER
    layer = get_channel_layer()
    async with open_socket(session) as one, open_socket(session) as two:
        await one.welcome()
        await two.welcome()
        assert layer.count("new_channel") == 1


async def test_a_client_that_goes_as_it_is_closed_is_left_at_once(session, monkeypatch):
    """The server reports the disconnect once, and no second report is awaited."""
    monkeypatch.setattr(websocket, "CLOSE_TIMEOUT", 3600)
    events, sent = asyncio.Queue(), []
    events.put_nowait({"type": "websocket.connect"})

    async def send(event):
        sent.append(event["type"])

    scope = scope_of(session=session)
    app = asyncio.ensure_future(NotifyConsumer()(scope, events.get, send))
    await until(lambda: sent == ["websocket.accept", "websocket.send"])
    (connection,) = Hub.here().connections()
    connection.close(CloseCode.KICKED)
    events.put_nowait({"type": "websocket.disconnect", "code": 1001})
    await asyncio.wait_for(app, PATIENCE)
    assert Hub.here().rooms == {}
