"""The check of a mailbox and its repair."""

from __future__ import annotations

import time
from datetime import timedelta
from threading import Event
from unittest.mock import patch

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

import notify
from notify import db, doorbell, inbox
from notify.mailbox import epochs, integrity, marks, retention
from notify.models import Mailbox, MailboxQuerySet, Notification
from notify.protocol import Cursor, Mark, is_plausible, new_epoch
from tests.kit.mailboxes import (
    Failing,
    assert_sound,
    contention,
    leave_waiting,
    mailbox_of,
    messages_of,
    rows_of,
    waiting_of,
)
from tests.kit.patience import PATIENCE
from tests.kit.search import search
from tests.kit.sessions import concurrent, sessions

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]

LONG_AGO = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """Skip the wait for rows that are about to be published."""
    monkeypatch.setattr(integrity, "SECOND_LOOK", 0)


@pytest.fixture
def owner(user):
    """A user with rows of every kind."""
    read, archived, _ = (notify.send(user, text) for text in ("read", "archived", "new"))
    notify.send(user, "expires", expires=timedelta(hours=1))
    inbox.mark_read(user, [read])
    inbox.mark_archived(user, [archived])
    return user


def leave_long_ago(user, *messages):
    return leave_waiting(user, *messages, created_at=timezone.now() - LONG_AGO)


def change(user, **columns):
    """Change columns of the mailbox, as a faulty program would."""
    Mailbox.objects.filter(pk=user.pk).update(**columns)


def findings(*args, **kwargs):
    """The inconsistencies: the column, its value, and the correct value."""
    return [(found.what, found.found, found.expected) for found in integrity.check(*args, **kwargs)]


def fixed(user):
    """Repair the mailbox, and check that it is consistent. Returns the findings of the repair."""
    found = list(integrity.check(fix=True))
    assert all(finding.repaired for finding in found)
    assert findings() == []
    assert_sound(user)
    return [finding.what for finding in found]


# -- Findings ------------------------------------------------------------------------------------


def test_a_sound_mailbox_is_sound(owner, other_user):
    """A user without a mailbox is consistent too."""
    assert findings() == []
    assert list(integrity.check(fix=True)) == []


def test_a_finding_says_who_and_what_it_is_and_should_be(owner):
    change(owner, unseen=7)
    (finding,) = integrity.check()
    assert str(finding) == f"{owner.get_username()}: unseen: 7, should be 2"
    (finding,) = integrity.check(fix=True)
    assert str(finding) == f"{owner.get_username()}: unseen: 7, should be 2; repaired"
    assert finding.recipient == owner.pk


@pytest.mark.parametrize("column", ["unseen", "unread"])
@pytest.mark.parametrize("number", [0, 3, -1])
def test_counts_are_equal_to_the_rows(owner, column, number):
    change(owner, **{column: number})
    assert findings() == [(column, str(number), "2")]
    assert fixed(owner) == [column]


def test_no_position_is_above_the_head(owner):
    """A publish would assign the position again."""
    change(owner, head=4)
    assert findings() == [("head", "4", "6 or more")]
    assert fixed(owner) == ["head"]
    assert mailbox_of(owner).head == 6
    notify.send(owner, "another")
    assert_sound(owner)


def test_the_floor_is_not_above_the_head(owner):
    """The head must have been at least there. Otherwise every reader would be reset forever."""
    change(owner, floor=40)
    assert findings() == [("head", "6", "40 or more")]
    assert fixed(owner) == ["head"]
    cursor = inbox.changes(owner).cursor
    assert cursor.position == 40
    assert not inbox.changes(owner, cursor).reset


def test_neither_head_nor_floor_is_negative(user):
    """No cursor could be parsed."""
    Mailbox.objects.create(user_id=user.pk, epoch=new_epoch(), head=-2, floor=-3)
    assert findings() == [("head", "-2", "0 or more"), ("floor", "-3", "0 or more")]
    assert fixed(user) == ["head", "floor"]


@pytest.mark.parametrize("arrived", [None, 99])
def test_every_published_row_has_arrived(owner, arrived):
    """Its arrival must not be above its position, or marks would skip the row."""
    Notification.objects.filter(message="new").update(arrived=arrived)
    assert findings() == [("arrivals above their position", "1", "0")]
    assert fixed(owner) == ["arrivals above their position"]


@pytest.mark.parametrize("due", [None, timedelta(days=1)])
def test_the_mailbox_is_due_at_the_earliest_expiry(owner, due, rings):
    """It may be earlier. If it were later, expired rows would stay, and no other change would reveal it."""
    expires = Notification.objects.get(message="expires").expires_at
    due = due and expires + due
    change(owner, due=due)
    assert findings() == [("due", str(due or "never"), f"{expires} or before")]
    rings.clear()
    assert fixed(owner) == ["due"]
    assert mailbox_of(owner).due == expires
    assert rings == []


def test_a_mailbox_may_be_due_too_early(owner):
    """The next reader checks the rows, and corrects it."""
    change(owner, due=timezone.now() - LONG_AGO)
    assert findings() == []


@pytest.mark.parametrize("epoch", ["", "k3f9", "v" * 17, "Z" * 17, "zzzz\n"])
def test_an_epoch_is_one_that_a_clock_has_made(owner, epoch):
    """Otherwise no cursor could be parsed, or no later epoch could be above it."""
    change(owner, epoch=epoch)
    assert findings() == [("epoch", repr(epoch), "an epoch not in the future")]
    assert fixed(owner) == ["epoch"]
    assert is_plausible(mailbox_of(owner).epoch)


def test_who_has_notifications_has_a_mailbox(owner):
    Mailbox.objects.all().delete()
    assert findings() == [("mailbox", "none", "one for 4 notifications")]
    assert fixed(owner) == ["mailbox"]


def test_nothing_is_left_in_the_outbox(owner, rings):
    """The publisher of a row that has waited for a minute has died. The tabs of its recipient are rung."""
    leave_long_ago(owner, "one", "two")
    assert findings() == [("left in the outbox", "2", "0")]
    rings.clear()
    assert fixed(owner) == ["left in the outbox"]
    assert waiting_of(owner) == []
    assert [row.message for ring in rings for row in ring.notifications] == ["one", "two"]


def test_what_waits_for_a_moment_is_not_left(owner):
    leave_waiting(owner, "one")
    assert findings() == []


def test_a_first_notification_that_was_left_is_published(user):
    """The mailbox does not exist yet, which is no inconsistency."""
    leave_long_ago(user, "one")
    assert findings() == [("left in the outbox", "1", "0")]
    assert fixed(user) == ["left in the outbox"]
    assert messages_of(user) == ["one"]


def test_everything_at_once(owner):
    """The head is corrected before the publish, which takes positions above it."""
    leave_long_ago(owner, "one", "two")
    change(owner, head=2, unseen=9, due=None, epoch="?", floor=-1)
    kinds = {"left in the outbox", "head", "unseen", "due", "epoch", "floor"}
    assert {what for what, *_ in findings()} == kinds
    assert set(fixed(owner)) == kinds
    assert waiting_of(owner) == []


@pytest.fixture
def _no_constraint():
    """Drop the unique constraint, as a project or a faulty migration may have done."""
    constraints = Notification._meta.constraints
    Notification._meta.constraints = []  # SQLite recreates the table from the model.
    with connection.schema_editor() as editor:
        editor.remove_constraint(Notification, *constraints)
    yield
    Notification.objects.all().delete()
    Notification._meta.constraints = constraints
    with connection.schema_editor() as editor:
        editor.add_constraint(Notification, *constraints)


@pytest.mark.usefixtures("_no_constraint")
def test_no_position_is_given_twice(owner):
    """Rows with the same position get new ones, in the order in which they are shown."""
    Notification.objects.filter(message__in=["new", "expires", "read"]).update(position=4)
    before = {row.message: row.arrived for row in rows_of(owner)}
    assert findings() == [("positions given twice", "2", "0")]
    assert fixed(owner) == ["positions given twice"]
    assert {row.message: row.arrived for row in rows_of(owner)} == before


# -- The checked users ---------------------------------------------------------------------------


def test_only_those_that_are_asked_for(owner, other_user):
    notify.send(other_user, "one")
    for user in (owner, other_user):
        change(user, unseen=7)
    assert [found.recipient for found in integrity.check([other_user.pk])] == [other_user.pk]
    assert [found.recipient for found in integrity.check([other_user.pk], fix=True)]
    assert mailbox_of(owner).unseen == 7
    assert len(findings()) == 1


@patch.object(db, "PUBLISH_BATCH_SIZE", 2)
def test_everybody_is_looked_at_in_batches(make_user):
    """No user is skipped at the boundaries, with or without a mailbox."""
    users = [make_user(f"user{number}") for number in range(5)]
    for user in users[1:]:
        notify.send(user, "one")
        change(user, unread=3)
    found = [finding.recipient for finding in integrity.check()]
    assert sorted(map(str, found)) == sorted(str(user.pk) for user in users[1:])
    assert integrity.start_over() == 4


def test_many_mailboxes_cost_few_queries(make_user):
    """One query reads the keys, and one for each batch reads the mailboxes with all their rows."""
    users = [make_user(f"user{number}") for number in range(20)]
    for user in users:
        for text in "abc":
            notify.send(user, text)
    with CaptureQueriesContext(connection) as queries:
        assert findings() == []
    assert len(queries) == 3


# -- Readers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [{"head": 4}, {"unseen": 7}, {"floor": 40}])
def test_readers_that_were_told_wrong_things_start_over(owner, columns, rings):
    """They are rung without rows, and read a snapshot."""
    cursor = inbox.changes(owner).cursor
    change(owner, **columns)
    rings.clear()
    fixed(owner)
    (ring,) = rings
    assert (ring.recipient_id, ring.rows) == (owner.pk, None)
    assert ring.cursor == mailbox_of(owner).cursor > cursor
    page = inbox.changes(owner, cursor)
    assert (page.reset, page.cursor, page.counts) == (True, ring.cursor, (2, 2))
    assert len(page.notifications) == 3


def test_what_was_deleted_by_hand_leaves_the_screens(owner):
    """The counts reveal the deletion."""
    cursor = inbox.changes(owner).cursor
    Notification.objects.filter(message="new").delete()
    assert [what for what, *_ in findings()] == ["unseen", "unread"]
    fixed(owner)
    page = inbox.changes(owner, cursor)
    assert page.reset
    assert sorted(row.message for row in page.notifications) == ["expires", "read"]


@pytest.mark.parametrize("epoch", ["", "Z" * 17])
def test_a_ring_can_be_read_also_when_the_old_epoch_cannot(owner, epoch, rings):
    change(owner, epoch=epoch)
    rings.clear()
    fixed(owner)
    (ring,) = rings
    assert doorbell.unpack(doorbell.pack("x", ring.changes()))[1].cursor == ring.cursor


# -- Starting over -------------------------------------------------------------------------------


def restore(user, columns):
    """Restore a mailbox and its rows from a backup."""
    position = columns["head"]
    Notification.objects.filter(recipient=user.pk, position__gt=position).delete()
    change(user, **columns)


def backup(user):
    box = mailbox_of(user)
    names = ("epoch", "head", "floor", "unseen", "unread", "due")
    return {name: getattr(box, name) for name in names}


def test_after_a_restored_backup_every_reader_ends_in_the_one_new_epoch(user, rings):
    """No reader misses changes or alternates between epochs: the second reader changes nothing."""
    notify.send(user, "one")
    early = inbox.changes(user).cursor
    stored = backup(user)
    for text in ("lost", "lost, too"):
        notify.send(user, text)
    late = inbox.changes(user).cursor
    restore(user, stored)
    rings.clear()
    assert integrity.start_over() == 1
    epoch = mailbox_of(user).epoch
    assert epoch > late.epoch
    (ring,) = rings
    assert (ring.cursor, ring.rows) == (mailbox_of(user).cursor, None)
    for text in ("two", "three", "four"):  # past the cursors of the readers
        notify.send(user, text)
    for _ in range(2):
        for cursor in (early, late):
            page = inbox.changes(user, cursor)
            assert page.reset
            assert [row.message for row in page.notifications] == ["one", "two", "three", "four"]
            assert page.cursor == mailbox_of(user).cursor
            assert not inbox.changes(user, page.cursor).reset
    assert mailbox_of(user).epoch == epoch
    assert_sound(user)


def test_readers_in_an_epoch_that_the_backup_does_not_know_end_in_the_new_one(user):
    """The mailbox had started over after the backup. The new epoch is above that one too."""
    notify.send(user, "one")
    stored = backup(user)
    epochs.start_over([user.pk], Cursor(stored["epoch"], 9))
    cursors = [inbox.changes(user).cursor]
    epochs.start_over([user.pk], Cursor(cursors[0].epoch, 99))
    cursors.append(inbox.changes(user).cursor)
    restore(user, stored)
    integrity.start_over()
    epoch = mailbox_of(user).epoch
    assert epoch > max(cursors).epoch
    for cursor in cursors:
        assert inbox.changes(user, cursor).cursor.epoch == epoch
    assert mailbox_of(user).epoch == epoch


def test_the_clock_may_have_stepped_back(user, monkeypatch):
    """The first reader lifts the mailbox above its own epoch, which all readers then share."""
    notify.send(user, "one")
    stored = backup(user)
    epochs.start_over([user.pk], Cursor(stored["epoch"], 9))
    cursors = [Cursor(mailbox_of(user).epoch, position) for position in (0, 1, 5)]
    restore(user, stored)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    integrity.start_over()
    first = inbox.changes(user, cursors[2]).cursor
    assert first > max(cursors)
    for cursor in cursors:
        assert inbox.changes(user, cursor).cursor == first


def test_it_starts_over_where_the_floor_stands(user, monkeypatch):
    """A cursor below the floor, or of an old epoch, is reset once by a prune together with a new epoch."""
    now = timezone.now()
    rows = [notify.send(user, text) for text in ("one", "two")]
    old = inbox.changes(user).cursor
    inbox.mark_archived(user, rows[:1])
    known = inbox.changes(user).cursor
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(days=31))
    assert retention.run().deleted == 1
    integrity.start_over()
    assert findings() == []
    for cursor in (old, known):
        page = inbox.changes(user, cursor)
        assert (page.reset, len(page.notifications)) == (True, 1)
        assert not inbox.changes(user, page.cursor).reset


def test_without_mailboxes_it_starts_nothing(user):
    assert integrity.start_over() == 0


@pytest.mark.parametrize("epoch", ["", "v" * 17])
def test_an_epoch_that_no_clock_has_made_is_replaced(owner, epoch):
    change(owner, epoch=epoch)
    assert integrity.start_over([owner.pk]) == 1
    assert is_plausible(mailbox_of(owner).epoch)


# -- While others work ---------------------------------------------------------------------------


@concurrent
def test_an_open_transaction_and_a_held_mailbox_do_not_stop_the_look(owner, other_user):
    """The check takes no lock."""
    notify.send(other_user, "one")
    with sessions(2) as (holder, looker):
        holder.begin()
        holder.run(notify.send, owner, "two")
        holder.run(Mailbox.objects.lock, [owner.pk])
        assert looker.run(findings) == []
        holder.commit()


@concurrent
def test_a_repair_waits_for_who_holds_the_mailbox(owner, monkeypatch):
    """It then reads the rows again, so rows published meanwhile are counted."""
    change(owner, unseen=7)
    asked = Event()
    lock = MailboxQuerySet.lock

    def ask(self, recipients):
        asked.set()
        return lock(self, recipients)

    with sessions(2) as (holder, fixer):
        holder.begin()
        holder.run(Mailbox.objects.lock, [owner.pk])
        monkeypatch.setattr(MailboxQuerySet, "lock", ask)
        fixing = fixer.start(lambda: [found.what for found in integrity.check(fix=True)])
        assert asked.wait(PATIENCE)
        box = mailbox_of(owner)
        published = Notification(recipient_id=owner.pk, position=box.head + 1, arrived=box.head + 1)
        holder.run(published.save)
        box.head, box.unseen, box.unread = box.head + 1, box.unseen + 1, box.unread + 1
        holder.run(box.save)
        holder.commit()
        assert fixing.result(PATIENCE) == ["unseen"]
    assert mailbox_of(owner).counts == (3, 3)
    assert_sound(owner)


@concurrent
def test_who_sends_and_marks_meanwhile_is_not_found(make_user, failures):
    """Counts and rows are read at the same moment. A repair finds nothing to do."""
    users = [make_user(f"user{number}") for number in range(3)]
    stop = Event()
    for user in users:
        notify.send(user, "before")
    epochs = {user.pk: mailbox_of(user).epoch for user in users}

    def write(number):
        for turn in range(20):
            for user in users[:: 1 if number else -1]:
                row = notify.send(user, f"{number}.{turn}")
                with transaction.atomic():
                    notify.send(user, "in atomic", expires=timedelta(minutes=turn + 1))
                notify.send(user, "keyed", key="k")
                marks.mark(user.pk, Mark.READ, [(row.pk, row.arrived)])
            notify.send_many(users, "bulk")

    def look(fix):
        found = []
        while not stop.is_set():
            found += map(str, integrity.check(fix=fix))
        return found

    with sessions(4) as (one, two, looker, fixer):
        looking = [looker.start(look, False), fixer.start(look, True)]
        writing = [one.start(write, 0), two.start(write, 1)]
        try:
            for future in writing:
                future.result(3 * PATIENCE)
        finally:
            stop.set()
        assert [found for future in looking for found in future.result(PATIENCE)] == []
    assert failures == []
    assert {user.pk: mailbox_of(user).epoch for user in users} == epochs


def test_what_is_about_to_be_published_is_not_left(owner, monkeypatch):
    """Its transaction was open for more than a minute, and was committed a moment ago."""
    leave_long_ago(owner, "one")
    monkeypatch.setattr(time, "sleep", lambda seconds: notify.send(owner, "publishes", key="k"))
    assert findings() == []
    assert waiting_of(owner) == []


def test_it_waits_before_it_looks_again(owner, monkeypatch):
    """It waits only if rows are waiting, and only once."""
    slept = []
    monkeypatch.setattr(integrity, "SECOND_LOOK", 1.5)
    monkeypatch.setattr(time, "sleep", slept.append)
    assert findings() == []
    assert slept == []
    leave_long_ago(owner, "one")
    assert len(findings()) == 1
    assert slept == [1.5]


@pytest.mark.parametrize("times", [1, 4])
def test_a_deadlock_is_tried_again(owner, monkeypatch, times):
    change(owner, unseen=7)
    lock = Failing(MailboxQuerySet.lock, times, contention())
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    assert fixed(owner) == ["unseen"]
    assert lock.calls == times + 1


def test_a_mailbox_that_others_hold_is_not_repaired(owner, monkeypatch):
    """The finding says so, and the next mailbox is checked."""
    change(owner, unseen=7)
    lock = Failing(MailboxQuerySet.lock, 5, contention())
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    (finding,) = integrity.check(fix=True)
    assert not finding.repaired
    assert fixed(owner) == ["unseen"]


def test_what_cannot_be_published_is_not_repaired(owner, monkeypatch, failures):
    leave_long_ago(owner, "one")
    lock = Failing(MailboxQuerySet.lock, 1, OperationalError("the server went away"))
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    (finding,) = integrity.check(fix=True)
    assert not finding.repaired
    assert len(failures) == 1
    assert fixed(owner) == ["left in the outbox"]


def test_a_database_that_fails_ends_the_run(owner, monkeypatch):
    change(owner, unseen=7)
    lock = Failing(MailboxQuerySet.lock, 1, OperationalError("the server went away"))
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    with pytest.raises(OperationalError, match="went away"):
        list(integrity.check(fix=True))


# -- Any corruption ------------------------------------------------------------------------------

small = st.integers(-5, 40)
moment = st.none() | st.integers(-90, 90)
epoch = st.sampled_from(["", "k", "0" * 17, "v" * 17, "Z" * 17])
corruption = st.one_of(
    st.tuples(st.just("box"), st.sampled_from(["head", "floor", "unseen", "unread"]), small),
    st.tuples(st.just("box"), st.just("due"), moment),
    st.tuples(st.just("box"), st.just("epoch"), epoch),
    st.tuples(st.just("row"), st.sampled_from(["arrived"]), st.none() | small),
    st.tuples(st.just("row"), st.sampled_from(["seen_at", "read_at", "archived_at"]), moment),
    st.tuples(st.just("row"), st.just("expires_at"), moment),
    st.tuples(st.just("row"), st.just("position"), st.integers(50, 60)),
    st.tuples(st.just("delete"), st.just(""), st.none()),
    st.tuples(st.just("lose"), st.just(""), st.none()),
    st.tuples(st.just("leave"), st.just(""), st.none()),
)


def test_whatever_has_happened_to_a_mailbox_it_is_repaired(make_user):
    """Afterwards a second run finds nothing, and readers with any cursor as well as senders continue."""
    users = []

    @search(40)
    @given(st.lists(st.tuples(st.integers(0, 4), corruption), max_size=6))
    def run(corruptions):
        user = make_user(f"user{len(users)}")
        users.append(user)
        for number in range(5):
            notify.send(user, f"{number}", expires=timedelta(hours=1) if number == 3 else None)
        marks.mark(user.pk, Mark.READ, [(rows_of(user)[0].pk, 1)])
        cursors = [inbox.changes(user).cursor, Cursor(mailbox_of(user).epoch, 2)]
        pks = [row.pk for row in rows_of(user)]
        for number, (kind, name, value) in corruptions:
            row = Notification.objects.filter(pk=pks[number])
            if name.endswith("_at") or name == "due":
                value = None if value is None else timezone.now() + timedelta(minutes=value)
            if kind == "box":
                change(user, **{name: value})
            elif name == "position":
                row.update(position=value + number * 20)
            elif kind == "row":
                row.update(**{name: value})
            elif kind == "delete":
                row.delete()
            elif kind == "lose":
                Mailbox.objects.filter(pk=user.pk).delete()
            else:
                leave_long_ago(user, "left")
        found = list(integrity.check([user.pk], fix=True))
        assert all(finding.repaired for finding in found)
        assert findings([user.pk]) == []
        if found or Mailbox.objects.filter(pk=user.pk).exists():
            assert_sound(user)
        assert waiting_of(user) == []
        for cursor in cursors:
            page = inbox.changes(user, cursor)
            assert page.cursor == mailbox_of(user).cursor
            assert not inbox.changes(user, page.cursor).reset
        sent = notify.send(user, "after")
        assert inbox.changes(user, page.cursor).notifications == [sent]
        assert_sound(user)

    run()
