"""
How far tasks are between two writings of their rows: told to the tabs that are there, and kept nowhere.

A tick has no position. One that is lost is made up for by the next, or by the row, two seconds later.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

from notify import doorbell, protocol, signals, threads
from notify.runs import Run


class Outgoing:
    """Ticks on their way to the channel layer, one flight at a time. Only the newest is worth one."""

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}
        self._is_flying = False
        self._lock = threading.Lock()

    def add(self, ticked: Mapping[str, str]) -> None:
        with self._lock:
            self._waiting.update(ticked)
            if not self._is_flying:
                self._is_flying = threads.submit(self._fly())

    async def _fly(self) -> None:
        while ticked := self._take():
            if (layer := doorbell.layer()) is not None:
                sent = {"type": "notify.tick", "from": doorbell.process()}
                groups = [
                    (doorbell.group_of(recipient), sent | {"ticks": [[recipient, text]]})
                    for recipient, text in ticked.items()
                ]
                await doorbell.send(layer, groups)

    def _take(self) -> dict[str, str]:
        with self._lock:
            ticked, self._waiting = self._waiting, {}
            self._is_flying = bool(ticked)
            return ticked


outgoing = Outgoing()


def tell(runs: list[Run]) -> None:
    """Tell the tabs of these tasks' users how far they are; returns at once and never raises."""
    if not runs:
        return
    try:
        across = not threads.is_monkey_patched() and doorbell.layer() is not None
        if not (doorbell.hubs or across):
            return
        of: dict[str, list[dict[str, Any]]] = {}
        for run in runs:
            of.setdefault(str(run.recipient), []).append(_tick(run))
        ticked = {recipient: protocol.tick(ticks) for recipient, ticks in of.items()}
        for hub in tuple(doorbell.hubs):
            hub.tick(list(ticked.items()))
        if across:
            outgoing.add(ticked)
    except Exception as error:  # whatever a layer, or the making of one, raises
        signals.ring_failed.send_robust(doorbell.Ring, error=error)


def _tick(run: Run) -> dict[str, Any]:
    done, total = run.far
    return {
        "id": run.pk,
        "attempt": run.attempt,
        "done": done,
        "total": total,
        "message": run.saying(run.attempt),
    }


def _forget() -> None:
    """A child has none of its parent's flights."""
    global outgoing
    outgoing = Outgoing()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
