"""Reading: pages, snapshots, resets, and the rows that a reader does not touch."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notify
from notify import inbox, mac
from notify.exceptions import ProtocolError
from notify.inbox import reader, upkeep
from notify.mailbox import marks
from notify.models import Mailbox
from notify.protocol import Cursor, Mark, TaskState, is_plausible, new_epoch
from notify.tracking import rows as task_rows
from notify.tracking.run import TaskRun
from tests.kit.mailboxes import (
    age,
    assert_sound,
    leave_waiting,
    mailbox_of,
    messages_of,
    on_the_wire,
    rows_of,
    shown,
    texts,
    waiting_of,
)

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def pages_of_three(monkeypatch):
    monkeypatch.setattr(reader, "PAGE_SIZE", 3)


# -- Changes -------------------------------------------------------------------------------------


def test_a_reader_gets_what_changed_since_its_cursor(user):
    """The rows arrive in the order of the changes, and the page ends at the head."""
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
    """Readers never see outdated states."""
    notification = notify.send(user, "old", key="k", data={"n": 1})
    since = Cursor(mailbox_of(user).epoch, 0)
    marks.mark(user.pk, Mark.SEEN, shown(notification))
    notify.send(user, "new", key="k", count=True)
    marks.mark(user.pk, Mark.DISMISSED, shown(*rows_of(user)))
    (row,) = inbox.changes(user, since).notifications
    assert (row.message, row.count, row.seen_at, row.data) == ("new", 2, None, None)
    assert row.dismissed_at is not None


def test_archived_rows_are_changes_too(user):
    """A tab that shows an archived row must remove it."""
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
    """A client sends it as text. Any other text raises ProtocolError."""
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
    assert inbox.snapshot(other_user) == reader.NOTHING
    since = Cursor(mailbox_of(user).epoch, 0)
    assert texts(inbox.changes(other_user, since)) == []


# -- Pages ---------------------------------------------------------------------------------------


def test_a_page_ends_at_its_last_row(user, pages_of_three):
    """A cursor below the head means that more pages follow. The last page ends at the head."""
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
    """Otherwise every reader would ask once more in vain."""
    for number in range(3):
        notify.send(user, f"{number}")
    marks.mark(user.pk, Mark.SEEN, shown(rows_of(user)[0]))
    page = inbox.changes(user, Cursor(mailbox_of(user).epoch, 0))
    assert len(page.notifications) == 3
    assert page.cursor == mailbox_of(user).cursor


def test_a_row_that_moves_between_pages_is_seen_in_its_final_state(user, pages_of_three):
    """
    A row that moves leaves the next page and arrives with the last one, even if it has been read
    before.
    """
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
    """A client must hold that many rows of one document."""
    with transaction.atomic():
        for number in range(101):
            notify.send(user, f"{number}")
    page = inbox.changes(user, Cursor(mailbox_of(user).epoch, 0))
    assert texts(page) == [f"{number}" for number in range(100)]
    assert page.cursor.position == rows_of(user)[99].position
    assert texts(inbox.changes(user, page.cursor)) == ["100"]
    assert texts(inbox.snapshot(user)) == [f"{number}" for number in range(1, 101)]


def test_instances_show_the_content_that_they_were_loaded_with(user, other_user):
    """Or what their rows hold now, if they were sent before the commit gave them a position."""
    old = notify.send(user, "old", key="k")
    with transaction.atomic():
        sent = notify.send(user, "sent")
        theirs = notify.send(other_user, "of another user")
    notify.send(user, "new", key="k")
    (waiting,) = leave_waiting(user, "waiting")
    stored = {row.message: row for row in rows_of(user)}
    assert reader.shown(user.pk, [old, sent, theirs, waiting]) == [
        (old.pk, old.arrived),
        (sent.pk, stored["sent"].arrived),
    ]
    assert stored["new"].arrived > old.arrived


# -- Snapshots -----------------------------------------------------------------------------------


def test_a_snapshot_is_what_stands(user):
    """A snapshot omits rows that are archived, or both seen and dismissed."""
    for message in ("new", "seen", "read", "dismissed", "over", "archived"):
        notify.send(user, message)
    by_message = {row.message: row for row in rows_of(user)}
    marks.mark(user.pk, Mark.ARCHIVED, shown(by_message["archived"]))
    marks.mark(user.pk, Mark.SEEN, shown(by_message["seen"], by_message["over"]))
    marks.mark(user.pk, Mark.READ, shown(by_message["read"]))
    marks.mark(user.pk, Mark.DISMISSED, shown(by_message["dismissed"], by_message["over"]))
    page = inbox.snapshot(user)
    assert texts(page) == ["new", "seen", "read", "dismissed"]  # in the order of arrival
    assert (page.since, page.reset) == (None, True)
    assert page.cursor == mailbox_of(user).cursor
    assert page.head == page.cursor.position
    assert page.counts == (2, 4)


def test_a_snapshot_holds_what_runs_even_where_it_is_hidden(user, other_user):
    """
    So every tab can show that the task is still running.

    Once it has ended, it is treated like other rows.
    """
    tasks = {name: TaskRun(user.pk, name) for name in ("runs", "ended", "archived")}
    for run in tasks.values():
        task_rows.save(run)
    task_rows.save(TaskRun(other_user.pk, "of somebody else"))
    tasks["ended"].state = TaskState.SUCCEEDED
    tasks["ended"].message = "done"
    task_rows.save(tasks["ended"])
    marks.mark(user.pk, Mark.SEEN, shown(*rows_of(user)))
    marks.mark(user.pk, Mark.DISMISSED, shown(*rows_of(user)))
    archived = [row for row in rows_of(user) if row.message == "archived"]
    marks.mark(user.pk, Mark.ARCHIVED, shown(*archived))
    assert texts(inbox.snapshot(user)) == ["runs"]


def test_a_snapshot_holds_the_newest(user, pages_of_three):
    """Rows are sorted by arrival: a mark does not make a row newer, but new content does."""
    rows = [notify.send(user, f"{number}", key=f"{number}") for number in range(6)]
    marks.mark(user.pk, Mark.SEEN, shown(rows[0]))
    notify.send(user, "1 again", key="1")
    page = inbox.snapshot(user)
    assert texts(page) == ["4", "5", "1 again"]
    assert page.cursor == mailbox_of(user).cursor


def test_a_user_without_a_mailbox_has_an_empty_snapshot(user):
    """There is no cursor, and no mailbox is created."""
    page = inbox.snapshot(user)
    assert page == reader.NOTHING
    assert page.changes().encode() == (
        '{"type":"changes","since":null,"cursor":null,"head":0,"reset":true,'
        '"counts":{"unseen":0,"unread":0},"notifications":[]}'
    )
    assert not Mailbox.objects.exists()


# -- Resets --------------------------------------------------------------------------------------


def foreign(box):
    """Cursors that this mailbox cannot continue, by their fault."""
    return {
        "an earlier epoch": Cursor("0" * 17, 1),
        "a later epoch of the site": Cursor(mac.new_epoch(box.pk, after=box.epoch), 1),
        "a later epoch, made up": Cursor(new_epoch(after=box.epoch), 1),
        "an epoch that no clock has made": Cursor("v" * 17, 1),
        "beyond the head": Cursor(box.epoch, box.head + 1),
        "below the floor": Cursor(box.epoch, box.floor - 1),
    }


@pytest.mark.parametrize(
    ("wrong", "new_life"),
    [
        ("an earlier epoch", False),
        ("a later epoch of the site", True),
        ("a later epoch, made up", False),
        ("an epoch that no clock has made", False),
        ("beyond the head", True),
        ("below the floor", False),
    ],
)
def test_a_cursor_that_cannot_be_continued_gives_a_reset(user, wrong, new_life):
    """If the site made it, a cursor ahead of the mailbox proves a restore, so a new epoch begins."""
    notify.send(user, "one")
    notify.send(user, "two")
    Mailbox.objects.update(floor=1)
    before = age(user)
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
    """Pruned rows were at or below the floor, so the reader knows of their removal."""
    notify.send(user, "one")
    notify.send(user, "two")
    Mailbox.objects.update(floor=1)
    page = inbox.changes(user, Cursor(mailbox_of(user).epoch, 1))
    assert (page.reset, texts(page)) == (False, ["two"])


def test_after_a_restored_backup_a_reader_begins_anew(user):
    """Positions are assigned a second time. The old cursor must not hide the second notification."""
    notify.send(user, "before the backup")
    backup = age(user)
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
    """The meaning of the old positions is unknown. The counts are those of the rows."""
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
    """A lost mailbox must not make an inbox look empty."""
    notify.send(user, "one")
    Mailbox.objects.all().delete()
    inbox.snapshot(user)
    assert inbox.counts(user) == mailbox_of(user).counts == (1, 1)


def test_counts_only_look(user, other_user):
    """A page with a badge writes nothing. Repairs are left to the readers of the rows."""
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
    """So the reader gets a cursor that can be continued."""
    page = inbox.changes(user, Cursor("0" * 17, 7))
    assert page.reset
    assert page.cursor == mailbox_of(user).cursor
    notify.send(user, "one")
    assert texts(inbox.changes(user, page.cursor)) == ["one"]


def test_a_user_who_is_gone_is_left_alone(user):
    """A tab that is still open reads nothing, and no mailbox is created."""
    notify.send(user, "one")
    pk, cursor = user.pk, mailbox_of(user).cursor
    get_user_model().objects.filter(pk=pk).delete()
    assert inbox.changes(pk, cursor) == reader.NOTHING
    assert inbox.counts(pk) == (0, 0)
    assert upkeep.look(pk).cursor is None
    assert upkeep.look_at([pk]) == []
    assert not Mailbox.objects.exists()


# -- Forgotten rows, and the caller's transaction ------------------------------------------------


@pytest.mark.parametrize("published_before", [True, False], ids=["mailbox", "no mailbox"])
def test_a_reader_publishes_forgotten_rows(user, published_before):
    """Such rows were left by a process that died between its commit and its publish."""
    if published_before:
        notify.send(user, "one")
    since = inbox.snapshot(user).cursor
    leave_waiting(user, "forgotten")
    assert upkeep.look(user.pk).waiting
    page = inbox.changes(user, since)
    assert texts(page) == ["forgotten"]
    assert waiting_of(user) == []
    assert_sound(user)


def test_a_reader_inside_a_transaction_never_publishes(user):
    """The caller may roll back, and the locks would block other transactions."""
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
    """This also holds if the user has rows."""
    notify.send(user, "one")
    cursor = mailbox_of(user).cursor
    Mailbox.objects.all().delete()
    with transaction.atomic():
        assert inbox.changes(user, cursor) == reader.NOTHING
        assert inbox.counts(user) == (0, 0)
        assert not Mailbox.objects.exists()


def test_without_autocommit_a_reader_never_publishes(user):
    """The publish would never be committed."""
    leave_waiting(user, "forgotten")
    transaction.set_autocommit(False)
    try:
        assert inbox.changes(user) == reader.NOTHING
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert waiting_of(user) == ["forgotten"]
    assert not Mailbox.objects.exists()
