"""
The doorbell: tells the processes that hold a user's tabs that something changed.

The only module that sends through the channel layer. A ring may be lost, doubled or late, and
every one of them may: the rows are the truth, and each reader looks at them by itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from channels.layers import BaseChannelLayer, InMemoryChannelLayer, get_channel_layer

from notify import signals
from notify.conf import conf
from notify.models import Notification
from notify.protocol import Changes, Counts, Cursor, merge
from notify.runtime import executor as threads

COMMON_GROUP = "notify.all"
COMMON_BATCH_BYTES = 64 * 1024
MAX_ROWS = 100  # a change of more rows of one mailbox rings only the cursor
HOST = secrets.token_hex(8)  # tells the same process numbers of two machines apart
RING_TIMEOUT = 5.0  # seconds, for a layer that accepts and never answers
SAFE_NAME = re.compile(r"[a-zA-Z0-9\-_.]{1,64}")


@dataclass(frozen=True, slots=True)
class Ring:
    """
    A committed change of one mailbox.

    Attributes:
        recipient: primary key of the user.
        since, cursor: the mailbox's cursor before and after the change.
        notifications: the changed rows by rising position; ``None`` when they are too many.
    """

    recipient: Any
    since: Cursor
    cursor: Cursor
    counts: Counts
    notifications: Sequence[Notification] | None

    def changes(self) -> Changes:
        rows = self.notifications
        text = (
            None if rows is None or len(rows) > MAX_ROWS else ",".join(row.encode() for row in rows)
        )
        return Changes(self.since, self.cursor, self.cursor.position, self.counts, text)


class Hub(Protocol):
    """What the doorbell knows of a hub. All may be called from any thread."""

    def take(self, rung: Sequence[tuple[str, Changes]]) -> None:
        """Changes by recipient."""

    def tick(self, ticked: Sequence[tuple[str, str]]) -> None:
        """Ticks by recipient, encoded."""

    def kick(self, recipient: str, session: str | None) -> None:
        """End the connections that a session of this user has opened; without one, all of them."""


hubs: set[Hub] = set()  # the hubs of this process; each adds and removes itself


def group_of(recipient: str) -> str:
    """The group of the hubs that hold a tab of this user. A name that no layer takes is hashed."""
    if SAFE_NAME.fullmatch(recipient):
        return f"notify.user.{recipient}"
    return f"notify.hash.{hashlib.sha256(recipient.encode()).hexdigest()}"


def layer() -> BaseChannelLayer | None:
    """
    The layer that reaches other processes; never raises.

    None at all, one that stays in this process, or one that cannot be made is none.
    """
    try:
        found = get_channel_layer(conf.CHANNEL_LAYER)
    except Exception as error:
        signals.ring_failed.send_robust(Ring, error=error)
        return None
    return None if found is None or isinstance(found, InMemoryChannelLayer) else found


def ring(rings: Sequence[Ring]) -> None:
    """
    Ring for each change; returns at once and never raises.

    Hubs of this process get the documents by hand. The others are rung in one hop to the
    background event loop, however many recipients there are.
    """
    if not rings:
        return
    try:
        across = None if threads.is_monkey_patched() else layer()
        if not hubs and across is None:
            return
        rung = [(str(ring.recipient), ring.changes()) for ring in rings]
        for hub in tuple(hubs):
            hub.take(rung)
        if across is not None:
            outgoing.add(rung)
    except Exception as error:  # whatever a layer, or the making of one, raises
        signals.ring_failed.send_robust(Ring, error=error)


def kick(recipient: Any, session: str | None = None) -> None:
    """
    End a user's connections, in every process; never raises.

    Args:
        session: only those that were opened with it: its fingerprint
            (:func:`notify.auth.session.fingerprint`), not the key itself.
    """
    name = str(recipient)
    try:
        for hub in tuple(hubs):
            hub.kick(name, session)
        across = None if threads.is_monkey_patched() else layer()
        if across is not None:
            kicked = {"type": "notify.kick", "recipient": name, "session": session}
            if not threads.submit(send(across, [(group_of(name), kicked)])):
                raise RuntimeError("so much waits for the channel layer that a kick was dropped")
    except Exception as error:
        signals.ring_failed.send_robust(Ring, error=error)


async def _carry(rung: list[tuple[str, Changes]]) -> None:
    """To the channel layer, joined by mailbox: a burst costs few messages, and a mailbox's leave in order."""
    try:
        # Anew each time: the settings of a test may have changed meanwhile.
        if (across := layer()) is not None:
            await send(across, list(messages(join(rung))))
    except Exception as error:
        signals.ring_failed.send_robust(Ring, error=error)


outgoing = threads.Flights(_carry)


def _forget() -> None:
    """A child has neither the hubs nor the flights of its parent."""
    global outgoing
    hubs.clear()
    outgoing = threads.Flights(_carry)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def join(rung: Sequence[tuple[str, Changes]]) -> list[tuple[str, Changes]]:
    """The same changes in fewer rings: those of a mailbox that continue each other, as one."""
    joined: dict[str, list[Changes]] = {}
    for recipient, changes in rung:
        earlier = joined.setdefault(recipient, [])
        if earlier and _fit(earlier[-1], changes):
            earlier[-1] = merge([earlier[-1], changes])
        else:
            earlier.append(changes)
    return [(recipient, changes) for recipient, those in joined.items() for changes in those]


def _fit(first: Changes, second: Changes) -> bool:
    if first.rows is None or second.rows is None or first.cursor != second.since:
        return False
    return len(first.rows + second.rows) < int(conf.RING_MAX_BYTES)


async def send(layer: BaseChannelLayer, messages: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Send to groups, for as long as a ring may take; never raises."""
    outcomes: list[Any]
    try:
        async with asyncio.timeout(RING_TIMEOUT):
            sends = [layer.group_send(group, message) for group, message in messages]
            outcomes = await asyncio.gather(*sends, return_exceptions=True)
    except Exception as error:
        outcomes = [error]
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            signals.ring_failed.send_robust(Ring, error=outcome)
            break


def messages(rung: Sequence[tuple[str, Changes]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """
    The group messages for some changes: one for each user, or, from ``NOTIFY_COMMON_RING_FROM``
    users on, batches to the group of all hubs.
    """
    if len(rung) < conf.COMMON_RING_FROM:
        for recipient, changes in rung:
            yield group_of(recipient), message([pack(recipient, changes)])
        return
    batch: list[list[Any]] = []
    size = 0
    for recipient, changes in rung:
        packed = pack(recipient, changes)
        batch.append(packed)
        size += 100 + len(packed[-1] or "")
        if size > COMMON_BATCH_BYTES:
            yield COMMON_GROUP, message(batch)
            batch, size = [], 0
    if batch:
        yield COMMON_GROUP, message(batch)


def message(rings: list[list[Any]]) -> dict[str, Any]:
    return {"type": "notify.ring", "from": process(), "rings": rings}


def process() -> str:
    """This process: what it rang its own hubs know, as they were given it by hand."""
    return f"{HOST}.{os.getpid()}"


def pack(recipient: str, changes: Changes) -> list[Any]:
    """A change as plain values that every layer can carry; only its cursor when it is large."""
    rows = changes.rows
    if rows is not None and len(rows) > conf.RING_MAX_BYTES:
        rows = None
    return [recipient, str(changes.since), str(changes.cursor), *changes.counts, rows]


def unpack(ring: Sequence[Any]) -> tuple[str, Changes]:
    """
    The reverse of :func:`pack`.

    Raises:
        ValueError: it is none, or one of another version.
    """
    recipient, since, cursor, unseen, unread, rows = ring
    if not (type(unseen) is type(unread) is int and (rows is None or isinstance(rows, str))):
        raise ValueError("The ring does not hold two counts and a text.")
    at = Cursor.parse(cursor)
    return str(recipient), Changes(
        Cursor.parse(since), at, at.position, Counts(unseen, unread), rows
    )
