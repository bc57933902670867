"""What a client may ask for: one executor, for the socket and for POST."""

from __future__ import annotations

from typing import Any

from django.db import Error

from notify import protocol, signals
from notify.exceptions import ProtocolError
from notify.mailbox import marks
from notify.protocol import CancelCommand, Work
from notify.tracking import rows as runs


def execute(recipient: Any, command: Work) -> dict[str, Any]:
    """Do what a signed-in client asks of its own notifications; returns the answer."""
    try:
        if isinstance(command, CancelCommand):
            cursor = runs.ask_to_end(recipient, command.pairs, epoch=command.epoch)
        else:
            cursor = marks.mark(
                recipient, command.mark, command.pairs, upto=command.upto, epoch=command.epoch
            )
    except Error as error:
        return failed(recipient, command, error)
    return protocol.ack(command.ref, cursor)


def failed(recipient: Any, command: Work, error: Exception) -> dict[str, Any]:
    """Tell of a command that could not be executed; returns the answer to the client."""
    signals.command_failed.send_robust(type(command), recipient=recipient, error=error)
    return unavailable(command.ref)


def unavailable(ref: int | None) -> dict[str, Any]:
    """The answer when the database fails, on every transport."""
    return protocol.error(ref, "unavailable", "Try again later.")


def answer(recipient: Any, text: str | bytes) -> tuple[dict[str, Any], int]:
    """
    Read and execute the command of an HTTP client.

    Returns the document to answer with, and the HTTP status.
    """
    try:
        command = protocol.parse_command(text)
        if not isinstance(command, Work):
            raise ProtocolError("Over HTTP this is no command; read with GET changes/.")
    except ProtocolError as problem:
        # What was refused for its length is not parsed after all.
        ref = protocol.reference_of(text) if len(text) <= protocol.MAX_COMMAND_BYTES else None
        return protocol.error(ref, problem.code, str(problem)), 400
    done = execute(recipient, command)
    return done, 503 if done["type"] == "error" else 200
