"""What one publish makes of the waiting rows: the same key collapses into the standing row."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

import notify
from notify.mailbox import marks, outbox
from notify.models import Notification
from notify.protocol import Mark
from tests.kit.mailboxes import (
    assert_sound,
    leave_waiting,
    mailbox_of,
    messages_of,
    rows_of,
    waiting_of,
)

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


def test_the_same_key_collapses_into_the_standing_row(user):
    """It takes the new content, counts one more and arrives anew; send() returns that row."""
    first = notify.send(user, "1 of 3", key="job", title="Import", level="info")
    notify.send(user, "between")
    second = notify.send(user, "3 of 3", key="job", level="success", url="/x/", data=[1])
    assert second.pk == first.pk
    between, row = rows_of(user)
    assert between.message == "between"
    assert (row.pk, row.message, row.title, row.level) == (first.pk, "3 of 3", "", "success")
    assert (row.url, row.data, row.count) == ("/x/", [1], 2)
    assert row.arrived == row.position == mailbox_of(user).head
    assert row.created_at == first.created_at
    assert row.updated_at > first.updated_at
    assert Notification.objects.count() == 2
    assert_sound(user)


def test_rows_with_marks_of_their_own_are_counted_as_they_are(user):
    """As an import by the ORM may put them into the outbox."""
    now = timezone.now()
    leave_waiting(user, "new")
    leave_waiting(user, "seen", seen_at=now)
    leave_waiting(user, "read", seen_at=now, read_at=now)
    leave_waiting(user, "archived", archived_at=now)
    outbox.publish([user.pk])
    assert notify.inbox.counts(user) == (1, 2)
    assert_sound(user)


def test_an_archived_row_of_the_outbox_takes_no_new_content(user):
    """Else what is new would vanish with it."""
    leave_waiting(user, "done", collapse_key="k", archived_at=timezone.now())
    leave_waiting(user, "new", collapse_key="k")
    outbox.publish([user.pk])
    assert messages_of(user) == ["done", "new"]
    assert_sound(user)


@pytest.mark.parametrize("mark", [Mark.SEEN, Mark.READ, Mark.DISMISSED])
def test_a_collapse_makes_a_marked_row_new_again(user, mark):
    """What was seen, read or dismissed was the old content."""
    notify.send(user, "old", key="k")
    marks.mark(user.pk, mark, upto=mailbox_of(user).cursor)
    notify.send(user, "new", key="k")
    (row,) = rows_of(user)
    assert (row.seen_at, row.read_at, row.dismissed_at) == (None, None, None)
    assert mailbox_of(user).counts == (1, 1)


def test_an_archived_row_does_not_collapse(user):
    """It is done; the same key begins anew."""
    notify.send(user, "old", key="k")
    marks.mark(user.pk, Mark.ARCHIVED, upto=mailbox_of(user).cursor)
    notify.send(user, "new", key="k")
    assert [(row.message, row.count) for row in rows_of(user)] == [("old", 1), ("new", 1)]
    assert mailbox_of(user).counts == (1, 1)


def test_the_newest_of_several_standing_rows_takes_the_content(user):
    """Two rows with one key can stand after an unarchive by hand."""
    older, newer = leave_waiting(user, "older", "newer")
    outbox.publish([user.pk])
    Notification.objects.update(collapse_key="k")
    assert notify.send(user, "newest", key="k").pk == newer.pk
    assert messages_of(user) == ["older", "newest"]
    assert older.pk == rows_of(user)[0].pk


@pytest.mark.parametrize("other", ["a", "A ", "Á", "Å", "A\u200b", "\uff41"])
def test_keys_are_compared_exactly(user, other):
    """Whatever the collation of the database finds equal."""
    notify.send(user, "one", key="A")
    notify.send(user, "two", key=other)
    assert [(row.message, row.count) for row in rows_of(user)] == [("one", 1), ("two", 1)]
    notify.send(user, "one again", key="A")
    notify.send(user, "two again", key=other)
    assert [(row.message, row.count) for row in rows_of(user)] == [
        ("one again", 2),
        ("two again", 2),
    ]


def test_keys_of_one_transaction_collapse_among_themselves(user):
    """In the order in which they were sent, exactly compared, into one row each."""
    with transaction.atomic():
        for number, key in enumerate(["e", "é", "E", "", "e", "e ", "", "é", "e"]):
            notify.send(user, f"{number}", key=key)
    assert [(row.message, row.collapse_key, row.count) for row in rows_of(user)] == [
        ("2", "E", 1),
        ("3", "", 1),
        ("5", "e ", 1),
        ("6", "", 1),
        ("7", "é", 2),
        ("8", "e", 3),
    ]
    assert mailbox_of(user).counts == (6, 6)
    assert_sound(user)


def test_keys_of_one_transaction_collapse_into_the_standing_row(user):
    """All of them into the one, which counts each."""
    first = notify.send(user, "0", key="k")
    with transaction.atomic():
        for number in range(1, 4):
            notify.send(user, f"{number}", key="k")
        notify.send(user, "other")
    row, other = rows_of(user)
    assert (row.pk, row.message, row.count) == (first.pk, "3", 4)
    assert other.message == "other"
    assert waiting_of(user) == []
    assert mailbox_of(user).counts == (2, 2)
    assert_sound(user)


def test_the_same_key_of_two_users_stays_apart(user, other_user):
    """Also when one publish takes both, and one of them has a standing row."""
    notify.send(user, "old", key="k")
    notify.send_many([user, other_user], "new", key="k")
    assert [(row.message, row.count) for row in rows_of(user)] == [("new", 2)]
    assert [(row.message, row.count) for row in rows_of(other_user)] == [("new", 1)]


def test_a_collapse_takes_the_expiry_of_the_new_content(user):
    """The mailbox's due may be early, never late."""
    soon, late = (timezone.now() + timedelta(hours=hours) for hours in (1, 9))
    notify.send(user, "one", key="k", expires=late)
    notify.send(user, "two", key="k", expires=soon)
    assert rows_of(user)[0].expires_at == mailbox_of(user).due == soon
    notify.send(user, "three", key="k")
    assert rows_of(user)[0].expires_at is None


def test_more_keys_than_a_statement_can_carry_are_published(user, monkeypatch):
    """The rows that stand are looked up in batches."""
    asked = []
    filter_ = type(Notification.objects.all()).filter

    def note(self, *args, **kwargs):
        asked.append(len(kwargs.get("collapse_key__in", ())))
        return filter_(self, *args, **kwargs)

    monkeypatch.setattr(type(Notification.objects.all()), "filter", note)
    with override_settings(NOTIFY_PUBLISH_BATCH_SIZE=10), transaction.atomic():
        for number in range(25):
            notify.send(user, f"{number}", key=f"{number}")
    assert max(asked) == 10
    assert len(rows_of(user)) == 25
