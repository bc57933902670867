"""Parses and validates clients' commands, without Django. ``transports/commands.py`` executes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notify.exceptions import ProtocolError
from notify.protocol import MAX_POSITION, Cursor, Mark, Shown, Undo

MAX_COMMAND_BYTES = 64 * 1024
MAX_COMMAND_IDS = 500
UNDOS = frozenset(Undo)


@dataclass(frozen=True, slots=True)
class MarkCommand:
    """
    A command to mark ``(id, arrived)`` pairs and, with ``upto``, everything that arrived up to that cursor.

    Attributes:
        mark: the mark, or the undo of one, which has no ``upto``.
        epoch: the epoch of the pairs. In another epoch, different content may have the same ``arrived``.
    """

    mark: Mark | Undo
    pairs: tuple[Shown, ...]
    upto: Cursor | None
    ref: int | None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """A command to cancel the tasks of notifications; ``epoch`` is as for :class:`MarkCommand`."""

    pairs: tuple[Shown, ...]
    ref: int | None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class ActCommand:
    """
    A command to run the handler of a notification's action.

    Attributes:
        pairs: the notification, as one pair.
        action: the index of the action in the notification's ``actions``.
        epoch: as for :class:`MarkCommand`.
    """

    pairs: tuple[Shown, ...]
    action: int
    ref: int | None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class ChangesCommand:
    """A command to read the rows again from a cursor (push connections only)."""

    since: Cursor | None
    ref: int | None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A ping that expects a pong, or the pong to a ping from the server."""

    is_ping: bool
    ref: int | None = None


Work = (
    MarkCommand | CancelCommand | ActCommand
)  # commands that are executed in the database and acknowledged
Command = Work | ChangesCommand | Heartbeat


def parse_command(text: str | bytes) -> Command:
    """
    Parse one document from a client.

    Raises:
        ProtocolError: if it is not a valid command. The message names the invalid part, and the error has
            the command's ``ref`` if that is valid.
    """
    if is_too_long(text):
        raise ProtocolError(
            f"A command may have at most {MAX_COMMAND_BYTES} bytes.", code="too_large"
        )
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("A command must be a JSON object.") from None
    if not isinstance(document, dict):
        raise ProtocolError("A command must be a JSON object.")
    ref = reference(document)
    try:
        return _command(document, ref)
    except ProtocolError as problem:
        problem.ref = ref
        raise


def _command(document: Mapping[str, Any], ref: int | None) -> Command:
    kind = document.get("type")
    if kind in ("ping", "pong"):
        return Heartbeat(is_ping=kind == "ping", ref=ref)
    if kind == "changes":
        since = document.get("since")
        return ChangesCommand(None if since is None else Cursor.parse(since), ref)
    if not isinstance(kind, str):
        raise ProtocolError("type must be the name of a command.")
    epoch = document.get("epoch")
    if epoch is not None:
        _check_epoch(epoch)
    if kind == "cancel":
        return CancelCommand(_pairs(document.get("ids", [])), ref, epoch)
    if kind == "act":
        return ActCommand(_pair(document), _action(document), ref, epoch)
    if kind in UNDOS:
        return MarkCommand(Undo(kind), _pairs(document.get("ids", [])), None, ref, epoch)
    everything = kind.endswith("_all")
    try:
        mark = Mark(kind.removesuffix("_all"))
    except ValueError:
        raise ProtocolError(f"{kind[:40]!r} is not a command.") from None
    upto = Cursor.parse(document.get("cursor", "")) if everything else None
    return MarkCommand(mark, _pairs(document.get("ids", [])), upto, ref, epoch)


def is_too_long(text: str | bytes) -> bool:
    """Returns whether a text has more than ``MAX_COMMAND_BYTES``, as UTF-8 if it is not bytes."""
    if isinstance(text, str) and MAX_COMMAND_BYTES < 4 * len(text) <= 4 * MAX_COMMAND_BYTES:
        text = text.encode(errors="surrogatepass")  # up to four bytes a character
    return len(text) > MAX_COMMAND_BYTES


def reference(document: Mapping[str, Any]) -> int | None:
    """Returns the ref, which is the client's number for its command."""
    ref = document.get("ref")
    if ref is not None and (type(ref) is not int or not 0 <= ref <= MAX_POSITION):
        raise ProtocolError("ref must be an integer of 0 or more, chosen by the client.")
    return ref


def _check_epoch(epoch: Any) -> None:
    try:
        Cursor.parse(f"{epoch}:0")
    except ProtocolError as problem:
        raise ProtocolError(
            "epoch must be the epoch of a cursor that the server has sent.", code=problem.code
        ) from None


def _pair(document: Mapping[str, Any]) -> tuple[Shown, ...]:
    pairs = _pairs(document.get("ids"))
    if len(pairs) != 1:
        raise ProtocolError("act takes the action of one notification: ids is a list of one pair.")
    return pairs


def _action(document: Mapping[str, Any]) -> int:
    action = document.get("action")
    if type(action) is not int or not 0 <= action <= MAX_POSITION:
        raise ProtocolError(
            "action is the index of an action in the notification's list of actions."
        )
    return action


def _pairs(ids: Any) -> tuple[Shown, ...]:
    def is_number(value: Any) -> bool:
        return type(value) is int and 0 <= value <= MAX_POSITION

    if not isinstance(ids, list):
        raise ProtocolError("ids is a list of [id, arrived] pairs.")
    # Before the pairs are looked at, as there may be thousands of them.
    if len(ids) > MAX_COMMAND_IDS:
        raise ProtocolError(
            f"A command may name at most {MAX_COMMAND_IDS} notifications.", code="too_large"
        )
    pairs = []
    for pair in ids:
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(is_number, pair))):
            raise ProtocolError(
                "Each entry of ids must be an [id, arrived] pair of integers of 0 or more."
            )
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)
