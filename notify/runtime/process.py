"""
Hooks for the fork and exit of a process, and detection of event loops and monkey patches.

A forked child inherits the memory of its parent but none of its threads, so module state that
refers to a thread, a lock or a connection must be created again in the child.
"""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing.util
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def after_fork(function: Callable[[], object]) -> None:
    """Call a function in each forked child of this process. Has no effect on platforms without fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


class PerProcess(Generic[T]):
    """
    A value that each process creates for itself, on first use and again after a fork.

        workers = PerProcess(Workers)
        workers().submit(work)

    Other modules import this object and never the value, so none of them keeps a parent's value.

    Args:
        make: creates the value; called at most once per process, under a lock.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._value: T | None = None
        after_fork(self._forget)

    def __call__(self) -> T:
        if self._value is None:
            with self._lock:
                if self._value is None:
                    self._value = self._make()
        return self._value

    def peek(self) -> T | None:
        """Returns the value, or None if this process has not created it yet."""
        return self._value

    def _forget(self) -> None:
        """Drop the parent's value and its lock, which another thread may have held during the fork."""
        self._lock = threading.Lock()
        self._value = None


def at_exit(function: Callable[[], Any]) -> None:
    """
    Call a module-level function when this process exits normally.

    A child that ``multiprocessing`` has forked runs no ``atexit`` functions, so each child also gets a
    finalizer. A spawned child runs both, so it may call the function twice.
    """
    atexit.register(function)
    multiprocessing.util.register_after_fork(function, _at_exit_of_child)
    if multiprocessing.parent_process():  # spawned, or forked before it imported notify
        _at_exit_of_child(function)


def _at_exit_of_child(function: Callable[[], Any]) -> None:
    multiprocessing.util.Finalize(None, function, exitpriority=0)


def in_event_loop() -> bool:
    """Returns whether an event loop is running in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def is_monkey_patched() -> bool:
    """
    Returns whether gevent or eventlet has replaced threads with greenlets.

    If so, an event loop in a new "thread" would in fact run in the caller's own thread, and Django's
    ORM would then refuse to work there.
    """
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    return bool(
        (gevent and gevent.is_module_patched("threading"))
        or (eventlet and eventlet.is_monkey_patched("thread"))
    )
