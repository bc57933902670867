"""
Thousands of tabs in one process, as cheap as possible.

It reads calls as JSON lines, and answers each with a line. A tab does what a server can observe: it
opens a WebSocket with its cursor, answers pings, and reconnects after a cut, with the random pause
of the browser's client. It only counts the notifications that it receives.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import re
import struct
import sys
import time
import zlib
from collections import Counter
from typing import Any

LEAST, MOST = 0.5, 20.0  # seconds; client/src/link/backoff.js
HEAD_START = 2.5  # seconds; client/src/link/race.js
CURSOR = re.compile(rb'"cursor":"([^"]+)"')
REF = re.compile(rb'"ref":(\d+)')
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
MASK = bytes(4)  # masks nothing, which is allowed


def frame(opcode: int, payload: bytes) -> bytes:
    """A short frame as a client sends it."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + MASK + payload


class Tab(asyncio.Protocol):
    """
    Attributes:
        state: new, connecting, greeted (it has its welcome), lost, or ended (told not to come back).
        began: when it first connected.     greeted: when it last received its welcome.
        knocked: when it last connected.    opened: when that was answered.
        heard: when the first frame arrived after that, or 0.
    """

    def __init__(self, crowd: Crowd, cookie: str) -> None:
        self.crowd, self.cookie = crowd, cookie
        self.state = "new"
        self.cursor = ""
        self.began = self.greeted = self.knocked = self.opened = self.heard = 0.0
        self.tries = 0
        self.transport: asyncio.Transport | None = None

    async def knock(self) -> None:
        """Open the connection. A refused attempt is counted, and repeated later."""
        self.state = "connecting"
        self.knocked, self.heard = time.monotonic(), 0.0
        if not self.tries:
            self.began = self.knocked
        self.buffer = b""
        self.is_open = False
        self.code = 1006
        self.inflate: Any = None
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self, self.crowd.host, self.crowd.port)
        except OSError as error:
            self.crowd.refusals[f"{type(error).__name__}"] += 1
            self.lose()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        query = f"?since={self.cursor}" if self.cursor else ""
        key = base64.b64encode(os.urandom(16)).decode()
        deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if self.crowd.deflate else ""
        transport.write(
            f"GET /notify/ws/{query} HTTP/1.1\r\nHost: {self.crowd.host}:{self.crowd.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nOrigin: http://{self.crowd.host}:{self.crowd.port}\r\n"
            f"{deflate}Cookie: {self.cookie}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.is_open:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            status = head.split(b" ", 2)[1].decode()
            if status != "101":
                self.crowd.refusals[f"HTTP {status}"] += 1
                assert self.transport
                self.transport.abort()
                return
            self.is_open, self.buffer = True, rest
            self.opened = time.monotonic()
        while self.take():
            pass

    def take(self) -> bool:
        """Take one frame from the buffer, if it is complete."""
        if len(self.buffer) < 2:
            return False
        size, start = self.buffer[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(self.buffer) < start:
                return False
            size = int.from_bytes(self.buffer[2:start], "big")
        if len(self.buffer) < start + size:
            return False
        first, payload = self.buffer[0], self.buffer[start : start + size]
        self.buffer = self.buffer[start + size :]
        if first & 0x40:
            self.inflate = self.inflate or zlib.decompressobj(-15)
            payload = self.inflate.decompress(payload + b"\0\0\xff\xff")
        self.hear(first & 0x0F, payload)
        return True

    def hear(self, opcode: int, payload: bytes) -> None:
        assert self.transport
        if opcode == PING:
            self.transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self.code = struct.unpack("!H", payload[:2])[0] if payload else 1005
            self.transport.write(frame(CLOSE, payload[:2]))
            self.transport.close()
        elif opcode == TEXT:
            self.heard = self.heard or time.monotonic()
            if payload.startswith(b'{"type":"ping"'):
                ref = REF.search(payload)
                assert ref
                self.transport.write(frame(TEXT, b'{"type":"pong","ref":%s}' % ref[1]))
            elif payload.startswith(b'{"type":"welcome"'):
                self.state = "greeted"
                self.greeted = time.monotonic()
                self.tries = 0
            if cursor := CURSOR.search(payload):
                self.cursor = cursor[1].decode()
            self.crowd.shown += payload.count(b'"message":')

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if self.state == "dropped":
            return
        when = "after" if self.state == "greeted" else "before"
        self.crowd.codes[f"{self.code} {when} the welcome" if self.is_open else "unanswered"] += 1
        self.lose()

    def lose(self) -> None:
        """Reconnect after a pause, unless the tab was told not to come back."""
        if self.code >= 4500:
            self.state = "ended"
            return
        if not self.tries:
            self.began = time.monotonic()
        self.state = "lost"
        ceiling = min(MOST, LEAST * 4 * 2**self.tries)
        self.tries += 1
        self.crowd.later(LEAST + random.random() * (ceiling - LEAST), self)


class Crowd:
    def __init__(self) -> None:
        self.tabs: list[Tab] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.forget()

    def forget(self) -> None:
        """Start to count from here."""
        self.refusals: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.knocks: list[float] = []
        self.shown = 0

    def later(self, seconds: float, tab: Tab) -> None:
        async def come() -> None:
            await asyncio.sleep(seconds)
            if tab.state in ("new", "lost", "dropped"):
                self.knocks.append(time.monotonic())
                await tab.knock()

        task = asyncio.get_running_loop().create_task(come())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # -- Calls -----------------------------------------------------------------------------------

    async def gather(self, address: str, cookies: list[str], deflate: bool = False) -> None:
        """Create a tab for each of these Cookie headers. They are not open yet."""
        self.host, _, port = address.partition(":")
        self.port, self.deflate = int(port), deflate
        self.tabs = [Tab(self, cookie) for cookie in cookies]

    async def come(self, within: float) -> None:
        """Let all disconnected tabs connect within that many seconds, evenly."""
        self.forget()
        away = [tab for tab in self.tabs if tab.state in ("new", "dropped")]
        for number, tab in enumerate(away):
            tab.tries = 0
            self.later(within * number / len(away), tab)

    async def drop(self) -> None:
        """Cut all tabs at this end. They stay away until they are called."""
        for tab in self.tabs:
            tab.state = "dropped"
            if tab.transport is not None:
                tab.transport.abort()

    async def look(self) -> dict[str, Any]:
        """The states of the tabs, and what has happened since the last call."""
        waits = sorted(tab.greeted - tab.began for tab in self.tabs if tab.state == "greeted")
        # A browser's client begins its next transport if the first frame takes that long. On a busy
        # server, this shows how much of the time passed before it opened the connection.
        heard = [tab for tab in self.tabs if tab.heard]
        after_knock = sum(tab.heard - tab.knocked <= HEAD_START for tab in heard)
        after_open = sum(tab.heard - tab.opened <= HEAD_START for tab in heard)
        return {
            "states": Counter(tab.state for tab in self.tabs),
            "waits": waits,
            "in_time": after_knock / len(self.tabs),
            "in_time_once_open": after_open / len(self.tabs),
            "refusals": self.refusals,
            "codes": self.codes,
            "knocks": self.knocks,
            "shown": self.shown,
        }


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    crowd = Crowd()
    while line := await reader.readline():
        asked = json.loads(line)
        answer = await getattr(crowd, asked.pop("call"))(**asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
