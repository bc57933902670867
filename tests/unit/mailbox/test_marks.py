"""Marks touch what the user was shown, and nothing else; expiry archives."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.test import override_settings
from django.utils import timezone

import notify
from notify.inbox import reader as inbox
from notify.mailbox import marks, outbox
from notify.models import Mailbox, MailboxQuerySet, Notification
from notify.protocol import Cursor, Mark, is_plausible, new_epoch
from tests.kit.mailboxes import (
    Failing,
    assert_sound,
    contention,
    leave_waiting,
    mailbox_of,
    messages_of,
    on_the_wire,
    rows_of,
    waiting_of,
)
from tests.kit.sessions import rolled_back

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def clock(monkeypatch):
    """Django's clock, which a test may set forward."""

    class Clock:
        moment = timezone.now()

        def forward(self, **delta):
            self.moment += timedelta(**delta)

    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.moment)
    return clock


def shown(*rows):
    return [(row.pk, row.arrived) for row in rows]


def marked(user):
    """The messages that carry each mark."""
    rows = rows_of(user)
    return {
        name: sorted(row.message for row in rows if getattr(row, f"{name}_at"))
        for name in ("seen", "read", "archived", "dismissed")
    }


NOTHING = {"seen": [], "read": [], "archived": [], "dismissed": []}


# -- What a mark does ----------------------------------------------------------------------------


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
    """Read implies seen; archived implies both, and leaves the counts; dismissed only closes."""
    one = notify.send(user, "one")
    notify.send(user, "two")
    cursor = marks.mark(user.pk, mark, shown(one))
    assert marked(user) == NOTHING | {name: ["one"] for name in sets}
    assert mailbox_of(user).counts == counts
    assert cursor == mailbox_of(user).cursor == Cursor(mailbox_of(user).epoch, 3)
    assert messages_of(user) == ["two", "one"]  # its position is new
    assert [row.arrived for row in rows_of(user)] == [2, 1]  # its place on the screen is not
    assert_sound(user)


def test_a_mark_keeps_the_moments_that_stand(user, clock):
    """What was seen an hour before it was read keeps that moment."""
    notification = notify.send(user, "one")
    marks.mark(user.pk, Mark.SEEN, shown(notification))
    clock.forward(hours=1)
    marks.mark(user.pk, Mark.ARCHIVED, shown(notification))
    (row,) = rows_of(user)
    assert row.archived_at - row.seen_at == row.read_at - row.seen_at == timedelta(hours=1)


@pytest.mark.parametrize("mark", Mark)
def test_a_mark_that_changes_nothing_gives_no_position_and_no_ring(user, mark, rings):
    """The answer is the cursor that stands."""
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
    """It is done."""
    notification = notify.send(user, "one")
    cursor = marks.mark(user.pk, Mark.ARCHIVED, shown(notification))
    assert marks.mark(user.pk, mark, [(notification.pk, cursor.position)]) == cursor
    assert mailbox_of(user).counts == (0, 0)


def test_the_rows_of_others_are_never_touched(user, other_user):
    """Whatever ids a client sends."""
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


# -- What was shown ------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", Mark)
def test_what_was_merged_into_a_row_after_it_was_shown_stays_new(user, mark):
    """The pair carries the place at which the content came that the user saw."""
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
    """What arrived after the cursor that the client held stays new."""
    notify.send(user, "one")
    notify.send(user, "two")
    cursor = mailbox_of(user).cursor
    notify.send(user, "three")
    marks.mark(user.pk, Mark.READ, upto=cursor)
    assert marked(user)["read"] == ["one", "two"]
    assert mailbox_of(user).counts == (1, 1)


def test_a_mark_of_all_takes_a_row_whose_position_has_moved_on(user):
    """A row marked in another tab has a position beyond the cursor; its arrival counts."""
    one = notify.send(user, "one")
    cursor = mailbox_of(user).cursor
    marks.mark(user.pk, Mark.SEEN, shown(one))
    marks.mark(user.pk, Mark.READ, upto=cursor)
    assert marked(user)["read"] == ["one"]


def test_a_mark_of_all_takes_pairs_beyond_its_cursor_too(user):
    """What the client shows above the cursor at which it was complete."""
    notify.send(user, "one")
    cursor = mailbox_of(user).cursor
    two = notify.send(user, "two")
    notify.send(user, "three")
    marks.mark(user.pk, Mark.ARCHIVED, shown(two), upto=cursor)
    assert marked(user)["archived"] == ["one", "two"]
    assert_sound(user)


def test_pairs_of_another_epoch_mark_nothing(user):
    """After a restored backup the same id and arrived may be those of another content."""
    one = notify.send(user, "one")
    before = mailbox_of(user).cursor
    for epoch in (new_epoch(), "0" * 17):
        assert marks.mark(user.pk, Mark.READ, shown(one), epoch=epoch) == before
    assert marked(user)["read"] == []
    marks.mark(user.pk, Mark.READ, shown(one), epoch=before.epoch)
    assert marked(user)["read"] == ["one"]


def test_a_mark_of_all_with_a_foreign_epoch_marks_nothing(user):
    """Its position belongs to another life of the mailbox."""
    notify.send(user, "one")
    for epoch in (new_epoch(), "0" * 17, "v" * 17):
        marks.mark(user.pk, Mark.READ, upto=Cursor(epoch, 99))
    assert marked(user) == NOTHING


def test_a_waiting_row_takes_no_mark(user):
    """Nobody was shown it."""
    notify.send(user, "one")
    (waiting,) = leave_waiting(user, "two")
    marks.mark(user.pk, Mark.READ, [(waiting.pk, 99)], upto=mailbox_of(user).cursor)
    outbox.publish([user.pk])
    assert marked(user)["read"] == ["one"]
    assert mailbox_of(user).counts == (1, 1)


# -- Transactions --------------------------------------------------------------------------------


def test_inside_a_transaction_a_mark_is_done_after_the_commit(user, rings):
    """So that it holds no lock that others wait for."""
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
    """The caller's transaction is committed already."""
    notification = notify.send(user, "one")
    lock = Failing(MailboxQuerySet.lock, 1, OperationalError("the server went away"))
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    with transaction.atomic():
        marks.mark(user.pk, Mark.READ, shown(notification))
    assert "the server went away" in caplog.text
    assert marked(user) == NOTHING


def test_without_autocommit_a_mark_rings_nobody(user, rings):
    """It is done with the caller's work, and no ring may precede that commit."""
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
    """It is one change of the mailbox; who hears it reads the rows."""
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
        assert ring.notifications is None
    assert_sound(user)


def test_marks_in_any_order_never_give_a_position_twice(user):
    """One UPDATE moves rows whose ids and positions have long lost their order."""
    with transaction.atomic():
        for number in range(30):
            notify.send(user, f"{number}")
    with override_settings(NOTIFY_PUBLISH_BATCH_SIZE=7):
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
    """It leaves the counts, and the mailbox is due at the next expiry."""
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
    """Marking or collapsing the row that was due leaves it; the next expiry mends it."""
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
    """Whoever looks next archives it."""
    leave_waiting(user, "late", expires_at=clock.moment + timedelta(hours=1))
    clock.forward(hours=2)
    inbox.changes(user)
    assert waiting_of(user) == []
    inbox.changes(user)
    assert marked(user)["archived"] == ["late"]
    assert_sound(user)


@pytest.mark.parametrize("several", [False, True], ids=["send", "send_many"])
def test_the_earliest_expiry_is_due(user, other_user, several, clock):
    """Also when a later one, or none, is sent afterwards."""
    for hours in (3, 1, 2, None):
        expires = hours and timedelta(hours=hours)
        to = [user, other_user] if several else [user]
        notify.send_many(to, "x", expires=expires)
    assert mailbox_of(user).due == clock.moment + timedelta(hours=1)


# -- A new epoch ---------------------------------------------------------------------------------


def test_a_cursor_beyond_the_head_starts_a_new_epoch(user, monkeypatch):
    """Above both the mailbox's and the reader's, so that every reader begins anew."""
    notify.send(user, "one")
    box = mailbox_of(user)
    with monkeypatch.context() as another_clock:  # the reader's server was an hour ahead
        in_an_hour = time.time() + 3600
        another_clock.setattr(time, "time", lambda: in_an_hour)
        later = new_epoch()
    for beyond in (Cursor(box.epoch, box.head + 1), Cursor(later, 1)):
        marks.start_over(user.pk, beyond)
        assert mailbox_of(user).epoch > max(box.epoch, beyond.epoch)
        assert mailbox_of(user).cursor > beyond
        assert is_plausible(mailbox_of(user).epoch)
    assert mailbox_of(user).head == box.head


def test_a_cursor_that_the_mailbox_has_reached_keeps_the_epoch(user):
    """Two readers may ask at once; the second finds a mailbox above its cursor."""
    notify.send(user, "one")
    box = mailbox_of(user)
    marks.start_over(user.pk, box.cursor)
    marks.start_over(user.pk, Cursor("0" * 17, 99))
    assert mailbox_of(user).epoch == box.epoch
    assert connection.in_atomic_block is False
    assert Notification.objects.count() == 1


def test_a_new_epoch_is_rung(user, rings):
    """Without rows, so that the tabs of every process read at once, not at their next sweep."""
    notify.send(user, "one")
    before = mailbox_of(user)
    rings.clear()
    marks.start_over(user.pk, Cursor(before.epoch, before.head + 1))
    (ring,) = rings
    assert (ring.recipient, ring.notifications, ring.counts) == (user.pk, None, (1, 1))
    assert (ring.since, ring.cursor) == (before.cursor, mailbox_of(user).cursor)
    rings.clear()
    marks.start_over(user.pk, before.cursor)
    assert rings == []


def test_a_new_epoch_that_meets_a_deadlock_is_tried_again(user, monkeypatch):
    notify.send(user, "one")
    before = mailbox_of(user)
    lock = Failing(MailboxQuerySet.lock, 4, contention())
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    marks.start_over(user.pk, Cursor(before.epoch, before.head + 1))
    assert mailbox_of(user).epoch > before.epoch
