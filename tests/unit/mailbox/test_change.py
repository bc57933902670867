"""The only way to take positions: under the lock, saved with the rows, and rung after the commit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notify
from notify import doorbell, signals
from notify.mailbox.change import locked
from notify.models import Mailbox, Notification
from notify.protocol import new_epoch
from tests.kit.mailboxes import assert_sound, leave_waiting, mailbox_of, rows_of

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def emitted():
    """The published pages, by recipient and rows."""
    found = []

    def note(recipient_id, notifications, **kwargs):
        found.append((recipient_id, notifications))

    signals.published.connect(note)
    yield found
    signals.published.disconnect(note)


def place(user, message, **options):
    """Place a new row at the next position, as every writer does."""
    (row,) = leave_waiting(user, message)
    with locked([user.pk], **options) as change:
        change.mailboxes[user.pk].add(row)
        row.save()
    return row


@pytest.fixture
def mailboxes(user, other_user):
    Mailbox.objects.ensure([user.pk, other_user.pk])


def test_a_position_is_given_saved_rung_and_published(user, mailboxes, rings, emitted):
    row = place(user, "one")
    assert (row.position, row.arrived) == (1, 1)
    assert (mailbox_of(user).head, mailbox_of(user).counts) == (1, (1, 1))
    (ring,) = rings
    assert (ring.since.position, ring.cursor, ring.head) == (0, mailbox_of(user).cursor, 1)
    assert (ring.recipient_id, ring.rows, ring.counts) == (user.pk, [row], (1, 1))
    assert emitted == [(user.pk, [row])]
    assert_sound(user)


def test_the_ring_leaves_after_the_commit(user, mailboxes, monkeypatch):
    """A reader that was rung earlier would find nothing, and wait for the sweep."""
    open_at_ring = []
    monkeypatch.setattr(
        doorbell, "ring", lambda pages: open_at_ring.append(connection.in_atomic_block)
    )
    place(user, "one")
    assert open_at_ring == [False]


def test_a_change_that_fails_leaves_nothing_and_rings_nobody(user, mailboxes, rings, emitted):
    def fail() -> None:
        with locked([user.pk]) as change:
            change.mailboxes[user.pk].add(Notification(recipient=user, message="one"))
            change.save()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert mailbox_of(user).head == 0
    assert rings == emitted == []


def test_where_the_caller_commits_by_hand_nobody_is_rung(user, mailboxes, rings, emitted):
    """The moment of the caller's commit is unknown."""
    transaction.set_autocommit(False)
    try:
        place(user, "one")
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert [row.message for row in rows_of(user)] == ["one"]
    assert rings == emitted == []


def test_inside_a_transaction_of_the_caller_it_refuses(user, mailboxes):
    """The lock would be held until the caller's commit, and the ring would be sent before it."""
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        place(user, "one")


def test_what_changes_nothing_writes_and_rings_nothing(user, other_user, mailboxes, rings):
    with CaptureQueriesContext(connection) as context, locked([user.pk, other_user.pk]):
        pass
    first_write = 1 if connection.features.has_select_for_update else 2
    writes = [query for query in context.captured_queries if query["sql"].startswith("UPDATE")]
    assert len(writes) == first_write - 1
    assert rings == []


def test_a_user_without_a_mailbox_is_left_out(user):
    with locked([user.pk]) as change:
        assert change.mailboxes == {}
        assert change.mailbox is None


def test_the_mailbox_of_a_change_is_the_first_that_it_has_locked(user, mailboxes):
    with locked([user.pk]) as change:
        assert change.mailbox is change.mailboxes[user.pk]


def test_renewed_rows_count_again_and_placed_rows_do_not(user, mailboxes, rings):
    row = place(user, "one")
    with locked([user.pk]) as change:
        row.seen_at = row.read_at = timezone.now()
        change.mailboxes[user.pk].box.unseen = change.mailboxes[user.pk].box.unread = 0
        change.mailboxes[user.pk].place(row)
        row.save()
    assert (row.position, row.arrived, mailbox_of(user).counts) == (2, 1, (0, 0))
    with locked([user.pk]) as change:
        change.mailboxes[user.pk].renew(row)
        row.save()
    assert (row.position, row.arrived, row.seen_at) == (3, 3, None)
    assert mailbox_of(user).counts == (1, 1)
    assert_sound(user)


def test_an_archived_row_is_placed_and_not_counted(user, mailboxes):
    (row,) = leave_waiting(user, "one", archived_at=timezone.now())
    for position, method in enumerate(["add", "renew"], start=1):
        with locked([user.pk]) as change:
            getattr(change.mailbox, method)(row)
            row.save()
        assert (row.position, row.arrived) == (position, position)
        assert mailbox_of(user).counts == (0, 0)
    assert_sound(user)


def test_a_shift_lies_above_the_head_and_keeps_the_order(user, mailboxes):
    rows = [place(user, f"{number}") for number in range(3)]
    ids = [rows[0].pk, rows[2].pk]
    with locked([user.pk]) as change:
        shift = change.mailboxes[user.pk].shift_for(ids)
    assert [pk + shift for pk in ids] == [4, 4 + ids[1] - ids[0]]
    assert mailbox_of(user).head == ids[1] + shift


def test_many_mailboxes_that_move_alike_are_saved_in_one_statement(user, other_user, mailboxes):
    """The statement also sets due, which may only become earlier."""
    now = timezone.now()
    for hours, due in ((3, 3), (5, 3), (None, 3), (1, 1)):
        expires = hours and now + timedelta(hours=hours)
        with locked([user.pk, other_user.pk]) as change:
            for pk, mailbox in change.mailboxes.items():
                mailbox.add(Notification(recipient_id=pk, message="x", expires_at=expires))
            with CaptureQueriesContext(connection) as context:
                change.save()
        assert len(context) == 1
        assert mailbox_of(user).due == now + timedelta(hours=due)
    assert mailbox_of(user).head == 4
    assert mailbox_of(user).counts == mailbox_of(other_user).counts == (4, 4)


def test_new_epochs_of_many_mailboxes_are_saved_in_one_statement(user, other_user, mailboxes):
    with locked([user.pk, other_user.pk]) as change:
        for mailbox in change.mailboxes.values():
            mailbox.box.epoch = new_epoch(after=mailbox.box.epoch)
        given = {pk: mailbox.box.epoch for pk, mailbox in change.mailboxes.items()}
        with CaptureQueriesContext(connection) as context:
            change.save()
    assert len([each for each in context.captured_queries if "UPDATE" in each["sql"]]) == 1
    assert {one.pk: mailbox_of(one).epoch for one in (user, other_user)} == given


def test_one_that_emits_nothing_is_rung_all_the_same(user, mailboxes, rings, emitted):
    """A send first emits ``sent``, and then publishes its pages itself."""
    place(user, "one", emits=False)
    assert len(rings) == 1
    assert emitted == []


def test_a_send_takes_the_same_way(user, other_user, rings, emitted):
    sent = notify.send_many([user, other_user], "Hello")
    rows = {row.recipient_id: [row] for row in sent}
    assert {ring.recipient_id: ring.rows for ring in rings} == rows
    assert len(emitted) == 2
    assert dict(emitted) == rows
