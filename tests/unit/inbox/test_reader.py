"""The read side: pages, resets, and the care that readers take of a mailbox."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.db import InternalError, OperationalError, connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notify
from notify.exceptions import ProtocolError
from notify.inbox import reader as inbox
from notify.inbox.reader import Page
from notify.mailbox import marks
from notify.models import Mailbox, MailboxQuerySet, Notification
from notify.protocol import Counts, Cursor, Mark, State, is_plausible, new_epoch
from notify.tracking import rows as runs
from notify.tracking.rows import Run
from tests.kit.mailboxes import (
    Failing,
    assert_sound,
    leave_waiting,
    mailbox_of,
    messages_of,
    on_the_wire,
    rows_of,
    waiting_of,
)

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


def texts(page):
    return [row.message for row in page.notifications]


def shown(*rows):
    return [(row.pk, row.arrived) for row in rows]


@pytest.fixture
def pages_of_three():
    with override_settings(NOTIFY_PAGE_SIZE=3):
        yield


# -- Changes -------------------------------------------------------------------------------------


def test_a_reader_gets_what_changed_since_its_cursor(user):
    """In the order of the changes, and ends at the head."""
    notify.send(user, "one")
    since = inbox.snapshot(user).cursor
    two = notify.send(user, "two")
    notify.send(user, "three")
    marks.mark(user.pk, Mark.SEEN, shown(two))
    page = inbox.changes(user, since)
    assert texts(page) == ["three", "two"]
    assert (page.since, page.reset) == (since, False)
    assert page.cursor == mailbox_of(user).cursor
    assert page.head == mailbox_of(user).head
    assert page.counts == (2, 3)
    assert on_the_wire(page.notifications) == on_the_wire(rows_of(user)[1:])


def test_a_row_that_changed_twice_comes_once_and_in_its_final_state(user):
    """There is no log of stale states."""
    notification = notify.send(user, "old", key="k", data={"n": 1})
    since = Cursor(mailbox_of(user).epoch, 0)
    marks.mark(user.pk, Mark.SEEN, shown(notification))
    notify.send(user, "new", key="k")
    marks.mark(user.pk, Mark.DISMISSED, shown(*rows_of(user)))
    (row,) = inbox.changes(user, since).notifications
    assert (row.message, row.count, row.seen_at, row.data) == ("new", 2, None, None)
    assert row.dismissed_at is not None


def test_archived_rows_are_changes_too(user):
    """A tab that shows one must take it away."""
    notification = notify.send(user, "one")
    since = mailbox_of(user).cursor
    marks.mark(user.pk, Mark.ARCHIVED, shown(notification))
    page = inbox.changes(user, since)
    assert [row.archived_at is not None for row in page.notifications] == [True]
    assert page.counts == (0, 0)


def test_a_reader_that_knows_everything_gets_an_empty_page(user):
    notify.send(user, "one")
    cursor = mailbox_of(user).cursor
    page = inbox.changes(user, cursor)
    assert (page.since, page.cursor, page.reset, texts(page)) == (cursor, cursor, False, [])


def test_a_cursor_may_be_given_as_text(user):
    """As a client sends it; anything else is a ProtocolError."""
    notify.send(user, "one")
    since = f"{mailbox_of(user).epoch}:0"
    assert texts(inbox.changes(user, since)) == ["one"]
    with pytest.raises(ProtocolError, match="not a cursor"):
        inbox.changes(user, "44")


def test_a_user_or_its_key_may_be_given(user):
    notify.send(user, "one")
    assert inbox.snapshot(user) == inbox.snapshot(user.pk)
    assert inbox.counts(user) == inbox.counts(user.pk) == (1, 1)


def test_others_see_nothing(user, other_user):
    notify.send(user, "one")
    assert inbox.snapshot(other_user) == inbox.NOTHING
    since = Cursor(mailbox_of(user).epoch, 0)
    assert texts(inbox.changes(other_user, since)) == []


# -- Pages ---------------------------------------------------------------------------------------


def test_a_page_ends_at_its_last_row(user, pages_of_three):
    """A cursor below the head says that more follows; the last page ends at the head."""
    for number in range(7):
        notify.send(user, f"{number}")
    marks.mark(user.pk, Mark.ARCHIVED, shown(rows_of(user)[-1]))
    cursor = Cursor(mailbox_of(user).epoch, 0)
    pages = []
    while cursor.position < mailbox_of(user).head:
        pages.append(inbox.changes(user, cursor))
        cursor = pages[-1].cursor
    assert [texts(page) for page in pages] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert [page.cursor.position for page in pages] == [3, 6, 8]
    assert {page.head for page in pages} == {8}
    assert [page.changes().complete for page in pages] == [False, False, True]
    assert {page.counts for page in pages} == {(6, 6)}


def test_a_full_last_page_ends_at_the_head(user, pages_of_three):
    """Nothing follows it, so no reader asks in vain."""
    for number in range(3):
        notify.send(user, f"{number}")
    marks.mark(user.pk, Mark.SEEN, shown(rows_of(user)[0]))
    page = inbox.changes(user, Cursor(mailbox_of(user).epoch, 0))
    assert len(page.notifications) == 3
    assert page.cursor == mailbox_of(user).cursor


def test_a_row_that_moves_between_pages_is_seen_in_its_final_state(user, pages_of_three):
    """It left the next page, and comes on the last; one already seen comes again."""
    rows = [notify.send(user, f"{number}") for number in range(6)]
    first = inbox.changes(user, Cursor(mailbox_of(user).epoch, 0))
    marks.mark(user.pk, Mark.SEEN, shown(rows[0], rows[4]))
    second = inbox.changes(user, first.cursor)
    third = inbox.changes(user, second.cursor)
    assert [texts(page) for page in (first, second, third)] == [
        ["0", "1", "2"],
        ["3", "5", "0"],
        ["4"],
    ]
    assert third.notifications[0].seen_at is not None
    assert second.notifications[2].seen_at is not None
    assert third.changes().complete


def test_page_size_is_100(user):
    """Unless NOTIFY_PAGE_SIZE says otherwise."""
    with transaction.atomic():
        for number in range(101):
            notify.send(user, f"{number}")
    page = inbox.changes(user, Cursor(mailbox_of(user).epoch, 0))
    assert texts(page) == [f"{number}" for number in range(100)]
    assert page.cursor.position == rows_of(user)[99].position
    assert texts(inbox.changes(user, page.cursor)) == ["100"]
    assert texts(inbox.snapshot(user)) == [f"{number}" for number in range(1, 101)]


# -- Snapshots -----------------------------------------------------------------------------------


def test_a_snapshot_is_what_stands(user):
    """Not what is archived, nor what was both seen and dismissed."""
    for message in ("new", "seen", "read", "dismissed", "over", "archived"):
        notify.send(user, message)
    by_message = {row.message: row for row in rows_of(user)}
    marks.mark(user.pk, Mark.ARCHIVED, shown(by_message["archived"]))
    marks.mark(user.pk, Mark.SEEN, shown(by_message["seen"], by_message["over"]))
    marks.mark(user.pk, Mark.READ, shown(by_message["read"]))
    marks.mark(user.pk, Mark.DISMISSED, shown(by_message["dismissed"], by_message["over"]))
    page = inbox.snapshot(user)
    assert texts(page) == ["new", "seen", "read", "dismissed"]  # as they arrived
    assert (page.since, page.reset) == (None, True)
    assert page.cursor == mailbox_of(user).cursor
    assert page.head == page.cursor.position
    assert page.counts == (2, 4)


def test_a_snapshot_holds_what_runs_even_where_it_is_hidden(user, other_user):
    """So that every tab can show that it still runs; once it has ended it is like any other row."""
    tasks = {name: Run(user.pk, name) for name in ("runs", "ended", "archived")}
    for run in tasks.values():
        runs.save(run)
    runs.save(Run(other_user.pk, "of somebody else"))
    tasks["ended"].state = State.SUCCEEDED
    tasks["ended"].message = "done"
    runs.save(tasks["ended"])
    marks.mark(user.pk, Mark.SEEN, shown(*rows_of(user)))
    marks.mark(user.pk, Mark.DISMISSED, shown(*rows_of(user)))
    archived = [row for row in rows_of(user) if row.message == "archived"]
    marks.mark(user.pk, Mark.ARCHIVED, shown(*archived))
    assert texts(inbox.snapshot(user)) == ["runs"]


def test_a_snapshot_holds_the_newest(user, pages_of_three):
    """By arrival: a mark does not make a row newer, new content does."""
    rows = [notify.send(user, f"{number}", key=f"{number}") for number in range(6)]
    marks.mark(user.pk, Mark.SEEN, shown(rows[0]))
    notify.send(user, "1 again", key="1")
    page = inbox.snapshot(user)
    assert texts(page) == ["4", "5", "1 again"]
    assert page.cursor == mailbox_of(user).cursor


def test_a_user_without_a_mailbox_has_an_empty_snapshot(user):
    """No cursor, and nothing is made for it."""
    page = inbox.snapshot(user)
    assert page == inbox.NOTHING
    assert page.changes().encode() == (
        '{"type":"changes","since":null,"cursor":null,"head":0,"reset":true,'
        '"counts":{"unseen":0,"unread":0},"notifications":[]}'
    )
    assert not Mailbox.objects.exists()


# -- Resets --------------------------------------------------------------------------------------


def foreign(box):
    """Cursors that this mailbox cannot continue, by what is wrong with them."""
    return {
        "an earlier epoch": Cursor("0" * 17, 1),
        "a later epoch": Cursor(new_epoch(after=box.epoch), 1),
        "an epoch that no clock has made": Cursor("v" * 17, 1),
        "beyond the head": Cursor(box.epoch, box.head + 1),
        "below the floor": Cursor(box.epoch, box.floor - 1),
    }


@pytest.mark.parametrize(
    ("wrong", "new_life"),
    [
        ("an earlier epoch", False),
        ("a later epoch", True),
        ("an epoch that no clock has made", False),
        ("beyond the head", True),
        ("below the floor", False),
    ],
)
def test_a_cursor_that_cannot_be_continued_gives_a_reset(user, wrong, new_life):
    """One that the mailbox has not reached proves a restored database: a new epoch begins."""
    notify.send(user, "one")
    notify.send(user, "two")
    Mailbox.objects.update(floor=1)
    before = mailbox_of(user)
    since = foreign(before)[wrong]
    page = inbox.changes(user, since)
    assert page.reset
    assert page.since is None
    assert texts(page) == ["one", "two"]
    assert page.cursor == mailbox_of(user).cursor
    assert (mailbox_of(user).epoch != before.epoch) is new_life
    if new_life:
        assert page.cursor > since
        assert is_plausible(page.cursor.epoch)
    again = inbox.changes(user, page.cursor)
    assert (again.reset, texts(again)) == (False, [])


def test_a_cursor_at_the_floor_is_continued(user):
    """What was pruned lay at or below it, so its reader knows all of that."""
    notify.send(user, "one")
    notify.send(user, "two")
    Mailbox.objects.update(floor=1)
    page = inbox.changes(user, Cursor(mailbox_of(user).epoch, 1))
    assert (page.reset, texts(page)) == (False, ["two"])


def test_after_a_restored_backup_a_reader_begins_anew(user):
    """Positions are given twice; the old cursor must not hide the second notification."""
    notify.send(user, "before the backup")
    backup = mailbox_of(user)
    lost = notify.send(user, "lost")
    reader = inbox.snapshot(user).cursor
    lost.delete()
    backup.save()
    other_reader = backup.cursor
    notify.send(user, "new")
    notify.send(user, "newer")
    assert inbox.changes(user, Cursor(reader.epoch, reader.position + 5)).reset
    for cursor in (reader, other_reader):
        page = inbox.changes(user, cursor)
        assert page.reset
        assert texts(page) == ["before the backup", "new", "newer"]


def test_a_missing_mailbox_is_made_from_the_rows_and_resets_its_readers(user):
    """Nobody knows what its positions meant; its counts are those of the rows."""
    for message in ("one", "two", "three"):
        notify.send(user, message)
    marks.mark(user.pk, Mark.SEEN, shown(rows_of(user)[0]))
    before = mailbox_of(user)
    Mailbox.objects.all().delete()
    page = inbox.changes(user, before.cursor)
    after = mailbox_of(user)
    assert page.reset
    assert (after.head, after.floor) == (before.head, before.head)
    assert page.counts == after.counts == before.counts == (2, 3)
    assert sorted(texts(page)) == ["one", "three", "two"]
    assert page.cursor == after.cursor > before.cursor
    assert_sound(user)


def test_a_reader_without_a_cursor_makes_a_mailbox_where_rows_stand(user):
    """A mailbox that was lost must not make an inbox look empty."""
    notify.send(user, "one")
    Mailbox.objects.all().delete()
    inbox.snapshot(user)
    assert inbox.counts(user) == mailbox_of(user).counts == (1, 1)


def test_counts_only_look(user, other_user):
    """A page with a badge writes nothing; readers of the rows put right what is to be."""
    notify.send(user, "one", expires=timedelta(days=1))
    Mailbox.objects.update(due=timezone.now() - timedelta(days=1))
    leave_waiting(user, "forgotten")
    notify.send(other_user, "one")
    Mailbox.objects.filter(pk=other_user.pk).delete()
    before = mailbox_of(user).cursor
    with CaptureQueriesContext(connection) as context:
        assert inbox.counts(user) == (1, 1)
        assert inbox.counts(other_user) == (0, 0)
    assert len(context) == 2
    assert mailbox_of(user).cursor == before
    assert waiting_of(user) == ["forgotten"]
    inbox.snapshot(user)
    inbox.snapshot(other_user)
    assert inbox.counts(user) == (2, 2)
    assert inbox.counts(other_user) == (1, 1)


def test_a_cursor_for_a_user_without_rows_makes_the_mailbox(user):
    """So that the reader gets a cursor that will be continued."""
    page = inbox.changes(user, Cursor("0" * 17, 7))
    assert page.reset
    assert page.cursor == mailbox_of(user).cursor
    notify.send(user, "one")
    assert texts(inbox.changes(user, page.cursor)) == ["one"]


def test_a_user_who_is_gone_is_left_alone(user):
    """A tab that is still open reads nothing, and leaves no mailbox behind."""
    notify.send(user, "one")
    pk, cursor = user.pk, mailbox_of(user).cursor
    get_user_model().objects.filter(pk=pk).delete()
    assert inbox.changes(pk, cursor) == inbox.NOTHING
    assert inbox.counts(pk) == (0, 0)
    assert inbox.look(pk).cursor is None
    assert inbox.look_at([pk]) == []
    assert not Mailbox.objects.exists()


# -- Forgotten rows, and the caller's transaction ------------------------------------------------


@pytest.mark.parametrize("published_before", [True, False], ids=["mailbox", "no mailbox"])
def test_a_reader_publishes_forgotten_rows(user, published_before):
    """Those of a process that died between its commit and its publish."""
    if published_before:
        notify.send(user, "one")
    since = inbox.snapshot(user).cursor
    leave_waiting(user, "forgotten")
    assert inbox.look(user.pk).waiting
    page = inbox.changes(user, since)
    assert texts(page) == ["forgotten"]
    assert waiting_of(user) == []
    assert_sound(user)


def test_a_reader_inside_a_transaction_never_publishes(user):
    """The caller may roll back, and its locks would stop others."""
    notify.send(user, "one")
    leave_waiting(user, "forgotten")
    cursor = mailbox_of(user).cursor
    with transaction.atomic():
        notify.send(user, "mine")
        for since in (None, Cursor(cursor.epoch, 0), Cursor(cursor.epoch, 99)):
            assert texts(inbox.changes(user, since)) == ["one"]
        assert inbox.counts(user) == (1, 1)
        assert waiting_of(user) == ["forgotten", "mine"]
        assert mailbox_of(user).cursor == cursor
    assert messages_of(user) == ["one", "forgotten", "mine"]


def test_a_reader_inside_a_transaction_makes_no_mailbox(user):
    """Also where rows stand: it looks, and touches nothing."""
    notify.send(user, "one")
    cursor = mailbox_of(user).cursor
    Mailbox.objects.all().delete()
    with transaction.atomic():
        assert inbox.changes(user, cursor) == inbox.NOTHING
        assert inbox.counts(user) == (0, 0)
        assert not Mailbox.objects.exists()


def test_without_autocommit_a_reader_never_publishes(user):
    """Nothing would commit it."""
    leave_waiting(user, "forgotten")
    transaction.set_autocommit(False)
    try:
        assert inbox.changes(user) == inbox.NOTHING
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert waiting_of(user) == ["forgotten"]
    assert not Mailbox.objects.exists()


# -- A database that can be read, and not written ------------------------------------------------


def overdue(user):
    """The user's mailbox is due for an expiry, and nothing of it has come to the database yet."""
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
    """What has expired is shown a little longer, and what waits comes later."""
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
    """The reader has no cursor then, and comes again."""
    error = OperationalError("database is locked")
    ensure = Failing(MailboxQuerySet.ensure, 1, error)
    monkeypatch.setattr(MailboxQuerySet, "ensure", lambda self, pks: ensure(self, pks))
    assert inbox.changes(user, Cursor("0" * 17, 7)) == inbox.NOTHING
    assert failures == [error]
    assert inbox.changes(user, Cursor("0" * 17, 7)).cursor == mailbox_of(user).cursor


def test_a_mailbox_that_fails_leaves_the_others_alone(user, other_user, monkeypatch, failures):
    """One query looks at all that have a room, so one fault must not stop the rest."""
    overdue(user)
    overdue(other_user)
    lock = Failing(MailboxQuerySet.lock, 1, OperationalError("out of luck"))
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    inbox.tend(inbox.look_at([user.pk, other_user.pk]))
    assert len(failures) == 1
    assert sorted(glance.is_overdue for glance in inbox.look_at([user.pk, other_user.pk])) == [
        False,
        True,
    ]


def test_of_many_that_expire_together_some_wait_for_the_next_turn(make_user, monkeypatch):
    """Each is a transaction, and rooms wait for their repair meanwhile; publishing does not."""
    monkeypatch.setattr(inbox, "EXPIRED_AT_ONCE", 2)
    users = [make_user(f"user{number}") for number in range(5)]
    for one in users:
        overdue(one)
        leave_waiting(one, "forgotten")
    turns = []
    for _ in range(3):
        inbox.tend(inbox.look_at([one.pk for one in users]))
        assert [waiting_of(one) for one in users] == [[]] * 5
        turns.append(Notification.objects.exclude(archived_at=None).count())
    assert turns == [2, 4, 5]


# -- The look ------------------------------------------------------------------------------------


def test_a_look_tells_whether_a_mailbox_needs_work(user, other_user):
    """In one query for all: what waits, what is overdue, who has rows and no mailbox."""
    assert inbox.look(user.pk) == (user.pk, None, None, None, (0, 0), False, False, False)
    assert not inbox.look(user.pk).needs_work
    notify.send(user, "one", expires=timedelta(days=1))
    assert not inbox.look(user.pk).needs_work
    Mailbox.objects.update(due=mailbox_of(user).due - timedelta(days=2))
    assert inbox.look(user.pk).needs_work
    leave_waiting(other_user, "forgotten")
    with CaptureQueriesContext(connection) as context:
        glances = {glance.recipient: glance for glance in inbox.look_at([user.pk, other_user.pk])}
    assert len(context) == 1
    assert glances[other_user.pk].needs_work
    assert glances[other_user.pk].waiting
    assert glances[user.pk].cursor == mailbox_of(user).cursor
    inbox.tend(glances.values())
    assert not any(glance.needs_work for glance in inbox.look_at([user.pk, other_user.pk]))
    Mailbox.objects.all().delete()
    assert inbox.look(user.pk).needs_work


def test_a_reader_that_knows_it_all_is_told_so_in_one_query(user):
    """Not so after a send, a mark, a forgotten row or a lost mailbox."""
    first = notify.send(user, "one")
    cursor = mailbox_of(user).cursor
    with CaptureQueriesContext(connection) as context:
        page = inbox.changes(user, cursor)
    assert len(context) == 1
    assert page == Page(cursor, cursor, cursor.position, Counts(1, 1), ())
    assert page.tells_nothing
    for other in (Cursor("0" * 17, 1), Cursor(cursor.epoch, 0), Cursor(cursor.epoch, 99), None):
        assert not inbox.changes(user, other).tells_nothing
    cursor = mailbox_of(user).cursor  # a cursor above it has started it over
    marks.mark(user.pk, Mark.SEEN, shown(first))
    assert not inbox.changes(user, cursor).tells_nothing
    assert inbox.changes(user, mailbox_of(user).cursor).tells_nothing
    cursor = mailbox_of(user).cursor
    leave_waiting(user, "forgotten")
    assert not inbox.changes(user, cursor).tells_nothing
    cursor = mailbox_of(user).cursor
    Mailbox.objects.all().delete()
    assert not inbox.changes(user, cursor).tells_nothing


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
    """Without notifications or cursor: all that are published."""
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
    """What arrived in them since stays new; those that wait are left alone."""
    old = notify.send(user, "old", key="k")
    other = notify.send(user, "other")
    notify.send(user, "new", key="k")
    (waiting,) = leave_waiting(user, "waiting")
    inbox.mark_read(user, [old, other, waiting])
    assert [row.message for row in rows_of(user) if row.read_at] == ["other"]
    inbox.mark_read(user, [])
    assert mailbox_of(user).counts == (1, 1)


@pytest.mark.parametrize("several", [False, True], ids=["send", "send_many"])
def test_marking_what_was_sent_in_a_transaction_since_committed(user, other_user, several):
    """It had no position when send() returned it, and has one now; the rows of others stay."""
    with transaction.atomic():
        if several:
            mine, foreign = notify.send_many([user, other_user], "one")
        else:
            mine, foreign = notify.send(user, "one"), notify.send(other_user, "one")
        inbox.mark_read(user, [mine])  # nobody was shown it yet
    assert (mine.arrived, foreign.arrived) == (None, None)
    assert inbox.counts(user) == (1, 1)
    inbox.mark_read(user, [mine, foreign])
    assert inbox.counts(user) == (0, 0)
    assert inbox.counts(other_user) == (1, 1)


def test_marking_all_up_to_a_cursor(user):
    """As a page of the inbox gave it."""
    notify.send(user, "one")
    cursor = inbox.snapshot(user).cursor
    notify.send(user, "two")
    inbox.mark_seen(user, cursor=str(cursor))
    assert inbox.counts(user) == (1, 2)


def test_marking_all_of_a_lost_mailbox(user):
    """It is made first, and then marked."""
    notify.send(user, "one")
    Mailbox.objects.all().delete()
    inbox.mark_read(user)
    assert inbox.counts(user) == (0, 0)
    assert_sound(user)


def test_marking_all_of_a_lost_mailbox_that_cannot_be_made_raises(user, monkeypatch):
    """A mark that is not done must not look like one that is."""
    notify.send(user, "one")
    Mailbox.objects.all().delete()
    ensure = Failing(MailboxQuerySet.ensure, 1, OperationalError("database is locked"))
    monkeypatch.setattr(MailboxQuerySet, "ensure", lambda self, pks: ensure(self, pks))
    with pytest.raises(OperationalError):
        inbox.mark_read(user)


def test_marking_all_inside_a_transaction_takes_what_stood_at_the_call(user):
    """It is done after the commit; what the transaction itself has sent was shown to nobody."""
    notify.send(user, "one")
    with transaction.atomic():
        notify.send(user, "two")
        inbox.mark_read(user)
        assert inbox.counts(user) == (1, 1)
    assert [row.message for row in rows_of(user) if row.read_at] == ["one"]


def test_the_async_twins(user):
    """The same functions, awaited."""

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

    async_to_sync(use)()  # awaits them in this thread, on this connection
    assert Notification.objects.count() == 1
