"""Reading and marking: the choice of the mailbox, the marked rows, and the async twins."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

import notify
from notify import inbox
from notify.exceptions import AsyncContext, InvalidRecipient, ProtocolError, RecipientNotSaved
from notify.models import Mailbox, MailboxQuerySet, Notification
from tests.kit.mailboxes import (
    Failing,
    assert_sound,
    leave_waiting,
    mailbox_of,
    rows_of,
)

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


# -- The mailbox ---------------------------------------------------------------------------------

CALLS = [
    "counts",
    "snapshot",
    "changes",
    "mark_seen",
    "mark_read",
    "mark_archived",
    "mark_dismissed",
]


@pytest.mark.parametrize("call", CALLS)
def test_a_request_is_its_user(call, user, rf):
    notify.send(user, "one")
    request = rf.get("/")
    request.user = user
    assert getattr(inbox, call)(request) == getattr(inbox, call)(user)


@pytest.mark.parametrize("call", CALLS)
def test_who_has_no_mailbox_is_refused_as_by_send(call, user, other_user, rf):
    """The error names the call and the solution."""
    ask, model = getattr(inbox, call), get_user_model()
    request = rf.get("/")
    request.user = AnonymousUser()
    for anonymous in (AnonymousUser(), request):
        with pytest.raises(
            InvalidRecipient, match=rf"notify\.inbox\.{call}\(\) does not take an anonymous"
        ):
            ask(anonymous)
    with pytest.raises(RecipientNotSaved, match=rf"notify\.inbox\.{call}\(\).*Save it before"):
        ask(model())
    with pytest.raises(InvalidRecipient, match="neither a user nor a valid primary key"):
        ask("\x00")
    for several in ([user, other_user], Group(name="staff"), model.objects.all()):
        with pytest.raises(TypeError, match=rf"notify\.inbox\.{call}\(\) takes one recipient"):
            ask(several)
    with pytest.raises(TypeError, match="a user, a primary key or a request"):
        ask(None)


@pytest.mark.parametrize("call", CALLS)
def test_a_key_may_be_text_and_is_not_looked_up(call, user, django_assert_num_queries):
    """A key may come from a URL. A lookup would cost a query for each call."""
    notify.send(user, "one")
    with CaptureQueriesContext(connection) as by_user:
        getattr(inbox, call)(user)
    with CaptureQueriesContext(connection) as by_key:
        getattr(inbox, call)(str(user.pk))
    assert len(by_key) <= len(by_user)


@pytest.mark.parametrize("call", CALLS)
async def test_where_an_event_loop_runs_the_twin_is_named(call, user):
    with pytest.raises(AsyncContext, match=rf"await notify\.inbox\.a{call}\("):
        getattr(inbox, call)(user)


def test_what_is_given_is_resolved_for_the_marks_too(user):
    notification = notify.send(user, "one")
    inbox.mark_read(str(user.pk), [notification])
    assert inbox.counts(user) == (0, 0)


# -- Marking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "fields", "counts"),
    [
        (inbox.mark_seen, {"seen_at"}, (0, 2)),
        (inbox.mark_read, {"seen_at", "read_at"}, (0, 0)),
        (inbox.mark_archived, {"seen_at", "read_at", "archived_at"}, (0, 0)),
        (inbox.mark_dismissed, {"dismissed_at"}, (2, 2)),
    ],
)
def test_marking_all(user, mark, fields, counts):
    """Without notifications or a cursor, all published rows are marked."""
    notify.send(user, "one")
    notify.send(user, "two")
    mark(user)
    for row in rows_of(user):
        assert {
            name
            for name in ("seen_at", "read_at", "archived_at", "dismissed_at")
            if getattr(row, name)
        } == fields
    assert inbox.counts(user) == counts


def test_marking_notifications_marks_them_as_they_were_read(user):
    """Newer content stays unread, and waiting rows are not marked."""
    old = notify.send(user, "old", key="k")
    other = notify.send(user, "other")
    notify.send(user, "new", key="k")
    (waiting,) = leave_waiting(user, "waiting")
    inbox.mark_read(user, [old, other, waiting])
    assert [row.message for row in rows_of(user) if row.read_at] == ["other"]
    inbox.mark_read(user, [])
    assert mailbox_of(user).counts == (1, 1)


MARKS = [inbox.mark_seen, inbox.mark_read, inbox.mark_archived, inbox.mark_dismissed]


@pytest.mark.parametrize("mark", MARKS)
def test_what_is_no_list_of_notifications_is_named(user, mark):
    """A primary key does not tell which content was shown, and a single notification is easily passed."""
    one = notify.send(user, "one")
    verb = rf"notify\.inbox\.{mark.__name__}\(\)"
    with pytest.raises(TypeError, match=rf"{verb} takes several .*: \[notification\]"):
        mark(user, one)
    for wrong in ([one.pk], [one, str(one.pk)], one.pk, str(one.pk), Notification.objects.values()):
        with pytest.raises(TypeError, match=rf"{verb} takes instances of .*filter\(pk__in="):
            mark(user, wrong)
    assert inbox.counts(user) == (1, 1)


def test_a_queryset_and_a_generator_are_several_notifications(user):
    notify.send(user, "one")
    inbox.mark_seen(user, user.notify_notifications.all())
    inbox.mark_read(user, (row for row in rows_of(user)))
    assert inbox.counts(user) == (0, 0)


@pytest.mark.parametrize("wrong", [5, ("epoch", 5), b"x"])
def test_what_is_no_cursor_is_named(user, wrong):
    with pytest.raises(ProtocolError, match="is not a cursor"):
        inbox.changes(user, wrong)
    with pytest.raises(ProtocolError, match="is not a cursor"):
        inbox.mark_read(user, cursor=wrong)


@pytest.mark.parametrize("several", [False, True], ids=["send", "send_many"])
def test_marking_what_was_sent_in_a_transaction_since_committed(user, other_user, several):
    """
    The row had no position when send() returned it, but has one now.

    Rows of other users are not marked.
    """
    with transaction.atomic():
        if several:
            mine, foreign = notify.send_many([user, other_user], "one")
        else:
            mine, foreign = notify.send(user, "one"), notify.send(other_user, "one")
        inbox.mark_read(user, [mine])  # it has not been shown yet
    assert (mine.arrived, foreign.arrived) == (None, None)
    assert inbox.counts(user) == (1, 1)
    inbox.mark_read(user, [mine, foreign])
    assert inbox.counts(user) == (0, 0)
    assert inbox.counts(other_user) == (1, 1)


def test_marking_all_up_to_a_cursor(user):
    """The cursor is that of a page of the inbox."""
    notify.send(user, "one")
    cursor = inbox.snapshot(user).cursor
    notify.send(user, "two")
    inbox.mark_seen(user, cursor=str(cursor))
    assert inbox.counts(user) == (1, 2)


def test_marking_all_of_a_lost_mailbox(user):
    """The mailbox is created before it is marked."""
    notify.send(user, "one")
    Mailbox.objects.all().delete()
    inbox.mark_read(user)
    assert inbox.counts(user) == (0, 0)
    assert_sound(user)


def test_marking_all_of_a_lost_mailbox_that_cannot_be_made_raises(user, monkeypatch):
    """A failed mark must not look like a successful one."""
    notify.send(user, "one")
    Mailbox.objects.all().delete()
    ensure = Failing(MailboxQuerySet.ensure, 1, OperationalError("database is locked"))
    monkeypatch.setattr(MailboxQuerySet, "ensure", lambda self, pks: ensure(self, pks))
    with pytest.raises(OperationalError):
        inbox.mark_read(user)


def test_marking_all_inside_a_transaction_takes_what_stood_at_the_call(user):
    """
    The marks are made after the commit.

    Rows sent in this transaction stay unread, as no reader has seen them.
    """
    notify.send(user, "one")
    with transaction.atomic():
        notify.send(user, "two")
        inbox.mark_read(user)
        assert inbox.counts(user) == (1, 1)
    assert [row.message for row in rows_of(user) if row.read_at] == ["one"]


def test_the_async_twins(user):
    async def use():
        await notify.asend(user, "one")
        page = await inbox.asnapshot(user)
        await inbox.amark_seen(user, page.notifications)
        await inbox.amark_dismissed(user)
        assert await inbox.acounts(user) == (0, 1)
        await inbox.amark_read(user)
        await inbox.amark_archived(user)
        changed = await inbox.achanges(user, page.cursor)
        assert [row.archived_at is not None for row in changed.notifications] == [True]

    async_to_sync(use)()  # async_to_sync awaits them in this thread, on this connection
    assert Notification.objects.count() == 1


# -- The inbox -----------------------------------------------------------------------------------


def test_a_mark_is_taken_back_for_instances(user):
    row = notify.send(user, "one")
    inbox.mark_read(user, [row])
    inbox.mark_unread(user, [row])
    assert inbox.counts(user) == (0, 1)
    inbox.mark_archived(user, [row])
    inbox.unarchive(user, [row])
    assert inbox.counts(user) == (0, 1)
    with pytest.raises(TypeError, match=r"mark_unread\(\) takes several notifications"):
        inbox.mark_unread(user, row)  # type: ignore[arg-type]


def test_clear_needs_a_name(user):
    notify.send(user, "one", category="c")
    inbox.clear(user, category="c")
    assert inbox.page(user).notifications == []
    with pytest.raises(ValueError, match="needs a key, a group or a category"):
        inbox.clear(user)
