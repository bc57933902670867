from __future__ import annotations

import ast
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.dispatch import Signal

import notify
from notify import signals
from notify.models import Notification

pytestmark = [pytest.mark.django_db, pytest.mark.users]

PACKAGE = Path(notify.__file__).parent
EVERY = [name for name, one in vars(signals).items() if isinstance(one, Signal)]


@pytest.fixture
def heard() -> Iterator[Callable[[Signal], list[dict[str, Any]]]]:
    """Listens to a signal, and notes with what it was sent."""
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


def test_sent_tells_what_was_stored(user, other_user, heard):
    """Once for each call, in the caller's transaction: the rows may have no position yet."""
    notes = heard(signals.sent)
    rows = notify.send_many([user, other_user], "Hello")
    with transaction.atomic():
        row = notify.send(user, "Hello")
        assert notes[-1] == {"sender": Notification, "notifications": [row], "using": "default"}
        assert notes[-1]["notifications"][0].position is None
    assert len(notes) == 2
    assert set(notes[0]["notifications"]) == set(rows)


@pytest.mark.django_db(transaction=True)
def test_published_tells_what_is_committed(user, heard):
    """Once for each mailbox, after the commit; a mark is a change, too."""
    notes = heard(signals.published)
    with transaction.atomic():
        row = notify.send(user, "Hello")
        assert notes == []
    assert notes == [
        {
            "sender": Notification,
            "recipient": user.pk,
            "notifications": [row],
            "using": "default",
        }
    ]
    published = notes[0]["notifications"][0]
    assert published.position is not None
    notify.inbox.mark_seen(user, [published])
    assert [one.seen_at is None for one in notes[1]["notifications"]] == [False]


@pytest.mark.django_db(transaction=True)
def test_publish_failed_tells_for_whom(user, heard, monkeypatch):
    def refuse(*arguments: Any) -> Any:
        raise DatabaseError("read only")

    monkeypatch.setattr("notify.outbox._publish_batch", refuse)
    notes = heard(signals.publish_failed)
    with transaction.atomic():
        notify.send(user, "Hello")
    (note,) = notes
    assert (note["sender"], list(note["recipients"])) == (Notification, [user.pk])
    assert str(note["error"]) == "read only"


def test_ring_failed_tells_why(user, heard, settings):
    notes = heard(signals.ring_failed)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "nowhere.Layer"}}
    assert notify.send(user, "Hello").position == 1
    (note,) = notes
    assert "nowhere" in str(note["error"])


@pytest.mark.parametrize("name", ["sent", "published"])
def test_a_receiver_that_fails_disturbs_nobody(name, user, heard, caplog):
    """Django logs it; the caller, the other receivers and the row do not notice."""

    def fail(**arguments: Any) -> None:
        raise ZeroDivisionError

    signal = getattr(signals, name)
    signal.connect(fail)
    notes = heard(signal)
    try:
        with caplog.at_level(logging.CRITICAL, "django.dispatch"):
            row = notify.send(user, "Hello")
    finally:
        signal.disconnect(fail)
    assert row.position == 1
    assert len(notes) == 1
    assert notify.inbox.counts(user) == (1, 1)


def sends() -> Iterator[tuple[str, str, set[str]]]:
    """Each place that sends a signal: its name, the method, the names of the arguments."""
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
    """The same arguments at each place."""
    text = Path(signals.__file__).read_text()
    lines = text.partition(f"\n{name} = Signal()")[0].splitlines()
    comment = []
    while lines and lines[-1].startswith("#:"):
        comment.append(lines.pop())
    words = " ".join(reversed(comment))
    documented = {word.strip("`:") for word in words.split() if word.startswith("``")}
    for sent_name, _, arguments in sends():
        if sent_name == name:
            assert arguments == documented
