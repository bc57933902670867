"""A neighbour beside a client that misbehaves, for the hostile suite."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.faults import at_most, deeds
from tests.faults.clients import User
from tests.faults.world import World
from tests.kit.patience import PATIENCE

SERVERS = ["uvicorn", "daphne"]
DISTURBED = at_most(1.2)  # seconds that a neighbour may wait for a notification meanwhile


class Rogue:
    """A socket of a signed-in user that sends anything, and records what it receives."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                self.heard.append(json.loads(await self.socket.recv()))

    async def say(self, what: str | bytes | dict[str, Any]) -> None:
        """Send a frame. It is no failure if the server has already closed the socket."""
        with suppress(ConnectionClosed):
            await self.socket.send(json.dumps(what) if isinstance(what, dict) else what)

    async def is_answered(self, ref: int | None) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while not self.reading.done():
                for frame in self.heard:
                    if frame["type"] in ("ack", "error") and frame["ref"] == ref:
                        return frame
                await asyncio.sleep(0.01)
        raise AssertionError(f"Closed with {self.socket.close_code}; heard {self.heard[-3:]}")

    async def is_let_in(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not any(frame["type"] == "welcome" for frame in self.heard):
                await asyncio.sleep(0.01)

    async def is_closed(self) -> int:
        async with asyncio.timeout(PATIENCE):
            await self.reading
        return self.socket.close_code or 1006

    async def close(self) -> None:
        await self.socket.close()
        await self.reading


async def break_in(address: str, user: User, query: str = "", **cookies: str) -> Rogue:
    """Open a socket. Its cookies are the user's, except for those that are given."""
    cookie = "; ".join(f"{name}={value}" for name, value in (user.cookies | cookies).items())
    socket = await connect(
        f"ws://{address}/notify/ws/{query}",
        origin=f"http://{address}",  # type: ignore[arg-type]
        additional_headers={"Cookie": cookie},
        proxy=None,
        open_timeout=PATIENCE,
        max_size=None,
        close_timeout=1,
        ping_interval=None,
    )
    return Rogue(socket)


class Street:
    """Mallory, and a neighbour with an open tab that receives notifications all the time."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def open(self, kind: str, **options: Any) -> None:
        self.web = await self.world.start_web(kind, **options)
        self.sender = await self.world.start_sender()
        self.alice = await self.world.user("alice")
        self.mallory = await self.world.user("mallory")
        self.tab = await self.world.open(self.alice)
        self.own_tab = await self.world.open(self.mallory)
        await self.sender.send(self.alice, "private")
        await self.sender.send(self.mallory, "own")
        await self.own_tab.shows("own")
        await self.tab.shows("private")
        await self.sender.start_load([self.alice], rate=20)

    async def rogue(self, query: str = "", **cookies: str) -> Rogue:
        return await break_in(self.web.address, self.mallory, query, **cookies)

    def browser(self) -> httpx.AsyncClient:
        """Mallory's HTTP client."""
        return self.mallory.browser(f"http://{self.web.address}")

    def status(self, name: str) -> int:
        """A number from the kernel on the web process, such as "Threads" or "VmRSS" (in KB)."""
        text = Path(f"/proc/{self.web.pid}/status").read_text()
        return int(text.partition(f"{name}:")[2].split()[0])

    async def is_undisturbed(self) -> None:
        """Check that the neighbour was shown everything in time, and can open another tab."""
        sends = await self.sender.stop_load()
        await self.world.oracle.check([self.tab, self.own_tab])
        assert self.tab.closes == []
        waits = [self.tab.shown_at[sent["text"]] - sent["ended"] for sent in sends]
        assert max(waits) < DISTURBED, f"{sorted(waits)[-5:]}\n{self.tab.story()}"
        async with asyncio.timeout(DISTURBED):
            await self.world.open(self.alice)

    async def is_quiet(self) -> None:
        """Check in addition that no row of any user has a mark."""
        await self.is_undisturbed()
        for user in (self.alice, self.mallory):
            marks = await self.world.clerk.call(f"{deeds.__name__}:marks", user=user.pk)
            assert not any(any(moments) for _, *moments in marks), marks
