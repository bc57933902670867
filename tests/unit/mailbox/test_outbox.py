"""The write side: record, publish after the commit; and what goes wrong on the way."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

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
from notify import doorbell, signals
from notify.mailbox import marks, outbox
from notify.mailbox import statements as sql
from notify.models import Mailbox, MailboxQuerySet, Notification
from notify.protocol import Cursor, Mark
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
from tests.kit.sessions import rolled_back

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def no_returning(monkeypatch):
    """A database without INSERT … RETURNING, as MySQL is."""
    features = connection.features
    monkeypatch.setattr(type(features), "can_return_rows_from_bulk_insert", False)
    if connection.vendor != "postgresql":  # whose driver has no other way to tell an id
        features.__dict__.pop("can_return_columns_from_insert", None)
        monkeypatch.setattr(type(features), "can_return_columns_from_insert", False)


class Refused(Exception):
    """Raised by the code of a project."""


def statements_of(context: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in context.captured_queries]


# -- Record and publish --------------------------------------------------------------------------


def test_a_send_outside_a_transaction_is_published_at_once(user, rings):
    """Its row has a position, and the ring carries it, when send() returns."""
    notification = notify.send(user, "one")
    assert notification.position == notification.arrived == 1
    assert messages_of(user) == ["one"]
    assert [ring.notifications for ring in rings] == [[notification]]
    assert_sound(user)


def test_a_send_in_a_transaction_waits_for_its_commit(user, rings):
    """Until then the row stands in the outbox, and nothing rings."""
    with transaction.atomic():
        notification = notify.send(user, "one")
        assert notification.position is None
        assert waiting_of(user) == ["one"]
        assert rings == []
    assert messages_of(user) == ["one"]
    assert [ring.recipient for ring in rings] == [user.pk]


def test_rollback_sends_nothing(user, rings):
    """A notification of a transaction that rolls back never existed."""
    with rolled_back():
        notify.send(user, "one")
    assert not Notification.objects.exists()
    assert rings == []


def test_a_send_after_a_savepoint_that_rolled_back_arrives(user):
    """The hook of the first send goes with its savepoint; the second has one of its own."""
    with transaction.atomic():
        with rolled_back():
            notify.send(user, "lost")
        notify.send(user, "kept")
    assert messages_of(user) == ["kept"]
    assert waiting_of(user) == []


def test_a_send_before_a_savepoint_that_rolls_back_arrives(user, other_user):
    """Also when the savepoint has sent to somebody else."""
    with transaction.atomic():
        notify.send(user, "kept")
        with rolled_back():
            notify.send(other_user, "lost")
    assert messages_of(user) == ["kept"]
    assert messages_of(other_user) == waiting_of(other_user) == []


def test_the_first_hook_publishes_for_the_whole_transaction(user, other_user, monkeypatch):
    """The other hooks of the transaction run no statement."""
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
    """A hook that fails, for whatever reason, never fails the caller's commit."""
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
    """There the transaction is over, so it is published at once."""
    with transaction.atomic():
        notify.send(user, "in the transaction")
        transaction.on_commit(lambda: notify.send(user, "in a hook"))
    assert messages_of(user) == ["in the transaction", "in a hook"]


def test_a_commit_hook_that_fails_leaves_the_rows_to_the_next_publish(user):
    """A hook of the project that raises takes ours along; the rows stay in the outbox."""

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
    """Rows of a process that died after its commit come with the next publish, in order."""
    leave_waiting(user, "one", "two")
    with transaction.atomic():
        notify.send(user, "three")
    assert messages_of(user) == ["one", "two", "three"]
    assert_sound(user)


def test_a_send_at_once_may_leave_older_rows_to_others(user):
    """It does not look for them; they come later, with higher positions."""
    leave_waiting(user, "forgotten")
    notify.send(user, "at once")
    assert waiting_of(user) == ["forgotten"]
    outbox.publish([user.pk])
    assert messages_of(user) == ["at once", "forgotten"]
    assert_sound(user)


def test_publish_never_changes_what_was_published(user, rings):
    """A second publish finds nothing, gives no position and rings nobody."""
    notify.send(user, "one")
    before = mailbox_of(user).cursor
    rings.clear()
    assert outbox.publish([user.pk]) == 0
    assert mailbox_of(user).cursor == before
    assert rings == []


def test_the_rings_of_a_mailbox_continue_one_another(user, rings):
    """Each begins at the cursor at which the one before ended, however it was published."""
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
    """By rising position, each as a reader of the rows would find it."""
    with transaction.atomic():
        notify.send(user, "one", key="k", data={"a": [1]}, expires=timedelta(hours=1))
        notify.send(user, "two")
        notify.send(user, "three", key="k")
    (ring,) = rings
    assert on_the_wire(ring.notifications) == on_the_wire(rows_of(user))


def test_the_signals_tell_what_was_sent_and_what_was_published(user):
    """``sent`` inside the transaction, ``published`` after its commit."""
    told = []

    def on_sent(notifications, using, **kwargs):
        told.append(("sent", [row.message for row in notifications], using))

    def on_published(recipient, notifications, using, **kwargs):
        told.append(("published", [row.message for row in notifications], using))
        raise Refused  # a receiver that fails disturbs nobody

    signals.sent.connect(on_sent)
    signals.published.connect(on_published)
    try:
        with transaction.atomic():
            notify.send(user, "one")
            assert told == [("sent", ["one"], "default")]
    finally:
        signals.sent.disconnect(on_sent)
        signals.published.disconnect(on_published)
    assert told[1:] == [("published", ["one"], "default")]


@pytest.fixture
def told(monkeypatch):
    """What was rung and told, in order."""
    told = []
    monkeypatch.setattr(doorbell, "ring", lambda rings: told.extend(["ring"] * len(rings)))

    def on_sent(**kwargs):
        told.append("sent")

    def on_published(**kwargs):
        told.append("published")

    signals.sent.connect(on_sent)
    signals.published.connect(on_published)
    yield told
    signals.sent.disconnect(on_sent)
    signals.published.disconnect(on_published)


def test_the_toast_does_not_wait_for_receivers(user, other_user, told):
    """A slow one delays itself; ``sent`` comes before ``published``, however it was sent."""
    with override_settings(NOTIFY_PUBLISH_BATCH_SIZE=1):
        notify.send_many([user, other_user], "at once")
    assert told == ["ring", "ring", "sent", "published", "published"]
    told.clear()
    notify.send(user, "a key", key="k")
    assert told == ["sent", "ring", "published"]
    told.clear()
    with transaction.atomic():
        notify.send(user, "in a transaction")
    assert told == ["sent", "ring", "published"]
    told.clear()
    marks.mark(user.pk, Mark.SEEN, upto=mailbox_of(user).cursor)
    assert told == ["ring", "published"]


@pytest.mark.parametrize("key", ["", "k"], ids=["no key", "key"])
def test_a_batch_that_fails_takes_nothing_back_of_those_before_it(
    make_user, key, monkeypatch, told
):
    """Outside atomic() they are committed: published, rung and told."""
    users = [make_user(f"user{number}") for number in range(4)]
    error = OperationalError("the server went away")
    name = "insert_waiting" if key else "insert_published"
    insert = getattr(sql, name)

    def fail_later(letter, recipients, using):
        if users[2].pk in recipients:
            raise error
        return insert(letter, recipients, using)

    monkeypatch.setattr(sql, name, fail_later)
    with override_settings(NOTIFY_PUBLISH_BATCH_SIZE=2), pytest.raises(OperationalError):
        notify.send_many(users, "all", key=key)
    assert [messages_of(user) for user in users] == [["all"], ["all"], [], []]
    assert waiting_of(users[0]) == []
    assert sorted(told) == ["published", "published", "ring", "ring", "sent"]


def test_a_batch_that_fails_inside_a_transaction_takes_all_back(make_user, monkeypatch, rings):
    """It is the caller's transaction."""
    users = [make_user(f"user{number}") for number in range(4)]
    insert = Failing(sql.insert_waiting, 0, OperationalError("the server went away"))

    def fail_later(*args):
        insert.left = insert.calls  # the second call fails
        return insert(*args)

    monkeypatch.setattr(sql, "insert_waiting", fail_later)
    with (
        override_settings(NOTIFY_PUBLISH_BATCH_SIZE=2),
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
    """In batches of NOTIFY_PUBLISH_BATCH_SIZE, in the order of the recipients."""
    users = [make_user(f"user{number}") for number in range(5)]
    with override_settings(NOTIFY_PUBLISH_BATCH_SIZE=2):
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
    """What send_many() returns encodes as what a reader gets."""
    options = {"level": "error", "title": "t", "url": "/x/", "data": {"é": [1.5, None]}}
    actions = [notify.Action("Open", "/y/")]
    sent = notify.send_many(
        [user, other_user], "all", **options, actions=actions, expires=timedelta(days=1)
    )
    for row, recipient in zip(sent, (user, other_user), strict=True):
        assert on_the_wire(rows_of(recipient)) == on_the_wire([row])


def test_a_bulk_send_tells_each_mailbox_its_own_position(user, other_user, rings):
    """Mailboxes stand at different heads."""
    notify.send(user, "one")
    notify.send(user, "two")
    rings.clear()
    notify.send_many([user, other_user], "all", expires=timedelta(hours=1))
    assert [(ring.recipient, ring.since.position, ring.cursor.position) for ring in rings] in (
        [(user.pk, 2, 3), (other_user.pk, 0, 1)],
        [(other_user.pk, 0, 1), (user.pk, 2, 3)],
    )
    assert [ring.counts for ring in rings if ring.recipient == user.pk] == [(3, 3)]
    assert_sound(user)
    assert_sound(other_user)


# -- Many rows -----------------------------------------------------------------------------------


def test_many_rows_of_one_mailbox_are_published_in_several_transactions(
    user, other_user, rings, monkeypatch
):
    """So that no lock is held, and no memory taken, without bound; all in order, none left."""
    monkeypatch.setattr(outbox, "ROWS_AT_ONCE", 4)
    for number in range(5):
        leave_waiting(user, f"{number}")
        leave_waiting(user, f"k{number}", collapse_key="k")
        leave_waiting(other_user, f"{number}")
    assert outbox.publish([user.pk, other_user.pk]) == 2
    assert messages_of(user) == ["0", "1", "2", "3", "4", "k4"]
    assert messages_of(other_user) == ["0", "1", "2", "3", "4"]
    assert waiting_of(user) == waiting_of(other_user) == []
    assert {row.count for row in rows_of(user) if row.collapse_key} == {5}
    assert max(len(ring.notifications) for ring in rings) <= 4
    for one in (user, other_user):
        assert_sound(one)
        mine = [ring for ring in rings if ring.recipient == one.pk]
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
    """Its head and floor are the highest position, its counts those of the rows."""
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
    """Of the rows that are not archived."""
    first, second = (timezone.now() + timedelta(hours=hours) for hours in (1, 2))
    notify.send(user, "one", expires=first)
    notify.send(user, "two", expires=second)
    marks.mark(user.pk, Mark.ARCHIVED, [(rows_of(user)[0].pk, 1)])
    Mailbox.objects.all().delete()
    Mailbox.objects.ensure([user.pk])
    assert mailbox_of(user).due == second


# -- What goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [OperationalError("the server went away"), InterfaceError("connection already closed")],
    ids=["operational", "interface"],
)
def test_publish_never_raises_for_the_databases_sake(user, error, monkeypatch, failures):
    """An error that is no deadlock is not tried again, and left to the sweep at once."""
    lock = Failing(MailboxQuerySet.lock, 1, error)
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    with transaction.atomic():
        notify.send(user, "one")
    assert lock.calls == 1
    assert failures == [error]
    assert waiting_of(user) == ["one"]


def test_one_batch_that_fails_leaves_the_others_alone(user, other_user, monkeypatch, failures):
    """The batches of a publish are transactions of their own."""
    leave_waiting(user, "one")
    leave_waiting(other_user, "two")
    lock = Failing(MailboxQuerySet.lock, 1, OperationalError("full"))
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    with override_settings(NOTIFY_PUBLISH_BATCH_SIZE=1):
        assert outbox.publish([user.pk, other_user.pk]) == 1
    assert sorted(messages_of(user) + messages_of(other_user)) in (["one"], ["two"])
    assert len(failures) == 1


def test_a_send_with_a_key_whose_publish_fails_returns_the_waiting_row(user, monkeypatch, failures):
    """The INSERT is done, so nothing is raised, even when the database is gone afterwards."""
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
    """As any INSERT of the caller's would; then nothing was sent."""
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
    """Though no constraint of the database says so."""
    notify.send_many([user, other_user], "one")
    leave_waiting(user, "waiting")
    user.delete()
    assert [row.recipient_id for row in Notification.objects.all()] == [other_user.pk]
    assert [box.pk for box in Mailbox.objects.all()] == [other_user.pk]


def test_a_user_deleted_before_the_commit_fails_nobody(user, other_user):
    """The row of a user who is gone is read by nobody."""
    with transaction.atomic():
        notify.send_many([user, other_user], "one")
        get_user_model().objects.filter(pk=user.pk).delete()
    assert messages_of(other_user) == ["one"]


# -- Without INSERT … RETURNING ------------------------------------------------------------------


def test_a_database_without_returning_is_served_row_by_row(user, other_user, no_returning, rings):
    """Slower, and the same in all else."""
    assert not sql.can_return_rows("default")
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
    """Writes go to "other"; the default database is a replica that lags behind for ever."""

    def db_for_read(self, model, **hints):
        return "default"

    def db_for_write(self, model, **hints):
        return "other"


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_router_may_send_notify_to_another_database(make_user):
    """All of notify's work is done there, and hooks wait for that database's commits."""
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
