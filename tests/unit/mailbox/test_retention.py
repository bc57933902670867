"""Retention: old rows are archived, and later deleted, without any reader missing a change."""

from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notify
from notify import inbox
from notify.mailbox import marks, retention
from notify.mailbox.retention import Pruned
from notify.models import Mailbox, MailboxQuerySet, Notification, TaskRecord
from notify.protocol import Mark
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
from tests.kit.patience import PATIENCE
from tests.kit.sessions import concurrent, sessions

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


def archived_of(user):
    return [row.message for row in rows_of(user) if row.archived_at]


def send(user, *messages):
    return [notify.send(user, message) for message in messages]


# -- Deleting ------------------------------------------------------------------------------------


def test_what_was_archived_long_ago_is_deleted(user, other_user, clock):
    """Nothing else is deleted, for any user."""
    one, two, _ = send(user, "one", "two", "three")
    (other,) = send(other_user, "other")
    inbox.mark_archived(user, [one])
    inbox.mark_archived(other_user, [other])
    clock.forward(days=20)
    inbox.mark_archived(user, [two])
    clock.forward(days=11)
    assert retention.run() == Pruned(deleted=2)
    assert messages_of(user) == ["three", "two"]
    assert messages_of(other_user) == []
    assert_sound(user)
    assert_sound(other_user)


def test_the_floor_is_the_highest_position_deleted(user, clock):
    """The head does not change. Remaining rows may be below and above the floor."""
    one, two, three = send(user, "one", "two", "three")
    inbox.mark_archived(user, [one, two])
    highest = max(row.position for row in rows_of(user) if row.archived_at)
    clock.forward(days=31)
    inbox.mark_read(user, [three])
    before = mailbox_of(user)
    assert retention.run().deleted == 2
    after = mailbox_of(user)
    assert after.floor == highest < after.head
    assert (after.cursor, after.counts) == (before.cursor, before.counts)


def test_the_floor_is_never_lowered(user, clock):
    """A recreated mailbox has its floor above the rows."""
    (one,) = send(user, "one")
    inbox.mark_archived(user, [one])
    Mailbox.objects.update(floor=40, head=50)
    clock.forward(days=31)
    assert retention.run().deleted == 1
    assert mailbox_of(user).floor == 40


@pytest.mark.parametrize("kept", [timedelta(), timedelta(hours=1), timedelta(days=-3)])
def test_nothing_is_deleted_within_a_day_of_its_archiving(user, clock, kept, settings):
    """No setting shortens this, because readers need the time to receive the archiving."""
    settings.NOTIFY_RETENTION_ARCHIVED = kept
    (one,) = send(user, "one")
    inbox.mark_archived(user, [one])
    clock.forward(hours=23, minutes=59)
    assert retention.run() == Pruned()
    clock.forward(minutes=2)
    assert retention.run() == Pruned(deleted=1)


@pytest.mark.parametrize("ever", [None, timedelta.max])
def test_none_is_for_ever(user, clock, settings, ever):
    settings.NOTIFY_RETENTION_ARCHIVED = settings.NOTIFY_RETENTION_READ = ever
    one, two = send(user, "one", "two")
    inbox.mark_archived(user, [one])
    inbox.mark_read(user, [two])
    clock.forward(days=9999)
    assert retention.run() == Pruned()


def test_what_it_archives_it_does_not_delete(user, clock, settings):
    """Even a very old row is deleted a day later, by another run."""
    settings.NOTIFY_RETENTION_ARCHIVED = timedelta()
    (one,) = send(user, "one")
    inbox.mark_read(user, [one])
    clock.forward(days=9999)
    assert retention.run() == Pruned(read=1)
    assert retention.run() == Pruned()
    clock.forward(days=1, seconds=1)
    assert retention.run() == Pruned(deleted=1)


def test_what_waits_in_the_outbox_stays(user, clock):
    """It is not published, so no reader knows it."""
    leave_waiting(user, "waiting", archived_at=timezone.now(), read_at=timezone.now())
    clock.forward(days=9999)
    assert retention.run() == Pruned()
    assert waiting_of(user) == ["waiting"]


# -- Readers -------------------------------------------------------------------------------------


def test_a_reader_below_the_floor_starts_over(user, clock):
    """It may not have received the archiving, and can no longer receive it."""
    one, two, _ = send(user, "one", "two", "three")
    old = inbox.changes(user).cursor
    inbox.mark_archived(user, [one, two])
    clock.forward(days=31)
    assert retention.run().deleted == 2
    page = inbox.changes(user, old)
    assert page.reset
    assert [row.message for row in page.notifications] == ["three"]
    assert page.counts == (1, 1)
    assert page.cursor == mailbox_of(user).cursor
    again = inbox.changes(user, page.cursor)
    assert (again.reset, list(again.notifications)) == (False, [])


def test_a_reader_at_the_floor_goes_on(user, clock):
    """All deleted rows are at or below its cursor, so it has received their archiving."""
    (one,) = send(user, "one")
    inbox.mark_archived(user, [one])
    cursor = inbox.changes(user).cursor
    clock.forward(days=31)
    send(user, "two")
    assert retention.run().deleted == 1
    assert cursor.position == mailbox_of(user).floor
    page = inbox.changes(user, cursor)
    assert not page.reset
    assert [row.message for row in page.notifications] == ["two"]


def test_deleting_rings_nobody(user, clock, rings):
    """Archived rows are on no screen."""
    (one,) = send(user, "one")
    inbox.mark_archived(user, [one])
    clock.forward(days=31)
    rings.clear()
    assert retention.run().deleted == 1
    assert rings == []


# -- Archiving -----------------------------------------------------------------------------------


def test_what_was_read_long_ago_is_archived_by_a_mark(user, clock, rings):
    """The mark takes a position and removes the row from the inbox, and tabs receive it."""
    one, _ = send(user, "one", "two")
    inbox.mark_read(user, [one])
    clock.forward(days=89)
    assert retention.run() == Pruned()
    clock.forward(days=2)
    before = mailbox_of(user).cursor
    rings.clear()
    assert retention.run() == Pruned(read=1)
    assert archived_of(user) == ["one"]
    (ring,) = rings
    assert (ring.since, ring.cursor) == (before, mailbox_of(user).cursor)
    assert on_the_wire(ring.notifications) == on_the_wire(rows_of(user)[-1:])
    assert_sound(user)


def test_unread_stays_unless_the_settings_say_otherwise(user, clock, settings):
    """An unread notification may still matter."""
    send(user, "one")
    clock.forward(days=9999)
    assert retention.run() == Pruned()
    settings.NOTIFY_RETENTION_UNREAD = timedelta(days=365)
    assert retention.run() == Pruned(unread=1)
    assert mailbox_of(user).counts == (0, 0)
    assert_sound(user)


@pytest.mark.parametrize("change", ["seen", "dismissed", "sent again"])
def test_unread_is_old_when_nothing_has_changed(user, clock, settings, change):
    """A row that was seen, dismissed or sent again since then is not old."""
    settings.NOTIFY_RETENTION_UNREAD = timedelta(days=10)
    row = notify.send(user, "one", key="k")
    clock.forward(days=9)
    if change == "sent again":
        notify.send(user, "two", key="k")
    else:
        marks.mark(user.pk, Mark(change), [(row.pk, row.arrived)])
    clock.forward(days=9)
    assert retention.run() == Pruned()
    clock.forward(days=2)
    assert retention.run() == Pruned(unread=1)


def test_what_has_expired_is_archived(user, clock):
    """This holds without any reader. The mailbox is due at the next expiry."""
    notify.send(user, "soon", expires=timedelta(hours=1))
    later = notify.send(user, "later", expires=timedelta(hours=3))
    clock.forward(hours=2)
    assert retention.run() == Pruned(expired=1)
    assert archived_of(user) == ["soon"]
    assert mailbox_of(user).due == later.expires_at
    assert_sound(user)


def test_nothing_is_counted_twice(user, clock, settings):
    """A row that has expired and was read counts once."""
    settings.NOTIFY_RETENTION_UNREAD = timedelta(days=10)
    read = notify.send(user, "read", expires=timedelta(hours=1))
    notify.send(user, "unread", expires=timedelta(hours=1))
    inbox.mark_read(user, [read])
    clock.forward(days=100)
    assert retention.run(dry_run=True) == retention.run() == Pruned(expired=2)


def test_a_mailbox_that_was_lost_is_made_first(user, clock):
    one, two = send(user, "one", "two")
    inbox.mark_archived(user, [one])
    inbox.mark_read(user, [two])
    Mailbox.objects.all().delete()
    clock.forward(days=91)
    assert retention.run() == Pruned(read=1, deleted=1)
    assert_sound(user)


def test_what_a_user_has_left_who_was_deleted_by_raw_sql_goes_too(user, clock):
    """No user can read these rows."""
    inbox.mark_archived(user, send(user, "one"))
    Mailbox.objects.all().delete()
    type(user).objects.filter(pk=user.pk)._raw_delete("default")
    clock.forward(days=31)
    assert retention.run() == Pruned(deleted=1)
    assert not Notification.objects.exists()


# -- Batches and locks ----------------------------------------------------------------------------


def test_a_batch_of_nothing_is_an_error(user):
    with pytest.raises(ValueError, match="Use 1 or more"):
        retention.run(batch_size=0)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 1000])
def test_a_dry_run_says_what_a_run_does(user, other_user, clock, batch_size, monkeypatch):
    """It writes nothing. Both work on pieces of the table, and on batches of a mailbox."""
    monkeypatch.setattr(retention, "ROWS_READ_AT_ONCE", 5)
    for owner in (user, other_user):
        rows = send(owner, *(f"archived {n}" for n in range(7)))
        read = send(owner, *(f"read {n}" for n in range(6)))
        for n in range(5):
            notify.send(owner, f"expired {n}", expires=timedelta(hours=1))
        send(owner, "stays")
        inbox.mark_archived(owner, rows)
        inbox.mark_read(owner, read)
    clock.forward(days=100)
    stand = [on_the_wire(rows_of(owner)) for owner in (user, other_user)]
    boxes = list(Mailbox.objects.values_list())
    expected = Pruned(expired=10, read=12, deleted=14)
    assert retention.run(dry_run=True, batch_size=batch_size) == expected
    assert [on_the_wire(rows_of(owner)) for owner in (user, other_user)] == stand
    assert list(Mailbox.objects.values_list()) == boxes
    assert retention.run(batch_size=batch_size) == expected
    assert expected.archived == 22
    for owner in (user, other_user):
        assert len(archived_of(owner)) == 11
        assert "stays" in messages_of(owner)
        assert_sound(owner)
    assert retention.run() == retention.run(dry_run=True) == Pruned()


def test_no_transaction_deletes_more_than_a_batch(user, clock, monkeypatch):
    """So a sender to this mailbox waits for one batch only."""
    rows = send(user, *(f"{n}" for n in range(7)))
    inbox.mark_archived(user, rows)
    clock.forward(days=31)
    left = []
    lock = MailboxQuerySet.lock

    def note(self, recipients):
        left.append(len(rows_of(user)))
        return lock(self, recipients)

    monkeypatch.setattr(MailboxQuerySet, "lock", note)
    assert retention.run(batch_size=3).deleted == 7
    assert left == [7, 4, 1]


def test_no_transaction_archives_more_than_a_batch(user, clock, rings):
    """The rows that have not changed for the longest time come first. Each batch is rung separately."""
    inbox.mark_read(user, send(user, *(f"{n}" for n in range(7))))
    clock.forward(days=91)
    rings.clear()
    assert retention.run(batch_size=3).read == 7
    told = [[row.message for row in ring.notifications] for ring in rings]
    assert told == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


def test_what_comes_back_meanwhile_is_not_archived(user, clock, monkeypatch):
    """The rule is checked again under the lock: a send with the same key has renewed the row."""
    row = notify.send(user, "one", key="k")
    inbox.mark_read(user, [row])
    clock.forward(days=91)
    archive = marks.archive

    def send_first(*args):
        notify.send(user, "two", key="k")
        return archive(*args)

    monkeypatch.setattr(marks, "archive", send_first)
    assert retention.run() == Pruned()
    assert archived_of(user) == []


def test_a_user_who_is_deleted_meanwhile_stops_nothing(user, other_user, clock, monkeypatch):
    for owner in (user, other_user):
        inbox.mark_archived(owner, send(owner, "one"))
    clock.forward(days=31)
    tidy = retention._tidy

    def delete_first(*args):
        type(user).objects.filter(pk=user.pk).delete()
        tidy(*args)

    monkeypatch.setattr(retention, "_tidy", delete_first)
    assert retention.run() == Pruned(deleted=1)
    assert not Notification.objects.exists()
    assert_sound(other_user)


def test_inside_a_transaction_it_refuses(user, clock):
    """Its locks would be held until the transaction ends."""
    (one,) = send(user, "one")
    inbox.mark_archived(user, [one])
    clock.forward(days=31)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        retention.run()
    assert messages_of(user) == ["one"]


@pytest.mark.parametrize("value", [30, "30 days"])
def test_a_retention_that_is_none_is_named(value, settings):
    settings.NOTIFY_RETENTION_READ = value
    with pytest.raises(ImproperlyConfigured, match=r"NOTIFY_RETENTION_READ = .*timedelta\(days"):
        retention.run()


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("what", ["deleted", "read"])
def test_a_deadlock_is_tried_again(user, clock, monkeypatch, times, what):
    (one,) = send(user, "one")
    (inbox.mark_archived if what == "deleted" else inbox.mark_read)(user, [one])
    clock.forward(days=91)
    lock = Failing(MailboxQuerySet.lock, times, contention())
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    assert retention.run() == Pruned(**{what: 1})
    assert lock.calls == times + 1


def test_a_mailbox_that_others_hold_is_left_to_the_next_run(user, other_user, clock, monkeypatch):
    """All other mailboxes are pruned."""
    for owner in (user, other_user):
        inbox.mark_archived(owner, send(owner, "one"))
    clock.forward(days=31)
    lock = Failing(MailboxQuerySet.lock, 5, contention())
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    assert retention.run() == Pruned(deleted=1, failed=1)
    assert retention.run() == Pruned(deleted=1)


def test_a_database_that_fails_ends_the_run(user, clock, monkeypatch):
    """The next mailboxes would fail too."""
    inbox.mark_archived(user, send(user, "one"))
    clock.forward(days=31)
    lock = Failing(MailboxQuerySet.lock, 1, OperationalError("the server went away"))
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    with pytest.raises(OperationalError, match="went away"):
        retention.run()


def test_where_nothing_is_old_it_only_reads(user):
    """It takes two queries for ten thousand rows, one each for the tasks and the actions, and no lock."""
    send(user, "one", "two")
    with CaptureQueriesContext(connection) as queries:
        assert retention.run() == Pruned()
    assert [query["sql"][:6] for query in queries] == ["SELECT"] * 4


# -- While others work ---------------------------------------------------------------------------


@concurrent
def test_an_open_transaction_that_has_sent_does_not_stop_it(user, clock):
    """It locks only the rows that it deletes."""
    inbox.mark_archived(user, send(user, "one"))
    clock.forward(days=31)
    with sessions(2) as (sender, pruner):
        sender.begin()
        sender.run(notify.send, user, "from the open transaction")
        assert pruner.run(retention.run) == Pruned(deleted=1)
        sender.commit()
    assert messages_of(user) == ["from the open transaction"]
    assert_sound(user)


@concurrent
def test_it_prunes_while_others_send_and_mark(user, other_user, settings, failures):
    """The counts stay equal to the rows, and a reader that keeps up misses nothing and is never reset."""
    settings.NOTIFY_RETENTION_UNREAD = None
    day = timezone.now() - timedelta(days=40)
    owners, stop = [user, other_user], Event()
    for owner in owners:
        inbox.mark_archived(owner, send(owner, *(f"old {n}" for n in range(60))))
    Notification.objects.update(archived_at=day)
    cursors = {owner: inbox.changes(owner).cursor for owner in owners}
    got = {owner: set() for owner in owners}

    def read_on(owner):
        complete = False
        while not complete:
            page = inbox.changes(owner, cursors[owner])
            assert not page.reset
            got[owner].update(row.message for row in page.notifications)
            cursors[owner] = page.cursor
            complete = page.changes().complete

    def write(number):
        for turn in range(15):
            for owner in owners[:: 1 if number else -1]:
                row = notify.send(owner, f"{number}.{turn}")
                with transaction.atomic():
                    notify.send(owner, f"{number}.{turn} in atomic")
                notify.send(owner, f"keyed {number}.{turn}", key="k")
                marks.mark(owner.pk, Mark.ARCHIVED, [(row.pk, row.arrived)])

    def prune_on():
        deleted = 0
        while not stop.is_set():
            deleted += retention.run(batch_size=5).deleted
        return deleted

    with sessions(4) as (first, second, pruner, other_pruner):
        pruning = [pruner.start(prune_on), other_pruner.start(prune_on)]
        writing = [first.start(write, 0), second.start(write, 1)]
        try:
            while not all(future.done() for future in writing):
                for owner in owners:
                    read_on(owner)
            for future in writing:
                future.result()
        finally:
            stop.set()
        deleted = sum(future.result(PATIENCE) for future in pruning) + retention.run().deleted
    assert failures == []
    assert deleted == 120
    for owner in owners:
        read_on(owner)
        assert not [text for text in messages_of(owner) if text.startswith("old")]
        assert got[owner] >= set(messages_of(owner))
        assert len(messages_of(owner)) == 2 * 15 * 2 + 1
        assert_sound(owner)


def test_what_is_known_of_a_task_goes_with_its_notification(user, settings, monkeypatch):
    """This includes notifications deleted by hand, or with their user."""
    settings.NOTIFY_THREADS = 0
    notify.progress(user, "Exporting").succeed()
    kept = notify.progress(user, "Importing")
    archived, gone = Notification.objects.order_by("pk")[0], notify.progress(user, "Mailing")
    Notification.objects.filter(message="Mailing").delete()
    Notification.objects.filter(pk=archived.pk).update(
        archived_at=timezone.now() - timedelta(days=365)
    )
    retention.run(dry_run=True)
    assert TaskRecord.objects.count() == 3
    retention.run()
    assert [progress.notification.message for progress in TaskRecord.objects.all()] == ["Importing"]
    kept.succeed()
    gone.succeed()
