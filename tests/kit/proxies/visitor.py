"""A client of the small site, which may be behind any proxy."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect

from tests.kit.patience import PATIENCE

SILENCE = 0.3  # seconds without data after which a stream counts as silent


class Visitor:
    """
    Args:
        url: the address at which the visitor finds the site: that of a proxy, or of the site itself.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # Accept every certificate: TLS is not what these tests check.
        self.trust = ssl.create_default_context()
        self.trust.check_hostname, self.trust.verify_mode = False, ssl.CERT_NONE
        self.http = httpx.AsyncClient(
            base_url=url, trust_env=False, verify=self.trust, timeout=PATIENCE
        )

    async def __aenter__(self) -> Visitor:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.http.aclose()

    async def head(self) -> str:
        """Returns the head of the visitor's request, as the site received it."""
        return (await self.http.get("/notify/head/")).raise_for_status().text

    async def publish(self, text: str) -> int:
        """Send a text to all streams. Returns the number of streams."""
        return int((await self.http.post("/notify/publish/", content=text)).text)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Stream]:
        async with self.http.stream("GET", "/notify/stream/") as answer:
            stream = Stream(answer)
            yield stream
            await stream.close()

    def socket(self) -> Any:
        address = self.url.replace("http", "ws", 1) + "/notify/ws/"
        trust = {"ssl": self.trust} if address.startswith("wss") else {}
        return connect(address, proxy=None, open_timeout=PATIENCE, **trust)


class Stream:
    """One streamed answer, read piece by piece."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    async def read(self) -> str | None:
        """Returns the next piece, or None at the end."""
        return await asyncio.wait_for(self._pieces.get(), PATIENCE)

    async def is_silent(self) -> bool:
        await asyncio.sleep(SILENCE)
        return self._pieces.empty()

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for piece in self.answer.aiter_text():
            self._pieces.put_nowait(piece)
        self._pieces.put_nowait(None)
