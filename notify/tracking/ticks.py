"""
How far tasks are between two writings of their rows: told to the tabs that are there, and kept nowhere.

A tick has no position. One that is lost is made up for by the next, or by the row, two seconds later.
"""

from __future__ import annotations

import os
from typing import Any

from notify import doorbell, protocol, signals
from notify.runtime import executor as threads
from notify.tracking.rows import Run


async def _carry(ticked: list[tuple[str, str]]) -> None:
    """To the channel layer; only the newest of each user is worth it."""
    if (layer := doorbell.layer()) is not None:
        sent = {"type": "notify.tick", "from": doorbell.process()}
        groups = [
            (doorbell.group_of(recipient), sent | {"ticks": [[recipient, text]]})
            for recipient, text in dict(ticked).items()
        ]
        await doorbell.send(layer, groups)


outgoing = threads.Flights(_carry)


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
        ticked = [(recipient, protocol.tick(ticks)) for recipient, ticks in of.items()]
        for hub in tuple(doorbell.hubs):
            hub.tick(ticked)
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
    outgoing = threads.Flights(_carry)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
