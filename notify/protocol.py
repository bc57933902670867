"""
The wire protocol, version 1: cursors, the rule for readers, documents and close codes.

This module is pure Python, without Django, Channels or asyncio, so each part of it can be tested by
calling a function. ``client/src/protocol.js`` implements the same protocol in JavaScript; both are
tested against the golden documents in ``tests/vectors``.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum, IntEnum, StrEnum
from typing import Any, NamedTuple, TypedDict

from notify.exceptions import ProtocolError

try:
    import orjson
except ImportError:  # optional; django-notify-live[speed] installs it (ADR 0013)
    orjson = None  # type: ignore[assignment]

VERSION = 1
MAX_POSITION = 2**53 - 1  # the largest integer that JavaScript represents exactly

DIGITS = "0123456789abcdefghijklmnopqrstuv"
EPOCH_TIME_DIGITS = 9  # milliseconds since 1970 in base 32; sufficient until the year 3084
EPOCH_NOISE_DIGITS = 2  # 10 random bits, for two epochs of a mailbox in the same millisecond
EPOCH_MAC_DIGITS = 6  # 30 bits, by which the site recognizes its own epochs (mac.py)
EPOCH_LENGTH = EPOCH_TIME_DIGITS + EPOCH_NOISE_DIGITS + EPOCH_MAC_DIGITS
CURSOR = re.compile(rf"([{DIGITS}]{{{EPOCH_LENGTH}}}):(0|[1-9][0-9]{{0,15}})", re.ASCII)


class Level(StrEnum):
    """The severity of a notification: one of the five levels of ``django.contrib.messages``."""

    DEBUG = "debug"
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


Shown = tuple[int, int]  # (id, arrived) of a notification, as the client showed it


class Mark(StrEnum):
    """The record that a user has seen, read, archived or dismissed a notification."""

    SEEN = "seen"
    READ = "read"
    ARCHIVED = "archived"
    DISMISSED = "dismissed"


class Undo(StrEnum):
    """Takes back a mark: the notification is unread again, or back from the archive as it was before."""

    UNREAD = "unread"
    UNARCHIVE = "unarchive"


class TaskState(StrEnum):
    """The state of a task. SUCCEEDED, FAILED and CANCELLED are final. LOST may return to RUNNING."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_final(self) -> bool:
        """Returns whether no other state can follow in the same attempt."""
        return self in (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED)

    @property
    def is_live(self) -> bool:
        """Returns whether the task is still expected to report its end."""
        return self in (TaskState.QUEUED, TaskState.RUNNING, TaskState.CANCELLING)


class ShownTask(TypedDict):
    """
    The state of a task as its notification shows it, in ``progress``.

    Attributes:
        state: a :class:`TaskState`.
        done, total: in the task's own units; ``total`` is None while unknown.
        message: what is being done just now; empty once the task has ended.
        silent: whether there has been no sign of life for a while.
        started_at, ended_at: ISO 8601, in UTC.
    """

    state: str
    done: float
    total: float | None
    message: str
    attempt: int
    cancellable: bool
    silent: bool
    started_at: str | None
    ended_at: str | None


class CloseCode(IntEnum):
    """WebSocket close codes. A client reconnects after 4000-4499, with jitter, but not after 4500-4999."""

    GOING_AWAY = 4000
    TOO_SLOW = 4001
    TOO_MANY = 4002
    PROTOCOL = 4500
    NOT_SIGNED_IN = 4501
    FOREIGN_ORIGIN = 4503
    KICKED = 4504
    ANOTHER_USER = 4505


# -- Cursors and the rule ------------------------------------------------------------------------


class Cursor(NamedTuple):
    """
    A position in a mailbox, at or below which a reader knows everything. Cursors compare as pairs.

        >>> Cursor.parse("0000000000000000a:44") > Cursor.parse("0000000000000000a:5")
        True
    """

    epoch: str
    position: int

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """
        Parse ``epoch:position``.

        Raises:
            ProtocolError: if ``text`` is anything else.
        """
        match = CURSOR.fullmatch(text) if isinstance(text, str) else None
        if match is None or int(match[2]) > MAX_POSITION:
            # A value that is not a string may be nested too deeply for repr().
            what = f"A value of type {type(text).__name__}"
            shown = repr(text[:80]) if isinstance(text, str) else what
            raise ProtocolError(
                f"{shown} is not a cursor. Send a cursor that the server has sent, or none.",
                code="bad_cursor",
            )
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.epoch}:{self.position}"


def new_epoch(after: str = "", end: Callable[[str], str] | None = None) -> str:
    """
    Create an epoch for a mailbox. As text, a later epoch sorts above an earlier one.

    Args:
        after: an epoch that the new one must sort above, even if the clock has been set back.
        end: returns the last six digits, given the others. They are random by default, and a MAC in
            :func:`notify.mac.new_epoch`.
    """
    milliseconds = int(time.time() * 1000)
    if after:
        milliseconds = max(milliseconds, int(after[:EPOCH_TIME_DIGITS], 32) + 1)
    digits = EPOCH_NOISE_DIGITS + EPOCH_MAC_DIGITS
    noise = base32(secrets.randbits(5 * digits), digits)
    begin = base32(milliseconds, EPOCH_TIME_DIGITS) + noise[:EPOCH_NOISE_DIGITS]
    return begin + (noise[EPOCH_NOISE_DIGITS:] if end is None else end(begin))


def age_of(epoch: str) -> float:
    """Returns the seconds since an epoch began; negative if it was made by a clock that is ahead."""
    return time.time() - int(epoch[:EPOCH_TIME_DIGITS], 32) / 1000


def is_plausible(epoch: str) -> bool:
    """Returns whether a clock could have made this epoch. None would ever sort above a made-up late one."""
    return age_of(epoch) >= -86_400


def base32(number: int, width: int) -> str:
    """Returns a number as digits of an epoch. They sort like the numbers."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 32)
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))


class Verdict(Enum):
    """The result of the rule: what a reader does with a document."""

    DROP = "drop"
    APPLY = "apply"
    READ = "read"


def judge(
    mine: Cursor | None, since: Cursor | None, cursor: Cursor | None, *, reset: bool = False
) -> Verdict:
    """
    Decide what a reader does with a document. Rooms, connections and clients all apply this rule.

        >>> at = lambda position: Cursor("0000000000000000a", position)
        >>> judge(at(5), at(5), at(6))
        <Verdict.APPLY: 'apply'>
        >>> judge(at(6), at(5), at(6))
        <Verdict.DROP: 'drop'>
        >>> judge(at(4), at(5), at(6))
        <Verdict.READ: 'read'>

    Args:
        mine: the reader's cursor. ``None`` is below every cursor.
        since, cursor: the interval that the document covers.
        reset: whether the document replaces everything that the reader holds. Its ``since`` is then
            ignored.
    """
    if cursor is None or (mine is not None and cursor <= mine):
        return Verdict.DROP
    if reset or (mine is not None and since is not None and since <= mine):
        return Verdict.APPLY
    return Verdict.READ


# -- Documents -----------------------------------------------------------------------------------


ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def dumps(document: Any) -> str:
    """Encode a document as compact JSON, with orjson if it is installed."""
    if orjson is not None:
        with suppress(TypeError):  # orjson rejects integers of more than 64 bits
            return orjson.dumps(document).decode()
    return ENCODER.encode(document)


class Counts(NamedTuple):
    """A user's numbers of unseen and unread notifications, among those published and not archived."""

    unseen: int
    unread: int


class Changes(NamedTuple):
    """
    The changes in one mailbox between two cursors, with rows that are encoded once for all readers.

    Attributes:
        since: the cursor from which these changes continue; ``None`` on a reset.
        cursor: the reader's cursor afterwards; ``None`` while the user has no mailbox.
        head: the position of the mailbox's newest change. If it is above ``cursor.position``, more
            pages follow.
        rows: the notifications as JSON objects joined by commas, ordered by position (on a reset, by
            ``arrived``); ``None`` in a ring that carries only the cursor, which makes its receiver
            read the rows.
        reset: whether the changes replace everything that the reader holds.
    """

    since: Cursor | None
    cursor: Cursor | None
    head: int
    counts: Counts
    rows: str | None
    reset: bool = False

    @property
    def complete(self) -> bool:
        """Returns whether no page follows this one."""
        return self.cursor is None or self.cursor.position >= self.head

    @property
    def tells_nothing(self) -> bool:
        """Returns whether the interval is empty, so that the reader already knows everything."""
        return self.since is not None and self.since == self.cursor

    def encode(self) -> str:
        """Returns the ``changes`` document as JSON."""
        # Formatted by hand, because this runs for each frame. No part of a cursor needs escaping.
        since = "null" if self.since is None else f'"{self.since}"'
        cursor = "null" if self.cursor is None else f'"{self.cursor}"'
        reset = ',"reset":true' if self.reset else ""
        return (
            f'{{"type":"changes","since":{since},"cursor":{cursor},"head":{self.head}{reset},'
            f'"counts":{{"unseen":{self.counts.unseen},"unread":{self.counts.unread}}},'
            f'"notifications":[{self.rows}]}}'
        )


def merge(documents: Sequence[Changes]) -> Changes:
    """Merge documents of one mailbox into one. Each must continue the document before it."""
    if len(documents) == 1:
        return documents[0]
    start = max((i for i, document in enumerate(documents) if document.reset), default=0)
    first, last = documents[start], documents[-1]
    rows = ",".join(document.rows for document in documents[start:] if document.rows)
    return Changes(first.since, last.cursor, last.head, last.counts, rows, reset=first.reset)


def welcome(changes: Changes, heartbeat: float) -> str:
    """
    Returns the first document of a push connection, with the changes that the client missed, or a reset.

    ``heartbeat`` is the number of seconds of silence after which the server sends a ping.
    """
    return f'{{"type":"welcome","version":{VERSION},"heartbeat":{heartbeat:g},"changes":{changes.encode()}}}'


def ping(cursor: Cursor | None, ref: int) -> str:
    """Returns a ping. The peer, if it is alive, answers with a pong that has the same ref."""
    return dumps({"type": "ping", "cursor": None if cursor is None else str(cursor), "ref": ref})


def pong(cursor: Cursor | None, ref: int | None) -> str:
    """Returns the answer to a ping, with the same ref."""
    return dumps({"type": "pong", "cursor": None if cursor is None else str(cursor), "ref": ref})


def tick(ticks: Sequence[Mapping[str, Any]]) -> str:
    """Returns a tick: the current progress of some tasks, which their rows do not show yet."""
    return dumps({"type": "tick", "ticks": list(ticks)})


def close(code: int) -> dict[str, Any]:
    """Returns the last document of a transport that has no close codes of its own."""
    return {"type": "close", "code": int(code)}


def ack(ref: int | None, cursor: Cursor | None) -> dict[str, Any]:
    """
    Returns the answer to a command that was executed.

    The command's effect is visible to a reader whose cursor has reached ``cursor``.
    """
    return {"type": "ack", "ref": ref, "cursor": None if cursor is None else str(cursor)}


def error(ref: int | None, code: str, message: str) -> dict[str, Any]:
    """Returns the answer to a command that was not executed."""
    return {"type": "error", "ref": ref, "code": code, "message": message}
