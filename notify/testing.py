"""
Test helpers for projects that use notify. They work in a plain ``TestCase``, without a server.

    from notify.testing import assert_notified

    def test_export(self):
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post("/exports/")
        assert_notified(self.user, "export is ready", level="success")

:func:`lose_rings` and :func:`close_connections` simulate production faults, and :func:`sweep` repairs
them without waiting for ``NOTIFY_SWEEP_INTERVAL``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from unittest.mock import patch

from django.test.utils import TestContextDecorator

from notify import doorbell
from notify.actions import execution
from notify.db import database, pk_of
from notify.exceptions import ActionFailed
from notify.handlers import Outcome
from notify.live.hub import Hub
from notify.models import Notification
from notify.protocol import CloseCode
from notify.runtime.twins import refuse_event_loop, twin
from notify.tracking import writer

HUB_TIMEOUT = 10.0  # seconds to wait for a hub in another thread


def sent(to: Any = None) -> list[Notification]:
    """
    Returns the notifications that were sent, oldest first, even if they are not yet committed or published.

    Args:
        to: return only the notifications for this user (or primary key).

    Raises:
        AsyncContext: if an event loop is running in this thread; use ``asent``.
    """
    refuse_event_loop("notify.testing.sent")
    return _sent(to)


def _sent(to: Any) -> list[Notification]:
    rows = Notification.objects.using(database()).order_by("pk")
    return list(rows if to is None else rows.filter(recipient=pk_of(to)))


def assert_notified(to: Any, message: str = "", **fields: Any) -> Notification:
    """
    Fail unless the user was sent a matching notification. Returns the newest match.

    Args:
        to: the user (or primary key).
        message: text that the notification's message contains.
        fields: values that its fields have, such as ``level="success"`` or ``url="/exports/7/"``.

    Raises:
        AssertionError: if no notification matches; the message lists what the user was sent.
        AsyncContext: if an event loop is running in this thread; use ``aassert_notified``.
    """
    refuse_event_loop("notify.testing.assert_notified")
    all_sent = _sent(to)
    for notification in reversed(all_sent):
        if message in notification.message and _has(notification, fields):
            return notification
    if not all_sent:
        raise AssertionError(f"{to} was sent no notification.")
    wanted = [f"{name}={value!r}" for name, value in fields.items()]
    if message:
        wanted.append(f"a message that contains {message!r}")
    found = "".join(f"\n  {row.level}: {row.message!r} (url={row.url!r})" for row in all_sent)
    raise AssertionError(f"No notification to {to} has {' and '.join(wanted)}. Sent:{found}")


def assert_not_notified(to: Any, message: str = "", **fields: Any) -> None:
    """Fail if the user was sent a matching notification. Arguments are as for :func:`assert_notified`."""
    refuse_event_loop("notify.testing.assert_not_notified")
    try:
        found = assert_notified(to, message, **fields)
    except AssertionError:
        return
    raise AssertionError(f"{to} was sent {found.level}: {found.message!r} (url={found.url!r}).")


asent = twin(sent)
aassert_notified = twin(assert_notified)
aassert_not_notified = twin(assert_not_notified)


def act(user: Any, notification: Notification, action: str | int) -> Outcome:
    """
    Take an action of a notification as its recipient, and return the outcome.

        row = assert_notified(customer, "was cancelled")
        assert act(customer, row, "Undo").message == "Order 7 is open again."

    The handler runs as in production: in one transaction with the notification. In a ``TestCase`` that
    transaction never commits, so callbacks of the handler for the commit need
    ``captureOnCommitCallbacks(execute=True)``. If an action of this content has been taken before, its
    outcome is returned.

    Args:
        user: the user (or primary key).
        notification: as read from the database, or as :func:`notify.send` returned it.
        action: the label of the action, or its index.

    Raises:
        AssertionError: if the notification has no such action that a handler runs.
        ActionGone: if the action cannot be taken, for example because the notification has expired.
        AsyncContext: if an event loop is running in this thread; use ``aact``.

    An exception of the handler is raised as it is.
    """
    refuse_event_loop("notify.testing.act")
    row = Notification.objects.using(database()).filter(pk=notification.pk).first() or notification
    index = _index(row, action)
    arrived = row.arrived if notification.arrived is None else notification.arrived
    try:
        outcome = execution.run(pk_of(user), (row.pk, arrived or 0), index).outcome
    except ActionFailed as failure:
        raise failure.__cause__ or failure from None
    assert outcome is not None  # no epoch was named
    return outcome


def _index(row: Notification, action: str | int) -> int:
    runs = {index: entry["label"] for index, entry in enumerate(row.actions) if "run" in entry}
    for index, label in runs.items():
        if action in (index, label):
            return index
    found = ", ".join(map(repr, runs.values())) or "none"
    raise AssertionError(
        f"{row.message!r} has no action {action!r} that a handler runs. It has: {found}."
    )


aact = twin(act)


def lose_rings() -> TestContextDecorator:
    """
    Drop all rings, as a channel layer may. Use as a context manager, or to decorate a test or a TestCase.

        with lose_rings():
            notify.send(user, "Hello")  # stored and published, but no tab is notified

    Every ring from this process is lost, including rings to its own tabs. A sweep, a poll or a new
    connection still finds the notification; call :func:`sweep` to repair the tabs now.
    """
    return _LosingRings()


class _LosingRings(TestContextDecorator):
    def __init__(self) -> None:
        super().__init__()
        # A list, because one instance decorates all tests of a TestCase, and may be nested.
        self._patches: list[Any] = []

    def enable(self) -> None:
        self._patches.append(patch.object(doorbell, "ring", lambda rings: None))
        self._patches[-1].start()

    def disable(self) -> None:
        self._patches.pop().stop()


def close_connections(to: Any = None) -> int:
    """
    Close the connections of this process with code 4000, as a server does before it shuts down.

    The clients reconnect by themselves and read what they missed. (A cut cable cannot be simulated
    from the server: the client would not notice it before the next ping.)

    Args:
        to: close only the connections of this user (or primary key).

    Returns:
        The number of connections that were closed.
    """
    user_id = None if to is None else str(pk_of(to))
    return sum(
        _close(hub, user_id) if _is_here(hub) else _there(hub, _aclose(hub, user_id))
        for hub in _hubs()
    )


def flush(timeout: float = 10.0) -> bool:
    """
    Wait until the states and amounts of all tasks are written to the database.

    In a ``TestCase``, progress is written at once. In a ``TransactionTestCase``, as in production, it is
    written by a thread a moment later.

        with notify.progress(user, "Importing"):
            ...
        assert notify.testing.flush()

    Args:
        timeout: maximum number of seconds to wait.

    Returns:
        True if everything is written, False after a timeout.
    """
    return writer.flush(timeout)


def sweep() -> int:
    """
    Look for missed notifications now, instead of waiting for ``NOTIFY_SWEEP_INTERVAL``.

    Use this for a server in another thread, such as a ``LiveServerTestCase``. In an async test whose own
    event loop serves the tabs, use ``await asweep()``.

    Returns:
        The number of users whose tabs were behind. The server is now reading the rows for them.

    Raises:
        RuntimeError: if the calling event loop serves tabs itself, because the call would block that loop.
    """
    hubs = _hubs()
    if any(_is_here(hub) for hub in hubs):
        raise RuntimeError("The tabs are served by this event loop: await notify.testing.asweep().")
    return sum(_there(hub, hub.sweep.once()) for hub in hubs)


async def asweep() -> int:
    """Sweep the tabs that the test's own event loop serves. The async twin of :func:`sweep`."""
    return sum([await hub.sweep.once() for hub in _hubs() if _is_here(hub)])


def _hubs() -> list[Hub]:
    """Returns the hubs whose event loop is running. Hubs of earlier tests may be left over."""
    return [hub for hub in Hub.everywhere() if hub.loop.is_running()]


def _is_here(hub: Hub) -> bool:
    try:
        return asyncio.get_running_loop() is hub.loop
    except RuntimeError:
        return False


def _there(hub: Hub, work: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine on the event loop of a hub in another thread. Returns its result."""
    return asyncio.run_coroutine_threadsafe(work, hub.loop).result(HUB_TIMEOUT)


def _close(hub: Hub, user_id: str | None) -> int:
    found = [one for one in hub.connections() if user_id in (None, str(one.visitor.user_id))]
    for connection in found:
        connection.close(CloseCode.GOING_AWAY)
    return len(found)


async def _aclose(hub: Hub, user_id: str | None) -> int:
    return _close(hub, user_id)


def _has(notification: Notification, fields: dict[str, Any]) -> bool:
    names = {"key": "collapse_key", "expires": "expires_at"}
    return all(
        getattr(notification, names.get(name, name)) == value for name, value in fields.items()
    )
