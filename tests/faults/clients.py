"""
A user's tabs that survive faults: they reconnect, keep their cursor and contents, and record their
whole history.

They act like the browser's client: they apply the rule, then the rows. Only a welcome or the answer
to a poll may lower the cursor, and no text is shown twice. ``shown`` are the texts in the order in
which they appeared on the screen.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from notify.protocol import CloseCode, Cursor, Verdict, judge
from tests.kit.patience import PATIENCE

CSRF_TOKEN = "x" * 32
TERMINAL = 4500  # close codes from here on mean: do not come back
OPEN_TIMEOUT = 5.0  # seconds that a handshake or an answer may take
GRACE = 5.0  # seconds after a missed heartbeat until the connection counts as dead

Backoff = Callable[[int], float]  # failed attempts so far -> seconds


def quickly(tries: int) -> float:
    """Short pauses for fast tests. They are never zero, or refusals would become a storm."""
    return random.uniform(0.02, 0.1 + 0.1 * min(tries, 3))


def as_browsers_do(tries: int) -> float:
    """client/src/link/backoff.js: full jitter, drawn after the cap."""
    return random.uniform(0.5, min(20.0, 0.5 * 4 * 2**tries))


async def until(
    condition: Callable[[], Any], what: str | Callable[[], str], within: float = PATIENCE
) -> Any:
    """Wait until the condition is true. Returns its value. `what` describes what did not happen."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > deadline:
            said = what if isinstance(what, str) else what()
            raise AssertionError(f"Not within {within:g} s: {said}")
        await asyncio.sleep(0.01)
    return found


@dataclass(frozen=True)
class User:
    pk: Any
    name: str
    cookies: dict[str, str] = field(repr=False)

    def browser(self, url: str) -> httpx.AsyncClient:
        """The user's HTTP client, whose POSTs have the CSRF token. ``url``: what each address begins with."""
        return httpx.AsyncClient(
            base_url=url,
            cookies=self.cookies,
            headers={"X-CSRFToken": self.cookies["csrftoken"]},
            timeout=PATIENCE,
            trust_env=False,
        )


class Client:
    """
    Attributes:
        shown: each text, in the order in which it appeared on the screen.
        shown_at: when each first appeared, by the machine's monotonic clock.
        rows: the rows that the tab holds, by id.
        epochs: the histories of the mailbox that it has known, in their order.
        refusal: the reason for which the server has told it not to come back.
        opens: how often it was admitted; closes: the codes with which connections ended.
        history: (moment, event) for everything that happened.
    """

    transport = ""

    def __init__(
        self,
        user: User,
        addresses: Sequence[str],
        *,
        since: str | None = None,
        backoff: Backoff = quickly,
        grace: float = GRACE,
        witness: Callable[[], str] = str,
    ) -> None:
        self.user = user
        self.addresses = list(addresses)
        self.backoff = backoff
        self.grace = grace
        self.witness = witness
        self.cursor: Cursor | None = None
        self.rows: dict[int, dict[str, Any]] = {}
        self.shown: list[str] = []
        self.shown_at: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.epochs: list[str] = []  # each in its turn
        self.resets = 0
        self.gaps = 0
        self.opens = 0
        self.closes: list[int] = []
        self.failures = 0  # attempts that did not reach a first document
        self.is_open = False
        self.refusal: str | None = None
        self.answers: dict[int, dict[str, Any]] = {}
        self.history: list[tuple[float, str]] = []
        self._since = since  # the cursor that it sends first, instead of its own
        # Everything that arrived at or below it has been shown.
        self._complete: Cursor | None = None
        self._work: asyncio.Task[None] | None = None
        self._ref = 0

    def __repr__(self) -> str:
        return f"<{self.transport} of {self.user.name}>"

    # -- Used by the tests -----------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, and to reconnect after every end except a refusal."""
        self._work = asyncio.create_task(self._run())

    async def opened(self, within: float = PATIENCE) -> None:
        """Wait until it has its first document, or was refused."""
        await self.until(lambda: self.is_open or self.refusal, "it was let in", within)

    async def until(self, condition: Callable[[], Any], what: str, within: float = PATIENCE) -> Any:
        """Wait until a condition on this client is true. A failure shows its history."""
        assert self._work is not None

        def happened() -> Any:
            if self._work is not None and self._work.done() and not self._work.cancelled():
                self._work.result()
            return condition()

        return await until(happened, lambda: f"{what}\n{self.story()}\n{self.witness()}", within)

    async def shows(self, *texts: str, within: float = PATIENCE) -> None:
        """Wait until it has shown exactly these texts, in this order."""
        wanted = list(texts)
        await self.until(
            lambda: self.shown == wanted or len(self.shown) > len(wanted), f"{wanted}", within
        )
        assert self.shown == wanted, self.story()

    async def close(self) -> None:
        """Disconnect. The contents and the cursor stay, and `start` reconnects."""
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
        self.is_open = False

    async def command(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send one command. Returns its answer."""
        self._ref += 1
        ref = self._ref
        await self._send({"type": kind, "ref": ref, **fields})
        answer: dict[str, Any] = await self.until(lambda: self.answers.get(ref), f"{kind} answered")
        return answer

    async def try_command(self, kind: str, **fields: Any) -> None:
        """Send one command without waiting. The link may break before it is sent or answered."""
        self._ref += 1
        with suppress(OSError, ConnectionClosed, httpx.HTTPError):
            await self._send({"type": kind, "ref": self._ref, **fields})

    def note(self, what: str) -> None:
        self.history.append((time.monotonic(), what))

    def story(self, last: int = 60) -> str:
        """The client's history, for a failure."""
        now = time.monotonic()
        lines = [f"{moment - now:9.3f} s  {what}" for moment, what in self.history[-last:]]
        state = (
            f"{self!r}: {len(self.shown)} shown, the last {self.shown[-5:]}; cursor {self.cursor};"
            f" {self.opens} opens, closes {self.closes[-10:]}, {self.resets} resets,"
            f" {self.gaps} gaps; refused: {self.refusal}"
        )
        return "\n".join([state, *lines])

    # -- The reducer -----------------------------------------------------------------------------

    def take(self, changes: dict[str, Any], *, is_authoritative: bool = False) -> Verdict:
        since, cursor = (
            changes[name] and Cursor.parse(changes[name]) for name in ("since", "cursor")
        )
        is_reset = bool(changes.get("reset"))
        verdict = judge(self.cursor, since, cursor, reset=is_reset)
        if is_authoritative and is_reset:
            verdict = Verdict.APPLY
        if verdict is Verdict.READ:
            self.gaps += 1
            self.note(f"has a gap at {self.cursor}: {since} to {cursor}")
        if verdict is not Verdict.APPLY:
            return verdict
        known = _position_in(cursor, self._complete)
        floor = -1 if is_reset else _position_in(cursor, self.cursor)
        before, fresh = self.rows, []
        if is_reset:
            self.resets += 1
            self.note(f"is reset at {self.cursor} to {cursor}")
            self.rows = {}
        for row in changes["notifications"]:
            if row["position"] <= floor:
                continue
            held = before.get(row["id"])
            is_held = held is not None and (held["arrived"], held["message"]) == (
                row["arrived"],
                row["message"],
            )
            # The cursor does not decide, because a mark may move a row from one page to a later
            # one.
            if row["arrived"] > known and not is_held:
                fresh.append(row)
            self.rows[row["id"]] = row
        # Rows are sorted by position, which a mark moves; the screen is sorted by the arrival of
        # the content.
        for row in sorted(fresh, key=lambda row: row["arrived"]):
            self._show(row["message"])
        self.cursor, self.counts = cursor, changes["counts"]
        if cursor is not None and self.epochs[-1:] != [cursor.epoch]:
            self.epochs.append(cursor.epoch)
        if cursor is not None and cursor.position >= changes["head"] > known:
            self._complete = cursor
        return verdict

    def _show(self, text: str) -> None:
        self.shown.append(text)
        if text in self.shown_at:
            self.note(f"shows {text[:60]!r} again")
        self.shown_at.setdefault(text, time.monotonic())

    # -- The transport ---------------------------------------------------------------------------

    def _query(self, **asked: str) -> str:
        since = self._since or (self.cursor and str(self.cursor))
        self._since = None
        if since:
            asked["since"] = since
        return f"?{urlencode(asked)}" if asked else ""

    def _let_in(self) -> None:
        if not self.is_open:
            self.is_open = True
            self.opens += 1
            self.note(f"is open at {self.cursor}")

    async def _run(self) -> None:
        raise NotImplementedError

    async def _send(self, document: dict[str, Any]) -> None:
        raise NotImplementedError


def _position_in(cursor: Cursor | None, other: Cursor | None) -> int:
    """The position of the other cursor if both are of the same epoch, else -1."""
    return -1 if cursor is None or other is None or cursor.epoch != other.epoch else other.position


class WebSocketClient(Client):
    transport = "websocket"
    socket: ClientConnection

    async def _run(self) -> None:
        tries = 0
        for turn in range(1_000_000):
            address = self.addresses[turn % len(self.addresses)]
            opens = self.opens
            try:
                await self._connect(address)
            except (OSError, TimeoutError, EOFError, WebSocketException) as error:
                self.note(f"{address}: {type(error).__name__} {error}")
            finally:
                self.is_open = False
            if self.refusal is not None:
                return
            tries = 0 if self.opens > opens else tries + 1
            self.failures += self.opens == opens
            await asyncio.sleep(self.backoff(tries))

    async def _connect(self, address: str) -> None:
        cookies = "; ".join(f"{name}={value}" for name, value in self.user.cookies.items())
        async with connect(
            f"ws://{address}/notify/ws/{self._query()}",
            origin=f"http://{address}",  # type: ignore[arg-type]
            additional_headers={"Cookie": cookies},
            proxy=None,
            open_timeout=OPEN_TIMEOUT,
            close_timeout=0.5,
            ping_interval=None,  # a browser sends none: the heartbeat is the application's
            max_size=None,
        ) as self.socket:
            heartbeat = OPEN_TIMEOUT
            with suppress(ConnectionClosed):
                while True:
                    async with asyncio.timeout(heartbeat + self.grace):
                        frame = json.loads(await self.socket.recv())
                    if frame["type"] == "welcome":
                        heartbeat = frame["heartbeat"]
                    await self._hear(frame)
        code = self.socket.close_code or 1006
        self.closes.append(code)
        self.note(f"{address}: closed with {code} {self.socket.close_reason or ''}")
        if code >= TERMINAL:
            self.refusal = next((c.name.lower() for c in CloseCode if c == code), str(code))

    async def _hear(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind in ("ack", "error"):
            self.answers[frame["ref"]] = frame
        elif kind == "ping":
            await self.socket.send(json.dumps({"type": "pong", "ref": frame["ref"]}))
        elif kind == "welcome":
            assert not self.is_open, f"A second welcome came.\n{self.story()}"
            self.take(frame["changes"], is_authoritative=True)
            self._let_in()
        elif kind == "changes":
            assert self.is_open, f"A frame came before the welcome.\n{self.story()}"
            if self.take(frame) is Verdict.READ:
                asked = {"type": "changes", "since": self.cursor and str(self.cursor), "ref": 0}
                await self.socket.send(json.dumps(asked))

    async def _send(self, document: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(document))


class HTTPClient(Client):
    """A client that sends requests repeatedly, and records the statuses. Commands are sent by POST."""

    pause = 0.2  # seconds between two requests
    statuses: list[int]

    async def _run(self) -> None:
        self.statuses = []
        tries = 0
        for turn in range(1_000_000):
            address = self.addresses[turn % len(self.addresses)]
            opens = self.opens
            try:
                async with self._client(address) as client:
                    while self.refusal is None and await self._ask(client):
                        await asyncio.sleep(self.pause)
            except (httpx.HTTPError, OSError) as error:
                self.note(f"{address}: {type(error).__name__} {error}")
            finally:
                self.is_open = False
            if self.refusal is not None:
                return
            tries = 0 if self.opens > opens else tries + 1
            self.failures += self.opens == opens
            await asyncio.sleep(self.backoff(tries))

    async def _ask(self, client: httpx.AsyncClient) -> bool:
        """Send one request. Returns whether to send the next at once."""
        raise NotImplementedError

    async def _send(self, document: dict[str, Any]) -> None:
        async with self._client(self.addresses[0]) as client:
            headers = {"X-CSRFToken": CSRF_TOKEN}
            answer = await client.post("/notify/commands/", json=document, headers=headers)
            self.answers[document["ref"]] = answer.json()

    def _client(self, address: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"http://{address}",
            cookies=self.user.cookies,
            timeout=OPEN_TIMEOUT + self.grace,
            trust_env=False,
            verify=False,
        )


class SSEClient(HTTPClient):
    """A client with a stream. If no document arrives for a heartbeat and a grace, the stream is dead."""

    transport = "sse"

    async def _ask(self, client: httpx.AsyncClient) -> bool:
        heartbeat = OPEN_TIMEOUT
        async with client.stream("GET", f"/notify/stream/{self._query()}") as answer:
            self.statuses.append(answer.status_code)
            if answer.status_code in (401, 403):
                self.refusal = json.loads(await answer.aread())["code"]
                return True
            if answer.status_code != 200:
                self.note(f"is answered {answer.status_code}")
                return False
            lines = answer.aiter_lines()
            while True:
                try:
                    async with asyncio.timeout(heartbeat + self.grace):
                        line = await anext(lines)
                except (StopAsyncIteration, TimeoutError):
                    break
                if not line.startswith("data: "):
                    continue
                document = json.loads(line.removeprefix("data: "))
                if document["type"] == "welcome":
                    heartbeat = document["heartbeat"]
                    self.take(document["changes"], is_authoritative=True)
                    self._let_in()
                elif document["type"] == "changes" and self.take(document) is Verdict.READ:
                    break
                elif document["type"] == "close":
                    self.closes.append(document["code"])
                    if document["code"] >= TERMINAL:
                        self.refusal = CloseCode(document["code"]).name.lower()
                    break
        self.note("its stream has ended")
        return self.refusal is not None


class PollClient(HTTPClient):
    transport = "poll"

    async def _ask(self, client: httpx.AsyncClient) -> bool:
        """Ask until no more changes follow. Returns whether the server could answer."""
        while True:
            answer = await client.get(f"/notify/changes/{self._query(**self._more())}")
            self.statuses.append(answer.status_code)
            if answer.status_code == 200:
                document = answer.json()
                if document["cursor"] is not None or self.cursor is not None or not self.opens:
                    self.take(document, is_authoritative=True)
                if self.cursor and self.cursor.position < document["head"]:
                    continue
            elif answer.status_code in (401, 403):
                self.refusal = answer.json()["code"]
                return True
            elif answer.status_code == 400:
                assert answer.json()["code"] == "bad_cursor", answer.text
                self.note("its cursor is no cursor")
                self.cursor = None
                continue
            elif answer.status_code != 204:
                self.note(f"is answered {answer.status_code}")
                return False
            self._let_in()
            return True

    def _more(self) -> dict[str, str]:
        return {}


class LongPollClient(PollClient):
    """A client whose first request does not wait, to find out whether the transport works."""

    transport = "longpoll"
    pause = 0.02
    wait = 2.0  # seconds

    def _more(self) -> dict[str, str]:
        return {"wait": f"{self.wait if self.is_open else 0:g}"}


TRANSPORTS: dict[str, type[Client]] = {
    kind.transport: kind for kind in (WebSocketClient, SSEClient, LongPollClient, PollClient)
}
