"""
Bounds on the lock of a mailbox, for the case that a process stops in the middle of a change.

A process that is frozen, swapped out or on a paused machine holds its lock until it goes on. Without
bounds, each send to that user would wait as long. All bounds are part of statements that are executed in
any case, because another round trip would make a send slower by a tenth and more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import RawSQL

from notify.db import commits_by_hand
from notify.models import Mailbox

# Seconds that a transaction waits for the lock of a mailbox. A change normally takes milliseconds.
WAIT = 3
# Seconds without a statement after which PostgreSQL ends a session that has locked a mailbox. Longer than
# WAIT, because its process may only be slow.
HOLD = 10

# Conditions that are always true. PostgreSQL evaluates them for a row before it waits for the row's lock,
# and resets what they set when the transaction ends.
WAITS_BRIEFLY = f"set_config('lock_timeout', '{WAIT}s', true) IS NOT NULL"
HOLDS_BRIEFLY = f"set_config('idle_in_transaction_session_timeout', '{HOLD}s', true) IS NOT NULL"


def begins_own(connection: BaseDatabaseWrapper) -> bool:
    """
    Returns whether a transaction that begins now is notify's own.

    In the transaction of a caller or of a TestCase, the bounds of PostgreSQL would last until its end.
    """
    return not connection.in_atomic_block and not commits_by_hand(connection)


def take(
    recipient_ids: Collection[Any], using: str, *, is_own: bool, skips: bool = False
) -> list[Mailbox]:
    """
    Lock mailboxes until the transaction ends.

    Args:
        is_own: whether the transaction is notify's own.
        skips: leave out the mailboxes that others have locked, instead of waiting for them.

    Raises:
        OperationalError: after ``WAIT`` seconds. SQLite waits for as long as its own ``timeout``.
    """
    connection = connections[using]
    boxes = Mailbox.objects.using(using)
    if connection.vendor == "postgresql" and is_own:
        bounds = f"{WAITS_BRIEFLY} AND {HOLDS_BRIEFLY}"
        boxes = boxes.filter(RawSQL(bounds, (), models.BooleanField()))
    if skips and connection.features.has_select_for_update_skip_locked:
        free = boxes.filter(pk__in=recipient_ids).order_by("pk")
        return list(free.select_for_update(skip_locked=True))
    with connection.execute_wrapper(_execute_briefly):
        return boxes.lock(recipient_ids)


def briefly(statement: str, connection: BaseDatabaseWrapper) -> str:
    """Returns the statement; for MariaDB, with a prefix so that it waits at most ``WAIT`` seconds."""
    if connection.display_name != "MariaDB":
        return statement
    return f"SET STATEMENT innodb_lock_wait_timeout = {WAIT} FOR {statement}"


def _execute_briefly(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
    context = rest[-1]
    return execute(briefly(sql, context["connection"]), *rest)
