"""Executes clients' commands, which arrive over the WebSocket or by POST."""

from __future__ import annotations

import time
from typing import Any

from django.db import Error

from notify import protocol, signals
from notify.actions import execution
from notify.exceptions import ActionFailed, ActionGone, ProtocolError
from notify.live import limits
from notify.mailbox import marks
from notify.tracking import rows as task_rows
from notify.transports import parser
from notify.transports.parser import ActCommand, CancelCommand, MarkCommand, Work

STALE = "The mailbox has started over since this was shown. Nothing of the old epoch was changed."
STATUSES = {"unavailable": 503, "stale": 409, "gone": 410, "failed": 422}  # of errors by POST

TOO_MANY = "You have sent too many commands. Try again later."


def execute(user_id: Any, command: Work) -> dict[str, Any]:
    """Execute a command on the user's own notifications. Returns the answer."""
    try:
        if isinstance(command, CancelCommand):
            cursor = task_rows.ask_to_end(user_id, command.pairs, epoch=command.epoch)
        elif isinstance(command, ActCommand):
            (shown,) = command.pairs
            cursor = execution.run(user_id, shown, command.action, epoch=command.epoch).cursor
        else:
            cursor = marks.mark(
                user_id, command.mark, command.pairs, upto=command.upto, epoch=command.epoch
            )
    except ActionGone as gone:
        return protocol.error(command.ref, "gone", str(gone))
    except ActionFailed as failure:
        return protocol.error(command.ref, "failed", str(failure))
    except Error as error:
        return failed(user_id, command, error)
    if cursor is not None and any(epoch != cursor.epoch for epoch in _epochs(command)):
        return protocol.error(command.ref, "stale", STALE)
    return protocol.ack(command.ref, cursor)


def _epochs(command: Work) -> set[str]:
    """Returns the epochs that a command names. In an epoch other than the mailbox's, it changes nothing."""
    upto = command.upto if isinstance(command, MarkCommand) else None
    return {epoch for epoch in (command.epoch, upto and upto.epoch) if epoch}


def failed(user_id: Any, command: Work, error: Exception) -> dict[str, Any]:
    """Send a signal for a command that could not be executed. Returns the answer."""
    signals.command_failed.send_robust(type(command), recipient_id=user_id, error=error)
    return unavailable(command.ref)


def unavailable(ref: int | None) -> dict[str, Any]:
    """Returns the answer for a database failure, which is the same on every transport."""
    return protocol.error(ref, "unavailable", "Try again later.")


def encoded_answer(user_id: Any, command: Work) -> str:
    """Execute a command from a WebSocket. Returns the answer as text. Never raises."""
    try:
        return protocol.dumps(execute(user_id, command))
    except Exception as error:
        return protocol.dumps(failed(user_id, command, error))


def answer(user_id: Any, text: str | bytes) -> tuple[dict[str, Any], int]:
    """Parse and execute a command from a POST request. Returns the answer and the HTTP status."""
    is_large = parser.is_too_long(text)  # then it is refused without being parsed
    units = 1 if is_large else limits.units_of(text)
    if not limits.posts().take(user_id, time.monotonic(), units):
        return protocol.error(None, "too_many", TOO_MANY), 429
    try:
        command = parser.parse_command(text)
        if not isinstance(command, Work):
            problem = ProtocolError(
                "This command cannot be sent over HTTP. To read, use GET changes/."
            )
            problem.ref = command.ref
            raise problem
    except ProtocolError as problem:
        return protocol.error(problem.ref, problem.code, str(problem)), 400
    done = execute(user_id, command)
    return done, STATUSES[done["code"]] if done["type"] == "error" else 200
