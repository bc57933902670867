"""
The station: the hub's end of the channel layer, and whether that can be trusted.

A layer forgets memberships (they expire, Redis restarts empty) and says nothing. So the station
sends itself a canary; after one that was missed, it joins everything again.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from channels.layers import BaseChannelLayer

from notify import doorbell, signals
from notify.live.room import Room, Spawn

LAYER_TIMEOUT = 2.0  # seconds that one call of the channel layer may take
MAX_CALLS = 8  # joins and leaves at once: layers do them one by one, and LAYER_TIMEOUT is for one
LAYER_PATIENCE = 1.0  # seconds that a handshake waits for its join; less, and a storm reads twice
CANARY_INTERVAL = 10.0  # seconds; a fifth of it after a fault
RENEWAL_INTERVAL = 600.0  # seconds, or a third of the layer's group_expiry


class Station:
    """
    One channel of the layer, which is in the groups of all rooms.

    Args:
        rooms: the hub's rooms, by recipient.
        spawn: runs a coroutine in the background.
        handle: takes a message that some doorbell has sent.
        missed: told of a room for which rings may have been missed.
    """

    def __init__(
        self,
        layer: BaseChannelLayer,
        rooms: dict[str, Room],
        spawn: Spawn,
        handle: Callable[[dict[str, Any]], None],
        missed: Callable[[Room], None],
    ) -> None:
        self.layer = layer
        self.rooms = rooms
        self.channel: str | None = None
        self.private_group = f"notify.live.hub.{secrets.token_hex(8)}"
        self.is_dirty = False  # a ring may have been missed
        expiry = getattr(layer, "group_expiry", None) or RENEWAL_INTERVAL * 3
        self.renewal = min(expiry / 3, RENEWAL_INTERVAL)
        self._spawn = spawn
        self._handle = handle
        self._missed = missed
        self._ready = asyncio.Event()  # whether the channel is in the common groups
        self._left: set[str] = set()  # groups that could not be left; only while dirty
        self._rejoining = asyncio.Lock()
        self._turns = asyncio.Semaphore(MAX_CALLS)
        self._canary = 0
        self._echo = asyncio.Event()

    # -- Memberships -----------------------------------------------------------------------------

    async def join_soon(self, room: Room) -> None:
        """Join, but do not keep a handshake waiting: what is slow or fails goes on in the background."""
        if self.is_dirty:
            return  # the watch joins all rooms once the layer answers
        joining = self._spawn(self._join(room))
        await asyncio.wait([joining], timeout=LAYER_PATIENCE)

    async def _join(self, room: Room) -> None:
        async with room.membership, self._turns:
            if room.is_joined or not room.connections or self.is_dirty:
                return
            try:
                await self._group_add(room.group)
            except Exception as error:
                self._stumbled("join a group", error)
            else:
                room.is_joined = True
                self._missed(room)  # what came between the read and a late join

    async def leave(self, room: Room) -> None:
        """
        Leave the group of an empty room, whose lock the caller holds, and give the room up.

        While the layer is out of order only the room is given up; its group is left after the fault.
        """
        room.is_joined = False
        async with self._turns:
            if not self.is_dirty:
                try:
                    await self._group_discard(room.group)
                except Exception as error:
                    self._stumbled("leave a group", error)
        if room.connections:
            return  # somebody came meanwhile
        if self.is_dirty:
            self._left.add(room.group)
        if self.rooms.get(str(room.recipient)) is room:
            del self.rooms[str(room.recipient)]

    async def leave_all(self) -> None:
        """Leave every group, as far as the layer lets it."""
        groups = [*self._left, *(room.group for room in self.rooms.values())]
        groups += [doorbell.COMMON_GROUP, self.private_group]
        leaving = [self._group_discard(group) for group in groups]
        await asyncio.gather(*leaving, return_exceptions=True)

    async def _group_add(self, group: str) -> None:
        await self._bounded(self._ready.wait())
        assert self.channel is not None
        await self._bounded(self.layer.group_add(group, self.channel))

    async def _group_discard(self, group: str) -> None:
        if self.channel is not None:
            await self._bounded(self.layer.group_discard(group, self.channel))

    @staticmethod
    async def _bounded(work: Awaitable[Any]) -> Any:
        async with asyncio.timeout(LAYER_TIMEOUT):
            return await work

    # -- Listening -------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Receive for ever. No error of the layer, and no message, ends this loop."""
        pause = 0.0
        while True:
            try:
                message = await self.layer.receive(await self._open_channel())
            except Exception as error:
                self._stumbled("receive", error)
                pause = min(max(0.1, pause * 2), 5.0)
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                continue
            pause = 0.0
            try:
                self._take(message)
            except Exception as error:  # whoever sends such a message mostly sends many
                signals.ring_ignored.send_robust(type(self), error=error)
                await asyncio.sleep(0)  # the loop belongs to others too, if a layer never waits

    async def _open_channel(self) -> str:
        """The channel; made once, however often the joins after it fail."""
        channel = self.channel
        if channel is None:
            channel = self.channel = await self._bounded(self.layer.new_channel())
        if not self._ready.is_set():
            await self._bounded(self.layer.group_add(doorbell.COMMON_GROUP, channel))
            await self._bounded(self.layer.group_add(self.private_group, channel))
            self._ready.set()
            self._spawn(self.rejoin())
        return channel

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] != "notify.canary":
            self._handle(message)
        elif message["number"] == self._canary:
            self._echo.set()

    # -- Watching --------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Send the canary, renew memberships, and mend after a fault."""
        clock = asyncio.get_running_loop().time
        renewed = clock()
        while True:
            rest = CANARY_INTERVAL * random.uniform(0.8, 1.2)
            await asyncio.sleep(rest / 5 if self.is_dirty else min(rest, self.renewal))
            if not self._ready.is_set():
                continue
            if not await self.canary_comes_back():
                self.is_dirty = True
            elif self.is_dirty or clock() - renewed >= self.renewal:
                renewed = clock()
                await self.rejoin()

    async def canary_comes_back(self) -> bool:
        """Whether a message to our own group arrives. After a fault the group is joined again first."""
        self._canary += 1
        self._echo.clear()
        try:
            if self.is_dirty:
                await self._group_add(self.private_group)
            canary = {"type": "notify.canary", "number": self._canary}
            await self._bounded(self.layer.group_send(self.private_group, canary))
            await self._bounded(self._echo.wait())
        except Exception as error:
            self._stumbled("send itself a message", error)
            return False
        return True

    async def rejoin(self) -> None:
        """Join all groups again. After a fault, read what was missed; a renewal reads nothing."""
        async with self._rejoining:
            try:
                # While dirty nobody joins, so no group is left that a new room has just joined.
                while self._left:
                    group = next(iter(self._left))
                    await self._group_discard(group)
                    self._left.discard(group)
                was_dirty, self.is_dirty = self.is_dirty, False
                await self._group_add(doorbell.COMMON_GROUP)
                await self._group_add(self.private_group)
                for room in tuple(self.rooms.values()):
                    async with room.membership:
                        await self._join_again(room, was_dirty)
            except Exception as error:
                self._stumbled("join its groups", error)

    async def _join_again(self, room: Room, was_dirty: bool) -> None:
        if self.rooms.get(str(room.recipient)) is not room:
            return  # it was left while other rooms were joined
        if not room.connections:
            room.is_joined = False  # it is about to be left; who comes before that joins again
            return
        await self._group_add(room.group)
        late, room.is_joined = not room.is_joined, True
        if was_dirty or late:
            self._missed(room)

    def _stumbled(self, doing: str, error: Exception) -> None:
        self.is_dirty = True
        signals.layer_failed.send_robust(type(self), doing=doing, error=error)
