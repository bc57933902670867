"""Several database connections in one test, driven step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import pytest
from django.db import connections, transaction

from notify.db import database
from tests import settings
from tests.kit.patience import PATIENCE

T = TypeVar("T")

# Marks a test with concurrent transactions, because SQLite has one writer.
concurrent = pytest.mark.only_if(settings.DATABASE != "sqlite")


class Rollback(Exception):
    """Raised to end an atomic block without committing it."""


class Session:
    """
    A thread with its own database connection, which executes the steps of a test in order.

    A transaction opened by ``begin`` stays open between the steps, until ``commit`` or
    ``rollback``. A second ``begin`` opens a savepoint.
    """

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.blocks: list[transaction.Atomic] = []

    def start(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        return self.thread.submit(step, *args, **kwargs)

    def run(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return self.start(step, *args, **kwargs).result(PATIENCE)

    def begin(self) -> None:
        block = transaction.atomic(using=database())
        self.run(block.__enter__)
        self.blocks.append(block)

    def commit(self) -> None:
        self.run(self.blocks.pop().__exit__, None, None, None)

    def rollback(self) -> None:
        self.run(self.blocks.pop().__exit__, Rollback, Rollback(), None)

    def close(self) -> None:
        while self.blocks:
            self.rollback()
        self.run(connections.close_all)
        self.thread.shutdown()


class InlineSession(Session):
    """A session in the thread and on the connection of the test, for SQLite, which has one writer."""

    def start(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(step(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done

    def close(self) -> None:
        while self.blocks:
            self.rollback()
        self.thread.shutdown()


@contextmanager
def rolled_back() -> Iterator[None]:
    """Run the block in a transaction, or in a savepoint of one, and roll it back."""
    with transaction.atomic(using=database()):
        yield
        transaction.set_rollback(True, using=database())


@contextmanager
def sessions(count: int) -> Iterator[list[Session]]:
    """
    Yields that many sessions.

    If a failed test left one of them in a transaction, it is rolled back.
    """
    with ExitStack() as stack:
        opened = [Session() for _ in range(count)]
        for session in reversed(opened):
            stack.callback(session.close)
        yield opened
