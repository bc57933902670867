"""
SQL statements that the ORM cannot express: INSERT … SELECT … RETURNING and UPDATE … RETURNING.

Their forms were chosen by benchmarks (ADR 0003). On databases that cannot return rows (MySQL,
Oracle), the ORM inserts one row at a time instead.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from notify.mailbox import locks
from notify.models import Mailbox, Notification
from notify.protocol import Counts, Cursor


def can_return_rows(using: str) -> bool:
    """Returns whether the database supports INSERT … RETURNING (PostgreSQL, SQLite, MariaDB)."""
    return bool(connections[using].features.can_return_rows_from_bulk_insert)


def send_one(notification: Notification, using: str) -> tuple[Cursor, Counts] | None:
    """
    Record and publish one notification in a short separate transaction.

    Returns the mailbox's cursor and counts afterwards; ``None``, with nothing stored, if the
    recipient has no mailbox yet.
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
    if locks.begins_own(connection):
        update += f" AND {locks.WAITS_BRIEFLY}"
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
        else:  # MariaDB has no UPDATE … RETURNING
            cursor.execute(locks.briefly(update, connection), parameters)
            if not cursor.rowcount:
                # The SELECT could find a mailbox that was created just now and that this UPDATE did not
                # advance.
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
    notification: Notification, recipient_ids: Collection[Any], using: str
) -> list[tuple[Any, int, None]]:
    """Insert a copy for each user into the outbox. Returns tuples ``(recipient, id, None)``."""
    user = get_user_model()._meta
    assert user.pk is not None
    assert user.pk.column is not None
    return _insert_from(user.db_table, user.pk.column, "NULL", notification, recipient_ids, using)


def insert_published(
    notification: Notification, recipient_ids: Collection[Any], using: str
) -> list[tuple[Any, int, int]]:
    """Insert a copy at the head of each mailbox. Returns tuples ``(recipient, id, position)``."""
    return _insert_from(
        Mailbox._meta.db_table, "user_id", "head", notification, recipient_ids, using
    )


def _insert_from(
    table: str,
    key: str,
    position: str,
    notification: Notification,
    recipient_ids: Collection[Any],
    using: str,
) -> list[tuple[Any, int, Any]]:
    connection = connections[using]
    quote = connection.ops.quote_name
    statement = (
        f"{_insert(using, quote(key), position)} FROM {quote(table)}"
        f" WHERE {quote(key)} IN ({', '.join(['%s'] * len(recipient_ids))})"
        " RETURNING recipient_id, id, position"
    )
    keys = [_to_database(pk, connection) for pk in recipient_ids]
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
    # The last two are NULL in each new row, so that a send is as short as without them.
    given_by_statement = {"id", "recipient", "position", "arrived", "acted_at", "outcome"}
    return tuple(
        field
        for field in Notification._meta.concrete_fields
        if field.name not in given_by_statement
    )


def _content(notification: Notification, connection: BaseDatabaseWrapper) -> list[Any]:
    values = ((field, getattr(notification, field.attname)) for field in _content_fields())
    return [
        # Skip the adapters for text and NULL, which are most values. (A string in a JSONField needs quotes.)
        value
        if value is None or (type(value) is str and isinstance(field, models.CharField))
        else field.get_db_prep_save(value, connection)
        for field, value in values
    ]


@cache
def _recipient() -> models.Field[Any, Any]:
    return Notification._meta.get_field("recipient").target_field


def _to_database(recipient_id: Any, connection: BaseDatabaseWrapper) -> Any:
    return _recipient().get_db_prep_value(recipient_id, connection)
