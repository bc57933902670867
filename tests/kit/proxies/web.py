"""
An HTTP proxy whose misbehaviour a test controls.

    with WebProxy(web.address) as proxy:
        proxy.refuse_upgrades()    # answers WebSocket handshakes with 403
        proxy.swallow_frames()     # forwards the handshake of a WebSocket, but none of its frames
        proxy.collect()            # buffers a body without a length until it has ended
        proxy.cut_idle(10)         # resets connections that are silent for so many seconds
        proxy.answer(502)          # answers every further request itself
        proxy.delay(up=1, down=1)  # and the other faults of the base class
        proxy.heal()               # stops all misbehaviour

Each request has its own connection. A fault applies from the next request on; an idle cut and
``cut()`` also apply to open connections.
"""

from __future__ import annotations

import asyncio
import re
import socket
from http import HTTPStatus

from tests.faults.proxy import CHUNK, Direction, Link, Pipe, Proxy

END_OF_HEAD = b"\r\n\r\n"


class WebProxy(Proxy):
    """
    Args:
        targets: addresses (``host:port``) of the servers behind the proxy.

    Attributes:
        requests: the request line of each request.
        cuts: the number of connections that were cut because they were idle.
    """

    def __init__(self, *targets: str) -> None:
        super().__init__(*targets)
        self.requests: list[str] = []
        self.refuses_upgrades = False
        self.swallows_frames = False
        self.collects = False
        self.cuts = 0
        self.patience: float | None = None
        self.status: int | None = None
        self.below = ""

    # -- Called by the test ----------------------------------------------------------------------

    def refuse_upgrades(self) -> None:
        """Answer each WebSocket handshake with 403."""
        self.refuses_upgrades = True

    def swallow_frames(self) -> None:
        """Forward WebSocket handshakes, and then discard the frames of both sides."""
        self.swallows_frames = True

    def collect(self) -> None:
        """Forward the head of an answer at once, but a body of unknown length only when it has ended."""
        self.collects = True

    def cut_idle(self, seconds: float) -> None:
        """Reset each connection on which neither side has sent anything for that long."""
        self.patience = seconds

    def answer(self, status: int, *, below: str = "/") -> None:
        """
        Answer each request whose path begins with `below` with this status, without asking the
        server.
        """
        self.status, self.below = status, below

    def heal(self) -> None:
        had_holes = self.swallows_frames
        self.refuses_upgrades = self.swallows_frames = self.collects = False
        self.patience = self.status = None
        super().heal()
        if had_holes:
            self.cut()

    # -- In the proxy's thread --------------------------------------------------------------------

    async def _bring_through(self, client: socket.socket) -> None:
        client.setblocking(False)
        server = None
        try:
            head, rest = await read_head(client)
            if not head:
                return
            self.requests.append(head.partition(b"\r\n")[0].decode())
            if status := self._refusal(head):
                await asyncio.sleep(self.up.delay + self.down.delay)
                await self._loop.sock_sendall(client, canned(status))
                return
            server = await self._reach()
            if server is None:
                await self._loop.sock_sendall(client, canned(502))
                return
        except OSError:
            return
        finally:
            if server is None:
                client.close()
        link = WebLink(self, client, server, head, rest)
        self._links.add(link)
        watch = self._loop.create_task(self._watch(link))
        try:
            await link.run()
        finally:
            watch.cancel()
            self._links.discard(link)

    def _refusal(self, head: bytes) -> int | None:
        if self.status is not None and head.split(b" ")[1].startswith(self.below.encode()):
            return self.status
        return 403 if self.refuses_upgrades and is_upgrade(head) else None

    async def _watch(self, link: WebLink) -> None:
        """Cut a link once it has been idle for too long."""
        while True:
            silence = self._loop.time() - max(pipe.heard for pipe in link.pipes)
            if self.patience is None:
                await asyncio.sleep(0.1)
            elif silence < self.patience:
                await asyncio.sleep(min(0.1, self.patience - silence))
            else:
                self.cuts += 1
                link.cut()
                return


class WebLink(Link):
    """One request and its answer, or one WebSocket."""

    def __init__(
        self,
        proxy: WebProxy,
        client: socket.socket,
        server: socket.socket,
        head: bytes,
        rest: bytes,
    ) -> None:
        super().__init__(proxy, client, server)
        is_socket = is_upgrade(head)
        up = self.pipes[0]
        if is_socket and proxy.swallows_frames:
            up = Pipe(client, server, swallowing(proxy.up))
        down = Answer(server, client, proxy.down, is_socket=is_socket, proxy=proxy)
        self.pipes = (up, down)
        up.put(head if is_socket else alone(head))
        if rest:
            up.put(rest)


class Answer(Pipe):
    """The pipe from the server to the client, which treats the head of the answer apart from the rest."""

    def __init__(
        self,
        source: socket.socket,
        target: socket.socket,
        way: Direction,
        *,
        is_socket: bool,
        proxy: WebProxy,
    ) -> None:
        super().__init__(source, target, way)
        self.is_socket, self.proxy = is_socket, proxy

    async def read(self) -> None:
        head, rest = await read_head(self.source)
        self.heard = self._loop.time()
        self.put(head)
        if not head:
            return
        if self.is_socket and self.proxy.swallows_frames:
            self.way = swallowing(self.way)
        elif not self.is_socket and self.proxy.collects and not has_length(head):
            await self._collect(rest)
            return
        elif rest:
            self.put(rest)
        await super().read()

    async def _collect(self, body: bytes) -> None:
        while chunk := await self._loop.sock_recv(self.source, CHUNK):
            self.heard = self._loop.time()
            body += chunk
        if body:
            self.put(body)
        self.put(b"")


def swallowing(way: Direction) -> Direction:
    """Returns a copy of a direction, for one connection, that discards everything."""
    hole = Direction()
    hole.delay, hole.is_swallowed = way.delay, True
    return hole


async def read_head(end: socket.socket) -> tuple[bytes, bytes]:
    """
    Returns the head of a message with its empty line, and the bytes read after it.

    Both are empty at the end of the connection.
    """
    loop = asyncio.get_running_loop()
    data = b""
    while END_OF_HEAD not in data:
        chunk = await loop.sock_recv(end, CHUNK)
        if not chunk:
            return b"", b""
        data += chunk
    head, _, rest = data.partition(END_OF_HEAD)
    return head + END_OF_HEAD, rest


def is_upgrade(head: bytes) -> bool:
    return re.search(rb"^upgrade: *websocket", head, re.IGNORECASE | re.MULTILINE) is not None


def has_length(head: bytes) -> bool:
    """Returns whether the head tells how long the body is, or that the message has no body."""
    status = head.split(b" ", 2)[1]
    named = re.search(rb"^content-length:", head, re.IGNORECASE | re.MULTILINE)
    return named is not None or status in (b"204", b"304")


def alone(head: bytes) -> bytes:
    """
    Returns the head of a request with "Connection: close", so that the server closes after its
    answer.
    """
    head = re.sub(rb"^connection:.*\r\n", b"", head, flags=re.IGNORECASE | re.MULTILINE)
    return head.removesuffix(b"\r\n") + b"Connection: close" + END_OF_HEAD


def canned(status: int) -> bytes:
    """Returns an answer of the proxy itself: an HTML page for people, as most proxies send."""
    body = f"<h1>{status} {HTTPStatus(status).phrase}</h1>".encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    head += f"Content-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
