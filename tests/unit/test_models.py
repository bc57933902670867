"""The tables, and the methods of their querysets."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

import notify
from notify import models, protocol
from notify.encoding import timestamp
from notify.models import ActionRecord, Mailbox, Notification, TaskPart, TaskRecord
from notify.protocol import Counts, Cursor
from tests.kit.mailboxes import leave_waiting, mailbox_of, rows_of

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db]


# -- Schema --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field", [Mailbox._meta.get_field("user"), Notification._meta.get_field("recipient")]
)
def test_no_constraint_locks_the_users_row(field):
    """The constraint of a foreign key would lock that row until the sender commits (ADR 0002)."""
    assert field.remote_field.model._meta.label == field.related_model._meta.label
    assert field.db_constraint is False
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, field.model._meta.db_table)
    assert not any(constraint["foreign_key"] for constraint in constraints.values())


def test_the_database_refuses_two_rows_at_one_position(user):
    """Waiting rows have no position, so there may be many of them."""
    leave_waiting(user, "one", "two")
    leave_waiting(user, "three", position=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        leave_waiting(user, "four", position=1)


def test_the_way_back_from_a_user(user):
    """The names are used by no other package."""
    notify.send(user, "one")
    assert [row.message for row in user.notify_notifications.all()] == ["one"]
    assert user.notify_mailbox.counts == (1, 1)


# -- Mailbox -------------------------------------------------------------------------------------


def test_a_mailbox_begins_at_its_head(user):
    """A cursor cannot distinguish states at or below it."""
    box = Mailbox.starting(user.pk, head=7, unseen=2, unread=3)
    assert (box.floor, box.cursor.position, box.counts) == (7, 7, Counts(2, 3))
    assert len(box.epoch) == protocol.EPOCH_LENGTH
    assert box.cursor == Cursor(box.epoch, 7)
    assert str(box) == f"mailbox of {user.pk} at {box.epoch}:7"


def test_a_mailbox_is_read_from_the_columns_of_a_joined_row(user):
    """A user without a mailbox has empty columns there."""
    notify.send(user, "Hello")
    columns = Mailbox.objects.values_list(*models.BOX_COLUMNS).get()
    box = Mailbox.of_columns(columns)
    assert (box, box.cursor) == (mailbox_of(user), mailbox_of(user).cursor)
    assert Mailbox.of_columns([None] * len(columns)) is None


def test_ensure_makes_what_is_missing_and_leaves_the_rest(user, other_user):
    """This includes users without rows. An existing mailbox keeps its epoch."""
    notify.send(user, "one")
    before = mailbox_of(user)
    Mailbox.objects.ensure([other_user.pk, user.pk, other_user.pk])
    assert mailbox_of(user).cursor == before.cursor
    assert mailbox_of(other_user).counts == (0, 0)
    assert mailbox_of(other_user).head == 0
    with CaptureQueriesContext(connection) as context:
        Mailbox.objects.ensure([other_user.pk, user.pk])
    assert len(context) == 1


def test_ensure_counts_published_rows_only(user):
    """Waiting rows are counted when they are published."""
    leave_waiting(user, "waiting")
    Mailbox.objects.ensure([user.pk])
    assert mailbox_of(user).counts == (0, 0)
    assert mailbox_of(user).head == 0


def test_lock_returns_the_mailboxes_in_the_order_of_their_keys(make_user):
    """So two publishers never lock in opposite order. Users without a mailbox are left out."""
    users = [make_user(f"user{number}") for number in range(4)]
    Mailbox.objects.ensure([user.pk for user in users[1:]])
    with transaction.atomic():
        locked = Mailbox.objects.lock([user.pk for user in reversed(users)])
    assert [box.pk for box in locked] == sorted(user.pk for user in users[1:])


def test_lock_begins_with_a_write_where_rows_cannot_be_locked(user):
    """On SQLite, a transaction that first reads and then writes fails if another has written in between."""
    Mailbox.objects.ensure([user.pk])
    with CaptureQueriesContext(connection) as context, transaction.atomic():
        Mailbox.objects.lock([user.pk])
    first = context.captured_queries[1]["sql"]
    if connection.features.has_select_for_update:
        assert "FOR UPDATE" in first
    else:
        assert first.startswith("UPDATE")


# -- Notification --------------------------------------------------------------------------------


def test_the_words_of_the_queryset(user):
    """They are waiting, published and unarchived."""
    leave_waiting(user, "waiting")
    leave_waiting(user, "archived", position=1, archived_at=models.timezone.now())
    leave_waiting(user, "standing", position=2)
    rows = Notification.objects.order_by("pk")

    def texts(chosen):
        return [row.message for row in chosen]

    assert texts(rows.waiting()) == ["waiting"]
    assert texts(rows.published()) == ["archived", "standing"]
    assert texts(rows.unarchived()) == ["waiting", "standing"]
    assert texts(rows.published().unarchived()) == ["standing"]


def test_a_notification_is_named_by_its_title():
    assert str(Notification(title="Import", message="1,000 rows")) == "Import"
    assert str(Notification(message="x" * 100)) == "x" * 80


def test_tasks_and_their_parts_are_named_by_their_notification(user):
    """These are their names in the admin and in a shell."""
    with notify.progress(user, "Import"):
        task = TaskRecord.objects.get()
        assert str(task) == f"task of notification {task.pk}: running"
        record = ActionRecord(notification_id=task.pk)
        assert str(record) == f"action of notification {task.pk}"
        part = TaskPart(task=task, job="celery:7")
        assert str(part) == f"celery:7 of notification {task.pk}"


def test_a_row_on_the_wire(user):
    """The encoding has each field of version 1 of the protocol. It is compact, with times in UTC."""
    sent = notify.send(
        user,
        "Grüße 🎉",
        level="success",
        title="Fertig",
        category="imports",
        url="/x/",
        actions=[notify.Action("Download", "/y/")],
        data={"rows": 3},
        key="k",
        expires=timedelta(days=1),
    )
    (row,) = rows_of(user)
    text = row.encode()
    assert "Grüße 🎉" in text
    assert '": ' not in text
    document = json.loads(text)
    assert document == {
        "id": sent.pk,
        "position": sent.position,
        "arrived": sent.position,
        "level": "success",
        "category": "imports",
        "title": "Fertig",
        "message": "Grüße 🎉",
        "url": "/x/",
        "actions": [{"label": "Download", "url": "/y/"}],
        "data": {"rows": 3},
        "key": "k",
        "count": 1,
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
        "expires_at": timestamp(row.expires_at),
        "seen_at": None,
        "read_at": None,
        "archived_at": None,
        "dismissed_at": None,
    }
    assert document["expires_at"].endswith("+00:00")
