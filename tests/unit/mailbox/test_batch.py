"""The result of publishing waiting rows: rows with the same key are merged into the standing row."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import patch

import pytest
from django.db import transaction
from django.utils import timezone

import notify
from notify import db
from notify.mailbox import marks, outbox
from notify.models import Notification, TaskRecord
from notify.protocol import Mark
from notify.tracking import rows as task_rows
from notify.tracking.run import TaskRun
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
    """It takes the new content and arrives again. send() returns that row."""
    first = notify.send(user, "1 of 3", key="job", title="Import", level="info")
    notify.send(user, "between")
    second = notify.send(user, "3 of 3", key="job", level="success", url="/x/", data=[1])
    assert second.pk == first.pk
    between, row = rows_of(user)
    assert between.message == "between"
    assert (row.pk, row.message, row.title, row.level) == (first.pk, "3 of 3", "", "success")
    assert (row.url, row.data, row.count, row.is_counted) == ("/x/", [1], 1, False)
    assert row.arrived == row.position == mailbox_of(user).head
    assert row.created_at == first.created_at
    assert row.updated_at > first.updated_at
    assert Notification.objects.count() == 2
    assert_sound(user)


def test_a_key_counts_only_if_asked(user):
    """A send that replaces starts again at 1, whichever came before it."""
    sent = [("one", True), ("two", True), ("three", True), ("again", False), ("more", True)]
    counts = [notify.send(user, text, key="k", count=count).count for text, count in sent]
    assert counts == [1, 2, 3, 1, 2]
    (row,) = rows_of(user)
    assert (row.message, row.is_counted) == ("more", True)
    assert_sound(user)


def test_a_key_counts_only_if_asked_within_one_transaction(user):
    with transaction.atomic():
        for count in (True, False, True, True):
            notify.send(user, "Hello", key="k", count=count)
        for _ in range(2):
            notify.send(user, "Hello", key="replaced")
    assert [row.count for row in rows_of(user)] == [3, 1]


def test_rows_with_marks_of_their_own_are_counted_as_they_are(user):
    """An import with the ORM may put such rows into the outbox."""
    now = timezone.now()
    leave_waiting(user, "new")
    leave_waiting(user, "seen", seen_at=now)
    leave_waiting(user, "read", seen_at=now, read_at=now)
    leave_waiting(user, "archived", archived_at=now)
    outbox.publish([user.pk])
    assert notify.inbox.counts(user) == (1, 2)
    assert_sound(user)


def test_an_archived_row_of_the_outbox_takes_no_new_content(user):
    """Otherwise the new content would vanish with it."""
    leave_waiting(user, "done", collapse_key="k", archived_at=timezone.now())
    leave_waiting(user, "new", collapse_key="k")
    outbox.publish([user.pk])
    assert messages_of(user) == ["done", "new"]
    assert_sound(user)


@pytest.mark.parametrize("mark", [Mark.SEEN, Mark.READ, Mark.DISMISSED])
def test_a_collapse_makes_a_marked_row_new_again(user, mark):
    """The user has seen, read or dismissed only the old content."""
    notify.send(user, "old", key="k")
    marks.mark(user.pk, mark, upto=mailbox_of(user).cursor)
    notify.send(user, "new", key="k")
    (row,) = rows_of(user)
    assert (row.seen_at, row.read_at, row.dismissed_at) == (None, None, None)
    assert mailbox_of(user).counts == (1, 1)


def test_an_archived_row_does_not_collapse(user):
    """It is done, so the same key starts a new row."""
    notify.send(user, "old", key="k")
    marks.mark(user.pk, Mark.ARCHIVED, upto=mailbox_of(user).cursor)
    notify.send(user, "new", key="k")
    assert [(row.message, row.count) for row in rows_of(user)] == [("old", 1), ("new", 1)]
    assert mailbox_of(user).counts == (1, 1)


def test_the_newest_of_several_standing_rows_takes_the_content(user):
    """Two rows with the same key can stand after one was unarchived by hand."""
    older, newer = leave_waiting(user, "older", "newer")
    outbox.publish([user.pk])
    Notification.objects.update(collapse_key="k")
    assert notify.send(user, "newest", key="k").pk == newer.pk
    assert messages_of(user) == ["older", "newest"]
    assert older.pk == rows_of(user)[0].pk


@pytest.mark.parametrize("other", ["a", "A ", "Á", "Å", "A\u200b", "\uff41"])
def test_keys_are_compared_exactly(user, other):
    """Keys that are equal only in the database's collation are different."""
    notify.send(user, "one", key="A")
    notify.send(user, "two", key=other)
    assert [(row.message, row.count) for row in rows_of(user)] == [("one", 1), ("two", 1)]
    notify.send(user, "one again", key="A", count=True)
    notify.send(user, "two again", key=other, count=True)
    assert [(row.message, row.count) for row in rows_of(user)] == [
        ("one again", 2),
        ("two again", 2),
    ]


def test_keys_of_one_transaction_collapse_among_themselves(user):
    """They are merged in the order of sending, compared exactly, into one row for each key."""
    with transaction.atomic():
        for number, key in enumerate(["e", "é", "E", "", "e", "e ", "", "é", "e"]):
            notify.send(user, f"{number}", key=key, count=bool(key))
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
    """All are merged into that row, which counts each of them."""
    first = notify.send(user, "0", key="k")
    with transaction.atomic():
        for number in range(1, 4):
            notify.send(user, f"{number}", key="k", count=True)
        notify.send(user, "other")
    row, other = rows_of(user)
    assert (row.pk, row.message, row.count) == (first.pk, "3", 4)
    assert other.message == "other"
    assert waiting_of(user) == []
    assert mailbox_of(user).counts == (2, 2)
    assert_sound(user)


def test_the_same_key_of_two_users_stays_apart(user, other_user):
    """This also holds if one publish takes both, and one user has a standing row."""
    notify.send(user, "old", key="k")
    notify.send_many([user, other_user], "new", key="k", count=True)
    assert [(row.message, row.count) for row in rows_of(user)] == [("new", 2)]
    assert [(row.message, row.count) for row in rows_of(other_user)] == [("new", 1)]


def test_a_collapse_takes_the_expiry_of_the_new_content(user):
    """The mailbox's due may be too early, but never too late."""
    soon, late = (timezone.now() + timedelta(hours=hours) for hours in (1, 9))
    notify.send(user, "one", key="k", expires=late)
    notify.send(user, "two", key="k", expires=soon)
    assert rows_of(user)[0].expires_at == mailbox_of(user).due == soon
    notify.send(user, "three", key="k")
    assert rows_of(user)[0].expires_at is None


def test_content_that_takes_the_place_of_a_task_removes_its_record(user):
    """Otherwise the task would go on to write into the row."""
    task_rows.save(TaskRun(user.pk, "Importing", key="import"))
    task_rows.save(TaskRun(user.pk, "Exporting", key="export"))
    notify.send(user, "Imported by hand", key="import")
    left, taken = rows_of(user)
    assert (left.message, left.progress["state"]) == ("Exporting", "running")
    assert (taken.message, taken.progress) == ("Imported by hand", None)
    assert TaskRecord.objects.get().pk == left.pk
    assert_sound(user)


def test_more_keys_than_a_statement_can_carry_are_published(user, monkeypatch):
    """The standing rows are looked up in batches."""
    asked = []
    filter_ = type(Notification.objects.all()).filter

    def note(self, *args, **kwargs):
        asked.append(len(kwargs.get("collapse_key__in", ())))
        return filter_(self, *args, **kwargs)

    monkeypatch.setattr(type(Notification.objects.all()), "filter", note)
    with patch.object(db, "PUBLISH_BATCH_SIZE", 10), transaction.atomic():
        for number in range(25):
            notify.send(user, f"{number}", key=f"{number}")
    assert max(asked) == 10
    assert len(rows_of(user)) == 25
