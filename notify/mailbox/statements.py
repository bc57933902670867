"""
The few statements that the ORM cannot say: INSERT … SELECT … RETURNING and UPDATE … RETURNING.

Their shapes were chosen by measuring (ADR 0003). A database that cannot return rows (MySQL,
Oracle) is served by the ORM, a row at a time.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, OperationalError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from notify.models import Mailbox, Notification
from notify.protocol import Counts, Cursor

# SQLSTATE, and the numbers of MySQL and MariaDB.
DEADLOCKS = frozenset({"40001", "40P01", 1213})  # serialization failures too
LOCK_TIMEOUTS = frozenset({"55P03", 1205})


def is_deadlock(error: DatabaseError) -> bool:
    """Whether the database gave this transaction up at once, so that it may run again."""
    return isinstance(error, OperationalError) and not DEADLOCKS.isdisjoint(_codes(error))


def is_contention(error: DatabaseError) -> bool:
    """Whether other transactions were in the way. After a time-out nobody wants to wait again."""
    known = DEADLOCKS | LOCK_TIMEOUTS
    return isinstance(error, OperationalError) and not known.isdisjoint(_codes(error))


def _codes(error: DatabaseError) -> set[Any]:
    cause = error.__cause__
    return {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *error.args[:1]}


def can_return_rows(using: str) -> bool:
    """Whether the database has INSERT … RETURNING (PostgreSQL, SQLite, MariaDB)."""
    return bool(connections[using].features.can_return_rows_from_bulk_insert)


def send_one(notification: Notification, using: str) -> tuple[Cursor, Counts] | None:
    """
    Record and publish one notification in one short transaction of its own.

    Returns the mailbox's cursor and counts afterwards; or nothing, and then nothing was stored,
    as the recipient has no mailbox yet.
    """
    connection = connections[using]
    if connection.vendor == "postgresql":
        row = _send_in_one_statement(notification, connection)
    else:
        row = _send_in_one_transaction(notification, connection)
    if row is None:
        return None
    notification.pk, epoch, head, unseen, unread = row
    notification.position = notification.arrived = head
    notification._state.adding, notification._state.db = False, using
    return Cursor(epoch, head), Counts(unseen, unread)


def _send_in_one_statement(notification: Notification, connection: BaseDatabaseWrapper) -> Any:
    update, parameters = _advance_mailbox(notification, connection)
    statement = (
        f"WITH box AS ({update} RETURNING user_id, epoch, head, unseen, unread),"
        f" sent AS ({_insert(connection.alias, 'user_id', 'head')} FROM box RETURNING id)"
        f" SELECT id, epoch, head, unseen, unread FROM sent, box"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*parameters, *_content(notification, connection)])
        return cursor.fetchone()


def _send_in_one_transaction(notification: Notification, connection: BaseDatabaseWrapper) -> Any:
    update, parameters = _advance_mailbox(notification, connection)
    key = parameters[-1:]
    mailbox = "epoch, head, unseen, unread"
    with (
        transaction.atomic(using=connection.alias, durable=True),
        connection.cursor() as cursor,
    ):
        if connection.vendor == "sqlite":
            cursor.execute(f"{update} RETURNING {mailbox}", parameters)
        else:  # MariaDB returns rows of an INSERT only
            cursor.execute(update, parameters)
            if not cursor.rowcount:  # a mailbox that is made just now would be found, not advanced
                return None
            cursor.execute(
                f"SELECT {mailbox} FROM {Mailbox._meta.db_table} WHERE user_id = %s", key
            )
        row = cursor.fetchone()
        if row is None:
            return None
        cursor.execute(
            f"{_insert(connection.alias, 'user_id', 'head')} FROM {Mailbox._meta.db_table}"
            " WHERE user_id = %s RETURNING id",
            [*_content(notification, connection), *key],
        )
        return (*cursor.fetchone(), *row)


def _advance_mailbox(
    notification: Notification, connection: BaseDatabaseWrapper
) -> tuple[str, list[Any]]:
    expires = connection.ops.adapt_datetimefield_value(notification.expires_at)
    due = ", due = CASE WHEN due < %s THEN due ELSE %s END" if expires else ""
    return (
        f"UPDATE {Mailbox._meta.db_table}"
        f" SET head = head + 1, unseen = unseen + 1, unread = unread + 1{due} WHERE user_id = %s",
        [*([expires] * 2 if expires else []), _to_database(notification.recipient_id, connection)],
    )


def insert_waiting(
    notification: Notification, recipients: Collection[Any], using: str
) -> list[tuple[Any, int, None]]:
    """Put a copy for each of these users into the outbox. Returns (recipient, id, no position)."""
    user = get_user_model()._meta
    assert user.pk is not None
    assert user.pk.column is not None
    return _insert_from(user.db_table, user.pk.column, "NULL", notification, recipients, using)


def insert_published(
    notification: Notification, recipients: Collection[Any], using: str
) -> list[tuple[Any, int, int]]:
    """Put a copy at the head of each of these mailboxes. Returns (recipient, id, position)."""
    return _insert_from(Mailbox._meta.db_table, "user_id", "head", notification, recipients, using)


def _insert_from(
    table: str,
    key: str,
    position: str,
    notification: Notification,
    recipients: Collection[Any],
    using: str,
) -> list[tuple[Any, int, Any]]:
    connection = connections[using]
    quote = connection.ops.quote_name
    statement = (
        f"{_insert(using, quote(key), position)} FROM {quote(table)}"
        f" WHERE {quote(key)} IN ({', '.join(['%s'] * len(recipients))})"
        " RETURNING recipient_id, id, position"
    )
    keys = [_to_database(pk, connection) for pk in recipients]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*_content(notification, connection), *keys])
        return [(_recipient().to_python(pk), *rest) for pk, *rest in cursor.fetchall()]


@cache
def _insert(using: str, key: str, position: str) -> str:
    columns = ", ".join(
        connections[using].ops.quote_name(str(field.column)) for field in _content_fields()
    )
    values = ", ".join(["%s"] * len(_content_fields()))
    return (
        f"INSERT INTO {Notification._meta.db_table} (recipient_id, position, arrived, {columns})"
        f" SELECT {key}, {position}, {position}, {values}"
    )


@cache
def _content_fields() -> tuple[models.Field[Any, Any], ...]:
    given_by_statement = {"id", "recipient", "position", "arrived"}
    return tuple(f for f in Notification._meta.concrete_fields if f.name not in given_by_statement)


def _content(notification: Notification, connection: BaseDatabaseWrapper) -> list[Any]:
    values = ((field, getattr(notification, field.attname)) for field in _content_fields())
    return [
        # Text and NULL need no adapting, and they are most of it. (A text in JSON needs quotes.)
        value
        if value is None or (type(value) is str and isinstance(field, models.CharField))
        else field.get_db_prep_save(value, connection)
        for field, value in values
    ]


@cache
def _recipient() -> models.Field[Any, Any]:
    return Notification._meta.get_field("recipient").target_field


def _to_database(recipient: Any, connection: BaseDatabaseWrapper) -> Any:
    return _recipient().get_db_prep_value(recipient, connection)
