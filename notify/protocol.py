"""
The wire, version 1: cursors and the rule, documents, commands, close codes.

Pure Python: no Django, no Channels, no asyncio, so every rule can be tested by calling a
function. ``client/src/protocol.js`` says the same in JavaScript; both are held to the golden
documents in ``tests/vectors``.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import Any, NamedTuple

from notify.exceptions import ProtocolError

try:
    import orjson
except ImportError:  # django-notify-live[speed] brings it (ADR 0013)
    orjson = None  # type: ignore[assignment]

VERSION = 1
MAX_COMMAND_BYTES = 64 * 1024
MAX_COMMAND_IDS = 500
MAX_POSITION = 2**53 - 1  # the largest integer that JavaScript counts exactly

DIGITS = "0123456789abcdefghijklmnopqrstuv"
EPOCH_TIME_DIGITS = 9  # milliseconds since 1970 in base 32: enough until the year 3084
EPOCH_RANDOM_DIGITS = 8  # 40 bits, so that two processes never make the same epoch
EPOCH_LENGTH = EPOCH_TIME_DIGITS + EPOCH_RANDOM_DIGITS
CURSOR = re.compile(rf"([{DIGITS}]{{{EPOCH_LENGTH}}}):(0|[1-9][0-9]{{0,15}})", re.ASCII)


class Level(StrEnum):
    """How much a notification matters: the five levels of ``django.contrib.messages``."""

    DEBUG = "debug"
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class Mark(StrEnum):
    """What a user did with a notification."""

    SEEN = "seen"
    READ = "read"
    ARCHIVED = "archived"
    DISMISSED = "dismissed"


class State(StrEnum):
    """Where a task stands. It ends in one of the three last but one; only what is lost may come back."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it in this attempt."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)

    @property
    def is_live(self) -> bool:
        """Whether somebody is still to say how it ends."""
        return self in (State.QUEUED, State.RUNNING, State.CANCELLING)


class CloseCode(IntEnum):
    """WebSocket close codes. 4000-4499: come back, with jitter. 4500-4999: do not."""

    GOING_AWAY = 4000
    TOO_SLOW = 4001
    TOO_MANY = 4002
    PROTOCOL = 4500
    NOT_SIGNED_IN = 4501
    FOREIGN_ORIGIN = 4503
    KICKED = 4504


class Refusal(NamedTuple):
    """
    What an HTTP client is told where a WebSocket is closed.

    Attributes:
        pause: seconds after which it may come back, at least; 0 where it should not.
    """

    status: int
    code: str
    message: str
    pause: int = 0

    def document(self) -> dict[str, Any]:
        return error(None, self.code, self.message)


REFUSALS = {
    CloseCode.GOING_AWAY: Refusal(503, "going_away", "Come back later.", 1),
    CloseCode.TOO_SLOW: Refusal(503, "too_slow", "Come back later.", 1),
    CloseCode.TOO_MANY: Refusal(503, "too_many", "There are too many connections. Poll.", 10),
    CloseCode.PROTOCOL: Refusal(400, "bad_command", "This is not understood."),
    CloseCode.NOT_SIGNED_IN: Refusal(401, "not_signed_in", "Sign in to be notified."),
    CloseCode.FOREIGN_ORIGIN: Refusal(403, "foreign_origin", "This page is of another site."),
    CloseCode.KICKED: Refusal(403, "kicked", "Your connections were ended."),
}


# -- Cursors and the rule ------------------------------------------------------------------------


class Cursor(NamedTuple):
    """
    A place in a mailbox: everything at or below it is known. Cursors compare as pairs.

        >>> Cursor.parse("0000000000000000a:44") > Cursor.parse("0000000000000000a:5")
        True
    """

    epoch: str
    position: int

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read ``epoch:position``; anything else is a :class:`ProtocolError`."""
        match = CURSOR.fullmatch(text) if isinstance(text, str) else None
        if match is None or int(match[2]) > MAX_POSITION:
            # What is no text may be nested too deep to be shown.
            shown = repr(text[:80]) if isinstance(text, str) else f"A {type(text).__name__}"
            raise ProtocolError(
                f"{shown} is not a cursor. Send back one that the server gave, or none.",
                code="bad_cursor",
            )
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.epoch}:{self.position}"


def new_epoch(after: str = "") -> str:
    """
    Make the name of a mailbox's new life: a later one sorts above an earlier one, as text.

    Args:
        after: an epoch that the new one must sort above, also when the clock has stepped back.
    """
    milliseconds = int(time.time() * 1000)
    if after:
        milliseconds = max(milliseconds, int(after[:EPOCH_TIME_DIGITS], 32) + 1)
    noise = secrets.randbits(5 * EPOCH_RANDOM_DIGITS)
    return _base32(milliseconds, EPOCH_TIME_DIGITS) + _base32(noise, EPOCH_RANDOM_DIGITS)


def is_plausible(epoch: str) -> bool:
    """Whether a clock can have made this epoch: one typed by somebody might never be topped."""
    in_a_day = int((time.time() + 86_400) * 1000)
    return int(epoch[:EPOCH_TIME_DIGITS], 32) <= in_a_day


def _base32(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 32)
        digits.append(DIGITS[digit])
    return "".join(reversed(digits))


class Verdict(Enum):
    """What a reader does with a document."""

    DROP = "drop"
    APPLY = "apply"
    READ = "read"


def judge(
    mine: Cursor | None, since: Cursor | None, cursor: Cursor | None, *, reset: bool = False
) -> Verdict:
    """
    The rule, the same at hub, connection and client.

        >>> at = lambda position: Cursor("0000000000000000a", position)
        >>> judge(at(5), at(5), at(6))
        <Verdict.APPLY: 'apply'>
        >>> judge(at(6), at(5), at(6))
        <Verdict.DROP: 'drop'>
        >>> judge(at(4), at(5), at(6))
        <Verdict.READ: 'read'>

    Args:
        mine: the reader's cursor; ``None`` is below every cursor.
        since, cursor: the interval that the document covers.
        reset: the document replaces what the reader holds, so only its cursor counts.
    """
    if cursor is None or (mine is not None and cursor <= mine):
        return Verdict.DROP
    if reset or (mine is not None and since is not None and since <= mine):
        return Verdict.APPLY
    return Verdict.READ


# -- Documents -----------------------------------------------------------------------------------


ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def dumps(document: Any) -> str:
    """Encode as the compact JSON of the wire; by orjson where it is installed."""
    if orjson is not None:
        with suppress(TypeError):  # an integer of more than 64 bits
            return orjson.dumps(document).decode()
    return ENCODER.encode(document)


class Counts(NamedTuple):
    """Of a user's published notifications that are not archived: how many are not seen, not read."""

    unseen: int
    unread: int


class Changes(NamedTuple):
    """
    What changed in one mailbox between two cursors, its rows encoded once.

    Attributes:
        since: the cursor that it continues; ``None`` on a reset.
        cursor: the cursor that a reader has afterwards; ``None`` while the user has no mailbox.
        head: position of the mailbox's newest change. ``cursor.position < head``: more pages follow.
        rows: the notifications as JSON objects joined by commas, by rising position;
            ``None`` in a ring that carries only the cursor: read them.
        reset: replaces everything that the reader holds.
    """

    since: Cursor | None
    cursor: Cursor | None
    head: int
    counts: Counts
    rows: str | None
    reset: bool = False

    @property
    def complete(self) -> bool:
        """Whether no page follows this one."""
        return self.cursor is None or self.cursor.position >= self.head

    @property
    def tells_nothing(self) -> bool:
        """Whether its reader knows it all already."""
        return self.since is not None and self.since == self.cursor

    def encode(self) -> str:
        """The ``changes`` document as JSON text."""
        # By hand, as this is done for each frame; no part of a cursor needs escaping.
        since = "null" if self.since is None else f'"{self.since}"'
        cursor = "null" if self.cursor is None else f'"{self.cursor}"'
        reset = ',"reset":true' if self.reset else ""
        return (
            f'{{"type":"changes","since":{since},"cursor":{cursor},"head":{self.head}{reset},'
            f'"counts":{{"unseen":{self.counts.unseen},"unread":{self.counts.unread}}},'
            f'"notifications":[{self.rows}]}}'
        )


def merge(documents: Sequence[Changes]) -> Changes:
    """Join documents of one mailbox, each continuing the one before, into one."""
    if len(documents) == 1:
        return documents[0]
    start = max((i for i, document in enumerate(documents) if document.reset), default=0)
    first, last = documents[start], documents[-1]
    rows = ",".join(document.rows for document in documents[start:] if document.rows)
    return Changes(first.since, last.cursor, last.head, last.counts, rows, reset=first.reset)


def welcome(changes: Changes, heartbeat: float) -> str:
    """
    The first document of a push connection.

    Args:
        changes: what the client missed, or a reset.
        heartbeat: seconds between two pings of the server.
    """
    return f'{{"type":"welcome","version":{VERSION},"heartbeat":{heartbeat:g},"changes":{changes.encode()}}}'


def ping(cursor: Cursor | None, ref: int) -> str:
    """Ask whether the other side lives; it answers with a pong of the same ref."""
    return dumps({"type": "ping", "cursor": None if cursor is None else str(cursor), "ref": ref})


def pong(cursor: Cursor | None, ref: int | None) -> str:
    """The answer to a ping, with its ref."""
    return dumps({"type": "pong", "cursor": None if cursor is None else str(cursor), "ref": ref})


def tick(ticks: Sequence[Mapping[str, Any]]) -> str:
    """How far some tasks are, between two changes of their rows."""
    return dumps({"type": "tick", "ticks": list(ticks)})


def close(code: int) -> dict[str, Any]:
    """The last document where the transport has no close code of its own."""
    return {"type": "close", "code": int(code)}


def ack(ref: int | None, cursor: Cursor | None) -> dict[str, Any]:
    """The answer to a command that was done: it shows once the reader's cursor reaches this one."""
    return {"type": "ack", "ref": ref, "cursor": None if cursor is None else str(cursor)}


def error(ref: int | None, code: str, message: str) -> dict[str, Any]:
    """The answer to a command that was not done."""
    return {"type": "error", "ref": ref, "code": code, "message": message}


# -- Commands ------------------------------------------------------------------------------------

Pair = tuple[int, int]  # (id, arrived), as the client showed it


@dataclass(frozen=True, slots=True)
class MarkCommand:
    """
    Mark by ``(id, arrived)`` pairs, and, with ``upto``, all that had arrived at that cursor.

    Attributes:
        epoch: of the pairs; in another one an ``arrived`` may be given to another content.
    """

    mark: Mark
    pairs: tuple[Pair, ...]
    upto: Cursor | None
    ref: int | None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """Ask the tasks behind these notifications to end; ``epoch`` as of a :class:`MarkCommand`."""

    pairs: tuple[Pair, ...]
    ref: int | None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class ChangesCommand:
    """Read the rows again from a cursor (push connections only)."""

    since: Cursor | None
    ref: int | None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A ping that wants a pong, or the pong to a ping of ours."""

    is_ping: bool
    ref: int | None = None


Work = MarkCommand | CancelCommand  # what is done in the database, and acknowledged
Command = Work | ChangesCommand | Heartbeat


def parse_command(text: str | bytes) -> Command:
    """
    Read one document of a client.

    Raises:
        ProtocolError: what is wrong, and where.
    """
    if len(text) > MAX_COMMAND_BYTES:
        raise ProtocolError(f"A command has at most {MAX_COMMAND_BYTES} bytes.", code="too_large")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("A command is one JSON object.") from None
    if not isinstance(document, dict):
        raise ProtocolError("A command is one JSON object.")
    kind = document.get("type")
    ref = reference(document)
    if kind in ("ping", "pong"):
        return Heartbeat(is_ping=kind == "ping", ref=ref)
    if kind == "changes":
        since = document.get("since")
        return ChangesCommand(None if since is None else Cursor.parse(since), ref)
    if not isinstance(kind, str):
        raise ProtocolError("type is the name of a command.")
    epoch = document.get("epoch")
    if epoch is not None:
        Cursor.parse(f"{epoch}:0")
    if kind == "cancel":
        return CancelCommand(_pairs(document.get("ids", ())), ref, epoch)
    everything = kind.endswith("_all")
    try:
        mark = Mark(kind.removesuffix("_all"))
    except ValueError:
        raise ProtocolError(f"{kind[:40]!r} is not a command.") from None
    upto = Cursor.parse(document.get("cursor", "")) if everything else None
    return MarkCommand(mark, _pairs(document.get("ids", ())), upto, ref, epoch)


def reference(document: Mapping[str, Any]) -> int | None:
    """The client's number for its command, which the answer repeats."""
    ref = document.get("ref")
    if ref is not None and (type(ref) is not int or not 0 <= ref <= MAX_POSITION):
        raise ProtocolError("ref is a whole number, chosen by the client.")
    return ref


def reference_of(text: str | bytes) -> int | None:
    """The ref of a command that could not be read, if that much of it can be."""
    try:
        return reference(json.loads(text))
    except (ValueError, RecursionError, AttributeError):
        return None


def _pairs(ids: Any) -> tuple[Pair, ...]:
    def is_number(value: Any) -> bool:
        return type(value) is int and 0 <= value <= MAX_POSITION

    if not isinstance(ids, Iterable) or isinstance(ids, (str, Mapping)):
        raise ProtocolError("ids is a list of [id, arrived] pairs.")
    pairs = []
    for pair in ids:
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(is_number, pair))):
            raise ProtocolError("ids is a list of [id, arrived] pairs, two whole numbers each.")
        pairs.append((pair[0], pair[1]))
    if len(pairs) > MAX_COMMAND_IDS:
        raise ProtocolError(
            f"A command names at most {MAX_COMMAND_IDS} notifications.", code="too_large"
        )
    return tuple(pairs)
