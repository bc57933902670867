"""Concurrent transactions on real connections, and two processes that share a SQLite file."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Barrier, Event

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import update_last_login
from django.db import connection, connections, transaction

import notify
from notify import inbox
from notify.db import tries_again
from notify.mailbox import marks, outbox
from notify.mailbox.batch import PublishBatch
from notify.models import MailboxQuerySet, Notification
from notify.protocol import Cursor, Mark
from tests import settings
from tests.kit import servers
from tests.kit.mailboxes import (
    assert_sound,
    leave_waiting,
    mailbox_of,
    messages_of,
    rows_of,
    waiting_of,
)
from tests.kit.patience import PATIENCE
from tests.kit.sessions import sessions

pytestmark = pytest.mark.django_db(transaction=True)

one_writer = settings.DATABASE == "sqlite"
only_sqlite = pytest.mark.only_if(one_writer)


def concurrent(test):
    """For tests that need a database with more than one writer."""
    return pytest.mark.only_if(not one_writer)(pytest.mark.database(test))


@pytest.fixture
def users(make_user):
    return [make_user(f"user{number}") for number in range(4)]


def read_all(user, since=None):
    """Returns what a reader has seen in the end, page by page: its cursor and the messages."""
    messages = []
    while True:
        page = inbox.changes(user, since)
        messages += [row.message for row in page.notifications]
        since = page.cursor
        if page.changes().complete:
            return since, messages


# -- No change is missed -------------------------------------------------------------------------


@concurrent
def test_the_lower_id_commits_last_and_readers_miss_nothing(user):
    """Ids are assigned before the commit and positions after it, so a cursor is never overtaken."""
    cursor, _ = read_all(user, Cursor("0" * 17, 0))
    with sessions(2) as (slow, fast):
        slow.begin()
        first = slow.run(notify.send, user, "lower id, commits last")
        fast.begin()
        second = fast.run(notify.send, user, "higher id, commits first")
        assert first.pk < second.pk
        fast.commit()
        cursor, messages = read_all(user, cursor)
        assert messages == ["higher id, commits first"]
        slow.commit()
    cursor, messages = read_all(user, cursor)
    assert messages == ["lower id, commits last"]
    assert_sound(user)


@concurrent
def test_a_position_is_never_seen_before_the_one_below_it(user, monkeypatch):
    """An uncommitted publish delays the next publish, but no reader."""
    cursor, _ = read_all(user, Cursor("0" * 17, 0))
    written, go_on = Event(), Event()
    write = PublishBatch.write

    def write_and_wait(self, using):
        write(self, using)
        if not written.is_set():
            written.set()
            assert go_on.wait(PATIENCE)

    monkeypatch.setattr(PublishBatch, "write", write_and_wait)
    leave_waiting(user, "one")
    with sessions(2) as (first, second):
        publishing = first.start(outbox.publish, [user.pk])
        assert written.wait(PATIENCE)
        sending = second.start(notify.send, user, "two")
        try:
            assert read_all_published(user, cursor) == []
            assert not sending.done()
        finally:
            go_on.set()
        assert publishing.result(PATIENCE) == 1
        assert sending.result(PATIENCE).position > rows_of(user)[0].position
    assert read_all(user, cursor)[1] == ["one", "two"]
    assert_sound(user)


def read_all_published(user, since):
    """Read like a reader inside a transaction, which does not publish and so never waits."""
    with transaction.atomic():
        return read_all(user, since)[1]


@concurrent
def test_two_publishers_of_one_mailbox_publish_once(user):
    """The second waits for the first, checks again, and finds nothing."""
    leave_waiting(user, "one", "two", "three")
    with sessions(2) as pair:
        start = Barrier(2)

        def publish():
            start.wait(PATIENCE)
            return outbox.publish([user.pk])

        found = [future.result(PATIENCE) for future in [s.start(publish) for s in pair]]
    assert sorted(found) == [0, 1]
    assert messages_of(user) == ["one", "two", "three"]
    assert_sound(user)


@concurrent
def test_many_first_sends_make_one_mailbox(user):
    """The first creates it, and the others find it."""
    start = Barrier(4)

    def send(text):
        start.wait(PATIENCE)
        return notify.send(user, text)

    with sessions(4) as all_of_them:
        for sending in [s.start(send, f"{n}") for n, s in enumerate(all_of_them)]:
            assert sending.result(PATIENCE).position
    assert sorted(messages_of(user)) == ["0", "1", "2", "3"]
    assert_sound(user)


# -- No waits ------------------------------------------------------------------------------------


@pytest.fixture
def open_sender(user, other_user):
    """A session whose open transaction has sent to both users, in every way."""
    notify.send(user, "before")
    notify.send(other_user, "before")
    with sessions(1) as (session,):
        session.begin()
        session.run(notify.send, user, "from the open transaction")
        session.run(notify.send, user, "keyed", key="k")
        session.run(notify.send_many, [user, other_user], "bulk")
        yield session


def publish(user):
    leave_waiting(user, "left")
    return outbox.publish([user.pk])


def sign_in(user):
    fresh = get_user_model().objects.get(pk=user.pk)
    update_last_login(None, fresh)
    fresh.save(update_fields=["last_login"])


def lock_user(user):
    with transaction.atomic():
        return get_user_model().objects.select_for_update().get(pk=user.pk)


def mark_all(user):
    return marks.mark(user.pk, Mark.READ, upto=mailbox_of(user).cursor)


@concurrent
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(publish, id="publish"),
        pytest.param(sign_in, id="login"),
        pytest.param(lock_user, id="select_for_update"),
        pytest.param(mark_all, id="mark"),
        pytest.param(lambda user: inbox.changes(user, Cursor("0" * 17, 1)), id="read"),
        pytest.param(lambda user: notify.send(user, "another"), id="send"),
        pytest.param(lambda user: notify.send(user, "another", key="k"), id="send with a key"),
        pytest.param(lambda user: notify.send_many([user], "another"), id="send_many"),
        pytest.param(
            lambda user: transaction.atomic(notify.send)(user, "another"), id="send in atomic"
        ),
    ],
)
def test_an_open_transaction_that_has_sent_blocks_nobody(open_sender, user, other_user, act):
    """It may stay open for any time, and all that it has sent arrives in the end."""
    with sessions(1) as (session,):
        session.run(act, user)
        session.run(act, other_user)
    assert "from the open transaction" not in messages_of(user)
    open_sender.commit()
    assert waiting_of(user) == waiting_of(other_user) == []
    assert {"before", "from the open transaction", "bulk"} <= set(messages_of(user))
    assert "bulk" in messages_of(other_user)
    assert_sound(user)
    assert_sound(other_user)


@concurrent
def test_two_open_transactions_that_send_to_the_same_users_do_not_deadlock(users):
    """They repeatedly send to all users in opposite order."""
    with sessions(2) as (one, two):
        one.begin()
        two.begin()
        for turn in range(2):
            for first, second in zip(users, reversed(users), strict=True):
                one.run(notify.send, first, f"one {turn}", key="k", count=True)
                two.run(notify.send, second, f"two {turn}", key="k", count=True)
        two.commit()
        one.commit()
    for user in users:
        assert [(row.message, row.count) for row in rows_of(user)] == [("one 1", 4)]
        assert_sound(user)


# -- No rows are lost ----------------------------------------------------------------------------


@concurrent
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside atomic"])
def test_bulk_sends_to_overlapping_recipients_in_opposite_order(make_user, inside, failures):
    """No deadlock reaches the caller, and each user gets everything, even without a mailbox."""
    users = [make_user(f"user{number}") for number in range(12)]
    start = Barrier(4)

    def send(number):
        order = users[number * 2 :] + users[: number * 2]
        start.wait(PATIENCE)
        for turn in range(5):
            text = f"{number}.{turn}"
            if inside:
                with transaction.atomic():
                    notify.send_many(order[: len(order) // 2], text)
                    notify.send_many(order[len(order) // 2 :][::-1], text)
            else:
                notify.send_many(order if turn % 2 else order[::-1], text)

    with sessions(4) as four:
        for future in [session.start(send, n) for n, session in enumerate(four)]:
            future.result(3 * PATIENCE)
    assert failures == []
    everything = sorted(f"{number}.{turn}" for number in range(4) for turn in range(5))
    for user in users:
        assert sorted(messages_of(user)) == everything
        assert_sound(user)


@concurrent
def test_eight_writers_lose_nothing(users, failures):
    """
    They send alone, in transactions, in bulk and with keys, and mark in between.

    The counts equal the rows.
    """
    start = Barrier(8)
    cursors = [read_all(user, Cursor("0" * 17, 0))[0] for user in users]

    def write(number):
        start.wait(PATIENCE)
        for turn in range(6):
            user = users[(number + turn) % len(users)]
            notify.send(user, f"{number}.{turn} at once")
            with transaction.atomic():
                notify.send(user, f"{number}.{turn} first")
                notify.send(users[number % 2], f"{number}.{turn} second")
            notify.send(user, f"{number}.{turn} keyed", key="k", count=True)
            marks.mark(user.pk, Mark.SEEN, upto=mailbox_of(user).cursor)
            notify.send_many(users, f"{number}.{turn} bulk")

    with sessions(8) as eight:
        writing = [session.start(write, number) for number, session in enumerate(eight)]
        seen = dict(enumerate(cursors))
        got = {number: set() for number in seen}
        while not all(future.done() for future in writing):
            for number, user in enumerate(users):  # readers keep reading meanwhile
                seen[number], messages = read_all(user, seen[number])
                got[number].update(messages)
        for future in writing:
            future.result()
    assert failures == []
    for number, user in enumerate(users):
        rows = rows_of(user)
        unkeyed = [row.message for row in rows if not row.collapse_key]
        assert len(set(unkeyed)) == len(unkeyed)
        assert sum(row.count for row in rows if row.collapse_key) == 8 * 6 / len(users)
        assert sum("bulk" in text for text in unkeyed) == 8 * 6
        assert waiting_of(user) == []
        got[number].update(read_all(user, seen[number])[1])
        assert got[number] >= set(unkeyed)
        assert_sound(user)
    assert Notification.objects.filter(message__contains="at once").count() == 8 * 6
    assert Notification.objects.filter(message__contains="first").count() == 8 * 6
    assert Notification.objects.filter(message__contains="second").count() == 8 * 6


@concurrent
def test_a_real_deadlock_is_tried_again(users, monkeypatch, failures):
    """Two transactions lock two mailboxes in opposite order. The aborted one runs again."""
    one, two = users[0], users[1]
    for user in (one, two):
        notify.send(user, "before")
        leave_waiting(user, "waiting")
    locked, go_on = Event(), Event()
    ordered_lock = MailboxQuerySet.lock
    tries = []

    def crosswise(self, recipients):
        tries.append(len(recipients))
        if len(tries) > 1:
            return ordered_lock(self, recipients)
        boxes = ordered_lock(self, [two.pk])  # against the order of the keys
        locked.set()
        assert go_on.wait(PATIENCE)
        return boxes + ordered_lock(self, [one.pk])

    monkeypatch.setattr(MailboxQuerySet, "lock", crosswise)
    with sessions(2) as (publisher, other):
        publishing = publisher.start(outbox.publish, [one.pk, two.pk])
        assert locked.wait(PATIENCE)

        def lock_both():
            with transaction.atomic():
                ordered_lock(MailboxQuerySet(notify.models.Mailbox), [one.pk])
                # So much is written that the database aborts the other transaction.
                notify.models.Mailbox.objects.filter(pk=one.pk).update(due=None)
                go_on.set()
                ordered_lock(MailboxQuerySet(notify.models.Mailbox), [two.pk])

        locking = other.start(tries_again(lock_both))
        locking.result(PATIENCE)
        assert publishing.result(PATIENCE) == 2
    assert failures == []
    for user in (one, two):
        assert messages_of(user) == ["before", "waiting"]
        assert_sound(user)


# -- SQLite --------------------------------------------------------------------------------------

SEND_IN_A_LOOP = """
import sys
import django

django.setup()
from django.db import connection, transaction
import notify
from notify import inbox, signals

if sys.argv[3] == "deferred":  # Django's default
    del connection.settings_dict["OPTIONS"]["transaction_mode"]

failures = []
def note(error, **kwargs):
    failures.append(repr(error))
signals.publish_failed.connect(note)

print("ready", flush=True)
sys.stdin.readline()
for turn in range(40):
    text = f"{sys.argv[1]} {turn}"
    notify.send(sys.argv[2], text + " at once")
    with transaction.atomic():
        notify.models.Mailbox.objects.filter(pk=sys.argv[2]).update(due=None)
        notify.send(sys.argv[2], text + " in atomic")
    notify.send_many([sys.argv[2]], text + " bulk")
    notify.send(sys.argv[2], text + " keyed", key=sys.argv[1], count=True)
    inbox.mark_seen(sys.argv[2])
    inbox.changes(sys.argv[2])
assert not failures, failures
"""


@only_sqlite
@pytest.mark.users
@pytest.mark.parametrize("mode", ["immediate", "deferred"])
def test_two_processes_share_one_sqlite_file(user, mode):
    """Neither sees "database is locked", in any transaction mode."""
    notify.send(user, "before")
    cursor = mailbox_of(user).cursor
    connections.close_all()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SEND_IN_A_LOOP, name, str(user.pk), mode],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
            cwd=servers.PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            _, errors = process.communicate(timeout=3 * PATIENCE)
            assert "locked" not in errors
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    rows = rows_of(user)
    assert len(rows) == 1 + 2 * (3 * 40 + 1)
    assert sorted(row.count for row in rows)[-2:] == [40, 40]
    assert set(read_all(user, cursor)[1]) == {row.message for row in rows}
    assert_sound(user)


def test_the_file_of_the_tests_is_in_wal_mode():
    """The documentation recommends it. Without it, readers and writers wait for each other."""
    if one_writer:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode")
            assert cursor.fetchone() == ("wal",)
