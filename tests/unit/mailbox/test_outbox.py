"""The write side: record, publish after the commit, and failures on the way."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notify
from notify import db, doorbell, signals
from notify.mailbox import marks, outbox, statements
from notify.models import Mailbox, MailboxQuerySet, Notification
from notify.protocol import Cursor, Mark
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
def no_returning(monkeypatch):
    """A database without INSERT … RETURNING, such as MySQL."""
    features = connection.features
    monkeypatch.setattr(type(features), "can_return_rows_from_bulk_insert", False)
    if connection.vendor != "postgresql":  # its driver has no other way to return an id
        features.__dict__.pop("can_return_columns_from_insert", None)
        monkeypatch.setattr(type(features), "can_return_columns_from_insert", False)


class Refused(Exception):
    """Raised by the code of a project."""


def statements_of(context: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in context.captured_queries]


# -- Record and publish --------------------------------------------------------------------------


def test_a_send_outside_a_transaction_is_published_at_once(user, rings):
    """When send() returns, the row has a position, and the ring carries it."""
    notification = notify.send(user, "one")
    assert notification.position == notification.arrived == 1
    assert messages_of(user) == ["one"]
    assert [ring.notifications for ring in rings] == [[notification]]
    assert_sound(user)


def test_a_send_in_a_transaction_waits_for_its_commit(user, rings):
    """Until then, the row waits in the outbox, and nothing rings."""
    with transaction.atomic():
        notification = notify.send(user, "one")
        assert notification.position is None
        assert waiting_of(user) == ["one"]
        assert rings == []
    assert messages_of(user) == ["one"]
    assert [ring.recipient_id for ring in rings] == [user.pk]


def test_rollback_sends_nothing(user, rings):
    with rolled_back():
        notify.send(user, "one")
    assert not Notification.objects.exists()
    assert rings == []


def test_a_send_after_a_savepoint_that_rolled_back_arrives(user):
    """The commit hook of the first send is lost with its savepoint. The second send has its own."""
    with transaction.atomic():
        with rolled_back():
            notify.send(user, "lost")
        notify.send(user, "kept")
    assert messages_of(user) == ["kept"]
    assert waiting_of(user) == []


def test_a_send_before_a_savepoint_that_rolls_back_arrives(user, other_user):
    """This also holds if the savepoint has sent to another user."""
    with transaction.atomic():
        notify.send(user, "kept")
        with rolled_back():
            notify.send(other_user, "lost")
    assert messages_of(user) == ["kept"]
    assert messages_of(other_user) == waiting_of(other_user) == []


def test_the_first_hook_publishes_for_the_whole_transaction(user, other_user, monkeypatch):
    """The other hooks of the transaction execute no statement."""
    published = []
    publish = outbox.publish
    monkeypatch.setattr(
        outbox, "publish", lambda users, **kw: published.append(set(users)) or publish(users, **kw)
    )
    with transaction.atomic():
        for number in range(5):
            notify.send(user, f"{number}")
            notify.send(other_user, f"{number}")
        hooks = [hook for _, hook, _ in connection.run_on_commit]
        assert len(hooks) == 10
    assert published[0] == {user.pk, other_user.pk}
    assert published[1:] == [set()] * 9
    with CaptureQueriesContext(connection) as context:
        hooks[-1]()
    assert statements_of(context) == []
    assert messages_of(user) == messages_of(other_user) == ["0", "1", "2", "3", "4"]


def test_the_hooks_are_robust(user):
    """A failing hook must never fail the caller's commit."""
    with transaction.atomic():
        notify.send(user, "one")
        ((_, _, robust),) = connection.run_on_commit
        assert robust


def test_a_hook_that_fails_is_logged_and_not_raised(user, monkeypatch, caplog):
    """Django's log line names the hook, so the hook must have a name."""

    def fail(*args, **kwargs):
        raise ZeroDivisionError

    with transaction.atomic():
        notify.send(user, "one")
        monkeypatch.setattr(outbox, "publish", fail)
    assert "PublishAfterCommit" in caplog.text
    assert waiting_of(user) == ["one"]


def test_a_send_in_a_commit_hook_of_the_project_arrives(user):
    """The transaction is over then, so it is published at once."""
    with transaction.atomic():
        notify.send(user, "in the transaction")
        transaction.on_commit(lambda: notify.send(user, "in a hook"))
    assert messages_of(user) == ["in the transaction", "in a hook"]


def test_a_commit_hook_that_fails_leaves_the_rows_to_the_next_publish(user):
    """A hook of the project that raises prevents later hooks. The rows stay in the outbox."""

    def fail():
        raise Refused

    @transaction.atomic
    def work():
        transaction.on_commit(fail)
        notify.send(user, "one")

    with pytest.raises(Refused):
        work()
    assert waiting_of(user) == ["one"]
    assert outbox.publish([user.pk]) == 1
    assert messages_of(user) == ["one"]


def test_forgotten_rows_are_published_with_the_next(user):
    """Rows of a process that died after its commit are published with the next rows, in order."""
    leave_waiting(user, "one", "two")
    with transaction.atomic():
        notify.send(user, "three")
    assert messages_of(user) == ["one", "two", "three"]
    assert_sound(user)


def test_a_send_at_once_may_leave_older_rows_to_others(user):
    """They are not looked up, and are published later with higher positions."""
    leave_waiting(user, "forgotten")
    notify.send(user, "at once")
    assert waiting_of(user) == ["forgotten"]
    outbox.publish([user.pk])
    assert messages_of(user) == ["at once", "forgotten"]
    assert_sound(user)


def test_publish_never_changes_what_was_published(user, rings):
    """A second publish finds nothing, assigns no position and rings nothing."""
    notify.send(user, "one")
    before = mailbox_of(user).cursor
    rings.clear()
    assert outbox.publish([user.pk]) == 0
    assert mailbox_of(user).cursor == before
    assert rings == []


def test_the_rings_of_a_mailbox_continue_one_another(user, rings):
    """Each ring begins at the cursor at which the one before ended, for every way of publishing."""
    notify.send(user, "at once")
    with transaction.atomic():
        notify.send(user, "two")
        notify.send(user, "three", key="k")
    notify.send_many([user], "four")
    notify.send(user, "five", key="k")
    marks.mark(user.pk, Mark.SEEN, upto=mailbox_of(user).cursor)
    for earlier, later in pairwise(rings):
        assert later.since == earlier.cursor
    assert rings[-1].cursor == mailbox_of(user).cursor
    assert [ring.counts.unseen for ring in rings] == [1, 3, 4, 4, 0]
    assert rings[-1].counts == mailbox_of(user).counts


def test_a_ring_carries_the_committed_rows(user, rings):
    """The rows are sorted by position, and equal to those that a reader would read."""
    with transaction.atomic():
        notify.send(user, "one", key="k", data={"a": [1]}, expires=timedelta(hours=1))
        notify.send(user, "two")
        notify.send(user, "three", key="k")
    (ring,) = rings
    assert on_the_wire(ring.notifications) == on_the_wire(rows_of(user))


def test_the_signals_tell_what_was_sent_and_what_was_published(user):
    """``sent`` is emitted inside the transaction, ``published`` after its commit."""
    emitted = []

    def on_sent(notifications, using, **kwargs):
        emitted.append(("sent", [row.message for row in notifications], using))

    def on_published(recipient_id, notifications, using, **kwargs):
        emitted.append(("published", [row.message for row in notifications], using))
        raise Refused  # a failing receiver does not affect the others

    signals.sent.connect(on_sent)
    signals.published.connect(on_published)
    try:
        with transaction.atomic():
            notify.send(user, "one")
            assert emitted == [("sent", ["one"], "default")]
    finally:
        signals.sent.disconnect(on_sent)
        signals.published.disconnect(on_published)
    assert emitted[1:] == [("published", ["one"], "default")]


@pytest.fixture
def emitted(monkeypatch):
    """The rings and signals, in order."""
    emitted = []
    monkeypatch.setattr(doorbell, "ring", lambda rings: emitted.extend(["ring"] * len(rings)))

    def on_sent(**kwargs):
        emitted.append("sent")

    def on_published(**kwargs):
        emitted.append("published")

    signals.sent.connect(on_sent)
    signals.published.connect(on_published)
    yield emitted
    signals.sent.disconnect(on_sent)
    signals.published.disconnect(on_published)


def test_the_toast_does_not_wait_for_receivers(user, other_user, emitted):
    """A slow receiver delays only itself. ``sent`` comes before ``published`` in every way of sending."""
    with patch.object(db, "PUBLISH_BATCH_SIZE", 1):
        notify.send_many([user, other_user], "at once")
    assert emitted == ["ring", "ring", "sent", "published", "published"]
    emitted.clear()
    notify.send(user, "a key", key="k")
    assert emitted == ["sent", "ring", "published"]
    emitted.clear()
    with transaction.atomic():
        notify.send(user, "in a transaction")
    assert emitted == ["sent", "ring", "published"]
    emitted.clear()
    marks.mark(user.pk, Mark.SEEN, upto=mailbox_of(user).cursor)
    assert emitted == ["ring", "published"]


@pytest.mark.parametrize("key", ["", "k"], ids=["no key", "key"])
def test_a_batch_that_fails_takes_nothing_back_of_those_before_it(
    make_user, key, monkeypatch, emitted
):
    """Outside atomic(), they are committed: published, rung and reported by signals."""
    users = [make_user(f"user{number}") for number in range(4)]
    error = OperationalError("the server went away")
    name = "insert_waiting" if key else "insert_published"
    insert = getattr(statements, name)

    def fail_later(letter, recipients, using):
        if users[2].pk in recipients:
            raise error
        return insert(letter, recipients, using)

    monkeypatch.setattr(statements, name, fail_later)
    with patch.object(db, "PUBLISH_BATCH_SIZE", 2), pytest.raises(OperationalError):
        notify.send_many(users, "all", key=key)
    assert [messages_of(user) for user in users] == [["all"], ["all"], [], []]
    assert waiting_of(users[0]) == []
    assert sorted(emitted) == ["published", "published", "ring", "ring", "sent"]


def test_a_send_that_meets_one_conflict_after_another_goes_through_the_outbox(user, monkeypatch):
    """So it is stored and published all the same."""
    Mailbox.objects.ensure([user.pk])
    send_one = Failing(statements.send_one, 99, contention())
    monkeypatch.setattr(statements, "send_one", send_one)
    assert notify.send(user, "one").position == 1
    assert send_one.calls > 1
    assert messages_of(user) == ["one"]
    assert_sound(user)


LOCK_TIMEOUT = OperationalError(1205, "Lock wait timeout exceeded")


def test_a_send_that_waits_too_long_for_the_lock_goes_through_the_outbox(
    user, monkeypatch, failures
):
    """The publish does not wait again. Here the lock is free by then."""
    Mailbox.objects.ensure([user.pk])
    send_one = Failing(statements.send_one, 1, LOCK_TIMEOUT)
    monkeypatch.setattr(statements, "send_one", send_one)
    locked, given = outbox.locked, []

    def note(*args, **options):
        given.append(options)
        return locked(*args, **options)

    monkeypatch.setattr(outbox, "locked", note)
    assert notify.send(user, "one").position == 1
    assert given == [{"skips": True}]
    assert failures == [LOCK_TIMEOUT]
    assert_sound(user)


def test_a_publish_that_waits_too_long_for_a_lock_leaves_out_what_is_locked(
    user, other_user, monkeypatch, failures
):
    leave_waiting(user, "one")
    leave_waiting(other_user, "two")
    lock = Failing(outbox.locked, 1, LOCK_TIMEOUT)
    monkeypatch.setattr(outbox, "locked", lambda *args, **options: lock(*args, **options))
    assert outbox.publish([user.pk, other_user.pk]) == 2
    assert (lock.calls, failures) == (2, [LOCK_TIMEOUT])


def test_where_the_caller_commits_by_hand_a_row_waits_for_the_next_publish(user, rings):
    """No ring can follow a commit whose moment is unknown."""
    Mailbox.objects.ensure([user.pk])
    transaction.set_autocommit(False)
    try:
        notify.send(user, "one")
        assert outbox.publish([user.pk]) == 0
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert (waiting_of(user), rings) == (["one"], [])
    assert outbox.publish([user.pk]) == 1
    assert (waiting_of(user), len(rings)) == ([], 1)


def test_a_batch_that_fails_inside_a_transaction_takes_all_back(make_user, monkeypatch, rings):
    """The transaction is the caller's."""
    users = [make_user(f"user{number}") for number in range(4)]
    insert = Failing(statements.insert_waiting, 0, OperationalError("the server went away"))

    def fail_later(*args):
        insert.left = insert.calls  # the second call fails
        return insert(*args)

    monkeypatch.setattr(statements, "insert_waiting", fail_later)
    with (
        patch.object(db, "PUBLISH_BATCH_SIZE", 2),
        pytest.raises(OperationalError),
        transaction.atomic(),
    ):
        notify.send_many(users, "all")
    assert insert.calls == 2
    assert not Notification.objects.exists()
    assert rings == []


# -- Several recipients --------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside atomic"])
@pytest.mark.parametrize("key", ["", "k"], ids=["no key", "key"])
def test_each_of_several_recipients_gets_a_row(make_user, inside, key):
    """They are inserted in batches of PUBLISH_BATCH_SIZE, in the order of the recipients."""
    users = [make_user(f"user{number}") for number in range(5)]
    with patch.object(db, "PUBLISH_BATCH_SIZE", 2):
        if inside:
            with transaction.atomic():
                sent = notify.send_many(users, "all", key=key)
                assert {row.position for row in sent} == {None}
        else:
            sent = notify.send_many(users, "all", key=key)
            assert None not in {row.position for row in sent}
    assert [row.recipient_id for row in sent] == [user.pk for user in users]
    for row, user in zip(sent, users, strict=True):
        assert messages_of(user) == ["all"]
        assert rows_of(user)[0].pk == row.pk
        assert_sound(user)


def test_a_row_of_a_bulk_send_is_what_is_stored(user, other_user):
    """A row returned by send_many() has the same encoding as the row that a reader reads."""
    options = {"level": "error", "title": "t", "url": "/x/", "data": {"é": [1.5, None]}}
    actions = [notify.Action("Open", "/y/")]
    sent = notify.send_many(
        [user, other_user], "all", **options, actions=actions, expires=timedelta(days=1)
    )
    for row, recipient in zip(sent, (user, other_user), strict=True):
        assert on_the_wire(rows_of(recipient)) == on_the_wire([row])


def test_a_bulk_send_tells_each_mailbox_its_own_position(user, other_user, rings):
    """The mailboxes have different heads."""
    notify.send(user, "one")
    notify.send(user, "two")
    rings.clear()
    notify.send_many([user, other_user], "all", expires=timedelta(hours=1))
    assert [(ring.recipient_id, ring.since.position, ring.cursor.position) for ring in rings] in (
        [(user.pk, 2, 3), (other_user.pk, 0, 1)],
        [(other_user.pk, 0, 1), (user.pk, 2, 3)],
    )
    assert [ring.counts for ring in rings if ring.recipient_id == user.pk] == [(3, 3)]
    assert_sound(user)
    assert_sound(other_user)


# -- Many rows -----------------------------------------------------------------------------------


def test_many_rows_of_one_mailbox_are_published_in_several_transactions(
    user, other_user, rings, monkeypatch
):
    """Otherwise a lock would be held, and memory used, without bound. All rows arrive in order."""
    monkeypatch.setattr(outbox, "ROWS_AT_ONCE", 4)
    for number in range(5):
        leave_waiting(user, f"{number}")
        leave_waiting(user, f"k{number}", collapse_key="k", is_counted=True)
        leave_waiting(other_user, f"{number}")
    assert outbox.publish([user.pk, other_user.pk]) == 2
    assert messages_of(user) == ["0", "1", "2", "3", "4", "k4"]
    assert messages_of(other_user) == ["0", "1", "2", "3", "4"]
    assert waiting_of(user) == waiting_of(other_user) == []
    assert {row.count for row in rows_of(user) if row.collapse_key} == {5}
    assert max(len(ring.notifications) for ring in rings) <= 4
    for one in (user, other_user):
        assert_sound(one)
        mine = [ring for ring in rings if ring.recipient_id == one.pk]
        assert len(mine) > 1
        assert all(later.since == earlier.cursor for earlier, later in pairwise(mine))


# -- Mailboxes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda user: notify.send(user, "new"), id="one"),
        pytest.param(lambda user: notify.send_many([user], "new"), id="many"),
        pytest.param(lambda user: notify.send(user, "new", key="k"), id="key"),
    ],
)
def test_a_missing_mailbox_is_made_from_the_rows(user, send):
    """Its head and floor are the highest position, and its counts are those of the rows."""
    for message in ("one", "two", "three", "four"):
        notify.send(user, message)
    marks.mark(user.pk, Mark.READ, [(rows_of(user)[0].pk, 1)])
    marks.mark(user.pk, Mark.ARCHIVED, [(rows_of(user)[0].pk, 2)])
    before = mailbox_of(user)
    Mailbox.objects.all().delete()
    send(user)
    after = mailbox_of(user)
    assert after.epoch > before.epoch
    assert after.floor == before.head
    assert after.head > before.head
    assert after.counts == (3, 3)
    assert_sound(user)


def test_a_new_mailbox_knows_the_next_expiry(user):
    """Only rows that are not archived matter."""
    first, second = (timezone.now() + timedelta(hours=hours) for hours in (1, 2))
    notify.send(user, "one", expires=first)
    notify.send(user, "two", expires=second)
    marks.mark(user.pk, Mark.ARCHIVED, [(rows_of(user)[0].pk, 1)])
    Mailbox.objects.all().delete()
    Mailbox.objects.ensure([user.pk])
    assert mailbox_of(user).due == second


# -- Failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [OperationalError("the server went away"), InterfaceError("connection already closed")],
    ids=["operational", "interface"],
)
def test_publish_never_raises_for_the_databases_sake(user, error, monkeypatch, failures):
    """An error that is not a deadlock is not retried, but left to the sweep at once."""
    lock = Failing(MailboxQuerySet.lock, 1, error)
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    with transaction.atomic():
        notify.send(user, "one")
    assert lock.calls == 1
    assert failures == [error]
    assert waiting_of(user) == ["one"]


def test_one_batch_that_fails_leaves_the_others_alone(user, other_user, monkeypatch, failures):
    """Each batch of a publish has its own transaction."""
    leave_waiting(user, "one")
    leave_waiting(other_user, "two")
    lock = Failing(MailboxQuerySet.lock, 1, OperationalError("full"))
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    with patch.object(db, "PUBLISH_BATCH_SIZE", 1):
        assert outbox.publish([user.pk, other_user.pk]) == 1
    assert sorted(messages_of(user) + messages_of(other_user)) in (["one"], ["two"])
    assert len(failures) == 1


def test_a_send_with_a_key_whose_publish_fails_returns_the_waiting_row(user, monkeypatch, failures):
    """The INSERT has succeeded, so nothing is raised, even if the database is down afterwards."""
    lock = Failing(MailboxQuerySet.lock, 1, OperationalError("the server went away"))
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    in_bulk = Failing(type(Notification.objects.all()).in_bulk, 1, InterfaceError("closed"))
    monkeypatch.setattr(type(Notification.objects.all()), "in_bulk", in_bulk)
    notification = notify.send(user, "one", key="k")
    assert in_bulk.calls == 1
    assert notification.position is None
    assert waiting_of(user) == ["one"]


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside atomic"])
def test_send_raises_djangos_own_error_when_its_insert_fails(user, other_user, inside, rings):
    """It fails like any INSERT of the caller, and nothing is sent."""
    table = Notification._meta.db_table
    with connection.schema_editor() as editor:
        editor.alter_db_table(Notification, table, f"{table}_away")
    send_many = transaction.atomic(notify.send_many) if inside else notify.send_many
    try:
        for recipients in ([user], [user, other_user]):
            with pytest.raises(DatabaseError) as error:
                send_many(recipients, "one")
            assert error.type.__module__ == "django.db.utils"
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Notification, f"{table}_away", table)
    assert not Notification.objects.exists()
    assert rings == []


def test_deleting_a_user_deletes_its_rows_and_its_mailbox(user, other_user):
    """The database has no constraint that would do it."""
    notify.send_many([user, other_user], "one")
    leave_waiting(user, "waiting")
    user.delete()
    assert [row.recipient_id for row in Notification.objects.all()] == [other_user.pk]
    assert [box.pk for box in Mailbox.objects.all()] == [other_user.pk]


def test_a_user_deleted_before_the_commit_fails_nobody(user, other_user):
    """The row of a deleted user is read by no reader."""
    with transaction.atomic():
        notify.send_many([user, other_user], "one")
        get_user_model().objects.filter(pk=user.pk).delete()
    assert messages_of(other_user) == ["one"]


# -- Without INSERT … RETURNING ------------------------------------------------------------------


def test_a_database_without_returning_is_served_row_by_row(user, other_user, no_returning, rings):
    """It is slower, but the same otherwise."""
    assert not statements.can_return_rows("default")
    one = notify.send(user, "one")
    many = notify.send_many([user, other_user], "many")
    assert one.position == 1
    assert [row.position is None for row in many] == [False, False]
    with transaction.atomic():
        notify.send_many([user, other_user], "keyed", key="k")
        notify.send_many([user, other_user], "keyed again", key="k")
    assert messages_of(user) == ["one", "many", "keyed again"]
    assert messages_of(other_user) == ["many", "keyed again"]
    assert len(rings) == 5
    assert_sound(user)
    assert_sound(other_user)


# -- Several databases ---------------------------------------------------------------------------


class ToOther:
    """Routes writes to "other". The default database acts as a replica that lags forever."""

    def db_for_read(self, model, **hints):
        return "default"

    def db_for_write(self, model, **hints):
        return "other"


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_router_may_send_notify_to_another_database(make_user):
    """All work of notify is done there, and the hooks wait for the commits of that database."""
    make_user("nobody")
    with override_settings(DATABASE_ROUTERS=[ToOther()]):
        user = make_user("alice")
        assert notify.send(user, "one").position == 1
        with transaction.atomic("other"):
            notify.send(user, "two", key="k")
            assert notify.inbox.changes(user).counts == (1, 1)
        with transaction.atomic("default"):
            notify.send_many([user, user.pk], "three")
            assert messages_of(user) == ["one", "two", "three"]
        page = notify.inbox.changes(user, Cursor(mailbox_of(user).epoch, 1))
        assert [row.message for row in page.notifications] == ["two", "three"]
        notify.inbox.mark_read(user)
        assert notify.inbox.counts(user) == (0, 0)
        assert_sound(user)
    assert not Notification.objects.using("default").exists()
    assert not Mailbox.objects.using("default").exists()
    assert connections["other"].in_atomic_block is False
