"""
The sweep: whatever was missed is found by looking at the rows.

One query compares the heads of all mailboxes that have a room here with the rooms' cursors. It
also publishes forgotten rows, archives what has expired, and now and then looks whether those
behind the connections are still signed in.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from notify import doorbell, signals
from notify.auth import session as auth
from notify.conf import conf
from notify.db import batches
from notify.inbox import reader as inbox
from notify.models import Notification
from notify.protocol import CloseCode
from notify.runtime.executor import in_executor

if TYPE_CHECKING:
    from notify.live.hub import Hub


SHORTEST_REST = 0.01  # seconds, whatever the settings say
REST_AFTER_FAULT = 1.0  # seconds more; the interval itself may be what is wrong


async def run(hub: Hub) -> None:
    """Sweep for ever, and recheck for ever."""
    await asyncio.gather(
        _repeat(hub, sweep, interval), _repeat(hub, recheck, lambda: float(conf.RECHECK_INTERVAL))
    )


async def _repeat(
    hub: Hub, step: Callable[[Hub], Awaitable[int]], interval: Callable[[], float]
) -> None:
    """A database that is down, or a setting that is wrong, is tried again at the next turn."""
    while True:
        try:
            rest = max(interval(), SHORTEST_REST)
            await asyncio.sleep(rest * random.uniform(0.75, 1.25))
            await step(hub)
        except Exception as error:
            signals.sweep_failed.send_robust(type(hub), error=error)
            await asyncio.sleep(REST_AFTER_FAULT)


async def once(hub: Hub) -> None:
    """Sweep before it is due."""
    try:
        await sweep(hub)
    except Exception as error:  # the next one is not far
        signals.sweep_failed.send_robust(type(hub), error=error)


def interval() -> float:
    """Seconds between two sweeps: short where no ring comes from other processes."""
    if conf.SWEEP_INTERVAL is not None:
        return float(conf.SWEEP_INTERVAL)
    return 1.0 if doorbell.layer() is None else 5.0


async def sweep(hub: Hub) -> int:
    """Look at all rooms once. Returns how many were behind."""
    behind = 0
    known = {
        room.recipient: room.cursor
        for room in hub.rooms.values()
        if room.is_made and room.connections
    }
    for recipients in batches(list(known)):
        for glance in await in_executor(_look_and_tend, recipients):
            room = hub.rooms.get(str(glance.recipient))
            # Not equal, as a cursor above the head is a restored database.
            if room is not None and glance.cursor not in (known[glance.recipient], room.cursor):
                behind += 1
                signals.repaired.send_robust(Notification, recipient=glance.recipient)
                room.repair()
    return behind


def _look_and_tend(recipients: Any) -> list[inbox.Glance]:
    glances = inbox.look_at(recipients)
    needing = [glance for glance in glances if glance.needs_work]
    if not needing:
        return glances
    inbox.tend(needing)
    return inbox.look_at(recipients)


async def recheck(hub: Hub) -> int:
    """
    End the connections of those who are no longer signed in as they were. Returns how many.

    A user who is deleted or deactivated is refused for good. Others are told to come back, and the
    handshake refuses whom it must: a new password, or a second login, gives the browser a new
    session in place of the old one, which only a new handshake can tell.
    """
    connections = list(hub.connections())
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
