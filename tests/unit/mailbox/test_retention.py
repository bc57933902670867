"""Retention: what is old is archived, then deleted; and no reader misses a thing by it."""

from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notify
from notify.inbox import reader as inbox
from notify.mailbox import marks
from notify.mailbox import retention as prune
from notify.mailbox.retention import Pruned
from notify.models import Mailbox, MailboxQuerySet, Notification, Progress
from notify.protocol import Mark
from tests import settings
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
from tests.kit.sessions import sessions

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]

concurrent = pytest.mark.only_if(settings.DATABASE != "sqlite")  # one writer


class Clock:
    """Django's clock, which a test may set forward."""

    def __init__(self):
        self.moment = timezone.now()

    def forward(self, **delta):
        self.moment += timedelta(**delta)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.moment)
    return clock


def archived_of(user):
    return [row.message for row in rows_of(user) if row.archived_at]


def send(user, *messages):
    return [notify.send(user, message) for message in messages]


# -- Deleting ------------------------------------------------------------------------------------


def test_what_was_archived_long_ago_is_deleted(user, other_user, clock):
    """And nothing else, whoever it belongs to."""
    one, two, _ = send(user, "one", "two", "three")
    (other,) = send(other_user, "other")
    inbox.mark_archived(user, [one])
    inbox.mark_archived(other_user, [other])
    clock.forward(days=20)
    inbox.mark_archived(user, [two])
    clock.forward(days=11)
    assert prune.run() == Pruned(deleted=2)
    assert messages_of(user) == ["three", "two"]
    assert messages_of(other_user) == []
    assert_sound(user)
    assert_sound(other_user)


def test_the_floor_is_the_highest_position_deleted(user, clock):
    """The head stays, and what is left lies on either side."""
    one, two, three = send(user, "one", "two", "three")
    inbox.mark_archived(user, [one, two])
    highest = max(row.position for row in rows_of(user) if row.archived_at)
    clock.forward(days=31)
    inbox.mark_read(user, [three])
    before = mailbox_of(user)
    assert prune.run().deleted == 2
    after = mailbox_of(user)
    assert after.floor == highest < after.head
    assert (after.cursor, after.counts) == (before.cursor, before.counts)


def test_the_floor_is_never_lowered(user, clock):
    """A mailbox made anew has its floor above the rows."""
    (one,) = send(user, "one")
    inbox.mark_archived(user, [one])
    Mailbox.objects.update(floor=40, head=50)
    clock.forward(days=31)
    assert prune.run().deleted == 1
    assert mailbox_of(user).floor == 40


@pytest.mark.parametrize("retention", [timedelta(), timedelta(hours=1), timedelta(days=-3)])
def test_nothing_is_deleted_within_a_day_of_its_archiving(user, clock, retention, settings):
    """Whatever the setting says: readers must have the time to hear of it."""
    settings.NOTIFY_RETENTION_ARCHIVED = retention
    (one,) = send(user, "one")
    inbox.mark_archived(user, [one])
    clock.forward(hours=23, minutes=59)
    assert prune.run() == Pruned()
    clock.forward(minutes=2)
    assert prune.run() == Pruned(deleted=1)


@pytest.mark.parametrize("ever", [None, timedelta.max])
def test_none_is_for_ever(user, clock, settings, ever):
    settings.NOTIFY_RETENTION_ARCHIVED = settings.NOTIFY_RETENTION_READ = ever
    one, two = send(user, "one", "two")
    inbox.mark_archived(user, [one])
    inbox.mark_read(user, [two])
    clock.forward(days=9999)
    assert prune.run() == Pruned()


def test_what_it_archives_it_does_not_delete(user, clock, settings):
    """However old it is: that takes a day, and another run."""
    settings.NOTIFY_RETENTION_ARCHIVED = timedelta()
    (one,) = send(user, "one")
    inbox.mark_read(user, [one])
    clock.forward(days=9999)
    assert prune.run() == Pruned(read=1)
    assert prune.run() == Pruned()
    clock.forward(days=1, seconds=1)
    assert prune.run() == Pruned(deleted=1)


def test_what_waits_in_the_outbox_stays(user, clock):
    """It was not published, so nobody has heard of it."""
    leave_waiting(user, "waiting", archived_at=timezone.now(), read_at=timezone.now())
    clock.forward(days=9999)
    assert prune.run() == Pruned()
    assert waiting_of(user) == ["waiting"]


# -- Readers -------------------------------------------------------------------------------------


def test_a_reader_below_the_floor_starts_over(user, clock):
    """It cannot have heard of what was archived, and cannot be told any more."""
    one, two, _ = send(user, "one", "two", "three")
    old = inbox.changes(user).cursor
    inbox.mark_archived(user, [one, two])
    clock.forward(days=31)
    assert prune.run().deleted == 2
    page = inbox.changes(user, old)
    assert page.reset
    assert [row.message for row in page.notifications] == ["three"]
    assert page.counts == (1, 1)
    assert page.cursor == mailbox_of(user).cursor
    again = inbox.changes(user, page.cursor)
    assert (again.reset, list(again.notifications)) == (False, [])


def test_a_reader_at_the_floor_goes_on(user, clock):
    """All that was deleted lies at or below its cursor: it has heard that it was archived."""
    (one,) = send(user, "one")
    inbox.mark_archived(user, [one])
    cursor = inbox.changes(user).cursor
    clock.forward(days=31)
    send(user, "two")
    assert prune.run().deleted == 1
    assert cursor.position == mailbox_of(user).floor
    page = inbox.changes(user, cursor)
    assert not page.reset
    assert [row.message for row in page.notifications] == ["two"]


def test_deleting_rings_nobody(user, clock, rings):
    """What was archived is on no screen."""
    (one,) = send(user, "one")
    inbox.mark_archived(user, [one])
    clock.forward(days=31)
    rings.clear()
    assert prune.run().deleted == 1
    assert rings == []


# -- Archiving -----------------------------------------------------------------------------------


def test_what_was_read_long_ago_is_archived_by_a_mark(user, clock, rings):
    """It takes a position, leaves the inbox, and the tabs hear of it."""
    one, _ = send(user, "one", "two")
    inbox.mark_read(user, [one])
    clock.forward(days=89)
    assert prune.run() == Pruned()
    clock.forward(days=2)
    before = mailbox_of(user).cursor
    rings.clear()
    assert prune.run() == Pruned(read=1)
    assert archived_of(user) == ["one"]
    (ring,) = rings
    assert (ring.since, ring.cursor) == (before, mailbox_of(user).cursor)
    assert on_the_wire(ring.notifications) == on_the_wire(rows_of(user)[-1:])
    assert_sound(user)


def test_unread_stays_unless_the_settings_say_otherwise(user, clock, settings):
    """What nobody has opened may still matter."""
    send(user, "one")
    clock.forward(days=9999)
    assert prune.run() == Pruned()
    settings.NOTIFY_RETENTION_UNREAD = timedelta(days=365)
    assert prune.run() == Pruned(unread=1)
    assert mailbox_of(user).counts == (0, 0)
    assert_sound(user)


@pytest.mark.parametrize("change", ["seen", "dismissed", "sent again"])
def test_unread_is_old_when_nothing_has_changed(user, clock, settings, change):
    """Seen, dismissed or sent again since, it is not."""
    settings.NOTIFY_RETENTION_UNREAD = timedelta(days=10)
    row = notify.send(user, "one", key="k")
    clock.forward(days=9)
    if change == "sent again":
        notify.send(user, "two", key="k")
    else:
        marks.mark(user.pk, Mark(change), [(row.pk, row.arrived)])
    clock.forward(days=9)
    assert prune.run() == Pruned()
    clock.forward(days=2)
    assert prune.run() == Pruned(unread=1)


def test_what_has_expired_is_archived(user, clock):
    """Also where nobody reads the mailbox; and the mailbox is due at the next expiry."""
    notify.send(user, "soon", expires=timedelta(hours=1))
    later = notify.send(user, "later", expires=timedelta(hours=3))
    clock.forward(hours=2)
    assert prune.run() == Pruned(expired=1)
    assert archived_of(user) == ["soon"]
    assert mailbox_of(user).due == later.expires_at
    assert_sound(user)


def test_nothing_is_counted_twice(user, clock, settings):
    """What has expired and was read, too, is one notification."""
    settings.NOTIFY_RETENTION_UNREAD = timedelta(days=10)
    read = notify.send(user, "read", expires=timedelta(hours=1))
    notify.send(user, "unread", expires=timedelta(hours=1))
    inbox.mark_read(user, [read])
    clock.forward(days=100)
    assert prune.run(dry_run=True) == prune.run() == Pruned(expired=2)


def test_a_mailbox_that_was_lost_is_made_first(user, clock):
    one, two = send(user, "one", "two")
    inbox.mark_archived(user, [one])
    inbox.mark_read(user, [two])
    Mailbox.objects.all().delete()
    clock.forward(days=91)
    assert prune.run() == Pruned(read=1, deleted=1)
    assert_sound(user)


def test_what_a_user_has_left_who_was_deleted_by_raw_sql_goes_too(user, clock):
    """Nobody reads it any more."""
    inbox.mark_archived(user, send(user, "one"))
    Mailbox.objects.all().delete()
    type(user).objects.filter(pk=user.pk)._raw_delete("default")
    clock.forward(days=31)
    assert prune.run() == Pruned(deleted=1)
    assert not Notification.objects.exists()


# -- How -----------------------------------------------------------------------------------------


def test_a_batch_of_nothing_is_an_error(user):
    with pytest.raises(ValueError, match="Give 1 or more"):
        prune.run(batch_size=0)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 1000])
def test_a_dry_run_says_what_a_run_does(user, other_user, clock, batch_size, monkeypatch):
    """And writes nothing. Both go by pieces of the table and by batches of a mailbox."""
    monkeypatch.setattr(prune, "ROWS_READ_AT_ONCE", 5)
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
    assert prune.run(dry_run=True, batch_size=batch_size) == expected
    assert [on_the_wire(rows_of(owner)) for owner in (user, other_user)] == stand
    assert list(Mailbox.objects.values_list()) == boxes
    assert prune.run(batch_size=batch_size) == expected
    for owner in (user, other_user):
        assert len(archived_of(owner)) == 11
        assert "stays" in messages_of(owner)
        assert_sound(owner)
    assert prune.run() == prune.run(dry_run=True) == Pruned()


def test_no_transaction_deletes_more_than_a_batch(user, clock, monkeypatch):
    """A sender to this mailbox waits for one of them."""
    rows = send(user, *(f"{n}" for n in range(7)))
    inbox.mark_archived(user, rows)
    clock.forward(days=31)
    left = []
    lock = MailboxQuerySet.lock

    def note(self, recipients):
        left.append(len(rows_of(user)))
        return lock(self, recipients)

    monkeypatch.setattr(MailboxQuerySet, "lock", note)
    assert prune.run(batch_size=3).deleted == 7
    assert left == [7, 4, 1]


def test_no_transaction_archives_more_than_a_batch(user, clock, rings):
    """Those that have not changed for the longest time go first; each batch is told by itself."""
    inbox.mark_read(user, send(user, *(f"{n}" for n in range(7))))
    clock.forward(days=91)
    rings.clear()
    assert prune.run(batch_size=3).read == 7
    told = [[row.message for row in ring.notifications] for ring in rings]
    assert told == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


def test_what_comes_back_meanwhile_is_not_archived(user, clock, monkeypatch):
    """The rule is asked again under the lock: a send with its key made it new."""
    row = notify.send(user, "one", key="k")
    inbox.mark_read(user, [row])
    clock.forward(days=91)
    archive = marks.archive

    def send_first(*args):
        notify.send(user, "two", key="k")
        return archive(*args)

    monkeypatch.setattr(marks, "archive", send_first)
    assert prune.run() == Pruned()
    assert archived_of(user) == []


def test_inside_a_transaction_it_refuses(user, clock):
    """Its locks would be held until that ends."""
    (one,) = send(user, "one")
    inbox.mark_archived(user, [one])
    clock.forward(days=31)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        prune.run()
    assert messages_of(user) == ["one"]


@pytest.mark.parametrize("value", [30, "30 days"])
def test_a_retention_that_is_none_is_named(value, settings):
    settings.NOTIFY_RETENTION_READ = value
    with pytest.raises(ImproperlyConfigured, match=r"NOTIFY_RETENTION_READ = .*timedelta\(days"):
        prune.run()


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("what", ["deleted", "read"])
def test_a_deadlock_is_tried_again(user, clock, monkeypatch, times, what):
    (one,) = send(user, "one")
    (inbox.mark_archived if what == "deleted" else inbox.mark_read)(user, [one])
    clock.forward(days=91)
    lock = Failing(MailboxQuerySet.lock, times, contention())
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    assert prune.run() == Pruned(**{what: 1})
    assert lock.calls == times + 1


def test_a_mailbox_that_others_hold_is_left_to_the_next_run(user, other_user, clock, monkeypatch):
    """The others are done all the same."""
    for owner in (user, other_user):
        inbox.mark_archived(owner, send(owner, "one"))
    clock.forward(days=31)
    lock = Failing(MailboxQuerySet.lock, 5, contention())
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    assert prune.run() == Pruned(deleted=1, failed=1)
    assert prune.run() == Pruned(deleted=1)


def test_a_database_that_fails_ends_the_run(user, clock, monkeypatch):
    """The next mailboxes would fail, too."""
    inbox.mark_archived(user, send(user, "one"))
    clock.forward(days=31)
    lock = Failing(MailboxQuerySet.lock, 1, OperationalError("the server went away"))
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    with pytest.raises(OperationalError, match="went away"):
        prune.run()


def test_where_nothing_is_old_it_only_reads(user):
    """Two queries for ten thousand rows, one for what is known of tasks, and no lock."""
    send(user, "one", "two")
    with CaptureQueriesContext(connection) as queries:
        assert prune.run() == Pruned()
    assert [query["sql"][:6] for query in queries] == ["SELECT"] * 3


# -- While others work ---------------------------------------------------------------------------


@concurrent
def test_an_open_transaction_that_has_sent_does_not_stop_it(user, clock):
    """It locks no row but those that it deletes."""
    inbox.mark_archived(user, send(user, "one"))
    clock.forward(days=31)
    with sessions(2) as (sender, pruner):
        sender.begin()
        sender.run(notify.send, user, "from the open transaction")
        assert pruner.run(prune.run) == Pruned(deleted=1)
        sender.commit()
    assert messages_of(user) == ["from the open transaction"]
    assert_sound(user)


@concurrent
def test_it_prunes_while_others_send_and_mark(user, other_user, settings, failures):
    """Counts stay equal to the rows, and a reader that keeps up is never reset and misses nothing."""
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
            deleted += prune.run(batch_size=5).deleted
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
        deleted = sum(future.result(PATIENCE) for future in pruning) + prune.run().deleted
    assert failures == []
    assert deleted == 120
    for owner in owners:
        read_on(owner)
        assert not [text for text in messages_of(owner) if text.startswith("old")]
        assert got[owner] >= set(messages_of(owner))
        assert len(messages_of(owner)) == 2 * 15 * 2 + 1
        assert_sound(owner)


def test_what_is_known_of_a_task_goes_with_its_notification(user, settings, monkeypatch):
    """Also of one that was deleted by hand, or with its user."""
    settings.NOTIFY_THREADS = 0
    notify.progress(user, "Exporting").succeed()
    kept = notify.progress(user, "Importing")
    archived, gone = Notification.objects.order_by("pk")[0], notify.progress(user, "Mailing")
    Notification.objects.filter(message="Mailing").delete()
    Notification.objects.filter(pk=archived.pk).update(
        archived_at=timezone.now() - timedelta(days=365)
    )
    prune.run(dry_run=True)
    assert Progress.objects.count() == 3
    prune.run()
    assert [progress.notification.message for progress in Progress.objects.all()] == ["Importing"]
    kept.succeed()
    gone.succeed()
