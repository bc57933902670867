"""
Where work runs that must not run where it was asked for.

``submit`` hands a coroutine to one background event loop of this process, for the rings of plain
threads (WSGI, Celery, a shell). ``in_executor`` runs blocking work of the push side in a few
threads of our own, never in the process-wide one that Django and Channels share. Both are made
when first needed, and again after a fork.
"""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing.util
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial, wraps
from typing import Any, Generic, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connections

from notify.conf import conf

MAX_PENDING = 1000  # coroutines; a layer that hangs must not fill the memory of a worker
MAX_WAITING = 10_000  # things that wait for a flight; the sweep delivers what is not rung
FLUSH_SECONDS = 2.0  # that a process which ends waits for its last rings

P = ParamSpec("P")
T = TypeVar("T")


class Background:
    """An event loop in a daemon thread, and what was handed to it and is not done."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.pending: set[Future[Any]] = set()
        threading.Thread(target=self.loop.run_forever, name="notify-rings", daemon=True).start()

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> bool:
        if len(self.pending) >= MAX_PENDING:
            coroutine.close()
            return False
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        self.pending.add(future)
        future.add_done_callback(self.pending.discard)
        return True


_lock = threading.Lock()
_background: Background | None = None
_executor: Workers | None = None


def submit(coroutine: Coroutine[Any, Any, Any]) -> bool:
    """Run a coroutine soon, in the background. False: too many wait already, it was dropped."""
    global _background
    with _lock:
        if _background is None:
            _background = Background()
        return _background.submit(coroutine)


class Flights(Generic[T]):
    """
    Things on their way, one flight at a time: what is added during a flight goes with the next.

    Args:
        fly: takes what has gathered where it is to go, in the background; it never raises.
    """

    def __init__(self, fly: Callable[[list[T]], Coroutine[Any, Any, None]]) -> None:
        self._fly = fly
        self._waiting: list[T] = []
        self._is_flying = False
        self._lock = threading.Lock()

    def add(self, things: Iterable[T]) -> None:
        with self._lock:
            if len(self._waiting) > MAX_WAITING:
                raise RuntimeError(f"{MAX_WAITING} messages wait for the channel layer already")
            self._waiting.extend(things)
            if not self._is_flying:
                self._is_flying = submit(self._leave())

    async def _leave(self) -> None:
        while things := self._take():
            await self._fly(things)

    def _take(self) -> list[T]:
        with self._lock:
            things, self._waiting = self._waiting, []
            self._is_flying = bool(things)
            return things


def flush(timeout: float = FLUSH_SECONDS) -> bool:
    """Wait until what was submitted is done, at most ``timeout`` seconds. Whether it is."""
    pending = set(_background.pending) if _background else set()
    return not wait(pending, timeout).not_done


async def in_executor(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Run blocking work (the database) beside the event loop.

    ``NOTIFY_THREADS = 0`` runs it in Django's own thread instead, so that it sees the transaction
    of a TestCase.
    """
    work = partial(function, *args, **kwargs)
    if not conf.THREADS:
        return await sync_to_async(work, thread_sensitive=True)()
    return await asyncio.wrap_future(_workers().submit(work))


class Workers:
    """
    A few threads, and the work that waits for them.

    Each drops its database connections as ``CONN_MAX_AGE`` says, but not while other work waits:
    opening one takes longer than most of this work, so when thousands of tabs come back at once it
    would be most of what is done.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="notify")

    def submit(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            self.waiting.append((future, work))
            if self._busy < self.count:
                try:
                    self._pool.submit(self._run)
                except RuntimeError:  # no new thread can be had, or the process ends
                    if not self._busy:
                        self.waiting.pop()
                        raise
                else:
                    self._busy += 1
        return future

    def _run(self) -> None:
        """Work until nothing waits."""
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
            close_old_connections()  # what waited may have been taken by others, or cancelled

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if not self.waiting:
                self._busy -= 1
                return None
            return self.waiting.popleft()

    def _tidy(self) -> None:
        """Before the result is told, so that who has it finds no connection open."""
        if self.waiting:
            for connection in connections.all(initialized_only=True):
                if connection.errors_occurred:
                    connection.close_if_unusable_or_obsolete()
        else:
            close_old_connections()


def _workers() -> Workers:
    global _executor
    with _lock:
        if _executor is None:
            _executor = Workers(conf.THREADS)
        return _executor


def twin(call: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The same call for async code, in the thread where Django's own async twins do their work."""

    @wraps(call)
    async def awaited(*args: P.args, **kwargs: P.kwargs) -> T:
        return await sync_to_async(call)(*args, **kwargs)

    awaited.__name__ = awaited.__qualname__ = f"a{call.__name__}"
    awaited.__doc__ = f":func:`{call.__name__}` for async code."
    return awaited


def is_monkey_patched() -> bool:
    """
    Whether gevent or eventlet has replaced threads with greenlets.

    An event loop in a "thread" would then run in the caller's own thread, and the ORM refuses to
    work there.
    """
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    return bool(
        (gevent and gevent.is_module_patched("threading"))
        or (eventlet and eventlet.is_monkey_patched("thread"))
    )


def _forget() -> None:
    """A child has none of its parent's threads."""
    global _lock, _background, _executor
    _lock, _background, _executor = threading.Lock(), None, None


def at_exit(function: Callable[[], Any]) -> None:
    """Call a function of a module when this process ends in order, or a child of multiprocessing does."""
    atexit.register(function)
    multiprocessing.util.register_after_fork(function, _at_exit_of_child)
    if multiprocessing.parent_process():  # in which notify was imported late
        _at_exit_of_child(function)


def _at_exit_of_child(function: Callable[[], Any]) -> None:
    """A forked one knows no atexit."""
    multiprocessing.util.Finalize(None, function, exitpriority=0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
at_exit(flush)
