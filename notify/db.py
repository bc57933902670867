"""Transactions: whose is open, how much one may take, and what follows a deadlock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from notify.conf import conf
from notify.mailbox import statements as sql

TRIES = 5  # a deadlock is tried again four times, then left to the sweep

Result = TypeVar("Result")


def in_callers_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether code outside notify has a transaction open. The one around a TestCase does not count."""
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def in_testcase(connection: BaseDatabaseWrapper) -> bool:
    """Whether a TestCase rolls back what is done here: no other connection would see it, or be undone."""
    return any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def commits_by_hand(connection: BaseDatabaseWrapper) -> bool:
    """Whether autocommit is off and no ``atomic()`` is open: then there are no commit hooks."""
    return not connection.in_atomic_block and not connection.get_autocommit()


def batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut into runs of ``NOTIFY_PUBLISH_BATCH_SIZE``, so that no statement names more things at once."""
    size = conf.PUBLISH_BATCH_SIZE
    return (items[start : start + size] for start in range(0, len(items), size))


def try_again(transaction: Callable[[], Result]) -> Result:
    """Run a transaction; after a deadlock run it again, four times at most."""
    for left in reversed(range(TRIES)):
        try:
            return transaction()
        except DatabaseError as error:
            if not left or not sql.is_deadlock(error):
                raise
    raise AssertionError("unreachable")
