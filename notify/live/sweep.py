"""
The sweep: finds all changes whose rings were lost, and re-checks sessions.

One query per 500 rooms compares the heads of their mailboxes with the cursors of the rooms. The sweep
also publishes rows that were left in the outbox, and archives expired ones. If no rings arrive from
other processes, their notifications are delivered by the sweep.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Protocol

from notify import doorbell, signals
from notify.auth import session as auth
from notify.conf import conf
from notify.db import batches
from notify.live.connection import Connection
from notify.live.room import Room
from notify.models import Notification
from notify.protocol import CloseCode
from notify.runtime.executor import in_executor

SHORTEST_REST = 0.01  # minimum number of seconds, even if the settings are lower
REST_AFTER_FAULT = 1.0  # additional seconds; the fault may be the interval setting itself
LOOK_PAUSE = 0.2  # seconds to collect rooms for one sweep


class SweepTarget(Protocol):
    """The part of a hub that the sweep uses."""

    loop: asyncio.AbstractEventLoop
    rooms: dict[str, Room]

    def connections(self) -> Iterator[Connection]:
        """Returns all connections of the hub."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in the background."""


class Sweep:
    """Repairs the rooms of a hub, and re-checks the sessions of its connections."""

    def __init__(self, hub: SweepTarget) -> None:
        self._hub = hub
        self._soon: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Sweep and re-check sessions forever, each at its own interval."""
        await asyncio.gather(
            self._repeat(self.once, interval),
            self._repeat(self.recheck, lambda: float(conf.RECHECK_INTERVAL)),
        )

    async def _repeat(self, step: Callable[[], Awaitable[int]], rest: Callable[[], float]) -> None:
        """Repeat a step. If the database is down or a setting is wrong, the next turn tries again."""
        while True:
            try:
                await asyncio.sleep(max(rest(), SHORTEST_REST) * random.uniform(0.75, 1.25))
                await step()
            except Exception as error:
                self._report(error)
                await asyncio.sleep(REST_AFTER_FAULT)

    def soon(self) -> None:
        """
        Schedule one sweep, for all rooms that request it within ``LOOK_PAUSE``.

        In a storm of reconnects thousands of rooms join late, but few of them have missed a ring, so most
        reads would be wasted if each room read for itself.
        """
        if self._soon is None:
            self._soon = self._hub.loop.call_later(LOOK_PAUSE, self._begin)

    def cancel(self) -> None:
        """Cancel a sweep that was scheduled by :meth:`soon`."""
        if self._soon is not None:
            self._soon.cancel()

    def _begin(self) -> None:
        self._soon = None  # Reset first: a ring that is missed from now on needs another sweep.
        self._hub.spawn(self._try_once())

    async def _try_once(self) -> None:
        try:
            await self.once()
        except Exception as error:  # The next regular sweep tries again.
            self._report(error)

    def _report(self, error: Exception) -> None:
        signals.sweep_failed.send_robust(type(self._hub), error=error)

    async def once(self) -> int:
        """Sweep all rooms once, and repair the rooms that are behind. Returns their number."""
        rooms = [room for room in self._hub.rooms.values() if room.is_made and room.connections]
        behind = 0
        for source in {room.source for room in rooms}:
            known = {room.key: room.cursor for room in rooms if room.source is source}
            for keys in batches(list(known)):
                for key, cursor in (await in_executor(source.look, keys)).items():
                    room = self._hub.rooms.get(source.name(key))
                    # Any difference counts: if a database was restored, a cursor may be above the head.
                    if room is not None and cursor not in (known[key], room.cursor):
                        behind += 1
                        signals.repaired.send_robust(Notification, recipient_id=key)
                        room.repair()
        return behind

    async def recheck(self) -> int:
        """
        Close the connections whose sign-in is no longer valid. Returns their number.

        Users who were deleted or deactivated are refused for good. All others get a code that means *come
        back*: after a new password or a second login, the browser has a new session, which only a new
        handshake can find.
        """
        connections = list(self._hub.connections())
        if not connections:
            return 0
        visitors = {connection.visitor for connection in connections}
        known = await in_executor(auth.still_signed_in, visitors)
        gone = [connection for connection in connections if connection.visitor not in known]
        if gone:
            barred = await in_executor(auth.barred, {connection.visitor for connection in gone})
            for connection in gone:
                is_final = connection.visitor in barred
                connection.close(CloseCode.NOT_SIGNED_IN if is_final else CloseCode.GOING_AWAY)
        return len(gone)


def interval() -> float:
    """Returns the seconds between two sweeps: fewer if no rings can come from other processes."""
    if conf.SWEEP_INTERVAL is not None:
        return float(conf.SWEEP_INTERVAL)
    return 1.0 if doorbell.layer() is None else 5.0
