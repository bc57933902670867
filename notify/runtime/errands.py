"""
Errands: work for other services that nobody waits for, in a few daemon threads.

A service that is down may let each errand hang for minutes. So the number of threads is bounded, and so is
the number of errands that wait for one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from notify.runtime.process import PerProcess

THREADS = 4
MAX_PENDING = 1000  # errands that wait or run


class Errands:
    """Runs errands by name, each of them once at a time."""

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], object]] = {}
        self._running: set[str] = set()
        self._threads = 0
        self._lock = threading.Lock()

    def submit(self, name: str, errand: Callable[[], object]) -> bool:
        """
        Run an errand soon, in a thread. It must not raise an exception.

        Returns False if the errand was dropped, because one of this name is waiting or running, or because
        too many others are.
        """
        with self._lock:
            pending = len(self._waiting) + len(self._running)
            if name in self._waiting or name in self._running or pending >= MAX_PENDING:
                return False
            self._waiting[name] = errand
            if self._threads < THREADS:
                threading.Thread(target=self._run, name="notify-errands", daemon=True).start()
                self._threads += 1
        return True

    def _run(self) -> None:
        name = None
        while job := self._next(name):
            name, errand = job
            errand()

    def _next(self, done: str | None) -> tuple[str, Callable[[], object]] | None:
        with self._lock:
            if done is not None:
                self._running.discard(done)
            if not self._waiting:
                self._threads -= 1
                return None
            name = next(iter(self._waiting))
            self._running.add(name)
            return name, self._waiting.pop(name)


errands = PerProcess(Errands)
