from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError

import notify
from notify import protocol
from notify.models import Mailbox, Notification
from notify.protocol import Mark, MarkCommand
from notify.transports import commands
from tests.kit.mailboxes import mailbox_of

pytestmark = [pytest.mark.django_db, pytest.mark.users]


def say(user: Any, document: Any) -> tuple[dict[str, Any], int]:
    return commands.answer(user.pk, json.dumps(document))


@pytest.mark.parametrize("mark", Mark)
@pytest.mark.database
def test_a_mark_is_done_and_answered_with_its_cursor(mark, user):
    row = notify.send(user, "Hello")
    command = MarkCommand(mark, ((row.pk, row.arrived or 0),), None, 7)
    answer = commands.execute(user.pk, command)
    box = Mailbox.objects.get()
    assert answer == {"type": "ack", "ref": 7, "cursor": str(box.cursor)}
    row.refresh_from_db()
    assert row.position == box.head == 2
    assert getattr(row, f"{mark}_at") is not None


def test_a_mark_again_changes_nothing(user):
    """It is acknowledged with the same cursor, so that the client can settle."""
    row = notify.send(user, "Hello")
    document = {"type": "read", "ids": [[row.pk, row.arrived]], "ref": 1}
    first = say(user, document)
    assert say(user, {**document, "type": "seen"}) == say(user, document) == first


def test_a_mark_of_all_marks_what_had_arrived(user):
    notify.send(user, "one")
    cursor = str(Mailbox.objects.get().cursor)
    notify.send(user, "two")
    answer, status = say(user, {"type": "archived_all", "cursor": cursor, "ids": [], "ref": 1})
    assert status == 200
    assert answer["type"] == "ack"
    assert [row.message for row in Notification.objects.unarchived()] == ["two"]


def test_a_cursor_of_another_epoch_marks_nothing(user):
    """What a restored database holds was perhaps never shown."""
    notify.send(user, "one")
    answer, status = say(
        user, {"type": "read_all", "cursor": "v" * 17 + ":99", "ids": [], "ref": 1}
    )
    assert (answer["type"], status) == ("ack", 200)
    assert notify.inbox.counts(user) == (1, 1)


def test_a_tab_of_before_a_restored_backup_marks_nothing(user):
    row = notify.send(user, "mine")
    command = {"type": "read", "ids": [[row.pk, row.arrived]], "epoch": "0" * 17, "ref": 1}
    say(user, command)
    assert notify.inbox.counts(user) == (1, 1)
    say(user, {**command, "epoch": mailbox_of(user).epoch})
    assert notify.inbox.counts(user) == (0, 0)


def test_the_rows_of_others_are_not_touched(user, other_user):
    row = notify.send(other_user, "private")
    notify.send(user, "mine")
    say(user, {"type": "read", "ids": [[row.pk, row.arrived]], "ref": 1})
    assert notify.inbox.counts(other_user) == (1, 1)


@pytest.mark.parametrize(
    ("document", "ref", "code"),
    [
        ({"type": "unread", "ref": 7}, 7, "bad_command"),
        ({"type": "read_all", "ref": 7}, 7, "bad_cursor"),
        ({"type": "changes", "since": None, "ref": 7}, 7, "bad_command"),
        ({"type": "pong"}, None, "bad_command"),
        ([], None, "bad_command"),
    ],
)
def test_what_http_does_not_do_is_an_error(document, ref, code, user):
    answer, status = say(user, document)
    assert status == 400
    assert (answer["type"], answer["ref"], answer["code"]) == ("error", ref, code)


def test_reading_has_its_own_address(user):
    answer, _status = say(user, {"type": "changes", "since": None})
    assert "GET changes/" in answer["message"]


@pytest.mark.parametrize("error", [OperationalError("locked"), InterfaceError("closed")])
def test_a_database_that_fails_is_the_same_answer_everywhere(error, user, monkeypatch, caplog):
    """Both transports execute here; the socket sends the document, HTTP adds a status."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr("notify.mailbox.marks.mark", fail)
    answer, status = say(user, {"type": "read", "ids": [[1, 1]], "ref": 7})
    assert (answer["type"], answer["ref"], answer["code"]) == ("error", 7, "unavailable")
    assert status == 503
    assert answer == commands.execute(user.pk, MarkCommand(Mark.READ, ((1, 1),), None, 7))
    assert str(error) in caplog.text


def test_what_is_refused_for_its_length_is_not_read(user, monkeypatch):
    """Else a body of Django's own limit, 2.5 MB, would be parsed to find its ref."""
    monkeypatch.setattr(protocol.json, "loads", lambda text: pytest.fail("It was parsed."))
    answer, status = commands.answer(user.pk, b'{"ref":7}'.ljust(64 * 1024 + 1))
    assert (answer["code"], answer["ref"], status) == ("too_large", None, 400)


@pytest.mark.database
def test_a_task_is_asked_to_end_and_the_answer_says_where_it_shows(user, settings):
    settings.NOTIFY_THREADS = 0
    p = notify.progress(user, "Importing customers", cancellable=True)
    row = Notification.objects.get()
    document = {"type": "cancel", "ids": [[row.pk, row.arrived]], "ref": 7}
    answer, status = say(user, document)
    box = Mailbox.objects.get()
    assert (answer, status) == ({"type": "ack", "ref": 7, "cursor": str(box.cursor)}, 200)
    row.refresh_from_db()
    assert (row.progress["state"], row.position) == ("cancelling", box.head)
    assert say(user, document)[0] == answer, "to ask twice is no error"
    p.succeed()
