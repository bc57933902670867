"""
A small thread pool for the database work of the push side.

Unless ``NOTIFY_THREADS`` is 0, the push side does not use the process-wide thread that Django and
Channels share, because one slow synchronous call in that thread would delay every delivery of the
process.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connections

from notify.conf import conf
from notify.runtime.process import PerProcess

P = ParamSpec("P")
T = TypeVar("T")


async def in_executor(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Run blocking work, such as a query, in a thread of the pool.

    If ``NOTIFY_THREADS`` is 0, the work runs in Django's own thread instead, where it sees the
    transaction of a TestCase.
    """
    work = partial(function, *args, **kwargs)
    if not conf.THREADS:
        return await sync_to_async(work, thread_sensitive=True)()
    return await asyncio.wrap_future(workers().submit(work))


class Workers:
    """
    A few threads, and a queue of work for them.

    Each thread closes its database connections according to ``CONN_MAX_AGE``, but not while work is
    queued. Opening a connection takes longer than most of this work, so otherwise, when thousands of tabs
    reconnect at once, the threads would spend most of their time opening connections.

    Args:
        count: the number of threads.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="notify")

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """
        Add work to the queue.

        Raises:
            RuntimeError: if no thread is running and none can be started.
        """
        future: Future[T] = Future()
        with self._lock:
            self.waiting.append((future, work))
            if self._busy < self.count:
                try:
                    self._pool.submit(self._run)
                except RuntimeError:  # the process is at its thread limit, or is exiting
                    if not self._busy:
                        self.waiting.pop()
                        raise
                else:
                    self._busy += 1
        return future

    def _run(self) -> None:
        """Do the queued work until the queue is empty."""
        begin: Callable[[], None] | None = close_old_connections
        while job := self._next():
            future, work = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if begin is not None:
                    begin()
                    begin = None
                try:
                    result = work()
                finally:
                    self._tidy()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
        with suppress(Exception):
            # The last work here left its connections open because more was queued. But another thread
            # may have taken that work, or its caller may have cancelled it.
            close_old_connections()

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if not self.waiting:
                self._busy -= 1
                return None
            return self.waiting.popleft()

    def _tidy(self) -> None:
        """Close connections before the future's waiter sees them; only broken ones while work is queued."""
        if self.waiting:
            for connection in connections.all(initialized_only=True):
                if connection.errors_occurred:
                    connection.close_if_unusable_or_obsolete()
        else:
            close_old_connections()


workers = PerProcess(lambda: Workers(conf.THREADS))
