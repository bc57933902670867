"""
One background event loop in each process, for channel-layer sends from threads without a loop.

WSGI workers, Celery tasks and shells have no event loop of their own. One loop in a daemon thread
keeps its connections to the channel layer open between sends; ``async_to_sync`` would open a new
connection for each send.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future, wait
from typing import Any, Generic, TypeVar

from notify.runtime.process import PerProcess, at_exit

MAX_PENDING = 1000  # coroutines; otherwise a layer that hangs would fill the memory of the process
MAX_WAITING = 10_000  # items in one Flights queue; the sweep delivers the changes of dropped rings
FLUSH_SECONDS = 2.0  # the longest that an exiting process waits for its last rings

T = TypeVar("T")


class Background:
    """An event loop in a daemon thread, and the submitted coroutines that are not finished yet."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.pending: set[Future[Any]] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self.loop.run_forever, name="notify-rings", daemon=True).start()

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> bool:
        """Run a coroutine soon. If too many are pending, drop the coroutine and return False."""
        with self._lock:
            if len(self.pending) >= MAX_PENDING:
                coroutine.close()
                return False
            future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
            self.pending.add(future)
        future.add_done_callback(self.pending.discard)
        return True


background = PerProcess(Background)


def submit(coroutine: Coroutine[Any, Any, Any]) -> bool:
    """Run a coroutine on the background loop soon. If too many are pending, drop it and return False."""
    return background().submit(coroutine)


class Flights(Generic[T]):
    """
    A queue that sends its items in batches, one batch at a time.

    Items that are added while a batch is being sent are part of the next batch.

    Args:
        fly: sends one batch, on the background loop. It must not raise an exception.
    """

    def __init__(self, fly: Callable[[list[T]], Coroutine[Any, Any, None]]) -> None:
        self._fly = fly
        self._waiting: list[T] = []
        self._is_flying = False
        self._lock = threading.Lock()

    def add(self, items: Iterable[T]) -> None:
        """
        Add items to the next batch.

        Raises:
            RuntimeError: if too many items are waiting already.
        """
        with self._lock:
            if len(self._waiting) > MAX_WAITING:
                raise RuntimeError(
                    f"{MAX_WAITING} messages are already waiting for the channel layer."
                )
            self._waiting.extend(items)
            if not self._is_flying:
                self._is_flying = submit(self._leave())

    async def _leave(self) -> None:
        while items := self._take():
            await self._fly(items)

    def _take(self) -> list[T]:
        with self._lock:
            items, self._waiting = self._waiting, []
            self._is_flying = bool(items)
            return items


def flush(timeout: float = FLUSH_SECONDS) -> bool:
    """Wait up to ``timeout`` seconds for submitted work. Returns True if all of it finished."""
    here = background.peek()
    return not wait(set(here.pending) if here else set(), timeout).not_done


at_exit(flush)
