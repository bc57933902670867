"""
For the tests of a project that uses notify; works in a plain ``TestCase``, without a server.

    from notify.testing import assert_notified

    def test_export(self):
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post("/exports/")
        assert_notified(self.user, "export is ready", level="success")

What goes wrong in production can be made to go wrong in a test: :func:`lose_rings`,
:func:`close_connections`; and :func:`sweep` repairs without a wait.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from typing import Any
from unittest.mock import patch

from django.test.utils import TestContextDecorator

from notify import doorbell
from notify.inbox import reader as inbox
from notify.live.hub import Hub
from notify.live.sweep import sweep as sweep_hub
from notify.models import Notification, database
from notify.protocol import CloseCode
from notify.tracking import writer

HUB_TIMEOUT = 10.0  # seconds that a hub in another thread may take


def sent(to: Any = None) -> list[Notification]:
    """
    What was sent, oldest first, waiting for its commit or published.

    Args:
        to: only to this user (or primary key).
    """
    rows = Notification.objects.using(database()).order_by("pk")
    return list(rows if to is None else rows.filter(recipient=inbox.key(to)))


def assert_notified(to: Any, message: str = "", **fields: Any) -> Notification:
    """
    Fail unless the user was sent a notification; returns the newest that fits.

    Args:
        message: a part of its message.
        fields: values that it has, such as ``level="success"`` or ``url="/exports/7/"``.
    """
    all_sent = sent(to)
    for notification in reversed(all_sent):
        if message in notification.message and _has(notification, fields):
            return notification
    wanted = ", ".join(
        [f"message with {message!r}"] * bool(message) + [f"{k}={v!r}" for k, v in fields.items()]
    )
    found = (
        "".join(f"\n  {row.level}: {row.message!r} (url={row.url!r})" for row in all_sent)
        or " nothing"
    )
    raise AssertionError(
        f"{to} was not sent a notification with {wanted or 'anything'}. Sent:{found}"
    )


def assert_not_notified(to: Any, message: str = "", **fields: Any) -> None:
    """Fail if the user was sent a notification that fits. Arguments as in :func:`assert_notified`."""
    try:
        found = assert_notified(to, message, **fields)
    except AssertionError:
        return
    raise AssertionError(f"{to} was sent {found.level}: {found.message!r} (url={found.url!r}).")


def lose_rings(share: float = 1.0, *, seed: int | None = None) -> TestContextDecorator:
    """
    Lose rings, as a channel layer may: a context manager, or a decorator of a test or a TestCase.

        with lose_rings():
            notify.send(user, "Hello")  # stored and published, and no tab is told

    What this process rings is lost, to its own tabs too; a sweep, a poll or a new connection finds
    the notification. :func:`sweep` makes the repair happen now.

    Args:
        share: of the rings, from 0 to 1. There is a ring for each recipient of a transaction.
        seed: of the dice; with the same seed the same rings are lost.
    """
    return _LosingRings(share, seed)


class _LosingRings(TestContextDecorator):
    def __init__(self, share: float, seed: int | None) -> None:
        super().__init__()
        self._share = share
        self._seed = seed
        self._patches: list[Any] = []

    def enable(self) -> None:
        ring = doorbell.ring
        dice = random.Random(self._seed)  # anew for each test that is decorated

        def ring_some(rings: Sequence[doorbell.Ring]) -> None:
            ring([one for one in rings if dice.random() >= self._share])

        self._patches.append(patch.object(doorbell, "ring", ring_some))
        self._patches[-1].start()

    def disable(self) -> None:
        self._patches.pop().stop()


def close_connections(to: Any = None) -> int:
    """
    Close the connections of this process with the code 4000, as a server that goes away does.

    Their clients come back by themselves, and read what they have missed. (A cable that is cut
    cannot be had from the server's side: its client would notice nothing before the next ping.)

    Args:
        to: only those of this user (or primary key).

    Returns:
        How many they were.
    """
    recipient = None if to is None else str(inbox.key(to))
    return sum(
        _close(hub, recipient) if _is_here(hub) else _there(hub, _aclose(hub, recipient))
        for hub in _hubs()
    )


def flush(timeout: float = 10.0) -> bool:
    """
    Wait until what tasks have said of themselves is written: their states, and their numbers.

    In a ``TestCase`` it is written at once; in a ``TransactionTestCase``, as on a site, a moment later.

        with notify.progress(user, "Importing"):
            ...
        assert notify.testing.flush()

    Args:
        timeout: seconds.

    Returns:
        Whether it is.
    """
    return writer.flush(timeout)


def sweep() -> int:
    """
    Look for missed notifications now, instead of every ``NOTIFY_SWEEP_INTERVAL``.

    For a server in another thread, such as a live server's. In an async test whose tabs are served
    by the test's own event loop, ``await asweep()``.

    Returns:
        How many users' tabs were behind; these read the rows now.

    Raises:
        RuntimeError: it was called on the event loop of such a hub, which it would stop.
    """
    hubs = _hubs()
    if any(_is_here(hub) for hub in hubs):
        raise RuntimeError("The tabs are served by this event loop: await notify.testing.asweep().")
    return sum(_there(hub, sweep_hub(hub)) for hub in hubs)


async def asweep() -> int:
    """:func:`sweep` for the tabs that the test's own event loop serves."""
    return sum([await sweep_hub(hub) for hub in _hubs() if _is_here(hub)])


def _hubs() -> list[Hub]:
    """Those of this process whose event loop runs; earlier tests have left theirs behind."""
    return [hub for hub in Hub.everywhere() if hub.loop.is_running()]


def _is_here(hub: Hub) -> bool:
    try:
        return asyncio.get_running_loop() is hub.loop
    except RuntimeError:
        return False


def _there(hub: Hub, work: Coroutine[Any, Any, int]) -> int:
    """Do it on the hub's own event loop, in another thread."""
    return asyncio.run_coroutine_threadsafe(work, hub.loop).result(HUB_TIMEOUT)


def _close(hub: Hub, recipient: str | None) -> int:
    mine = [one for one in hub.connections() if recipient in (None, str(one.visitor.user))]
    for connection in mine:
        connection.close(CloseCode.GOING_AWAY)
    return len(mine)


async def _aclose(hub: Hub, recipient: str | None) -> int:
    return _close(hub, recipient)


def _has(notification: Notification, fields: dict[str, Any]) -> bool:
    names = {"key": "collapse_key", "expires": "expires_at"}
    return all(
        getattr(notification, names.get(name, name)) == value for name, value in fields.items()
    )
