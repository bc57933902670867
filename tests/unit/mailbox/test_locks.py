"""A process that holds the lock of a mailbox for too long, as if it were frozen, delays nobody for long."""

from __future__ import annotations

import pytest
from django.db import Error, OperationalError, connection, transaction

import notify
from notify import inbox
from notify.db import is_lock_timeout
from notify.live.source import MAILBOXES
from notify.mailbox import locks, outbox
from notify.mailbox.change import locked
from notify.models import Mailbox
from tests.kit.mailboxes import (
    assert_sound,
    leave_waiting,
    mailbox_of,
    messages_of,
    waiting_of,
)
from tests.kit.sessions import concurrent, sessions

pytestmark = [pytest.mark.database, pytest.mark.django_db(transaction=True)]
on_postgresql = pytest.mark.only_if(connection.vendor == "postgresql")


@pytest.fixture
def holder(user, other_user, monkeypatch):
    """A session that has locked the mailbox of the user. Others wait for it only for a second."""
    monkeypatch.setattr(locks, "WAIT", 1)
    monkeypatch.setattr(locks, "WAITS_BRIEFLY", locks.WAITS_BRIEFLY.replace("3s", "100ms"))
    Mailbox.objects.ensure([user.pk, other_user.pk])
    with sessions(1) as (session,):
        session.begin()
        session.run(Mailbox.objects.lock, [user.pk])
        yield session


def let_go(holder, user):
    holder.rollback()
    assert outbox.publish([user.pk]) == 1
    assert_sound(user)


@concurrent
def test_a_send_is_left_in_the_outbox(holder, user, failures):
    """It waits once, and the failure is told. The next publish takes the row."""
    assert notify.send(user, "one").position is None
    assert waiting_of(user) == ["one"]
    (error,) = failures
    assert is_lock_timeout(error)
    let_go(holder, user)
    assert messages_of(user) == ["one"]


@concurrent
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside atomic"])
def test_of_many_recipients_the_others_get_theirs(inside, holder, user, other_user, failures):
    if inside:
        with transaction.atomic():
            notify.send_many([user, other_user], "all")
    else:
        notify.send_many([user, other_user], "all")
    assert (waiting_of(user), messages_of(other_user)) == (["all"], ["all"])
    (error,) = failures
    assert is_lock_timeout(error)
    let_go(holder, user)
    assert messages_of(user) == ["all"]


@concurrent
def test_a_publish_may_leave_out_locked_mailboxes_without_waiting(
    holder, user, other_user, failures, monkeypatch
):
    """As the sweep does, for which it is no failure."""
    monkeypatch.setattr(locks, "WAIT", 1000)
    monkeypatch.setattr(locks, "WAITS_BRIEFLY", "TRUE")
    leave_waiting(user, "one")
    leave_waiting(other_user, "two")
    found = MAILBOXES.look([user.pk, other_user.pk])
    assert [cursor.position for cursor in found.values()] == [0, 1]
    assert failures == []
    assert (waiting_of(user), messages_of(other_user)) == (["one"], ["two"])
    let_go(holder, user)


@concurrent
def test_a_mark_fails(holder, user):
    """The tab is told that the database is unavailable, and tries again."""
    with pytest.raises(OperationalError) as caught:
        inbox.mark_read(user)
    assert is_lock_timeout(caught.value)


def settings_of_session() -> tuple[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        (wait,) = cursor.fetchone()
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        (hold,) = cursor.fetchone()
    return wait, hold


@on_postgresql
def test_the_bounds_last_as_long_as_the_transaction(user):
    notify.send(user, "one")
    assert settings_of_session() == ("0", "0")
    with locked([user.pk]):
        assert settings_of_session() == ("3s", "10s")
    assert settings_of_session() == ("0", "0")


@on_postgresql
def test_a_session_that_stops_while_it_holds_a_mailbox_is_ended(user, monkeypatch):
    """Its change is taken back, and the lock is free. The process reconnects."""
    brief = locks.HOLDS_BRIEFLY.replace("10s", "1ms")
    Mailbox.objects.ensure([user.pk])
    with sessions(1) as (frozen,):
        frozen.run(connection.ensure_connection)
        monkeypatch.setattr(locks, "HOLDS_BRIEFLY", brief)
        stops = locked([user.pk])
        frozen.run(stops.__enter__)
        monkeypatch.undo()
        assert notify.send(user, "one").position == 1
        with pytest.raises(Error):
            frozen.run(stops.__exit__, None, None, None)
        assert frozen.run(notify.send, user, "two").position == 2


@on_postgresql
@pytest.mark.django_db
def test_in_a_testcase_there_are_no_bounds(user):
    """They would last until its end, and a test may pause for longer."""
    notify.send(user, "one")
    with locked([user.pk]):
        assert settings_of_session() == ("0", "0")


def test_only_a_transaction_of_its_own_has_bounds(user):
    assert locks.begins_own(connection)
    with transaction.atomic():
        assert not locks.begins_own(connection)
    transaction.set_autocommit(False)
    try:
        assert not locks.begins_own(connection)
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


@pytest.mark.only_if(connection.vendor == "mysql")
def test_on_mariadb_the_bound_lasts_as_long_as_the_statement(user):
    notify.send(user, "one")
    with locked([user.pk]), connection.cursor() as cursor:
        cursor.execute("SELECT @@innodb_lock_wait_timeout")
        assert cursor.fetchone() != (locks.WAIT,)


@pytest.mark.only_if(connection.vendor == "sqlite")
def test_sqlite_has_no_bounds_but_its_own(user):
    assert locks.briefly("UPDATE", connection) == "UPDATE"
    leave_waiting(user, "one")
    assert outbox.publish([user.pk], skips=True) == 1
    assert mailbox_of(user).head == 1
