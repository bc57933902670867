"""The use of a mailbox's rows by rooms."""

from __future__ import annotations

import pytest
from django.db import transaction

import notify
from notify import doorbell, inbox
from notify.live.source import MAILBOXES
from notify.models import Mailbox, Notification
from tests.kit.fakes import document

pytestmark = [pytest.mark.django_db, pytest.mark.users]


def test_the_name_is_that_of_the_users_group():
    """A user has one group, whether the key comes as a primary key or as the text in a ring."""
    assert MAILBOXES.name(7) == MAILBOXES.name("7") == doorbell.group_of("7")


def test_what_is_read_goes_on_at_a_cursor(user):
    notify.send(user, "one")
    first = MAILBOXES.read(user.pk, None)
    assert (first.reset, "one" in first.rows) == (True, True)
    notify.send(user, "two")
    second = MAILBOXES.read(user.pk, first.cursor)
    assert (second.since, "one" in second.rows, "two" in second.rows) == (first.cursor, False, True)


def test_a_mailbox_is_made_for_a_client_that_waits(user):
    assert MAILBOXES.read(user.pk, None).cursor is None
    assert not Mailbox.objects.exists()
    made = MAILBOXES.read_or_make(user.pk, None)
    assert made.cursor == Mailbox.objects.get().cursor
    assert MAILBOXES.read_or_make(user.pk, made.cursor).tells_nothing


def test_a_look_finds_the_cursor_of_each_key(user, other_user):
    notify.send(user, "one")
    cursor = inbox.snapshot(user).cursor
    assert MAILBOXES.look([user.pk, other_user.pk]) == {user.pk: cursor, other_user.pk: None}


@pytest.mark.django_db(transaction=True)
def test_a_look_publishes_what_was_forgotten(user, monkeypatch):
    """So its cursor is the one after the publish."""
    with monkeypatch.context() as died:
        died.setattr("notify.mailbox.outbox.publish", lambda *args, **kwargs: 0)
        with transaction.atomic():
            row = notify.send(user, "forgotten")
    assert Notification.objects.get().position is None
    ((key, cursor),) = MAILBOXES.look([user.pk]).items()
    row.refresh_from_db()
    assert (key, cursor.position) == (user.pk, row.position)


def test_a_user_who_is_gone_is_left_out(user):
    key = user.pk
    user.delete()
    assert MAILBOXES.look([key]) == {}


def test_a_document_of_a_mailbox_needs_no_more_than_itself():
    changes = document(4, 6)
    assert MAILBOXES.encode(7, changes) == changes.encode()
