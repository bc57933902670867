"""
The drain: closes connections one by one before a process ends (SIGTERM).

When a server shuts down, it cuts all connections at the same moment, before the application is notified,
and all clients would reconnect at once. So the hub of the main thread installs a signal handler in front
of the server's. On SIGTERM it closes its connections with a code that means *come back*, spread over
``NOTIFY_DRAIN_SECONDS``, and then calls the server's handler. No notification depends on the drain.

On Ctrl-C all connections are closed at once, because the server may wait for every open response.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol, TypeGuard

from notify.conf import conf
from notify.live.connection import Connection
from notify.protocol import CloseCode

LONGEST_PAUSE = 0.05  # maximum seconds between two closes, as a few clients can reconnect together
CLOSING_SHARE = 0.8  # part of the time for closing; the rest is for the last clients to answer
LOOK_AGAIN = 0.02  # seconds between two checks for remaining connections
# Seconds within which a second SIGTERM is taken for a duplicate: systemd signals every process of a
# unit, and parents then signal their children.
DOUBLE_SECONDS = 1.0

Handler = Callable[[int, FrameType | None], Any]


class DrainTarget(Protocol):
    """The part of a hub that the drain uses."""

    loop: asyncio.AbstractEventLoop
    is_draining: bool

    def connections(self) -> Iterator[Connection]:
        """Returns all connections of the hub."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the background."""


class Drain:
    """Closes the connections of a hub one by one, and then calls the server's own signal handler."""

    def __init__(self, hub: DrainTarget, handler: Handler) -> None:
        self.hub = hub
        self.handler = handler
        self._process = os.getpid()
        self._began: float | None = None
        self._ends = 0.0
        self._is_over = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """
        Handle SIGTERM. Python may call this between any two bytecode instructions of the main thread.

        A second SIGTERM ends the drain, unless it comes within ``DOUBLE_SECONDS`` of the first.
        """
        now = time.monotonic()
        if self._began is None and not self._begin(now):
            self._is_over = True
        if self._is_over or now >= min(self._ends, (self._began or now) + DOUBLE_SECONDS):
            self._is_over = True
            self.pass_on(number, frame)

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """
        Call the server's handler, and close all remaining connections.

        Some servers (uvicorn) wait for every open response, so a stream would delay their exit.
        """
        if os.getpid() == self._process:
            with suppress(RuntimeError):  # The loop is closed.
                self.hub.loop.call_soon_threadsafe(self._close_all)
        self.handler(number, frame)

    def _close_all(self) -> None:
        self.hub.is_draining = True
        for connection in list(self.hub.connections()):
            connection.close(CloseCode.GOING_AWAY)

    def _begin(self, now: float) -> bool:
        if os.getpid() != self._process or not self.hub.loop.is_running():
            return False  # This is a forked child, or the loop ended without close_here().
        try:
            seconds = float(conf.DRAIN_SECONDS)
            if seconds <= 0:
                return False
            self.hub.loop.call_soon_threadsafe(self._start)
        except (TypeError, ValueError, RuntimeError):
            return False
        self._began, self._ends = now, now + seconds
        return True

    def _start(self) -> None:
        self.hub.is_draining = True
        self.hub.spawn(self._run())

    async def _run(self) -> None:
        try:
            await self._close_one_by_one()
        finally:
            # Called outside this task, which would swallow a SystemExit raised by the handler.
            self.hub.loop.call_soon(self._hand_over)

    async def _close_one_by_one(self) -> None:
        connections = list(self.hub.connections())
        random.shuffle(connections)  # Otherwise the tabs of one user would reconnect together.
        start = time.monotonic()
        pause = CLOSING_SHARE * (self._ends - start) / max(1, len(connections))
        pause = max(0.0, min(pause, LONGEST_PAUSE))
        for number, connection in enumerate(connections):
            await asyncio.sleep(max(0.0, start + number * pause - time.monotonic()))
            if self._has_ended():
                return
            connection.close(CloseCode.GOING_AWAY)
        while (left := list(self.hub.connections())) and not self._has_ended():
            for connection in left:  # This includes connections whose handshake was in progress.
                connection.close(CloseCode.GOING_AWAY)
            await asyncio.sleep(LOOK_AGAIN)

    def _has_ended(self) -> bool:
        return self._is_over or time.monotonic() >= self._ends

    def _hand_over(self) -> None:
        if not self._is_over:
            self._is_over = True
            self.pass_on(signal.SIGTERM, inspect.currentframe())


def watch(hub: DrainTarget) -> Drain | None:
    """
    Drain this hub on SIGTERM. Returns None if that is not possible.

    Only the main thread may set signal handlers. If the server has no handler, the process ends as it
    would without notify.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = _server_of(signal.getsignal(signal.SIGTERM))
    if not _is_function(handler):
        return None
    drain = Drain(hub, handler)
    is_ctrl_c = _server_of(signal.getsignal(signal.SIGINT)) == handler
    try:
        signal.signal(signal.SIGTERM, drain.on_signal)
        if is_ctrl_c:
            signal.signal(signal.SIGINT, drain.pass_on)
    except ValueError:  # A subinterpreter cannot set signal handlers.
        return None
    return drain


def unwatch(drain: Drain | None) -> None:
    """Restore the server's handler, unless other code has replaced the drain's in the meantime."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if drain is not None and _drain_of(signal.getsignal(number)) is drain:
            # Outside the main thread the drain stays, and without its loop it passes signals on.
            with suppress(ValueError):
                signal.signal(number, drain.handler)


def _is_function(handler: Any) -> TypeGuard[Handler]:
    """Returns False for SIG_DFL and SIG_IGN, and for None (a handler that was not set from Python)."""
    return callable(handler) and not isinstance(handler, signal.Handlers)


def _server_of(handler: Any) -> Any:
    """Returns the server's handler, even if a hub that was never closed still has its drain in front."""
    earlier = _drain_of(handler)
    return handler if earlier is None else earlier.handler


def _drain_of(handler: Any) -> Drain | None:
    """Returns the drain that this handler is a method of, if any."""
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, Drain) else None
