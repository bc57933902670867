"""
A user's tab for each transport. All act like the browser's client, and have the same interface.

A new transport needs a class here and a line in conftest.py; the promises apply to it unchanged.
All documents of the server are decoded by `schema.from_server`, which checks them against the
schema.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from notify.protocol import CloseCode, Cursor, Verdict
from tests.kit import schema
from tests.kit.fakes import Reader, until
from tests.kit.patience import PATIENCE

CSRF_TOKEN = "x" * 32


class Tab(Reader):
    """
    Attributes:
        cookies: the cookies of the browser. Without a session, the tab is anonymous.
        refusal: the reason for which the server has told the tab not to come back.
        acks: the answers to commands, by their ref.
    """

    def __init__(self, address: str, cookies: dict[str, str]) -> None:
        super().__init__()
        self.address = address
        self.cookies = cookies
        self.refusal: str | None = None
        self.acks: dict[int, dict[str, Any]] = {}
        self.is_told = False  # whether a first document has arrived
        self._since: str | None = None  # the cursor that the tab sends instead of its own
        self._work: asyncio.Task[None] | None = None
        self._ref = 0

    async def open(self, since: str | None = None) -> None:
        """Connect with the tab's cursor, or with another. Returns after the first document or a refusal."""
        self._since = since
        self.is_told = False
        self._work = asyncio.create_task(self._run())
        await until(lambda: self.is_told or self.refusal or (self._work and self._work.done()))
        if self._work.done():
            self._work.result()

    async def close(self) -> None:
        """Disconnect. The tab keeps its contents and its cursor."""
        if self._work is not None:
            self._work.cancel()
            with suppress(asyncio.CancelledError):
                await self._work

    async def reopen(self, since: str | None = None) -> None:
        await self.close()
        await self.open(since)

    async def shows(self, *texts: str) -> None:
        """Wait until the tab has shown exactly these messages, in this order, each once."""
        await until(lambda: self.shown == list(texts) or len(self.shown) > len(texts))
        assert self.shown == list(texts)

    async def mark(self, kind: str, *texts: str, **fields: Any) -> dict[str, Any]:
        """Mark the notifications with these messages, as the tab shows them. Returns the answer."""
        self._ref += 1
        ref = self._ref
        ids = [[row["id"], row["arrived"]] for row in self.rows.values() if row["message"] in texts]
        await self._command({"type": kind, "ids": ids, "ref": ref, **fields})
        answer: dict[str, Any] = await until(lambda: self.acks.get(ref))
        return answer

    def row(self, text: str) -> dict[str, Any]:
        return next(row for row in self.rows.values() if row["message"] == text)

    def _query(self, **asked: str) -> str:
        since = self._since or (self.cursor and str(self.cursor))
        self._since = None
        if since:
            asked["since"] = since
        return f"?{urlencode(asked)}" if asked else ""

    async def _run(self) -> None:
        raise NotImplementedError

    async def _command(self, document: dict[str, Any]) -> None:
        raise NotImplementedError


class WebSocketTab(Tab):
    _socket: ClientConnection

    async def _run(self) -> None:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        while self.refusal is None:
            async with connect(
                f"ws://{self.address}/notify/ws/{self._query()}",
                origin=f"http://{self.address}",  # type: ignore[arg-type]
                additional_headers=headers,
                proxy=None,
            ) as self._socket:
                with suppress(ConnectionClosed):
                    while True:
                        await self._hear(schema.from_server(await self._socket.recv()))
            code = self._socket.close_code
            if code == CloseCode.NOT_SIGNED_IN:
                self.refusal = "not_signed_in"
            else:
                assert code is not None
                assert 4000 <= code < 4500, f"The connection was closed with {code}"

    async def _hear(self, frame: dict[str, Any]) -> None:
        if frame["type"] in ("ack", "error"):
            self.acks[frame["ref"]] = frame
        elif frame["type"] == "ping":
            await self._socket.send(json.dumps({"type": "pong", "ref": frame["ref"]}))
        elif frame["type"] == "welcome":
            assert not self.is_told, "A second welcome arrived."
            self.take(frame["changes"], is_welcome=True)
            self.is_told = True
        else:
            assert frame["type"] == "pong" or self.is_told, "A frame arrived before the welcome."
            if frame["type"] == "changes" and self.take(frame) is Verdict.READ:
                asked = {"type": "changes", "since": str(self.cursor), "ref": 0}
                await self._socket.send(json.dumps(asked))

    async def _command(self, document: dict[str, Any]) -> None:
        await self._socket.send(json.dumps(document))


class HTTPTab(Tab):
    """A tab that sends its commands by POST."""

    async def _command(self, document: dict[str, Any]) -> None:
        async with self._client() as client:
            headers = {"X-CSRFToken": CSRF_TOKEN}
            answer = await client.post("/notify/commands/", json=document, headers=headers)
            self.acks[document["ref"]] = schema.from_server(answer.content)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"http://{self.address}",
            cookies={**self.cookies, "csrftoken": CSRF_TOKEN},
            timeout=httpx.Timeout(PATIENCE, read=None),
            trust_env=False,
            verify=False,  # there is no TLS, and loading certificates takes long
        )

    def _is_refused(self, answer: httpx.Response) -> bool:
        """Returns whether the server has told the tab to come back later, or never."""
        if answer.status_code in (401, 403):
            self.refusal = schema.from_server(answer.content)["code"]
        elif answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) >= 1
        else:
            return False
        return True


class SSETab(HTTPTab):
    """A browser's EventSource, which reconnects to the same address with the last event id."""

    async def _run(self) -> None:
        address = f"/notify/stream/{self._query()}"
        headers: dict[str, str] = {}
        async with self._client() as client:
            while self.refusal is None:
                async with client.stream("GET", address, headers=headers) as answer:
                    if answer.status_code != 200:
                        await answer.aread()
                        assert self._is_refused(answer), answer.status_code
                        continue
                    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
                    assert "Content-Encoding" not in answer.headers or (
                        answer.headers["Content-Encoding"] == "identity"
                    )
                    is_new = True
                    async for event in events_in(answer):
                        document = schema.from_server(event["data"])
                        assert document["type"] in ({"welcome"} if is_new else STREAMED)
                        is_new = False
                        if "id" in event:
                            headers["Last-Event-ID"] = event["id"]
                        if not self._hear(document):
                            break

    def _hear(self, document: dict[str, Any]) -> bool:
        """Apply a document. Returns whether to go on reading."""
        if document["type"] == "close" and document["code"] >= 4500:
            self.refusal = CloseCode(document["code"]).name.lower()
        elif document["type"] == "welcome":
            self.take(document["changes"], is_welcome=True)
            self.is_told = True
        elif document["type"] == "changes":
            return self.take(document) is not Verdict.READ
        return document["type"] != "close"


STREAMED = {"changes", "ping", "close"}


async def events_in(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """Yields the events of a stream as they arrive. It reads only the syntax that notify sends."""
    event: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            assert name in ("event", "id", "data", "retry"), line
            event[name] = value
        else:
            if "data" in event:
                yield event
            event = {}


class LongPollTab(HTTPTab):
    PAUSE = 0.03

    async def _run(self) -> None:
        async with self._client() as client:
            while self.refusal is None:
                # So that the tab knows at once that it is connected.
                wait = "25" if self.is_told else "0"
                answer = await client.get(f"/notify/changes/{self._query(wait=wait)}")
                assert "no-store" in answer.headers["Cache-Control"]
                if self._is_refused(answer):
                    await asyncio.sleep(self.PAUSE)
                elif answer.status_code == 400:
                    assert schema.from_server(answer.content)["code"] == "bad_cursor"
                    self.cursor = None
                else:
                    assert "Retry-After" not in answer.headers, (
                        "The server answered at once instead of holding the request."
                    )
                    if answer.status_code == 200:
                        self.take(schema.from_server(answer.content), is_welcome=True)
                    else:
                        assert answer.status_code == 204
                    self.is_told = True


class PollTab(HTTPTab):
    PAUSE = 0.03

    async def _run(self) -> None:
        async with self._client() as client:
            while self.refusal is None:
                answer = await client.get(f"/notify/changes/{self._query()}")
                assert "no-store" in answer.headers["Cache-Control"]
                if answer.status_code == 401:
                    self.refusal = schema.from_server(answer.content)["code"]
                elif answer.status_code == 400:
                    assert schema.from_server(answer.content)["code"] == "bad_cursor"
                    self.cursor = None
                    continue
                elif answer.status_code == 200:
                    document = schema.from_server(answer.content)
                    self.take(document, is_welcome=True)
                    if self.cursor and self.cursor.position < document["head"]:
                        continue
                else:
                    assert answer.status_code == 204
                self.is_told = True
                await asyncio.sleep(self.PAUSE)


def cursor_of(answer: dict[str, Any]) -> Cursor:
    return Cursor.parse(answer["cursor"])
