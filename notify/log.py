"""
What notify says in the log, as receivers of its signals, under the logger ``notify``.

A layer that is down fails each ring, a database that is down each tab, and a process that is full
refuses each tab; one line a minute of each kind says so, and how many were left out.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from notify import signals
from notify.conf import PREFIX, conf

logger = logging.getLogger("notify")

QUIET_SECONDS = 60.0
# By kind. Threads may race here: that costs a line too many, or a count that is too low.
_last: dict[str, float] = {}
_left_out: dict[str, int] = {}


def connect() -> None:
    """Listen to the signals that tell of faults."""
    for signal, receiver in (
        (signals.publish_failed, on_publish_failed),
        (signals.ring_failed, on_ring_failed),
        (signals.ring_ignored, on_ring_ignored),
        (signals.layer_failed, on_layer_failed),
        (signals.read_failed, on_read_failed),
        (signals.sweep_failed, on_sweep_failed),
        (signals.connect_failed, on_connect_failed),
        (signals.connection_refused, on_connection_refused),
        (signals.command_failed, on_command_failed),
        (signals.request_failed, on_request_failed),
        (signals.progress_failed, on_progress_failed),
    ):
        signal.connect(receiver, dispatch_uid="notify.log")


def on_publish_failed(recipients: list[Any], error: BaseException, **kwargs: Any) -> None:
    _say(
        "publish",
        f"notify could not publish or archive for {len(recipients)} users; the next sweep, poll or"
        " send tries again.",
        error,
    )


def on_ring_failed(error: BaseException, **kwargs: Any) -> None:
    _say("ring", "notify could not ring through the channel layer; the sweep delivers.", error)


def on_ring_ignored(error: BaseException, **kwargs: Any) -> None:
    _say("ignored", "notify ignores a message of the channel layer that it cannot read.", error)


def on_layer_failed(doing: str, error: BaseException, **kwargs: Any) -> None:
    _say(
        "layer",
        f"notify's hub could not {doing}; the sweep delivers until the channel layer is back.",
        error,
    )


def on_read_failed(error: BaseException, **kwargs: Any) -> None:
    _say("read", "notify could not read a mailbox for its tabs; the sweep tries again.", error)


def on_sweep_failed(error: BaseException, **kwargs: Any) -> None:
    _say("sweep", "notify's sweep failed; the next one tries again.", error)


def on_connect_failed(recipient: Any, error: BaseException, **kwargs: Any) -> None:
    doing = "look up who opened" if recipient is None else f"read the mailbox of {recipient} for"
    _say("connect", f"notify could not {doing} a connection; its tab comes back.", error)


def on_connection_refused(setting: str, recipient: Any, **kwargs: Any) -> None:
    whose = "" if recipient is None else f" of user {recipient}"
    _say(
        setting,
        f"notify refused a connection{whose}: this process has {setting} ="
        f" {getattr(conf, setting.removeprefix(PREFIX))} already. Its tab polls, and tries again.",
    )


def on_command_failed(error: BaseException, **kwargs: Any) -> None:
    _say("command", "notify could not execute a command; its tab tries again.", error)


def on_request_failed(path: str, error: BaseException, **kwargs: Any) -> None:
    _say("request", f"notify could not answer {path}; its tab tries again.", error)


def on_progress_failed(recipient: Any, error: BaseException, **kwargs: Any) -> None:
    _say(
        "progress",
        f"notify could not write the progress of a task of user {recipient}; the task goes on, and"
        " the writer tries again where the database is what failed.",
        error,
    )


def _say(kind: str, text: str, error: BaseException | None = None) -> None:
    now = time.monotonic()
    if now - _last.get(kind, -QUIET_SECONDS) < QUIET_SECONDS:
        _left_out[kind] = _left_out.get(kind, 0) + 1
        return
    _last[kind] = now
    if left_out := _left_out.pop(kind, 0):
        text += f" ({left_out} more since the last such line.)"
    logger.warning(text, exc_info=error)
