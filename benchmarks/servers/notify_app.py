"""
notify as a project serves it, and its doorbell, rung with ready documents.

As with the peers, a notification begins here where it is handed over for delivery; what comes
before, recording and publishing, is the business of the database (``benchmarks.send``).
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from django.core.asgi import get_asgi_application

from benchmarks import payload
from benchmarks.servers.control import with_control
from benchmarks.servers.people import EPOCH
from notify import doorbell, protocol, signals
from notify.asgi import notify_asgi
from notify.protocol import Changes, Counts, Cursor
from notify.runtime import background


@dataclass(frozen=True, slots=True)
class ReadyRing:
    """A ring whose document is made already, as the doorbell takes it."""

    recipient_id: int
    document: Changes

    def changes(self) -> Changes:
        return self.document


async def publish(users: range, numbers: range) -> None:
    """One ring for each notification."""
    for number in numbers:
        for user in users:
            ring(user, document(number))
        await breathe()


def document(number: int) -> Changes:
    """What publishing a user's notification of this number makes; its row is encoded here, once."""
    return Changes(
        since=Cursor(EPOCH, number - 1),
        cursor=Cursor(EPOCH, number),
        head=number,
        counts=Counts(number, number),
        rows=protocol.dumps(payload.row(number)),
    )


def ring(user: int, changes: Changes) -> None:
    """The adapter to notify: ring for one committed change of one mailbox."""
    doorbell.ring([ReadyRing(user, changes)])


async def breathe() -> None:
    """Let the event loop work, as between two requests, and the layer take what it was given."""
    if doorbell.layer() is None:
        await asyncio.sleep(0)
    else:
        await asyncio.to_thread(background.flush)


def fail(sender: object, error: Exception, **kwargs: object) -> None:
    """A ring that the layer did not get would make notify cheaper than it is."""
    print(f"A ring failed: {error!r}", flush=True)
    os._exit(1)


signals.ring_failed.connect(fail)
application = with_control(notify_asgi(get_asgi_application()), publish)
