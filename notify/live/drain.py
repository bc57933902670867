"""
The drain: a process that is told to end (SIGTERM) first sends its clients elsewhere, one by one.

A server that ends cuts all connections in the same instant, and before the application hears of it.
So the hub of the main thread puts a handler of its own in front of the server's. At SIGTERM it
closes its connections with a code that means *come back*, spread over ``NOTIFY_DRAIN_SECONDS``; then
the server's handler gets its signal. No notification depends on it: a client that is cut comes back
too, only all of them at once.

At Ctrl-C nobody waits, but who holds an answer open is told at once: the server may wait for that.
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

LONGEST_PAUSE = 0.05  # seconds between two goodbyes; a few clients are no herd
GOODBYE_SHARE = 0.8  # of the time; the rest is for the answers to the last goodbyes
LOOK_AGAIN = 0.02  # seconds between two looks at who is still here
DOUBLE_SECONDS = 1.0  # systemd signals each process of a unit, and a parent its children once more

Handler = Callable[[int, FrameType | None], Any]


class Hub(Protocol):
    """What the drain knows of a hub."""

    loop: asyncio.AbstractEventLoop
    is_draining: bool

    def connections(self) -> Iterator[Connection]:
        """All that are open here."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run in the background."""


class Drain:
    """
    Args:
        hub: whose connections are closed.
        handler: the server's own, which gets the signal afterwards.
    """

    def __init__(self, hub: Hub, handler: Handler) -> None:
        self.hub = hub
        self.handler = handler
        self._process = os.getpid()
        self._began: float | None = None
        self._ends = 0.0
        self._is_over = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """
        Take SIGTERM, between any two steps of the main thread's work.

        A second one ends the drain, unless it comes so soon that it is the first one's double.
        """
        now = time.monotonic()
        if self._began is None and not self._begin(now):
            self._is_over = True
        if self._is_over or now >= min(self._ends, (self._began or now) + DOUBLE_SECONDS):
            self._is_over = True
            self.pass_on(number, frame)

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """
        Give a signal to the server, and say goodbye to all who are left.

        Some servers (uvicorn) wait for each open answer, and a stream's would be open for long.
        """
        if os.getpid() == self._process:
            with suppress(RuntimeError):  # the loop is closed
                self.hub.loop.call_soon_threadsafe(self._send_away)
        self.handler(number, frame)

    def _send_away(self) -> None:
        self.hub.is_draining = True
        for connection in list(self.hub.connections()):
            connection.close(CloseCode.GOING_AWAY)

    def _begin(self, now: float) -> bool:
        if os.getpid() != self._process or not self.hub.loop.is_running():
            return False  # a fork of the process, or a hub that its loop left without a word
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
            await self._say_goodbye()
        finally:
            # Not from within a task: a handler may raise SystemExit.
            self.hub.loop.call_soon(self._hand_over)

    async def _say_goodbye(self) -> None:
        connections = list(self.hub.connections())
        random.shuffle(connections)  # the tabs of a user, too, come back at different moments
        start = time.monotonic()
        pause = GOODBYE_SHARE * (self._ends - start) / max(1, len(connections))
        pause = max(0.0, min(pause, LONGEST_PAUSE))
        for number, connection in enumerate(connections):
            await asyncio.sleep(max(0.0, start + number * pause - time.monotonic()))
            if self._has_ended():
                return
            connection.close(CloseCode.GOING_AWAY)
        while (left := list(self.hub.connections())) and not self._has_ended():
            for connection in left:  # those whose handshake was under way
                connection.close(CloseCode.GOING_AWAY)
            await asyncio.sleep(LOOK_AGAIN)

    def _has_ended(self) -> bool:
        return self._is_over or time.monotonic() >= self._ends

    def _hand_over(self) -> None:
        if not self._is_over:
            self._is_over = True
            self.pass_on(signal.SIGTERM, inspect.currentframe())


def watch(hub: Hub) -> Drain | None:
    """
    Drain this hub at SIGTERM; returns None where nothing is done.

    Only the main thread may have signal handlers; and where there is none that would end the server
    in its own way, there is none to come before.
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
    except ValueError:  # a subinterpreter
        return None
    return drain


def unwatch(drain: Drain | None) -> None:
    """Give the signal back to the server's handler, unless somebody else has taken it meanwhile."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if drain is not None and _drain_of(signal.getsignal(number)) is drain:
            with suppress(ValueError):  # not the main thread; without its loop all is passed on
                signal.signal(number, drain.handler)


def _is_function(handler: Any) -> TypeGuard[Handler]:
    """Not so SIG_DFL and SIG_IGN, which are numbers, and None, a handler that is not Python's."""
    return callable(handler) and not isinstance(handler, signal.Handlers)


def _server_of(handler: Any) -> Any:
    """The handler of the server, also behind the drain of a hub that ended without a word."""
    earlier = _drain_of(handler)
    return handler if earlier is None else earlier.handler


def _drain_of(handler: Any) -> Drain | None:
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, Drain) else None
