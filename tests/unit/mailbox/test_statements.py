"""The statements that the ORM cannot express."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notify
from notify.db import is_contention, is_deadlock
from notify.mailbox import statements
from notify.models import Mailbox, Notification
from tests.kit.mailboxes import (
    assert_sound,
    contention,
    mailbox_of,
    messages_of,
    on_the_wire,
    rows_of,
)
from tests.kit.sessions import concurrent, sessions

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def built_anew():
    """The parts of the statements are cached, perhaps since a test of another module."""
    for part in (statements._insert, statements._content_fields, statements._recipient):
        part.cache_clear()


def letter(user, **fields):
    return Notification(recipient_id=user.pk, message="one", **fields)


# -- Contention ----------------------------------------------------------------------------------


def caused_by(error, **state):
    """The error as Django raises it from a driver's error."""
    cause = Exception()
    for name, value in state.items():
        setattr(cause, name, value)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        caused_by(OperationalError("deadlock detected"), sqlstate="40P01"),
        caused_by(OperationalError("could not serialize access"), sqlstate="40001"),
        caused_by(OperationalError("deadlock detected"), sqlstate=None, pgcode="40P01"),
        OperationalError(1213, "Deadlock found when trying to get lock"),
    ],
)
def test_a_deadlock_is_contention(error):
    """This covers both drivers of PostgreSQL, and those of MySQL and MariaDB."""
    assert is_contention(error)
    assert is_deadlock(error)


@pytest.mark.parametrize(
    "error",
    [
        OperationalError(1205, "Lock wait timeout exceeded"),
        caused_by(OperationalError("canceling statement due to lock timeout"), sqlstate="55P03"),
    ],
)
def test_a_lock_that_was_waited_for_in_vain_is_no_deadlock(error):
    """The outbox takes the row at once, because the caller has waited long enough."""
    assert is_contention(error)
    assert not is_deadlock(error)


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("database is locked"),
        OperationalError(),
        caused_by(OperationalError("server closed the connection"), sqlstate="57P01"),
        OperationalError(2006, "Server has gone away"),
        IntegrityError(1062, "Duplicate entry"),
        DatabaseError(1213),
    ],
)
def test_another_error_is_not_contention(error):
    """A retry would not help, or could repeat work that was done."""
    assert not is_contention(error)


def test_the_contention_of_the_other_tests_is_contention():
    assert is_contention(contention())


# -- One notification ----------------------------------------------------------------------------


def test_send_one_without_a_mailbox_stores_nothing(user):
    """The caller creates the mailbox separately, and calls again."""
    assert statements.send_one(letter(user), "default") is None
    assert not Notification.objects.exists()


def test_send_one_takes_the_next_position(user):
    """It returns the mailbox's cursor and counts. The instance equals the stored row."""
    Mailbox.objects.ensure([user.pk])
    for position in (1, 2):
        notification = letter(user, data={"a": [1, "é"]}, actions=[{"label": "x", "url": "/"}])
        cursor, counts = statements.send_one(notification, "default")
        assert cursor == mailbox_of(user).cursor
        assert (cursor.position, counts) == (position, (position, position))
        assert notification._state.adding is False
        assert notification._state.db == "default"
        assert on_the_wire([rows_of(user)[-1]]) == on_the_wire([notification])
    assert_sound(user)


def test_send_one_brings_the_due_forward(user):
    """It never makes it later."""
    Mailbox.objects.ensure([user.pk])
    now = timezone.now()
    for hours, due in ((None, None), (3, 3), (5, 3), (1, 1)):
        expires = hours and now + timedelta(hours=hours)
        statements.send_one(letter(user, expires_at=expires), "default")
        assert mailbox_of(user).due == (due and now + timedelta(hours=due))


def test_texts_are_never_taken_for_sql(user):
    """Percent signs, quotes, braces and backslashes come back as they were sent."""
    text = "100 % %s %(x)s '; DROP TABLE notify_mailbox; -- \" \\ {} \\' 🎉"
    notify.send(user, text, title=text, data={text: text}, key="")
    notify.send_many([user], text)
    first, second = rows_of(user)
    assert first.message == first.title == second.message == text
    assert first.data == {text: text}


@pytest.mark.parametrize("data", ["text", "", "null", '"', 0, 1.5, True, False, [], {}, None])
def test_any_json_comes_back_as_it_was_sent(user, other_user, data):
    """This includes a plain text, which is JSON only in quotes."""
    notify.send(user, "one", data=data)
    notify.send_many([user, other_user], "many", data=data)
    notify.send(user, "keyed", data=data, key="k")
    assert [row.data for row in rows_of(user)] == [data] * 3
    assert type(rows_of(user)[0].data) is type(data)


@concurrent
def test_a_mailbox_that_is_made_in_the_middle_of_a_send_is_not_taken_unadvanced(user):
    """If the UPDATE missed it and a later read found it, its position would be assigned twice."""
    with sessions(1) as (other,):

        def make_mailbox_after(execute, statement, *arguments):
            result = execute(statement, *arguments)
            if "UPDATE notify_mailbox" in statement and not Mailbox.objects.exists():
                other.run(Mailbox.objects.ensure, [user.pk])
            return result

        with connection.execute_wrapper(make_mailbox_after):
            notification = notify.send(user, "one")
    assert notification.position == 1
    assert messages_of(user) == ["one"]
    assert_sound(user)


# -- Many ----------------------------------------------------------------------------------------


def test_insert_waiting_gives_each_user_a_row(user, other_user):
    """One statement inserts all rows. Keys that belong to no user get no row."""
    keys = [user.pk, other_user.pk]
    missing = type(user)(pk=None).pk or {int: 10**6, str: "nobody"}.get(type(user.pk))
    with CaptureQueriesContext(connection) as context:
        inserted = statements.insert_waiting(letter(user), [*keys, missing or user.pk], "default")
    assert len(context) == 1
    assert sorted(recipient for recipient, _, _ in inserted) == sorted(keys)
    rows = {row.pk: row for row in Notification.objects.all()}
    assert {rows[pk].recipient_id: position for _, pk, position in inserted} == dict.fromkeys(keys)
    assert {row.message for row in rows.values()} == {"one"}


def test_insert_published_gives_each_row_its_mailboxs_head(user, other_user):
    """The caller has advanced the mailboxes, and holds their locks."""
    Mailbox.objects.ensure([user.pk, other_user.pk])
    Mailbox.objects.filter(pk=other_user.pk).update(head=7)
    inserted = statements.insert_published(letter(user), [user.pk, other_user.pk], "default")
    assert {recipient: position for recipient, _, position in inserted} == {
        user.pk: 0,
        other_user.pk: 7,
    }
    assert [(row.position, row.arrived) for row in rows_of(other_user)] == [(7, 7)]


def test_every_column_is_written(user):
    """The raw statements must not omit a field that is added to the model."""
    moment = timezone.now() - timedelta(days=1)
    values = {
        "level": "error",
        "category": "c",
        "title": "t",
        "url": "/u/",
        "actions": [{"label": "l", "url": "/"}],
        "data": [1],
        "progress": {"state": "running"},
        "collapse_key": "k",
        "group": "g",
        "image": "/i/",
        "has_toast": False,
        "origin": "00a1b2c3d4",
        "count": 3,
        "is_counted": True,
        **{
            f"{name}_at": moment
            for name in (
                "created",
                "updated",
                "expires",
                "seen",
                "read",
                "archived",
                "dismissed",
            )
        },
    }
    given_elsewhere = {"id", "recipient", "position", "arrived", "message"}
    given_elsewhere |= {"acted_at", "outcome"}  # NULL, and never sent
    assert {field.name for field in Notification._meta.concrete_fields} == {
        *values,
        *given_elsewhere,
    }
    Mailbox.objects.ensure([user.pk])
    statements.send_one(letter(user, **values), "default")
    statements.insert_waiting(letter(user, **values), [user.pk], "default")
    Mailbox.objects.update(head=2)
    statements.insert_published(letter(user, **values), [user.pk], "default")
    for row in Notification.objects.all():
        assert {name: getattr(row, name) for name in values} == values
    assert Notification.objects.count() == 3
