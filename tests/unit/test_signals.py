from __future__ import annotations

import ast
import logging
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.dispatch import Signal

import notify
from notify import signals
from notify.live import limits
from notify.live.hub import Hub
from notify.live.room import Room
from notify.live.source import MAILBOXES
from notify.models import Notification
from notify.transports import commands
from notify.transports.websocket import NotifyConsumer
from tests.kit.fakes import Socket, Tab, scope_of, until

pytestmark = [pytest.mark.django_db, pytest.mark.users]

PACKAGE = Path(notify.__file__).parent
EVERY = [name for name, one in vars(signals).items() if isinstance(one, Signal)]


@pytest.fixture
def record() -> Iterator[Callable[[Signal], list[dict[str, Any]]]]:
    """Returns a function that connects to a signal and records its arguments."""
    listeners = []

    def listen(signal: Signal) -> list[dict[str, Any]]:
        notes: list[dict[str, Any]] = []

        def receiver(sender: Any, signal: Signal, **arguments: Any) -> None:
            notes.append({"sender": sender, **arguments})

        signal.connect(receiver)
        listeners.append((signal, receiver))
        return notes

    yield listen
    for signal, receiver in listeners:
        signal.disconnect(receiver)


def test_sent_tells_what_was_stored(user, other_user, record):
    """It is sent once for each call, in the caller's transaction, so the rows may have no position yet."""
    notes = record(signals.sent)
    rows = notify.send_many([user, other_user], "Hello")
    with transaction.atomic():
        row = notify.send(user, "Hello")
        assert notes[-1] == {"sender": Notification, "notifications": [row], "using": "default"}
        assert notes[-1]["notifications"][0].position is None
    assert len(notes) == 2
    assert set(notes[0]["notifications"]) == set(rows)


@pytest.mark.django_db(transaction=True)
def test_published_tells_what_is_committed(user, record):
    """It is sent once for each mailbox, after the commit. A mark is a change too."""
    notes = record(signals.published)
    with transaction.atomic():
        row = notify.send(user, "Hello")
        assert notes == []
    assert notes == [
        {
            "sender": Notification,
            "recipient_id": user.pk,
            "notifications": [row],
            "using": "default",
        }
    ]
    published = notes[0]["notifications"][0]
    assert published.position is not None
    notify.inbox.mark_seen(user, [published])
    assert [one.seen_at is None for one in notes[1]["notifications"]] == [False]


@pytest.mark.django_db(transaction=True)
def test_publish_failed_tells_for_whom(user, record, monkeypatch):
    def refuse(*arguments: Any) -> Any:
        raise DatabaseError("read only")

    monkeypatch.setattr("notify.mailbox.outbox._publish_batch", refuse)
    notes = record(signals.publish_failed)
    with transaction.atomic():
        notify.send(user, "Hello")
    (note,) = notes
    assert (note["sender"], list(note["recipient_ids"])) == (Notification, [user.pk])
    assert str(note["error"]) == "read only"


def test_ring_failed_tells_why(user, record, settings):
    notes = record(signals.ring_failed)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "nowhere.Layer"}}
    assert notify.send(user, "Hello").position == 1
    (note,) = notes
    assert "nowhere" in str(note["error"])


# -- Signals of the event loop -------------------------------------------------------------------


@pytest.fixture
async def hub(quiet):
    return Hub.here()


@pytest.fixture
def open_tab(hub):
    return partial(Tab.open, hub)


@pytest.mark.django_db(transaction=True)
async def test_delivered_tells_of_each_document_and_its_connections(
    open_tab, user, other_user, record
):
    """It is sent once for each document of a room, for any number of tabs, and once for each welcome."""
    notes = record(signals.delivered)
    tabs = [await open_tab(user), await open_tab(user)]
    await open_tab(other_user)
    assert notes == [
        {"sender": Hub, "recipient_id": one.pk, "cursor": None, "connections": 1}
        for one in (user, user, other_user)
    ]
    await notify.asend(user, "Hello")
    await until(lambda: all(tab.shown == ["Hello"] for tab in tabs))
    cursor = tabs[0].cursor
    assert notes[3:] == [
        {"sender": Room, "recipient_id": user.pk, "cursor": cursor, "connections": 2}
    ]
    assert cursor.position == 1
    await open_tab(user)
    assert notes[4]["cursor"] == cursor


@pytest.mark.django_db(transaction=True)
async def test_delivered_tells_what_a_slow_tab_reads_by_itself(
    hub, open_tab, user, record, monkeypatch
):
    monkeypatch.setattr(limits, "QUEUE_MAX_FRAMES", 1)
    monkeypatch.setattr("notify.live.room.COALESCE", 0)
    tab = await open_tab(user)
    await notify.asend(user, "0")
    await until(lambda: tab.shown == ["0"])
    room = hub.rooms[MAILBOXES.name(user.pk)]
    tab.wire.hold()
    for number in range(1, 5):
        before = room.cursor
        await notify.asend(user, str(number))
        await until(lambda before=before: room.cursor > before)
    notes = record(signals.delivered)
    tab.wire.flow()
    await until(lambda: tab.shown == ["0", "1", "2", "3", "4"])
    assert notes[-1] == {
        "sender": Hub,
        "recipient_id": user.pk,
        "cursor": tab.cursor,
        "connections": 1,
    }


@pytest.mark.django_db(transaction=True)
async def test_a_receiver_of_delivered_that_fails_keeps_nobody_from_it(open_tab, user, record):
    def fail(**arguments: Any) -> None:
        raise ZeroDivisionError

    signals.delivered.connect(fail)
    try:
        tabs = [await open_tab(user), await open_tab(user)]
        await notify.asend(user, "Hello")
        await until(lambda: all(tab.shown == ["Hello"] for tab in tabs))
    finally:
        signals.delivered.disconnect(fail)


ON_LOOP = [name for name in EVERY if isinstance(getattr(signals, name), signals.LoopSignal)]


@pytest.mark.parametrize("name", ON_LOOP)
def test_a_signal_of_the_event_loop_takes_no_coroutine(name):
    """Django would wait for it, which the event loop cannot, so the hub itself would get the error."""

    async def receive(**arguments: Any) -> None:
        """Never called."""

    with pytest.raises(TypeError, match="is sent on the event loop"):
        getattr(signals, name).connect(receive)


def test_those_of_the_event_loop_say_so():
    text = Path(signals.__file__).read_text()
    for name in EVERY:
        before, _ = re.split(rf"\n{name} = \w*Signal\(\)", text)
        comment = before.rpartition("\n\n")[2].replace("\n#:", "")
        assert ("event loop" in comment) == (name in ON_LOOP), name


@pytest.mark.parametrize(
    ("name", "broken"),
    [("connect_failed", "notify.auth.session.sign_in"), ("connect_failed", "notify.inbox.changes")],
)
@pytest.mark.django_db(transaction=True)
async def test_connect_failed_tells_for_whom_if_it_is_known(
    name, broken, hub, user, record, monkeypatch
):
    from notify.auth.session import Visitor

    def refuse(*arguments: Any) -> Any:
        raise DatabaseError("gone")

    monkeypatch.setattr("notify.auth.session.sign_in", lambda scope: Visitor(user.pk, ""))
    monkeypatch.setattr(broken, refuse)
    notes = record(getattr(signals, name))
    assert await Socket(NotifyConsumer(), scope_of()).ended() == 4000
    (note,) = notes
    assert note["sender"] is NotifyConsumer
    assert note["recipient_id"] == (user.pk if "inbox" in broken else None)
    assert str(note["error"]) == "gone"


def test_command_failed_tells_whose(user, record, monkeypatch):
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise DatabaseError("locked")

    monkeypatch.setattr("notify.mailbox.marks.mark", refuse)
    notes = record(signals.command_failed)
    answer, status = commands.answer(user.pk, b'{"type": "read", "ids": [[1, 1]], "ref": 7}')
    assert (answer["code"], status) == ("unavailable", 503)
    (note,) = notes
    assert (note["recipient_id"], str(note["error"])) == (user.pk, "locked")


def test_request_failed_tells_which(client, user, record, monkeypatch):
    def refuse(*arguments: Any) -> Any:
        raise DatabaseError("locked")

    client.force_login(user)
    monkeypatch.setattr("notify.inbox.changes", refuse)
    notes = record(signals.request_failed)
    assert client.get("/notify/changes/").status_code == 503
    (note,) = notes
    assert (note["path"], str(note["error"])) == ("/notify/changes/", "locked")


@pytest.mark.parametrize("name", ["sent", "published"])
def test_a_receiver_that_fails_disturbs_nobody(name, user, record, caplog):
    """Django logs the error. The caller, the other receivers and the row are not affected."""

    def fail(**arguments: Any) -> None:
        raise ZeroDivisionError

    signal = getattr(signals, name)
    signal.connect(fail)
    notes = record(signal)
    try:
        with caplog.at_level(logging.CRITICAL, "django.dispatch"):
            row = notify.send(user, "Hello")
    finally:
        signal.disconnect(fail)
    assert row.position == 1
    assert len(notes) == 1
    assert notify.inbox.counts(user) == (1, 1)


def sends() -> Iterator[tuple[str, str, set[str]]]:
    """All places that send a signal: its name, the method, and the names of the arguments."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Attribute(value=ast.Name(id="signals"), attr=name), attr=method
                    )
                ):
                    if method != "connect":
                        yield name, method, {one.arg or "**" for one in node.keywords}


def test_every_signal_is_sent_and_robustly():
    found = list(sends())
    assert {name for name, *_ in found} == set(EVERY)
    assert {method for _, method, _ in found} == {"send_robust"}


@pytest.mark.parametrize("name", EVERY)
def test_a_signal_is_sent_with_what_its_comment_says(name):
    """The arguments are the same in each place."""
    text = Path(signals.__file__).read_text()
    lines = re.split(rf"\n{name} = \w*Signal\(\)", text)[0].splitlines()
    comment = []
    while lines and lines[-1].startswith("#:"):
        comment.append(lines.pop())
    words = " ".join(reversed(comment))
    documented = {word.strip("`:") for word in words.split() if word.startswith("``")}
    for sent_name, _, arguments in sends():
        if sent_name == name:
            assert arguments == documented
