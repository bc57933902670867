"""
The hub's membership in the groups of the channel layer, and the check that the layer delivers.

A layer may lose memberships without an error: they expire, or Redis restarts empty. So the hub sends a
canary to a private group. If the canary does not come back, the hub rejoins all groups.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any, Protocol

from channels.layers import BaseChannelLayer

from notify import doorbell, signals
from notify.live.room import Room

LAYER_TIMEOUT = 2.0  # seconds that one call of the channel layer may take
MAX_CALLS = 8  # concurrent joins and leaves; layers serialize them, so more may time out
# Seconds that a handshake waits for its join; if shorter, rooms would read twice in a storm of reconnects.
LAYER_PATIENCE = 1.0
CANARY_INTERVAL = 10.0  # seconds; a fifth of this after a fault
RENEWAL_INTERVAL = 600.0  # seconds, or a third of the layer's group_expiry


# The exceptions of serializers for bytes that another program has sent.
UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)


def is_unreadable(error: Exception) -> bool:
    """
    Returns whether a layer raised this error because it could not decode a message.

    The layer itself then works. If this counted as a fault of the layer, the hub would pause and join
    no group, so that anyone who can send to the layer could delay all rings.
    """
    # The decryption of channels_redis raises cryptography.fernet.InvalidToken, from an optional package.
    return isinstance(error, UNREADABLE) or type(error).__module__.startswith("cryptography.")


class MembershipTarget(Protocol):
    """The part of a hub that the membership uses."""

    @property
    def rooms(self) -> Mapping[str, Room]:
        """Returns the rooms by name, which is also their group's name. Only the hub changes the mapping."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in the background."""

    def handle(self, message: dict[str, Any]) -> None:
        """Handle a message from a doorbell."""

    def missed(self, room: Room) -> None:
        """Repair a room that may have missed rings."""


class GroupMembership:
    """
    One channel of the layer, which is a member of the groups of all rooms.

    Args:
        hub: the hub whose rooms are joined.
    """

    def __init__(self, layer: BaseChannelLayer, hub: MembershipTarget) -> None:
        self.layer = layer
        self.channel: str | None = None
        self.private_group = f"notify.hub.{secrets.token_hex(8)}"
        self.is_dirty = False  # whether rings may have been missed
        expiry = getattr(layer, "group_expiry", None) or RENEWAL_INTERVAL * 3
        self.renewal = min(expiry / 3, RENEWAL_INTERVAL)
        self._hub = hub
        self._ready = asyncio.Event()  # set once the channel is in the common and the private group
        self._left: set[str] = set()  # groups that could not be left; only while dirty
        self._rejoining = asyncio.Lock()
        self._turns = asyncio.Semaphore(MAX_CALLS)
        self._canary = 0
        self._echo = asyncio.Event()

    # -- Memberships -----------------------------------------------------------------------------

    async def join_soon(self, room: Room) -> None:
        """Join the group of a room. A slow join continues in the background; watch() retries a failed one."""
        if self.is_dirty:
            return  # watch() joins all rooms as soon as the layer answers.
        joining = self._hub.spawn(self._join(room))
        await asyncio.wait([joining], timeout=LAYER_PATIENCE)

    async def _join(self, room: Room) -> None:
        async with room.group_lock, self._turns:
            if room.is_joined or not room.connections or self.is_dirty:
                return
            try:
                await self._group_add(room.name)
            except Exception as error:
                self._report_fault("join a group", error)
            else:
                room.is_joined = True
                self._hub.missed(room)  # A handshake may have read the rows before the join.

    async def leave(self, room: Room) -> None:
        """
        Leave the group of an empty room. The caller holds the room's lock. Never raises.

        While the layer fails, the group is only noted, and left after the layer has recovered.
        """
        room.is_joined = False
        async with self._turns:
            if not self.is_dirty:
                try:
                    await self._group_discard(room.name)
                except Exception as error:
                    self._report_fault("leave a group", error)
        if self.is_dirty and not room.connections:
            self._left.add(room.name)

    async def leave_all(self) -> None:
        """Leave every group. Errors of the layer are ignored, because memberships expire anyway."""
        groups = [*self._left, *self._hub.rooms]
        groups += [doorbell.common_group(), self.private_group]
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
        """Receive messages forever. Neither an error of the layer nor a bad message ends this loop."""
        pause = 0.0
        while True:
            try:
                message = await self.layer.receive(await self._open_channel())
            except Exception as error:
                if self._ready.is_set() and is_unreadable(error):
                    await self._ignore(error)
                    continue
                self._report_fault("receive", error)
                pause = min(max(0.1, pause * 2), 5.0)
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                continue
            pause = 0.0
            try:
                self._take(message)
            except Exception as error:
                await self._ignore(error)

    async def _ignore(self, error: Exception) -> None:
        """Report a message that could not be used."""
        signals.ring_ignored.send_robust(type(self), error=error)
        await asyncio.sleep(0)  # A layer that never waits would block the event loop.

    async def _open_channel(self) -> str:
        """Returns the channel, which is made only once, even if the joins after it fail."""
        channel = self.channel
        if channel is None:
            channel = self.channel = await self._bounded(self.layer.new_channel())
        if not self._ready.is_set():
            await self._bounded(self.layer.group_add(doorbell.common_group(), channel))
            await self._bounded(self.layer.group_add(self.private_group, channel))
            self._ready.set()
            self._hub.spawn(self.rejoin())
        return channel

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] != "notify.canary":
            self._hub.handle(message)
        elif message["number"] == self._canary:
            self._echo.set()

    # -- Watching --------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Send canaries forever. Rejoin all groups after a fault, and before memberships expire."""
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
        """Returns whether a message to the private group arrives. After a fault, rejoins that group first."""
        self._canary += 1
        self._echo.clear()
        try:
            if self.is_dirty:
                await self._group_add(self.private_group)
            canary = {"type": "notify.canary", "number": self._canary}
            await self._bounded(self.layer.group_send(self.private_group, canary))
            await self._bounded(self._echo.wait())
        except Exception as error:
            self._report_fault("send itself a message", error)
            return False
        return True

    async def rejoin(self) -> None:
        """Rejoin all groups. After a fault, repair the rooms too; a mere renewal reads nothing."""
        async with self._rejoining:
            try:
                # No room joins while dirty. Otherwise this loop could leave a group that was just joined.
                while self._left:
                    group = next(iter(self._left))
                    await self._group_discard(group)
                    self._left.discard(group)
                was_dirty, self.is_dirty = self.is_dirty, False
                await self._group_add(doorbell.common_group())
                await self._group_add(self.private_group)
                for room in tuple(self._hub.rooms.values()):
                    async with room.group_lock:
                        await self._join_again(room, was_dirty)
            except Exception as error:
                self._report_fault("join its groups", error)

    async def _join_again(self, room: Room, was_dirty: bool) -> None:
        if self._hub.rooms.get(room.name) is not room:
            return  # The room was closed while other rooms were joined.
        if not room.connections:
            room.is_joined = False  # Its group is about to be left. A new connection rejoins it.
            return
        await self._group_add(room.name)
        late, room.is_joined = not room.is_joined, True
        if was_dirty or late:
            self._hub.missed(room)

    def _report_fault(self, doing: str, error: Exception) -> None:
        self.is_dirty = True
        signals.layer_failed.send_robust(type(self), doing=doing, error=error)
