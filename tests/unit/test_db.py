"""Transactions whose commit cannot be observed, and transactions that a deadlock aborts."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connections, transaction
from django.test import TestCase

import notify
from notify.db import after_commit, in_callers_transaction, in_testcase, tries_again
from notify.mailbox import outbox, statements
from notify.mailbox.batch import PublishBatch
from notify.models import Notification
from tests.kit.mailboxes import (
    Failing,
    contention,
    messages_of,
    on_the_wire,
    rows_of,
    waiting_of,
)
from tests.kit.sessions import rolled_back

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


# -- A TestCase ----------------------------------------------------------------------------------


class TestInATestCase(TestCase):
    def test_its_transaction_is_known(self):
        connection = connections["default"]
        assert in_testcase(connection)
        assert not in_callers_transaction(connection)


def test_another_transaction_is_none_of_a_testcase():
    with transaction.atomic():
        assert not in_testcase(connections["default"])
        assert in_callers_transaction(connections["default"])


def test_work_is_done_after_the_callers_commit_or_now():
    done: list[str] = []
    assert after_commit(lambda: "result") == "result"
    with transaction.atomic():
        assert after_commit(lambda: done.append("committed")) is None
        with rolled_back():
            after_commit(lambda: done.append("rolled back"))
        assert done == []
    assert done == ["committed"]


# -- Commits by hand ----------------------------------------------------------------------------


def test_without_autocommit_the_rows_are_left_to_the_sweep(user, rings):
    """The moment of a commit by hand is unknown, so nothing is published or rung."""
    transaction.set_autocommit(False)
    try:
        notification = notify.send(user, "one")
        notify.send_many([user], "two", key="k")
        assert notification.position is None
        assert outbox.publish([user.pk]) == 0
        transaction.commit()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert waiting_of(user) == ["one", "two"]
    assert rings == []
    outbox.publish([user.pk])
    assert messages_of(user) == ["one", "two"]


def test_without_autocommit_a_rollback_sends_nothing(user):
    transaction.set_autocommit(False)
    try:
        notify.send(user, "one")
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert not Notification.objects.exists()


# -- Deadlocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 4])
def test_a_deadlock_is_tried_again(user, times, monkeypatch, failures):
    """It is retried at most four times."""
    write = Failing(PublishBatch.write, times, contention())
    monkeypatch.setattr(PublishBatch, "write", lambda self, using: write(self, using))
    with transaction.atomic():
        notify.send(user, "one")
    assert write.calls == times + 1
    assert messages_of(user) == ["one"]
    assert failures == []


def test_an_error_that_is_no_deadlock_is_raised_at_once():
    """To try again would not help, and the caller may have something to undo."""
    calls = []

    @tries_again
    def transact():
        calls.append(1)
        raise IntegrityError("duplicate")

    with pytest.raises(IntegrityError):
        transact()
    assert calls == [1]


def test_after_five_deadlocks_the_rows_are_left_to_the_sweep(user, monkeypatch, failures, rings):
    """Nothing is raised or rung, and the next publish finds the rows."""
    error = contention()
    write = Failing(PublishBatch.write, 5, error)
    monkeypatch.setattr(PublishBatch, "write", lambda self, using: write(self, using))
    with transaction.atomic():
        notify.send(user, "one")
    assert write.calls == 5
    assert waiting_of(user) == ["one"]
    assert failures == [error]
    assert rings == []
    outbox.publish([user.pk])
    assert messages_of(user) == ["one"]


@pytest.mark.parametrize("recipients", [1, 3])
def test_a_send_at_once_that_meets_deadlocks_is_left_in_the_outbox(
    make_user, recipients, monkeypatch
):
    """The fast path is tried five times. Then the rows are recorded, and published in the usual way."""
    users = [make_user(f"user{number}") for number in range(recipients)]
    fast = Failing(lambda *args: None, 5, contention())
    monkeypatch.setattr(statements, "send_one", fast)
    monkeypatch.setattr(statements, "insert_published", fast)
    sent = notify.send_many(users, "one")
    assert fast.calls == 5
    for row, user in zip(sent, users, strict=True):
        assert on_the_wire(rows_of(user)) == on_the_wire([row])
