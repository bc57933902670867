"""Marks change only rows that the user was shown. Expired rows are archived."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import patch

import pytest
from django.db import OperationalError, transaction

import notify
from notify import db, inbox, signals
from notify.mailbox import marks, outbox
from notify.models import Mailbox, MailboxQuerySet
from notify.protocol import Cursor, Mark, Undo, new_epoch
from tests.kit.mailboxes import (
    Failing,
    assert_sound,
    contention,
    leave_waiting,
    mailbox_of,
    messages_of,
    on_the_wire,
    rows_of,
    shown,
    waiting_of,
)
from tests.kit.sessions import rolled_back

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


def marked(user):
    """The messages with each mark."""
    rows = rows_of(user)
    return {
        name: sorted(row.message for row in rows if getattr(row, f"{name}_at"))
        for name in ("seen", "read", "archived", "dismissed")
    }


NOTHING = {"seen": [], "read": [], "archived": [], "dismissed": []}


# -- The effect of a mark -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "sets", "counts"),
    [
        (Mark.SEEN, ["seen"], (1, 2)),
        (Mark.READ, ["seen", "read"], (1, 1)),
        (Mark.ARCHIVED, ["seen", "read", "archived"], (1, 1)),
        (Mark.DISMISSED, ["dismissed"], (2, 2)),
    ],
)
def test_a_mark_sets_its_moments_and_counts(user, mark, sets, counts):
    """
    Read implies seen.

    Archived implies both, and the row no longer counts. Dismissed changes nothing else.
    """
    one = notify.send(user, "one")
    notify.send(user, "two")
    cursor = marks.mark(user.pk, mark, shown(one))
    assert marked(user) == NOTHING | {name: ["one"] for name in sets}
    assert mailbox_of(user).counts == counts
    assert cursor == mailbox_of(user).cursor == Cursor(mailbox_of(user).epoch, 3)
    assert messages_of(user) == ["two", "one"]  # its position is new
    assert [row.arrived for row in rows_of(user)] == [2, 1]  # its place on the screen is unchanged
    assert_sound(user)


def test_a_mark_keeps_the_moments_that_stand(user, clock):
    """A row that was seen an hour before it was read keeps that moment."""
    notification = notify.send(user, "one")
    marks.mark(user.pk, Mark.SEEN, shown(notification))
    clock.forward(hours=1)
    marks.mark(user.pk, Mark.ARCHIVED, shown(notification))
    (row,) = rows_of(user)
    assert row.archived_at - row.seen_at == row.read_at - row.seen_at == timedelta(hours=1)


@pytest.mark.parametrize("mark", Mark)
def test_a_mark_that_changes_nothing_gives_no_position_and_no_ring(user, mark, rings):
    """The answer is the current cursor."""
    notification = notify.send(user, "one")
    cursor = marks.mark(user.pk, mark, shown(notification))
    before = on_the_wire(rows_of(user))
    rings.clear()
    assert marks.mark(user.pk, mark, shown(notification)) == cursor
    assert marks.mark(user.pk, mark, [(notification.pk + 1, 99)]) == cursor
    assert marks.mark(user.pk, mark, upto=cursor) == cursor
    assert marks.mark(user.pk, mark) == cursor
    assert on_the_wire(rows_of(user)) == before
    assert mailbox_of(user).cursor == cursor
    assert rings == []


@pytest.mark.parametrize("mark", Mark)
def test_an_archived_row_takes_no_mark(user, mark):
    notification = notify.send(user, "one")
    cursor = marks.mark(user.pk, Mark.ARCHIVED, shown(notification))
    assert marks.mark(user.pk, mark, [(notification.pk, cursor.position)]) == cursor
    assert mailbox_of(user).counts == (0, 0)


def test_the_rows_of_others_are_never_touched(user, other_user):
    """The ids of other users' rows, which a client may send, are ignored."""
    mine, foreign = notify.send_many([user, other_user], "one")
    before = on_the_wire(rows_of(other_user))
    for mark in Mark:
        marks.mark(user.pk, mark, [(foreign.pk, 99)], upto=mailbox_of(other_user).cursor)
    assert on_the_wire(rows_of(other_user)) == before
    assert marked(user) == NOTHING
    assert mailbox_of(other_user).counts == mailbox_of(user).counts == (1, 1)
    assert mine.pk == rows_of(user)[0].pk


def test_without_a_mailbox_nothing_is_marked(user):
    assert marks.mark(user.pk, Mark.READ, [(1, 1)]) is None
    assert not Mailbox.objects.exists()


# -- Shown versions ------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", Mark)
def test_what_was_merged_into_a_row_after_it_was_shown_stays_new(user, mark):
    """The pair contains the arrival of the content that the user saw."""
    old = notify.send(user, "old", key="k")
    notify.send(user, "new", key="k")
    marks.mark(user.pk, mark, shown(old))
    assert marked(user) == NOTHING
    assert mailbox_of(user).counts == (1, 1)
    marks.mark(user.pk, mark, shown(*rows_of(user)))
    assert marked(user) != NOTHING


def test_a_row_that_was_only_marked_meanwhile_is_still_the_one_shown(user):
    """Marks move the position, not the arrival."""
    notification = notify.send(user, "one")
    marks.mark(user.pk, Mark.SEEN, shown(notification))
    marks.mark(user.pk, Mark.DISMISSED, shown(notification))
    marks.mark(user.pk, Mark.READ, shown(notification))
    assert marked(user) == {"seen": ["one"], "read": ["one"], "archived": [], "dismissed": ["one"]}


def test_a_mark_of_all_ends_at_its_cursor(user):
    """Rows that arrived after the client's cursor stay unread."""
    notify.send(user, "one")
    notify.send(user, "two")
    cursor = mailbox_of(user).cursor
    notify.send(user, "three")
    marks.mark(user.pk, Mark.READ, upto=cursor)
    assert marked(user)["read"] == ["one", "two"]
    assert mailbox_of(user).counts == (1, 1)


def test_a_mark_of_all_takes_a_row_whose_position_has_moved_on(user):
    """A row that was marked in another tab has a position beyond the cursor, but its arrival counts."""
    one = notify.send(user, "one")
    cursor = mailbox_of(user).cursor
    marks.mark(user.pk, Mark.SEEN, shown(one))
    marks.mark(user.pk, Mark.READ, upto=cursor)
    assert marked(user)["read"] == ["one"]


def test_a_mark_of_all_takes_pairs_beyond_its_cursor_too(user):
    """They are rows that the client shows above the cursor up to which it is complete."""
    notify.send(user, "one")
    cursor = mailbox_of(user).cursor
    two = notify.send(user, "two")
    notify.send(user, "three")
    marks.mark(user.pk, Mark.ARCHIVED, shown(two), upto=cursor)
    assert marked(user)["archived"] == ["one", "two"]
    assert_sound(user)


def test_pairs_of_another_epoch_mark_nothing(user):
    """After a restored backup, the same id and arrival may belong to another content."""
    one = notify.send(user, "one")
    before = mailbox_of(user).cursor
    for epoch in (new_epoch(), "0" * 17):
        assert marks.mark(user.pk, Mark.READ, shown(one), epoch=epoch) == before
    assert marked(user)["read"] == []
    marks.mark(user.pk, Mark.READ, shown(one), epoch=before.epoch)
    assert marked(user)["read"] == ["one"]


def test_a_mark_of_all_with_a_foreign_epoch_marks_nothing(user):
    """Its position belongs to another history of the mailbox."""
    notify.send(user, "one")
    for epoch in (new_epoch(), "0" * 17, "v" * 17):
        marks.mark(user.pk, Mark.READ, upto=Cursor(epoch, 99))
    assert marked(user) == NOTHING


def test_a_waiting_row_takes_no_mark(user):
    """It has not been shown yet."""
    notify.send(user, "one")
    (waiting,) = leave_waiting(user, "two")
    marks.mark(user.pk, Mark.READ, [(waiting.pk, 99)], upto=mailbox_of(user).cursor)
    outbox.publish([user.pk])
    assert marked(user)["read"] == ["one"]
    assert mailbox_of(user).counts == (1, 1)


# -- Transactions --------------------------------------------------------------------------------


def test_inside_a_transaction_a_mark_is_done_after_the_commit(user, rings):
    """So it holds no lock for which others wait."""
    notification = notify.send(user, "one")
    rings.clear()
    with transaction.atomic():
        assert marks.mark(user.pk, Mark.READ, shown(notification)) is None
        assert marked(user) == NOTHING
    assert marked(user)["read"] == ["one"]
    assert len(rings) == 1


def test_a_mark_in_a_transaction_that_rolls_back_is_not_done(user):
    notification = notify.send(user, "one")
    with rolled_back():
        marks.mark(user.pk, Mark.READ, shown(notification))
    with transaction.atomic(), rolled_back():
        marks.mark(user.pk, Mark.SEEN, shown(notification))
    assert marked(user) == NOTHING


def test_a_mark_after_the_commit_that_fails_is_logged_and_not_raised(user, monkeypatch, caplog):
    """The caller's transaction is already committed."""
    notification = notify.send(user, "one")
    lock = Failing(MailboxQuerySet.lock, 1, OperationalError("the server went away"))
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    with transaction.atomic():
        marks.mark(user.pk, Mark.READ, shown(notification))
    assert "the server went away" in caplog.text
    assert marked(user) == NOTHING


def test_without_autocommit_a_mark_rings_nobody(user, rings):
    """It is committed with the caller's work, and no ring may be sent before that commit."""
    notification = notify.send(user, "one")
    rings.clear()
    transaction.set_autocommit(False)
    try:
        marks.mark(user.pk, Mark.DISMISSED, shown(notification))
        transaction.commit()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert marked(user) == NOTHING | {"dismissed": ["one"]}
    assert rings == []


@pytest.mark.parametrize("times", [1, 4])
def test_a_mark_that_meets_a_deadlock_is_tried_again(user, times, monkeypatch):
    notification = notify.send(user, "one")
    lock = Failing(MailboxQuerySet.lock, times, contention())
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    marks.mark(user.pk, Mark.READ, shown(notification))
    assert lock.calls == times + 1
    assert marked(user)["read"] == ["one"]


# -- Many rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "listed"), [(100, True), (101, False)])
def test_a_mark_of_more_than_100_rows_rings_only_the_cursor(user, rows, listed, rings):
    """It is one change of the mailbox, and the readers read the rows."""
    with transaction.atomic():
        for number in range(rows):
            notify.send(user, f"{number}")
    rings.clear()
    marks.mark(user.pk, Mark.SEEN, upto=mailbox_of(user).cursor)
    (ring,) = rings
    assert ring.cursor == mailbox_of(user).cursor
    assert ring.counts == mailbox_of(user).counts == (0, rows)
    if listed:
        assert on_the_wire(ring.notifications) == on_the_wire(rows_of(user))
    else:
        assert ring.rows is None
    assert_sound(user)


def test_marks_in_any_order_never_give_a_position_twice(user):
    """A single UPDATE moves rows whose positions are no longer in the order of their ids."""
    with transaction.atomic():
        for number in range(30):
            notify.send(user, f"{number}")
    with patch.object(db, "PUBLISH_BATCH_SIZE", 7):
        for step, mark in enumerate([Mark.SEEN, Mark.DISMISSED, Mark.READ, Mark.ARCHIVED]):
            head = mailbox_of(user).head
            rows = rows_of(user)
            chosen = rows[:: step + 2] + rows[-1:]
            marks.mark(user.pk, mark, shown(*chosen))
            moved = [row for row in rows_of(user) if row.position > head]
            assert {row.pk for row in moved} == {row.pk for row in chosen}
            assert_sound(user)
        marks.mark(user.pk, Mark.ARCHIVED, upto=mailbox_of(user).cursor)
    assert mailbox_of(user).counts == (0, 0)
    assert len(marked(user)["archived"]) == 30
    assert_sound(user)


# -- Expiry --------------------------------------------------------------------------------------


def test_what_has_expired_is_archived_by_the_next_reader(user, clock, rings):
    """The row no longer counts, and the mailbox is due at the next expiry."""
    notify.send(user, "for ever")
    notify.send(user, "an hour", expires=timedelta(hours=1))
    later = notify.send(user, "a day", expires=timedelta(days=1))
    rings.clear()
    assert mailbox_of(user).due == clock.moment + timedelta(hours=1)
    clock.forward(minutes=59)
    inbox.changes(user)
    assert rings == []
    clock.forward(minutes=1)
    page = inbox.changes(user)
    assert [row.message for row in page.notifications] == ["for ever", "a day"]
    assert page.counts == (2, 2)
    assert marked(user)["archived"] == ["an hour"]
    assert mailbox_of(user).due == later.expires_at
    assert [row.message for row in rings[0].notifications] == ["an hour"]
    assert_sound(user)


def test_a_due_that_came_too_early_is_reckoned_anew(user, clock, rings):
    """Marking or merging the row that was due does not change it. The next upkeep corrects it."""
    notification = notify.send(user, "an hour", expires=timedelta(hours=1))
    later = notify.send(user, "a day", expires=timedelta(days=1))
    marks.mark(user.pk, Mark.ARCHIVED, shown(notification))
    cursor = mailbox_of(user).cursor
    rings.clear()
    clock.forward(hours=2)
    marks.expire(user.pk)
    assert mailbox_of(user).due == later.expires_at
    assert mailbox_of(user).cursor == cursor
    assert rings == []
    clock.forward(days=2)
    marks.expire(user.pk)
    assert mailbox_of(user).due is None
    assert mailbox_of(user).counts == (0, 0)


def test_a_waiting_row_expires_after_it_was_published(user, clock):
    """The next reader archives it."""
    leave_waiting(user, "late", expires_at=clock.moment + timedelta(hours=1))
    clock.forward(hours=2)
    inbox.changes(user)
    assert waiting_of(user) == []
    inbox.changes(user)
    assert marked(user)["archived"] == ["late"]
    assert_sound(user)


@pytest.mark.parametrize("several", [False, True], ids=["send", "send_many"])
def test_the_earliest_expiry_is_due(user, other_user, several, clock):
    """This also holds if a later expiry, or none, is sent afterwards."""
    for hours in (3, 1, 2, None):
        expires = hours and timedelta(hours=hours)
        to = [user, other_user] if several else [user]
        notify.send_many(to, "x", expires=expires)
    assert mailbox_of(user).due == clock.moment + timedelta(hours=1)


# -- Undo ----------------------------------------------------------------------------------------


def test_unread_takes_back_the_reading_alone(user, rings):
    row = notify.send(user, "one")
    marks.mark(user.pk, Mark.READ, shown(row))
    cursor = marks.mark(user.pk, Undo.UNREAD, shown(row))
    assert marked(user) == NOTHING | {"seen": ["one"]}
    assert mailbox_of(user).counts == (0, 1)
    assert cursor == mailbox_of(user).cursor
    assert [row.read_at for row in rings[-1].rows] == [None]
    assert_sound(user)


@pytest.mark.parametrize(
    ("before", "counts"), [([], (1, 1)), ([Mark.SEEN], (0, 1)), ([Mark.READ], (0, 0))]
)
def test_unarchive_restores_what_archiving_has_changed(user, before, counts):
    row = notify.send(user, "one")
    for mark in before:
        marks.mark(user.pk, mark, shown(row))
    (was,) = rows_of(user)
    marks.mark(user.pk, Mark.ARCHIVED, shown(row))
    marks.mark(user.pk, Undo.UNARCHIVE, shown(row))
    (now,) = rows_of(user)
    assert (now.seen_at, now.read_at, now.archived_at) == (was.seen_at, was.read_at, None)
    assert mailbox_of(user).counts == counts
    assert_sound(user)


def test_no_toast_comes_back_with_an_unarchived_row(user):
    row = notify.send(user, "one")
    marks.mark(user.pk, Mark.ARCHIVED, shown(row))
    marks.mark(user.pk, Undo.UNARCHIVE, shown(row))
    assert marked(user) == NOTHING | {"dismissed": ["one"]}


@pytest.mark.parametrize("undo", Undo)
def test_an_undo_of_what_was_not_marked_changes_nothing(user, undo, rings):
    row = notify.send(user, "one")
    before = len(rings)
    cursor = marks.mark(user.pk, undo, shown(row))
    assert cursor == mailbox_of(user).cursor
    assert (rows_of(user)[0].position, len(rings)) == (row.position, before)


def test_an_archived_row_does_not_become_unread(user):
    row = notify.send(user, "one")
    marks.mark(user.pk, Mark.ARCHIVED, shown(row))
    marks.mark(user.pk, Undo.UNREAD, shown(row))
    assert marked(user) == {"seen": ["one"], "read": ["one"], "archived": ["one"], "dismissed": []}


def test_an_undo_takes_no_content_that_came_later(user):
    row = notify.send(user, "one", key="k")
    marks.mark(user.pk, Mark.READ, shown(row))
    pairs = shown(row)
    marks.mark(user.pk, Mark.READ, shown(notify.send(user, "two", key="k")))
    marks.mark(user.pk, Undo.UNREAD, pairs)
    assert marked(user) == NOTHING | {"seen": ["two"], "read": ["two"]}


def test_the_expiry_of_an_unarchived_row_is_due_again(user, clock):
    row = notify.send(user, "one", expires=timedelta(hours=1))
    marks.mark(user.pk, Mark.ARCHIVED, shown(row))
    marks.mark(user.pk, Undo.UNARCHIVE, shown(row))
    assert mailbox_of(user).due == row.expires_at
    clock.forward(hours=2)
    inbox.changes(user)
    marks.mark(user.pk, Undo.UNARCHIVE, shown(row))
    assert marked(user)["archived"] == ["one"]
    assert mailbox_of(user).due is None


def test_a_row_that_another_with_its_key_has_replaced_stays_archived(user):
    old = notify.send(user, "old", key="k")
    marks.mark(user.pk, Mark.ARCHIVED, shown(old))
    newer = notify.send(user, "newer", key="k")
    marks.mark(user.pk, Undo.UNARCHIVE, shown(old))
    assert marked(user)["archived"] == ["old"]
    marks.mark(user.pk, Mark.ARCHIVED, shown(newer))
    marks.mark(user.pk, Undo.UNARCHIVE, shown(old, newer))
    assert marked(user)["archived"] == ["old"]
    assert_sound(user)


# -- Signals -------------------------------------------------------------------------------------


@pytest.fixture
def told():
    """The signals of marks that were sent, with the messages of their rows."""
    found = []

    def note(signal, notifications, **kwargs):
        name = next(
            name for name in ("seen", "read", "archived") if signal is getattr(signals, name)
        )
        assert all(row.position for row in notifications or ())
        assert not transaction.get_connection().in_atomic_block
        found.append((name, notifications and [row.message for row in notifications]))

    for signal in (signals.seen, signals.read, signals.archived):
        signal.connect(note)
    yield found
    for signal in (signals.seen, signals.read, signals.archived):
        signal.disconnect(note)


def test_each_mark_is_told_once_for_the_rows_that_lacked_it(user, told):
    one, two = notify.send(user, "one"), notify.send(user, "two")
    marks.mark(user.pk, Mark.SEEN, shown(one))
    marks.mark(user.pk, Mark.SEEN, shown(one))
    assert told == [("seen", ["one"])]
    told.clear()
    marks.mark(user.pk, Mark.READ, shown(one, two))
    assert told == [("seen", ["two"]), ("read", ["one", "two"])]
    told.clear()
    marks.mark(user.pk, Mark.ARCHIVED, shown(one))
    marks.mark(user.pk, Mark.DISMISSED, shown(two))
    marks.mark(user.pk, Undo.UNARCHIVE, shown(one))
    marks.mark(user.pk, Undo.UNREAD, shown(two))
    assert told == [("archived", ["one"])]


def test_an_expiry_is_told_as_archived(user, told, clock):
    notify.send(user, "one", expires=timedelta(minutes=1))
    clock.forward(minutes=2)
    inbox.changes(user)
    assert told == [("seen", ["one"]), ("read", ["one"]), ("archived", ["one"])]


def test_a_mark_of_more_than_100_rows_is_told_without_them(user, told):
    for number in range(101):
        notify.send(user, str(number))
    marks.mark(user.pk, Mark.SEEN, upto=mailbox_of(user).cursor)
    assert told == [("seen", None)]


def test_without_autocommit_no_mark_is_told(user, told):
    """The moment of the commit is unknown."""
    row = notify.send(user, "one")
    transaction.set_autocommit(False)
    try:
        marks.mark(user.pk, Mark.SEEN, shown(row))
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert told == []


def test_a_mark_that_rolls_back_is_not_told(user, told):
    row = notify.send(user, "one")
    with rolled_back():
        marks.mark(user.pk, Mark.SEEN, shown(row))
    assert told == []
