"""The upkeep of a mailbox by its readers, and the query that finds the work to do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import InternalError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notify
from notify import inbox
from notify.inbox import Page, reader, upkeep
from notify.mailbox import marks
from notify.models import Mailbox, MailboxQuerySet, Notification, TaskRecord
from notify.protocol import Counts, Cursor, Mark
from notify.tracking import rows as task_rows
from notify.tracking.run import TaskRun
from tests.kit.mailboxes import (
    Failing,
    age,
    leave_waiting,
    mailbox_of,
    shown,
    texts,
    waiting_of,
)

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


# -- A read-only database ------------------------------------------------------------------------


def overdue(user):
    """The user's mailbox has expired rows, and nothing has read it yet."""
    notify.send(user, "short", expires=timedelta(days=1))
    past = timezone.now() - timedelta(days=1)
    Notification.objects.filter(recipient=user).update(expires_at=past)
    Mailbox.objects.filter(pk=user.pk).update(due=past)


@pytest.mark.parametrize(
    "error",
    [OperationalError("database is locked"), InternalError("read-only transaction")],
    ids=["locked", "read-only"],
)
def test_a_reader_gets_what_can_be_read_when_nothing_can_be_written(
    user, error, monkeypatch, failures
):
    """Expired rows are shown a little longer, and waiting rows come later."""
    overdue(user)
    leave_waiting(user, "forgotten")
    cursor = Cursor(mailbox_of(user).epoch, 0)
    lock = Failing(MailboxQuerySet.lock, 4, error)
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    assert texts(inbox.snapshot(user)) == ["short"]
    assert texts(inbox.changes(user, cursor)) == ["short"]
    assert failures == [error] * 4
    assert texts(inbox.snapshot(user)) == ["forgotten"]
    assert len(failures) == 4


def test_a_mailbox_that_cannot_be_made_fails_no_reader(user, monkeypatch, failures):
    """The reader gets no cursor then, and tries again later."""
    error = OperationalError("database is locked")
    ensure = Failing(MailboxQuerySet.ensure, 1, error)
    monkeypatch.setattr(MailboxQuerySet, "ensure", lambda self, pks: ensure(self, pks))
    assert inbox.changes(user, Cursor("0" * 17, 7)) == reader.NOTHING
    assert failures == [error]
    assert inbox.changes(user, Cursor("0" * 17, 7)).cursor == mailbox_of(user).cursor


def test_a_mailbox_that_fails_leaves_the_others_alone(user, other_user, monkeypatch, failures):
    """One query covers all rooms, so one fault must not stop the rest."""
    overdue(user)
    overdue(other_user)
    lock = Failing(MailboxQuerySet.lock, 1, OperationalError("out of luck"))
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    upkeep.tend(upkeep.look_at([user.pk, other_user.pk]))
    assert len(failures) == 1
    assert sorted(glance.is_overdue for glance in upkeep.look_at([user.pk, other_user.pk])) == [
        False,
        True,
    ]


def test_of_many_that_expire_together_some_wait_for_the_next_turn(make_user, monkeypatch):
    """
    Archiving takes a transaction for each mailbox, and rooms wait for their repair meanwhile;
    publishing is not limited.
    """
    monkeypatch.setattr(upkeep, "EXPIRED_AT_ONCE", 2)
    users = [make_user(f"user{number}") for number in range(5)]
    for one in users:
        overdue(one)
        leave_waiting(one, "forgotten")
    turns = []
    for _ in range(3):
        upkeep.tend(upkeep.look_at([one.pk for one in users]))
        assert [waiting_of(one) for one in users] == [[]] * 5
        turns.append(Notification.objects.exclude(archived_at=None).count())
    assert turns == [2, 4, 5]


def test_inside_a_transaction_of_the_caller_a_mailbox_is_left_as_it_is(user):
    """Its lock would be held until that ends."""
    overdue(user)
    leave_waiting(user, "forgotten")
    with transaction.atomic():
        upkeep.tend([upkeep.look(user.pk)])
        assert waiting_of(user) == ["forgotten"]
    assert upkeep.look(user.pk).is_overdue
    upkeep.tend([upkeep.look(user.pk)])
    assert not upkeep.look(user.pk).needs_work


def test_a_task_that_has_fallen_silent_is_shown_as_silent(user):
    task_rows.save(TaskRun(user.pk, "Importing"))
    TaskRecord.objects.update(beat_at=timezone.now() - timedelta(seconds=90))
    upkeep.tend([upkeep.look(user.pk)])
    assert Notification.objects.get().progress["silent"]
    assert not upkeep.look(user.pk).needs_work


def test_a_mailbox_that_was_lost_is_made_again_for_its_cursor(user):
    """A user without rows needs none."""
    assert upkeep.cursor_of(user.pk) is None
    assert not Mailbox.objects.exists()
    notify.send(user, "one")
    assert upkeep.cursor_of(user.pk) == mailbox_of(user).cursor
    Mailbox.objects.all().delete()
    with transaction.atomic():
        assert upkeep.cursor_of(user.pk) is None
    assert upkeep.cursor_of(user.pk) == mailbox_of(user).cursor


# -- The glance ----------------------------------------------------------------------------------


def test_a_look_tells_whether_a_mailbox_needs_work(user, other_user):
    """One query for all finds waiting rows, expired rows, and users with rows but no mailbox."""
    assert upkeep.look(user.pk) == (user.pk, None, None, None, (0, 0), False, False, False)
    assert not upkeep.look(user.pk).needs_work
    notify.send(user, "one", expires=timedelta(days=1))
    assert not upkeep.look(user.pk).needs_work
    Mailbox.objects.update(due=mailbox_of(user).due - timedelta(days=2))
    assert upkeep.look(user.pk).needs_work
    leave_waiting(other_user, "forgotten")
    with CaptureQueriesContext(connection) as context:
        glances = {
            glance.recipient_id: glance for glance in upkeep.look_at([user.pk, other_user.pk])
        }
    assert len(context) == 1
    assert glances[other_user.pk].needs_work
    assert glances[other_user.pk].waiting
    assert glances[user.pk].cursor == mailbox_of(user).cursor
    upkeep.tend(glances.values())
    assert not any(glance.needs_work for glance in upkeep.look_at([user.pk, other_user.pk]))
    Mailbox.objects.all().delete()
    assert upkeep.look(user.pk).needs_work


def test_a_reader_that_knows_it_all_is_told_so_in_one_query(user):
    """After a send, a mark, a forgotten row or a lost mailbox, it no longer does."""
    first = notify.send(user, "one")
    cursor = age(user).cursor
    with CaptureQueriesContext(connection) as context:
        page = inbox.changes(user, cursor)
    assert len(context) == 1
    assert page == Page(cursor, cursor, cursor.position, Counts(1, 1), ())
    assert page.tells_nothing
    for other in (Cursor("0" * 17, 1), Cursor(cursor.epoch, 0), Cursor(cursor.epoch, 99), None):
        assert not inbox.changes(user, other).tells_nothing
    cursor = mailbox_of(user).cursor  # the cursor ahead of the mailbox has started a new epoch
    marks.mark(user.pk, Mark.SEEN, shown(first))
    assert not inbox.changes(user, cursor).tells_nothing
    assert inbox.changes(user, mailbox_of(user).cursor).tells_nothing
    cursor = mailbox_of(user).cursor
    leave_waiting(user, "forgotten")
    assert not inbox.changes(user, cursor).tells_nothing
    cursor = mailbox_of(user).cursor
    Mailbox.objects.all().delete()
    assert not inbox.changes(user, cursor).tells_nothing
