from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError

import notify
from notify import protocol
from notify.live import limits
from notify.models import Mailbox, Notification
from notify.protocol import Mark
from notify.transports import commands, parser
from notify.transports.parser import MarkCommand
from tests.kit.deeds import handled, offer
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
    """The rows of a restored database may never have been shown. The tab learns that it marked nothing."""
    notify.send(user, "one")
    answer, status = say(
        user, {"type": "read_all", "cursor": "v" * 17 + ":99", "ids": [], "ref": 1}
    )
    assert (answer["type"], answer["code"], answer["ref"], status) == ("error", "stale", 1, 409)
    assert notify.inbox.counts(user) == (1, 1)


def test_a_tab_of_before_a_restored_backup_marks_nothing(user):
    row = notify.send(user, "mine")
    command = {"type": "read", "ids": [[row.pk, row.arrived]], "epoch": "0" * 17, "ref": 1}
    answer, status = say(user, command)
    assert (answer["type"], answer["code"], answer["ref"], status) == ("error", "stale", 1, 409)
    assert notify.inbox.counts(user) == (1, 1)
    answer, status = say(user, {**command, "epoch": mailbox_of(user).epoch})
    assert (answer["type"], status) == ("ack", 200)
    assert notify.inbox.counts(user) == (0, 0)


def test_a_mark_of_all_is_stale_if_a_part_of_it_is(user):
    """The part of the mailbox's epoch is done."""
    one = notify.send(user, "one")
    epoch = mailbox_of(user).epoch
    command = {"type": "read_all", "ids": [[one.pk, one.arrived]], "ref": 1}
    answer, _ = say(user, {**command, "cursor": f"{'0' * 17}:9", "epoch": epoch})
    assert answer["code"] == "stale"
    assert notify.inbox.counts(user) == (0, 0)
    answer, _ = say(user, {**command, "cursor": f"{epoch}:9", "epoch": "0" * 17})
    assert answer["code"] == "stale"
    answer, _ = say(user, {**command, "cursor": f"{epoch}:9"})  # ids without an epoch
    assert answer["type"] == "ack"


def test_a_cancel_of_another_epoch_is_stale(user):
    """The task that the user saw is not asked to end."""
    task = notify.progress(user, "Importing customers", cancellable=True)
    row = Notification.objects.get()
    command = {"type": "cancel", "ids": [[row.pk, row.arrived]], "ref": 1}
    answer, status = say(user, {**command, "epoch": "0" * 17})
    assert (answer["code"], status) == ("stale", 409)
    row.refresh_from_db()
    assert row.progress["state"] == "running"
    answer, _ = say(user, {**command, "epoch": mailbox_of(user).epoch})
    assert answer["type"] == "ack"
    task.cancel()


def test_without_a_mailbox_nothing_is_stale(user):
    """The mark is acknowledged with the cursor ``null``."""
    command = {"type": "read", "ids": [[1, 1]], "epoch": "0" * 17, "ref": 1}
    assert say(user, command) == ({"type": "ack", "ref": 1, "cursor": None}, 200)


def test_the_rows_of_others_are_not_touched(user, other_user):
    row = notify.send(other_user, "private")
    notify.send(user, "mine")
    say(user, {"type": "read", "ids": [[row.pk, row.arrived]], "ref": 1})
    assert notify.inbox.counts(other_user) == (1, 1)


@pytest.mark.parametrize(
    ("document", "ref", "code"),
    [
        ({"type": "unseen", "ref": 7}, 7, "bad_command"),
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
    """Both transports execute commands here. The socket sends the document, and HTTP adds a status."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr("notify.mailbox.marks.mark", fail)
    answer, status = say(user, {"type": "read", "ids": [[1, 1]], "ref": 7})
    assert (answer["type"], answer["ref"], answer["code"]) == ("error", 7, "unavailable")
    assert status == 503
    assert answer == commands.execute(user.pk, MarkCommand(Mark.READ, ((1, 1),), None, 7))
    assert str(error) in caplog.text


def test_a_socket_gets_the_answer_as_text(user):
    row = notify.send(user, "Hello")
    command = MarkCommand(Mark.READ, ((row.pk, row.arrived or 0),), None, 7)
    answer = json.loads(commands.encoded_answer(user.pk, command))
    assert answer == {"type": "ack", "ref": 7, "cursor": str(mailbox_of(user).cursor)}


def test_an_error_that_nobody_expects_is_answered_to_a_socket_too(user, monkeypatch, caplog):
    """It must not end the connection, and its reason is in the log, not on the wire."""
    monkeypatch.setattr("notify.mailbox.marks.mark", lambda *args, **kwargs: 1 / 0)
    command = MarkCommand(Mark.READ, ((1, 1),), None, 7)
    assert json.loads(commands.encoded_answer(user.pk, command)) == commands.unavailable(7)
    assert "division by zero" in caplog.text


def test_what_is_refused_for_its_length_is_not_read(user, monkeypatch):
    """Otherwise a body of up to Django's own limit, 2.5 MB, would be parsed for its ref."""
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
    assert say(user, document)[0] == answer, "asking twice is no error"
    p.succeed()


@pytest.fixture
def posts(monkeypatch):
    """The rates of users, of which nobody has sent anything, at a clock that stands still."""
    limits.posts._forget()
    monkeypatch.setattr(commands, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    yield limits.posts()
    limits.posts._forget()


def test_posts_have_a_rate_for_each_user(user, other_user, posts, monkeypatch):
    """A command above it is not even parsed."""
    for ref in range(200):
        assert say(user, {"type": "ping", "ref": ref})[1] == 400
    with monkeypatch.context() as unread:
        unread.setattr(parser, "parse_command", lambda text: pytest.fail("It was parsed."))
        answer, status = say(user, {"type": "read", "ids": [[1, 1]], "ref": 7})
    assert (answer["code"], answer["ref"], status) == ("too_many", None, 429)
    assert say(other_user, {"type": "read", "ids": [[1, 1]], "ref": 7})[1] == 200


def test_a_large_post_counts_as_many_and_one_that_is_refused_for_its_length_as_one(user, posts):
    text = b'{"type":"ping"}'
    assert commands.answer(user.pk, text.ljust(64 * 1024))[1] == 400
    assert posts._buckets[user.pk]._left == 200 - 64
    assert commands.answer(user.pk, text.ljust(64 * 1024 + 1))[1] == 400
    assert posts._buckets[user.pk]._left == 200 - 65


# -- Actions -------------------------------------------------------------------------------------


def act_on(row: Notification, **members: Any) -> dict[str, Any]:
    return {"type": "act", "ids": [[row.pk, row.arrived]], "action": 1, "ref": 10, **members}


@pytest.mark.parametrize("with_epoch", [True, False])
def test_an_act_is_acknowledged_with_the_cursor_of_its_outcome(with_epoch, user):
    with handled(lambda user, notification, order: None):
        row = offer(user)
        document = act_on(row, epoch=mailbox_of(user).epoch if with_epoch else None)
        answer, status = say(user, document)
        assert say(user, document) == (answer, status)
    assert status == 200
    assert answer == {"type": "ack", "ref": 10, "cursor": str(mailbox_of(user).cursor)}


def test_an_act_of_another_epoch_is_stale(user):
    with handled(lambda user, notification, order: 1 / 0):
        row = offer(user)
        answer, status = say(user, act_on(row, epoch="0hqk3m2v00a1b2c3d"))
    assert (answer["code"], status) == ("stale", 409)


def test_an_act_that_comes_too_late_is_gone(user, other_user):
    with handled(lambda user, notification, order: 1 / 0):
        row = offer(other_user)
        answer, status = say(user, act_on(row))
    assert (answer["type"], answer["ref"], answer["code"], status) == ("error", 10, "gone", 410)


def test_an_act_that_fails_changes_nothing(user):
    with handled(lambda user, notification, order: 1 / 0):
        row = offer(user)
        answer, status = say(user, act_on(row))
    assert (answer["code"], status) == ("failed", 422)
    assert "ZeroDivisionError" not in json.dumps(answer)
    row.refresh_from_db()
    assert row.acted_at is None
