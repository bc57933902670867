"""
What notify says in the log, as receivers of its signals, under the logger ``notify``.

A layer that is down fails each ring; one line a minute says so.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from notify import signals

logger = logging.getLogger("notify")

QUIET_SECONDS = 60.0
_last: dict[str, float] = {}


def connect() -> None:
    """Listen to the signals that tell of faults."""
    signals.publish_failed.connect(on_publish_failed, dispatch_uid="notify.log")
    signals.ring_failed.connect(on_ring_failed, dispatch_uid="notify.log")
    signals.read_failed.connect(on_read_failed, dispatch_uid="notify.log")
    signals.sweep_failed.connect(on_sweep_failed, dispatch_uid="notify.log")


def on_publish_failed(recipients: list[Any], error: BaseException, **kwargs: Any) -> None:
    _say(
        "publish",
        f"notify could not publish or archive for {len(recipients)} users; the next sweep, poll or"
        " send tries again.",
        error,
    )


def on_ring_failed(error: BaseException, **kwargs: Any) -> None:
    _say("ring", "notify could not ring through the channel layer; the sweep delivers.", error)


def on_read_failed(error: BaseException, **kwargs: Any) -> None:
    _say("read", "notify could not read a mailbox for its tabs; the sweep tries again.", error)


def on_sweep_failed(error: BaseException, **kwargs: Any) -> None:
    _say("sweep", "notify's sweep failed; the next one tries again.", error)


def _say(kind: str, text: str, error: BaseException) -> None:
    now = time.monotonic()
    if now - _last.get(kind, -QUIET_SECONDS) >= QUIET_SECONDS:
        _last[kind] = now
        logger.warning(text, exc_info=error)
