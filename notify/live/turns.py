"""
Turns: the order in which clients' reads and commands get the threads of the pool.

Without turns, one user with many tabs could occupy every thread, and all other users would wait, even for
their sign-in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from contextlib import nullcontext
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from notify.runtime.executor import in_executor

T = TypeVar("T")


class Turns:
    """
    Runs blocking work in threads: one at a time for each key, and at most ``slots`` in total.

    Args:
        slots: the number of threads that the work may occupy.
        spawn: runs a coroutine in the background, and holds its task.
    """

    def __init__(
        self, slots: int, spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]
    ) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._spawn = spawn
        # A lock lives as long as some work of its key runs or waits.
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    async def run(self, key: Hashable, work: Callable[[], T], *, is_guest: bool = False) -> T:
        """
        Run work in a thread when it is its turn, and return its result.

        If the caller is cancelled, work that has not begun is dropped. A thread cannot be stopped, so work
        that has begun keeps its turn until it ends; otherwise clients that leave at once could occupy
        every thread.

        Args:
            key: whose turn it is.
            is_guest: take no slot, because the work belongs to a client that is just arriving.
        """
        running: asyncio.Task[T] = self._spawn(self._run(key, work, is_guest))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.cancel()
            raise

    async def _run(self, key: Hashable, work: Callable[[], T], is_guest: bool) -> T:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        async with lock, nullcontext() if is_guest else self._slots:
            thread = asyncio.ensure_future(in_executor(work))
            try:
                return await asyncio.shield(thread)
            finally:
                await asyncio.gather(thread, return_exceptions=True)
