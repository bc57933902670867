"""
The frames that a WebSocket's client has sent, and that have not been handled yet.

Some servers (daphne) queue incoming frames without bound while an application does not receive them. So
a reader receives them all the time, and what it keeps is bounded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from notify.live import limits
from notify.transports.http import Receive
from notify.transports.parser import Work

# Commands that may wait, in bursts: more than one, so that a flood meets the rate before this bound.
BACKLOG_BURSTS = 2

Frame = str | None  # None for a frame that is not text


class FrameReader:
    """
    Receives the frames of one WebSocket, from its accept until :meth:`close`.

    Args:
        receive: the server's ``receive``.

    Attributes:
        is_gone: whether the client has closed the socket.
    """

    def __init__(self, receive: Receive) -> None:
        self.is_gone = False
        self._take: Callable[[Frame], None] = self._keep
        self._kept: list[Frame] = []
        self._units = 0
        self._reading = asyncio.create_task(self._read(receive))

    def open(self, take: Callable[[Frame], None]) -> None:
        """Hand over the frames that arrived during the sign-in, and from now on each frame at once."""
        self._take = take
        for frame in self._kept:
            take(frame)
        self._kept.clear()

    async def ended(self) -> None:
        """Wait until the client has closed the socket."""
        await asyncio.shield(self._reading)

    async def close(self) -> None:
        """Stop receiving."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, receive: Receive) -> None:
        while (event := await receive())["type"] == "websocket.receive":
            self._take(event.get("text"))
            # Otherwise a flood of frames would block the event loop, and the answers with it.
            await asyncio.sleep(0)
        self.is_gone = True

    def _keep(self, frame: Frame) -> None:
        """Keep a frame until the client is signed in. Beyond the limit, one that closes the socket."""
        self._units += limits.units_of(frame or "")
        if self._units <= limits.COMMAND_BURST:
            self._kept.append(frame)
        else:
            self._kept = [None]


class Backlog:
    """The commands of one WebSocket that wait to be executed, in order, up to a limit."""

    def __init__(self) -> None:
        self._commands: deque[tuple[Work, int]] = deque()
        self._units = 0
        self._has_some = asyncio.Event()

    def add(self, command: Work, units: int) -> bool:
        """Add a command at the end. Returns False if there is no room for that many units."""
        if self._units + units > BACKLOG_BURSTS * limits.COMMAND_BURST:
            return False
        self._commands.append((command, units))
        self._units += units
        self._has_some.set()
        return True

    async def next(self) -> Work:
        """Wait for a command, and remove the first."""
        await self._has_some.wait()
        command, units = self._commands.popleft()
        self._units -= units
        if not self._commands:
            self._has_some.clear()
        return command
