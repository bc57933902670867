"""
A breakable link: a TCP proxy in its own thread, controlled by the test.

    with Proxy(web.address) as link:
        connect(link.address)
        link.cut()                   # resets all connections now
        link.refuse()                # resets all new connections, until heal()
        link.hold()                  # lets nothing pass; data arrives later, as with TCP
        link.swallow(down=True)      # reads one direction and discards it
        link.throttle(down=1024)     # bytes per second, for each connection
        link.delay(up=0.2, down=0.2) # seconds on the way
        link.heal()                  # ends all faults

Several addresses make it a balancer: each connection goes to the next address that answers. It
handles only bytes, so it works in front of a web process, Redis or a database.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

CHUNK = 64 * 1024  # bytes read at once
PIPE = 256 * 1024  # bytes that may be on the way in one direction of a connection
SLICES = 10  # parts into which a throttled second is divided
SMALL_BUFFER = 4096  # bytes that the kernel may buffer before a throttled reader
BACKLOG = 8192  # simultaneous new connections; the kernel caps it


class Direction:
    """The faults of one direction. They apply to all connections, and each is paced separately."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.rate: int | None = None
        self.is_swallowed = False
        self.passed = 0  # bytes of all connections so far
        self.moves = asyncio.Event()  # cleared while the direction is held
        self.moves.set()

    def hold(self, is_held: bool) -> None:
        if is_held:
            self.moves.clear()
        else:
            self.moves.set()


class Proxy:
    """
    Args:
        targets: addresses (``host:port``) of the servers behind it.
    """

    def __init__(self, *targets: str) -> None:
        self.targets = list(targets)
        self.up = Direction()  # from the client to the server
        self.down = Direction()
        self.is_refusing = False
        self.refused = 0
        self.knocks: list[float] = []  # the moment of each new connection, by the monotonic clock
        self._turn = 0
        self._links: set[Link] = set()
        self._arriving: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """The current number of connections through the proxy."""
        return len(self._links)

    # -- Called by the test ----------------------------------------------------------------------

    def cut(self) -> None:
        """Reset all connections, at both ends. Data on the way is lost."""
        self._do(self._cut)

    def refuse(self) -> None:
        """Reset each new connection at once. Existing ones are not affected."""
        self.is_refusing = True

    def hold(self, *, up: bool = True, down: bool = True) -> None:
        """Let nothing pass, and lose nothing, like a dead link under a TCP that retries."""
        self._do(lambda: (self.up.hold(up), self.down.hold(down)))

    def swallow(self, *, up: bool = True, down: bool = True) -> None:
        """Read the bytes of a direction and discard them: the other side is there, but never answers."""
        self.up.is_swallowed, self.down.is_swallowed = up, down

    def throttle(self, *, up: int | None = None, down: int | None = None) -> None:
        """Limit the bytes per second of each connection. ``None`` means no limit."""
        self.up.rate, self.down.rate = up, down

    def delay(self, *, up: float = 0.0, down: float = 0.0) -> None:
        """Delay each byte by that many seconds."""
        self.up.delay, self.down.delay = up, down

    def heal(self) -> None:
        """End all faults. A connection whose bytes were discarded is reset, because its data has a gap."""
        had_holes = self.up.is_swallowed or self.down.is_swallowed
        for direction in (self.up, self.down):
            direction.is_swallowed = False
            direction.delay, direction.rate = 0.0, None
        if had_holes:
            self.cut()
        self.hold(up=False, down=False)
        self.is_refusing = False

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self.cut()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._listener.close()
        self._loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- In the proxy's thread --------------------------------------------------------------------

    def _do(self, work: Callable[[], Any]) -> None:
        async def done() -> None:
            work()

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        accepting = self._loop.create_task(self._accept())
        self._loop.run_forever()
        tasks = [accepting, *asyncio.all_tasks(self._loop)]
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            self.knocks.append(time.monotonic())
            if self.is_refusing:
                self.refused += 1
                reset(client)
                continue
            task = self._loop.create_task(self._bring_through(client))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _bring_through(self, client: socket.socket) -> None:
        client.setblocking(False)
        server = None
        try:
            server = await self._reach()
        finally:
            if server is None:
                self.refused += 1
                reset(client)
        if server is not None:
            link = Link(self, client, server)
            self._links.add(link)
            try:
                await link.run()
            finally:
                self._links.discard(link)

    async def _reach(self) -> socket.socket | None:
        """Connect to the next target that answers."""
        for _ in range(len(self.targets)):
            target = self.targets[self._turn % len(self.targets)]
            self._turn += 1
            server = socket.socket()
            server.setblocking(False)
            if self.down.rate is not None:
                # Otherwise the kernel reads megabytes from the server, and the slowness has no
                # effect.
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            host, _, port = target.partition(":")
            try:
                await self._loop.sock_connect(server, (host, int(port)))
            except OSError:
                server.close()
            except BaseException:
                server.close()
                raise
            else:
                return server
        return None

    def _cut(self) -> None:
        for task in tuple(self._arriving):
            task.cancel()
        for link in tuple(self._links):
            link.cut()


class Link:
    """One connection through the proxy: two sockets, and a pipe for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ends = (client, server)
        self.pipes = (Pipe(client, server, proxy.up), Pipe(server, client, proxy.down))
        self._task: asyncio.Task[Any] | None = None
        self._is_cut = False

    async def run(self) -> None:
        self._task = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                for pipe in self.pipes:
                    group.create_task(pipe.read())
                    group.create_task(pipe.write())
        except* OSError:
            self._is_cut = True  # one end is gone, and so is the other
        finally:
            for end in self.ends:
                if self._is_cut:
                    reset(end)
                else:
                    end.close()

    def cut(self) -> None:
        self._is_cut = True
        if self._task is not None:
            self._task.cancel()


class Pipe:
    """One direction: a reader that reads bytes, and a writer that sends them when they may pass."""

    def __init__(self, source: socket.socket, target: socket.socket, way: Direction) -> None:
        self.source, self.target, self.way = source, target, way
        self._loop = asyncio.get_running_loop()
        self.heard = self._loop.time()  # the moment of the last data from the source
        # Bytes and the moment when they may be sent; no bytes: the end.
        self._queue: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._changed = asyncio.Event()

    async def read(self) -> None:
        chunk = b"?"
        while chunk:
            while self._size >= PIPE:
                await self._change()
            await self.way.moves.wait()
            rate = self.way.rate
            amount = CHUNK if rate is None else max(1, rate // SLICES)
            chunk = await self._loop.sock_recv(self.source, amount)
            self.heard = self._loop.time()
            if self.way.is_swallowed and chunk:
                continue
            self.put(chunk)
            if rate is not None:
                await asyncio.sleep(len(chunk) / rate)

    def put(self, chunk: bytes) -> None:
        """Queue bytes for sending. No bytes mean the end."""
        self._queue.append((self._loop.time() + self.way.delay, chunk))
        self._size += len(chunk)
        self._changed.set()

    async def write(self) -> None:
        chunk = b"?"
        while chunk:
            while not self._queue:
                await self._change()
            due, chunk = self._queue.popleft()
            self._size -= len(chunk)
            self._changed.set()
            await asyncio.sleep(due - self._loop.time())
            await self.way.moves.wait()
            await self._loop.sock_sendall(self.target, chunk)
            self.way.passed += len(chunk)
        with suppress(OSError):
            self.target.shutdown(socket.SHUT_WR)

    async def _change(self) -> None:
        """Wait until the reader or the writer has made progress."""
        self._changed.clear()
        await self._changed.wait()


def reset(end: socket.socket) -> None:
    """Close with a RST, like a dead link or process. A plain close would be an orderly end."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
