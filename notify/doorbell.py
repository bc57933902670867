"""
The doorbell rings the processes that hold a user's tabs when something has changed.

All rings, ticks and kicks are sent by this module; the hub's group membership
(``live/membership.py``) sends only a canary to itself. Rings may be lost, duplicated or late: only the
rows count, and every reader checks them regularly.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from channels.layers import BaseChannelLayer, InMemoryChannelLayer, get_channel_layer

from notify import installation, signals
from notify.conf import conf
from notify.models import Notification
from notify.protocol import Changes, Counts, Cursor, dumps, merge
from notify.runtime import background
from notify.runtime.process import PerProcess, after_fork, is_monkey_patched

RING, TICK, KICK = "notify.ring", "notify.tick", "notify.kick"  # the types of messages
COMMON_BATCH_BYTES = 64 * 1024
MAX_ROWS = 100  # in one document; a ring for more rows carries only the cursor
HOST = secrets.token_hex(8)  # processes on two machines may have the same pid
# The ring for a larger document carries only the cursor: as the layer copies each message for each
# process, reading the rows is cheaper from this size on.
RING_MAX_BYTES = 16 * 1024
# From this number of changes on, a few large messages go to all hubs instead of one to each user's group.
# Each hub drops changes for which it has no tab, which costs less than sending to each group.
COMMON_RING_FROM = 50
RING_TIMEOUT = 5.0  # seconds; a layer may accept a message and never answer
SAFE_NAME = re.compile(r"[a-zA-Z0-9\-_.]{1,64}")


@dataclass(frozen=True, slots=True)
class Page:
    """
    A part of one mailbox: the changes since a cursor or, on a reset, the snapshot.

    Attributes:
        since: the requested cursor; ``None`` on a reset.
        cursor: the reader's cursor after this page; ``None`` if the user has no mailbox.
        head: the position of the mailbox's newest change. If it is above ``cursor``, more pages follow.
        counts: the numbers of unseen and unread notifications at ``head``.
        notifications: the rows in ascending order of position (on a reset, of ``arrived``).
        reset: if true, this page replaces everything that the reader holds.
    """

    since: Cursor | None
    cursor: Cursor | None
    head: int
    counts: Counts
    rows: Sequence[Notification] | None  # None: not listed, so readers read them
    reset: bool = False
    recipient_id: Any = field(default=None, compare=False, kw_only=True)

    @property
    def notifications(self) -> Sequence[Notification]:
        return self.rows or ()

    @property
    def tells_nothing(self) -> bool:
        """True if nothing has changed since the requested cursor."""
        return self.since is not None and self.since == self.cursor

    def changes(self) -> Changes:
        """Returns the page as a document for the wire, with encoded rows."""
        is_listed = self.rows is not None and len(self.rows) <= MAX_ROWS
        rows = ",".join(row.encode() for row in self.notifications) if is_listed else None
        return Changes(self.since, self.cursor, self.head, self.counts, rows, self.reset)


class RingTarget(Protocol):
    """The methods of a hub that the doorbell calls, from any thread."""

    def take(self, rung: Sequence[tuple[str, Changes]]) -> None:
        """Take changes, by recipient."""

    def tick(self, ticked: Sequence[tuple[str, str]]) -> None:
        """Take encoded ticks, by recipient."""

    def kick(self, recipient: str, session: str | None) -> None:
        """End the connections opened with this session of the user; without a session, all of them."""


hubs: set[RingTarget] = set()  # the hubs of this process; each adds and removes itself


def common_group() -> str:
    """Returns the group of all hubs of this installation."""
    return f"notify.{installation.group_id()}.all"


def group_of(recipient: str) -> str:
    """
    Returns the group of this installation's hubs that hold a tab of this user.

    Names that layers reject are hashed. All names are shorter than 100 characters, the limit of Channels.
    """
    return _group_of(installation.group_id(), recipient)


# The hub needs a name for every ring, and a cache lookup costs less than validating the name.
@lru_cache(maxsize=4096)
def _group_of(group_id: str, recipient: str) -> str:
    if SAFE_NAME.fullmatch(recipient):
        return f"notify.{group_id}.user.{recipient}"
    return f"notify.{group_id}.hash.{hashlib.sha256(recipient.encode()).hexdigest()}"


@contextmanager
def reporting() -> Iterator[None]:
    """Send the signal ``ring_failed`` for any error, because a ring must never raise in its sender."""
    try:
        yield
    except Exception as error:  # a layer, or its creation, may raise anything
        signals.ring_failed.send_robust(Page, error=error)


def layer() -> BaseChannelLayer | None:
    """Returns the channel layer; None if it is not configured, is in-memory, or cannot be created."""
    found = None
    with reporting():
        found = get_channel_layer(conf.CHANNEL_LAYER)
    return None if found is None or isinstance(found, InMemoryChannelLayer) else found


def _reaches_others() -> bool:
    """Returns whether this process can ring others. With greenlets it cannot, and the sweep delivers."""
    return not is_monkey_patched() and layer() is not None


def has_listeners() -> bool:
    """Returns whether a hub of this process, or a channel layer, can take rings."""
    return bool(hubs) or _reaches_others()


def ring(pages: Sequence[Page]) -> None:
    """
    Ring for each committed change. Returns at once and never raises.

    Hubs of this process get the documents directly. The others are rung by the background event
    loop, which is woken once for any number of recipients.
    """
    with reporting():
        across = _reaches_others()
        if not pages or not (hubs or across):
            return
        rung = [(str(page.recipient_id), page.changes()) for page in pages]
        for hub in tuple(hubs):
            hub.take(rung)
        if across:
            _rings().add(rung)


def tick(ticked: Sequence[tuple[str, str]]) -> None:
    """
    Send ticks to the tabs of some users. Returns at once and never raises.

    Args:
        ticked: pairs of a recipient and an encoded ``tick`` document.
    """
    with reporting():
        for hub in tuple(hubs):
            hub.tick(ticked)
        if _reaches_others():
            _ticks().add(ticked)


def kick(recipient_id: Any, session: str | None = None) -> None:
    """
    End a user's connections in every process. Never raises.

    Args:
        session: the fingerprint of a session (``auth.session.fingerprint``), not its key; only the
            connections opened with this session end.
    """
    name = str(recipient_id)
    with reporting():
        for hub in tuple(hubs):
            hub.kick(name, session)
        if _reaches_others():
            kicked = message(KICK, recipient=name, session=session)
            if not background.submit(_send([(group_of(name), kicked)])):
                raise RuntimeError("A kick was dropped: too many messages are waiting to be sent.")


async def _send_rings(rung: list[tuple[str, Changes]]) -> None:
    """Send a batch, joined by mailbox, so a burst takes few messages and each mailbox keeps its order."""
    with reporting():
        await _send(list(messages(join(rung))))


async def _send_ticks(ticked: list[tuple[str, str]]) -> None:
    """Send the newest tick of each recipient in a batch."""
    with reporting():
        await _send(
            [
                (group_of(recipient), message(TICK, ticks=[[recipient, text]]))
                for recipient, text in dict(ticked).items()
            ]
        )


_rings = PerProcess(lambda: background.Flights(_send_rings))
_ticks = PerProcess(lambda: background.Flights(_send_ticks))
after_fork(hubs.clear)


def join(rung: Sequence[tuple[str, Changes]]) -> list[tuple[str, Changes]]:
    """Returns the same changes in fewer rings, by merging consecutive changes of a mailbox."""
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
    return len(first.rows + second.rows) < RING_MAX_BYTES


async def _send(messages: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Send to groups, for at most ``RING_TIMEOUT``. Reports at most one error, and never raises."""
    if (across := layer()) is None:  # a test may have changed the settings since
        return
    with reporting():
        async with asyncio.timeout(RING_TIMEOUT):
            sends = [across.group_send(group, message) for group, message in messages]
            outcomes = await asyncio.gather(*sends, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome


def messages(rung: Sequence[tuple[str, Changes]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """
    Yields the group messages for these changes: one for each change or, from ``COMMON_RING_FROM``
    changes on, batches to the group of all hubs.
    """
    if len(rung) < COMMON_RING_FROM:
        for recipient, changes in rung:
            yield group_of(recipient), message(RING, rings=[pack(recipient, changes)])
        return
    batch: list[list[Any]] = []
    size = 0
    for recipient, changes in rung:
        packed = pack(recipient, changes)
        batch.append(packed)
        size += 100 + len(packed[-1] or "")
        if size > COMMON_BATCH_BYTES:
            yield common_group(), message(RING, rings=batch)
            batch, size = [], 0
    if batch:
        yield common_group(), message(RING, rings=batch)


def message(type_: str, **content: Any) -> dict[str, Any]:
    """
    Returns a message for the layer, signed for this installation.

    The content is one string, because a signature needs bytes that are the same at both ends.

    Args:
        type_: RING, TICK or KICK.
        content: plain values.
    """
    body = dumps({"database": installation.database_id(), **content})
    macs = installation.sign(f"{type_}\n{body}")
    return {"type": type_, "from": process(), "body": body, "macs": macs}


def contents(message: Mapping[str, Any]) -> dict[str, Any]:
    """
    Returns the content of a message, and as ``database`` the sender's :func:`installation.database_id`.

    Raises:
        ValueError: the message does not come from this installation.
    """
    type_, body = message["type"], message["body"]
    if not installation.is_signed(f"{type_}\n{body}", message["macs"]):
        raise ValueError(
            f"The {type_} was not signed with this site's SECRET_KEY. If no other site uses this Redis,"
            " one of this site's processes has another SECRET_KEY."
        )
    content: dict[str, Any] = json.loads(body)
    return content


def process() -> str:
    """
    Returns the name of this process, by which its hubs recognize and skip its own rings, which they have
    already received directly.
    """
    return f"{HOST}.{os.getpid()}"


def pack(recipient: str, changes: Changes) -> list[Any]:
    """Returns a change as plain values that every layer can carry; of a large change, only its cursor."""
    rows = changes.rows
    if rows is not None and len(rows) > RING_MAX_BYTES:
        rows = None
    return [recipient, str(changes.since), str(changes.cursor), *changes.counts, rows]


def unpack(ring: Sequence[Any]) -> tuple[str, Changes]:
    """
    Returns the arguments of :func:`pack`.

    Raises:
        ValueError: this is not a ring, or not of this version.
    """
    recipient, since, cursor, unseen, unread, rows = ring
    if not (type(unseen) is type(unread) is int and (rows is None or isinstance(rows, str))):
        raise ValueError("The ring does not contain two integer counts and encoded rows.")
    at = Cursor.parse(cursor)
    return str(recipient), Changes(
        Cursor.parse(since), at, at.position, Counts(unseen, unread), rows
    )
