"""The number of statements of each operation, with BEGIN and COMMIT. A changed number is a decision."""

from __future__ import annotations

import django
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

import notify
from notify import inbox
from notify.actions import execution
from notify.mailbox import marks, outbox
from notify.models import Mailbox
from notify.protocol import Mark
from tests.kit.deeds import handled, offer
from tests.kit.mailboxes import assert_sound, leave_waiting, mailbox_of, rows_of

pytestmark = [pytest.mark.database, pytest.mark.django_db(transaction=True)]


class budget(CaptureQueriesContext):  # used like a function, so named like one
    """Fail if the block executes more statements than this."""

    def __init__(self, **limits):
        super().__init__(connection)
        vendor = "mariadb" if connection.vendor == "mysql" else connection.vendor
        self.limit = limits.get(vendor, limits.get("everywhere"))

    def __exit__(self, exc_type, *exc_info):
        super().__exit__(exc_type, *exc_info)
        if exc_type is None:
            statements = [query["sql"][:200] for query in self.captured_queries]
            assert len(statements) <= self.limit, "\n".join(statements)


@pytest.fixture
def thousand_users(db):
    model = get_user_model()
    password = make_password(None)
    names = [model.USERNAME_FIELD] if model.USERNAME_FIELD == "username" else ["email", "code"]
    model.objects.bulk_create(
        model(**dict.fromkeys(names, f"user{number}"), password=password) for number in range(1000)
    )
    return list(model.objects.order_by("pk"))


def test_begin_and_commit_are_counted(user):
    """Otherwise the budgets below would not cover transactions."""
    with CaptureQueriesContext(connection) as context, transaction.atomic():
        user.save()
    assert len(context) == 3, context.captured_queries


def test_one_send_outside_a_transaction(user):
    """The mailbox exists and there is no key: the most frequent send."""
    notify.send(user, "the first makes the mailbox")
    with budget(postgresql=1, sqlite=4, mariadb=5):
        notification = notify.send(user, "one", expires=None, data={"a": 1})
    assert notification.position == 2
    with budget(postgresql=2, sqlite=5, mariadb=6):
        notify.send(user.pk, "to a primary key, which is looked up")


def test_the_first_send_to_a_user(user):
    """It creates the mailbox."""
    with budget(postgresql=7, sqlite=13, mariadb=14):
        notify.send(user, "one")
    assert_sound(user)


def test_one_send_in_a_transaction_of_the_caller(user):
    """It takes one INSERT."""
    with transaction.atomic():
        user.save()
        with budget(everywhere=1):
            notify.send(user, "one")


def test_publishing_a_transaction(user):
    """The number does not depend on how many notifications are published."""
    notify.send(user, "the first makes the mailbox")
    for sends in (1, 100):
        block = transaction.atomic()
        block.__enter__()
        for number in range(sends):
            notify.send(user, f"{number}")
        with budget(sqlite=9, everywhere=8):
            block.__exit__(None, None, None)
        assert_sound(user)


def test_a_send_with_a_key(user):
    """The row is recorded, published, and read in its current state."""
    notify.send(user, "one", key="k")
    with budget(sqlite=13, everywhere=12):
        notify.send(user, "two", key="k")
    assert len(rows_of(user)) == 1


def test_sending_to_a_thousand(thousand_users):
    """Outside a transaction, with existing mailboxes."""
    Mailbox.objects.ensure([user.pk for user in thousand_users])
    with budget(everywhere=14):
        sent = notify.send_many(thousand_users, "all")
    assert [row.recipient_id for row in sent] == [user.pk for user in thousand_users]
    assert {row.position for row in sent} == {1}


def test_sending_to_a_thousand_for_the_first_time(thousand_users):
    """The mailboxes are created. Django 5.2 splits a large INSERT on SQLite."""
    with budget(sqlite=20 if django.VERSION >= (6,) else 36, everywhere=20):
        notify.send_many(thousand_users, "all")
    assert Mailbox.objects.count() == 1000


def test_sending_to_a_thousand_in_a_transaction(thousand_users):
    """This includes the publish, which goes through the outbox."""
    Mailbox.objects.ensure([user.pk for user in thousand_users])
    with budget(everywhere=20), transaction.atomic():
        notify.send_many(thousand_users, "all")
    assert set(Mailbox.objects.values_list("unseen", "unread")) == {(1, 1)}
    for user in (thousand_users[0], thousand_users[-1]):
        assert_sound(user)


def test_a_poll_that_finds_nothing(user):
    """It takes one query beyond those that find the user."""
    notify.send(user, "one")
    cursor = mailbox_of(user).cursor
    with budget(everywhere=1):
        assert inbox.changes(user, cursor).tells_nothing


def test_a_poll_that_finds_something(user):
    """It takes a glance, and one statement for the mailbox and its rows."""
    notify.send(user, "one")
    cursor = mailbox_of(user).cursor
    notify.send(user, "two")
    with budget(everywhere=2):
        assert len(inbox.changes(user, cursor).notifications) == 1
    with budget(everywhere=2):
        assert len(inbox.snapshot(user).notifications) == 2


def test_counts_for_a_template(user):
    """It takes one query for every user."""
    with budget(everywhere=1):
        inbox.counts(user)
    notify.send(user, "one")
    with budget(everywhere=1):
        inbox.counts(user)


def test_a_mark(user):
    """The number does not depend on how many rows are marked."""
    with transaction.atomic():
        for number in range(300):
            notify.send(user, f"{number}")
    row = rows_of(user)[0]
    with budget(sqlite=8, everywhere=7):
        marks.mark(user.pk, Mark.SEEN, [(row.pk, row.arrived)])
    with budget(sqlite=8, everywhere=7):
        marks.mark(user.pk, Mark.READ, upto=mailbox_of(user).cursor)
    assert_sound(user)


def test_a_mark_that_changes_nothing(user):
    notify.send(user, "one")
    marks.mark(user.pk, Mark.SEEN, upto=mailbox_of(user).cursor)
    cursor = mailbox_of(user).cursor
    with budget(sqlite=5, everywhere=4):
        marks.mark(user.pk, Mark.SEEN, upto=cursor)


def test_an_action(user):
    """Two statements are of the savepoint around the handler, which executes none itself."""
    with handled(lambda user, notification, order: None):
        row = offer(user)
        assert row.arrived is not None
        with budget(sqlite=18, everywhere=16):
            execution.run(user.pk, (row.pk, row.arrived), 1)
        with budget(everywhere=3):  # again
            execution.run(user.pk, (row.pk, row.arrived), 1)
    assert_sound(user)


def test_publishing_for_many_who_have_nothing_waiting(thousand_users):
    """A sweep should never do this, but it is cheap if it does."""
    Mailbox.objects.ensure([user.pk for user in thousand_users])
    leave_waiting(thousand_users[7], "forgotten")
    with budget(sqlite=16, everywhere=14):
        assert outbox.publish([user.pk for user in thousand_users]) == 1
