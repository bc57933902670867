"""
Receivers of notify's signals that log failures to the logger ``notify``.

While the channel layer is down, every ring fails; while the database is down, the requests of every
tab fail. So each kind of failure is logged at most once a minute, with the number of lines that
were suppressed since the last one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from django.dispatch import Signal

from notify import signals
from notify.conf import PREFIX, conf

logger = logging.getLogger("notify")

QUIET_SECONDS = 60.0
# Both are keyed by kind of failure. They are updated without a lock, because a race between threads
# causes at worst an extra line or a count that is too low.
_last: dict[str, float] = {}
_left_out: dict[str, int] = {}


def on_publish_failed(recipient_ids: list[Any], error: BaseException, **kwargs: Any) -> None:
    whose = "1 user" if len(recipient_ids) == 1 else f"{len(recipient_ids)} users"
    _log(
        "publish",
        f"notify could not update the mailboxes of {whose}; the next sweep, poll or send will retry.",
        error,
    )


def on_connect_failed(recipient_id: Any, error: BaseException, **kwargs: Any) -> None:
    work = (
        "look up the user" if recipient_id is None else f"read the mailbox of user {recipient_id}"
    )
    _log("connect", f"notify could not {work} for a connection; the tab will reconnect.", error)


def on_connection_refused(
    recipient_id: Any, reason: str = "", setting: str = "", hint: str = "", **kwargs: Any
) -> None:
    whose = "" if recipient_id is None else f" of user {recipient_id}"
    if setting:
        limit = getattr(conf, setting.removeprefix(PREFIX))
        why = f"this process has reached {setting} = {limit}. The tab polls instead, and will retry later."
    elif hint:
        why = f"its origin is not allowed: {hint} The tab stops, until its page is loaded again."
    else:
        why = f"{reason}."
    # A session that ends, or a process that is being replaced, is no fault.
    level = logging.WARNING if setting or hint else logging.INFO
    _log(setting or reason, f"notify refused a connection{whose}: {why}", level=level)


def on_message_refused(size: int, recipient_id: Any, **kwargs: Any) -> None:
    _log(
        "message",
        f"notify closed a WebSocket of user {recipient_id}, which sent {size} characters at once. No client"
        " of notify sends more than 64 KB, so let the server refuse larger messages before they fill its"
        " memory: uvicorn --ws-max-size 65536, or daphne --websocket-max-message-size 65536.",
    )


def on_action_failed(
    recipient_id: Any, notification: Any, action: str, error: BaseException, **kwargs: Any
) -> None:
    _log(
        f"action {action}",
        f"The handler of the action {action!r} failed for notification {notification.pk} of user"
        f" {recipient_id}. Nothing was changed, and the user may try again.",
        error,
        level=logging.ERROR,
    )


def _receiver(kind: str, text: str) -> Callable[..., None]:
    """Returns a receiver that logs a text, in which the arguments of the signal are filled in."""

    def on_failure(error: BaseException, **details: Any) -> None:
        _log(kind, text.format(**details), error)

    return on_failure


# A signal holds its receivers weakly, so this table also keeps them alive.
RECEIVERS: dict[Signal, Callable[..., None]] = {
    signals.publish_failed: on_publish_failed,
    signals.connect_failed: on_connect_failed,
    signals.connection_refused: on_connection_refused,
    signals.message_refused: on_message_refused,
    signals.action_failed: on_action_failed,
    signals.ring_failed: _receiver(
        "ring",
        "notify could not send through the channel layer; the sweep will deliver any change.",
    ),
    signals.ring_ignored: _receiver(
        "ignored",
        "notify ignored a message from the channel layer that it could not read, or that another site sent.",
    ),
    signals.layer_failed: _receiver(
        "layer",
        "notify's hub could not {doing}; the sweep delivers changes until the channel layer is back.",
    ),
    signals.read_failed: _receiver(
        "read", "notify could not read a mailbox for open tabs; the next sweep will retry."
    ),
    signals.sweep_failed: _receiver("sweep", "notify's sweep failed; the next sweep will retry."),
    signals.command_failed: _receiver(
        "command", "notify could not execute a command; the tab is informed."
    ),
    signals.request_failed: _receiver(
        "request", "notify could not answer a request for {path}; the tab will retry."
    ),
    signals.progress_failed: _receiver(
        "progress",
        "notify could not write the progress of a task (user: {recipient_id}); the task continues. If"
        " the database failed, the writer will retry.",
    ),
}


def connect() -> None:
    """Connect the receivers to the signals that report failures."""
    for signal, receiver in RECEIVERS.items():
        signal.connect(receiver, dispatch_uid="notify.log")


def _log(
    kind: str, text: str, error: BaseException | None = None, *, level: int = logging.WARNING
) -> None:
    now = time.monotonic()
    if now - _last.get(kind, -QUIET_SECONDS) < QUIET_SECONDS:
        _left_out[kind] = _left_out.get(kind, 0) + 1
        return
    _last[kind] = now
    if left_out := _left_out.pop(kind, 0):
        text += f" ({left_out} more since the last log line of this kind.)"
    logger.log(level, text, exc_info=error)
