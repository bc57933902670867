"""Database access: the alias that notify uses, open transactions, batches and deadlocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.contrib.auth import get_user_model
from django.db import (
    DatabaseError,
    Error,
    OperationalError,
    connections,
    models,
    router,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper

from notify.models import Notification

# The most mailboxes that one transaction locks, and the most keys in one statement. Larger batches would
# block senders for noticeably longer, and older versions of SQLite allow only 999
# parameters.
PUBLISH_BATCH_SIZE = 500

TRIES = 5  # after the fifth deadlock, the error is raised

# SQLSTATE codes, and error numbers of MySQL and MariaDB.
DEADLOCKS = frozenset({"40001", "40P01", 1213})  # including serialization failures
LOCK_TIMEOUTS = frozenset({"55P03", 1205})

P = ParamSpec("P")
Result = TypeVar("Result")


def database() -> str:
    """
    Returns the alias of the database that holds notify's tables.

    The push side also reads from this database, because a replica may not yet have the row that a
    ring has just announced.
    """
    return router.db_for_write(Notification)


def all_users() -> models.QuerySet[Any]:
    """
    Returns all users, read from the database that notify uses.

    Uses the base manager, because the default manager of a project may exclude some users.
    """
    return get_user_model()._base_manager.using(database()).order_by()


def pk_of(user: Any) -> Any:
    """Returns the primary key of a user, or the primary key itself."""
    return user.pk if isinstance(user, get_user_model()) else user


# -- Open transactions ---------------------------------------------------------------------------


def in_callers_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Returns whether the caller has opened a transaction. A TestCase's own does not count."""
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def after_commit(work: Callable[[], Result]) -> Result | None:
    """
    Do the work once the caller's transaction has committed, or now if none is open.

    Returns its result; ``None`` if it is yet to be done. After a commit, its errors are logged, not raised.
    """
    using = database()
    if in_callers_transaction(connections[using]):
        transaction.on_commit(work, using=using, robust=True)
        return None
    return work()


def in_testcase(connection: BaseDatabaseWrapper) -> bool:
    """
    Returns whether the transaction of a TestCase is open.

    Other connections cannot see what is written in it, and the TestCase rolls it back.
    """
    return any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def commits_by_hand(connection: BaseDatabaseWrapper) -> bool:
    """Returns whether autocommit is off outside ``atomic()``. Django then refuses ``on_commit`` hooks."""
    return not connection.in_atomic_block and not connection.get_autocommit()


# -- Batches -------------------------------------------------------------------------------------


def batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Split items into batches of ``PUBLISH_BATCH_SIZE``, so that no statement names more keys than that."""
    size = PUBLISH_BATCH_SIZE
    return (items[start : start + size] for start in range(0, len(items), size))


# -- Deadlocks -----------------------------------------------------------------------------------


def tries_again(transaction: Callable[P, Result]) -> Callable[P, Result]:
    """Decorate a transaction so that it is retried up to four times after a deadlock."""

    @wraps(transaction)
    def run(*args: P.args, **kwargs: P.kwargs) -> Result:
        for _ in range(TRIES - 1):
            try:
                return transaction(*args, **kwargs)
            except DatabaseError as error:
                if not is_deadlock(error):
                    raise
        return transaction(*args, **kwargs)

    return run


def is_deadlock(error: DatabaseError) -> bool:
    """Returns whether the database aborted the transaction to end a deadlock, so it can be retried."""
    return isinstance(error, OperationalError) and not DEADLOCKS.isdisjoint(_codes(error))


def is_contention(error: DatabaseError) -> bool:
    """
    Returns whether the error was caused by concurrent transactions.

    This includes a lock timeout, although :func:`tries_again` does not retry it, because the caller
    has already waited long enough.
    """
    return is_deadlock(error) or is_lock_timeout(error)


def is_lock_timeout(error: Error) -> bool:
    """Returns whether another transaction held a lock for longer than this one may wait."""
    return isinstance(error, OperationalError) and not LOCK_TIMEOUTS.isdisjoint(_codes(error))


def _codes(error: Error) -> set[Any]:
    cause = error.__cause__
    return {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *error.args[:1]}
