"""
Raw asyncio WebSocket clients: tabs that count what they are shown, and control connections.

No compression, no queues, no library: the clients share the machine with the server that is
measured, so they cost as little as they can.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from typing import Any

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


class BenchmarkError(Exception):
    """The run is worth nothing: something was lost, doubled, out of order, late or not there."""


class WebSocket(asyncio.Protocol):
    """
    A client's end of a WebSocket; subclasses say what its texts mean.

    ``ready`` is done once the server is known to deliver to this connection.
    """

    def __init__(self, port: int, path: str, cookie: str = "") -> None:
        self.address = f"127.0.0.1:{port}"
        self.path = path
        self.cookie = cookie
        self.buffer = bytearray()
        self.transport: Any = None
        self.upgraded = False
        self.closing = False
        self.frames = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Connect, and wait until the server delivers here."""
        host, port = self.address.split(":")
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, host, int(port))
        await asyncio.wait_for(self.ready, 20)

    async def close(self) -> None:
        """Say goodbye, and wait until the server has closed."""
        if self.closed.done():
            return
        self.closing = True
        self.send_frame(CLOSE, (1000).to_bytes(2, "big"))
        done, _ = await asyncio.wait([self.closed], timeout=5)
        if not done:
            self.transport.abort()

    # What subclasses fill in.

    def on_open(self) -> None:
        """The handshake is done."""

    def on_text(self, text: bytes) -> None:
        """A frame came."""

    def on_failure(self, error: BenchmarkError) -> None:
        """The connection is of no use any more."""
        if not self.ready.done():
            self.ready.set_exception(error)

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {self.path} HTTP/1.1",
            f"Host: {self.address}",
            f"Origin: http://{self.address}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
        if self.cookie:
            lines.append(f"Cookie: {self.cookie}")
        transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        try:
            if not self.upgraded and not self.read_handshake():
                return
            self.read_frames()
        except Exception as error:
            self.fail(f"{type(error).__name__}: {error}")

    def connection_lost(self, exception: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        if not self.closing:
            self.fail("the server closed the connection")

    # The protocol, as far as it is used here.

    def read_handshake(self) -> bool:
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return False
        status = head.partition(b"\r\n")[0].decode("latin-1")
        if " 101 " not in f"{status} ":
            raise BenchmarkError(f"the handshake was answered {status!r}")
        self.upgraded = True
        self.buffer = rest
        self.on_open()
        return True

    def read_frames(self) -> None:
        buffer, position, available = self.buffer, 0, len(self.buffer)
        while available - position >= 2:
            start = position + 2
            length = buffer[position + 1]
            if length == 126:
                start = position + 4
                length = int.from_bytes(buffer[position + 2 : start], "big")
            elif length == 127:
                start = position + 10
                length = int.from_bytes(buffer[position + 2 : start], "big")
            if available < start + length:
                break
            self.read_frame(buffer[position], bytes(buffer[start : start + length]))
            position = start + length
        del buffer[:position]

    def read_frame(self, first: int, body: bytes) -> None:
        if first == 0x80 | TEXT:
            self.frames += 1
            self.on_text(body)
        elif first == 0x80 | PING:
            self.send_frame(PONG, body)
        elif first == 0x80 | CLOSE:
            if not self.closing:
                code = int.from_bytes(body[:2], "big")
                self.fail(f"the server closed with {code} {body[2:].decode(errors='replace')}")
            self.transport.close()
        elif first != 0x80 | PONG:
            raise BenchmarkError(f"a frame that begins with {first:#x} is not expected here")

    def send_text(self, text: str) -> None:
        self.send_frame(TEXT, text.encode())

    def send_frame(self, opcode: int, body: bytes) -> None:
        # A mask of zeros is a mask, and leaves the body as it is.
        size = len(body)
        length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
        self.transport.write(bytes([0x80 | opcode]) + length + bytes(4) + body)

    def fail(self, reason: str) -> None:
        if not self.closing:
            self.closing = True
            self.on_failure(BenchmarkError(f"{self.path}: {reason}"))
            self.transport.abort()


class Crowd:
    """All tabs of one measurement: counts together what they are shown."""

    def __init__(self) -> None:
        self.shown = 0
        self.expected = 0
        self.arrived = asyncio.Event()
        self.error: BenchmarkError | None = None

    def expect(self, more: int) -> None:
        """So many more notifications are to come."""
        self.expected += more
        self.arrived.clear()

    def count(self, more: int) -> None:
        self.shown += more
        if self.shown >= self.expected:
            self.arrived.set()

    def fail(self, error: BenchmarkError) -> None:
        self.error = self.error or error
        self.arrived.set()

    async def wait(self, seconds: float) -> None:
        """Wait until all that is expected has come."""
        try:
            await asyncio.wait_for(self.arrived.wait(), seconds)
        except TimeoutError:
            raise BenchmarkError(
                f"{self.shown} of {self.expected} notifications came within {seconds:g} s"
            ) from None
        self.check()

    def check(self) -> None:
        if self.error:
            raise self.error
        if self.shown != self.expected:
            raise BenchmarkError(f"{self.shown} notifications came, not {self.expected}")


class Tab(WebSocket):
    """A tab of one user: shown 1, 2, 3 …, each once."""

    def __init__(self, crowd: Crowd, port: int, path: str, cookie: str = "") -> None:
        super().__init__(port, path, cookie)
        self.crowd = crowd
        self.last = 0

    def show(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["id"] != self.last + 1:
                raise BenchmarkError(f"notification {row['id']} came after {self.last}")
            self.last += 1
        self.crowd.count(len(rows))

    def on_failure(self, error: BenchmarkError) -> None:
        super().on_failure(error)
        self.crowd.fail(error)


class Control(WebSocket):
    """Asks a server for bursts; the answer is the CPU time that it has used, in seconds."""

    def __init__(self, port: int, path: str = "/control") -> None:
        super().__init__(port, path)
        self.answer: asyncio.Future[float] | None = None

    async def publish(self, first: int, users: int, number: int, rounds: int) -> float:
        self.answer = asyncio.get_running_loop().create_future()
        self.ask({"first": first, "users": users, "number": number, "rounds": rounds})
        return await asyncio.wait_for(self.answer, 60)

    async def cpu(self) -> float:
        return await self.publish(0, 0, 0, 0)

    def ask(self, burst: dict[str, int]) -> None:
        self.send_text(json.dumps(burst))

    def told(self, answer: dict[str, float]) -> None:
        if self.answer and not self.answer.done():
            self.answer.set_result(answer["cpu"])

    def on_open(self) -> None:
        self.ready.set_result(None)

    def on_text(self, text: bytes) -> None:
        self.told(json.loads(text))

    def on_failure(self, error: BenchmarkError) -> None:
        super().on_failure(error)
        if self.answer and not self.answer.done():
            self.answer.set_exception(error)


class TextbookTab(Tab):
    """One notification a frame, and nothing else. It is joined before it is accepted."""

    def on_open(self) -> None:
        self.ready.set_result(None)

    def on_text(self, text: bytes) -> None:
        self.show([json.loads(text)])


class NotifyTab(Tab):
    """Reads notify's documents and answers its pings."""

    cursor: str | None = None

    def on_text(self, text: bytes) -> None:
        document = json.loads(text)
        kind = document["type"]
        if kind == "changes":
            self.read(document)
        elif kind == "ping":
            self.send_text(
                json.dumps({"type": "pong", "cursor": self.cursor, "ref": document["ref"]})
            )
        elif kind == "welcome":
            self.read(document["changes"])
            self.ready.set_result(None)
        elif kind != "pong":
            raise BenchmarkError(f"a document of type {kind!r} is not expected here")

    def read(self, changes: dict[str, Any]) -> None:
        self.cursor = changes["cursor"]
        self.show(changes["notifications"])


class SocketIO(WebSocket):
    """Engine.IO 4 and Socket.IO 5, as far as they are used here."""

    user: int | None = None  # a control connection has none

    def on_text(self, text: bytes) -> None:
        if text.startswith(b"42"):
            self.on_event(*json.loads(text[2:]))
        elif text == b"2":
            self.send_text("3")
        elif text.startswith(b"0"):
            self.send_text(f"40{json.dumps({'user': self.user})}")
        elif not text.startswith(b"40"):
            raise BenchmarkError(f"{text[:80]!r} is not expected here")

    def on_event(self, name: str, *arguments: Any) -> None:
        if name == "joined":
            self.ready.set_result(None)


class SocketIOTab(SocketIO, Tab):
    def on_event(self, name: str, *arguments: Any) -> None:
        if name == "notification":
            self.show(list(arguments))
        else:
            super().on_event(name)


class SocketIOControl(SocketIO, Control):
    def on_open(self) -> None:
        pass  # ready when joined

    def ask(self, burst: dict[str, int]) -> None:
        self.send_text(f"42{json.dumps(['publish', burst])}")

    def on_event(self, name: str, *arguments: Any) -> None:
        if name == "published":
            self.told(*arguments)
        else:
            super().on_event(name)
