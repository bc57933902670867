"""Stand-ins for the surroundings of the push transports: channel layer, wire, browser, client."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from channels.layers import BaseChannelLayer
from django.conf import settings
from django.db import connections
from django.dispatch import Signal

from notify.auth.session import Visitor
from notify.live import connection
from notify.live.connection import Connection
from notify.protocol import Changes, Counts, Cursor, Verdict, judge
from tests.kit.patience import PATIENCE

EPOCH = "0hqk3m2v00a1b2c3d"
FAKE_LAYER = {"default": {"BACKEND": "tests.kit.fakes.Layer"}}


async def until(condition: Callable[[], Any]) -> Any:
    """Wait until the condition is true. Returns its value."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "The condition did not become true in time."
        await asyncio.sleep(0.002)
    return found


@contextmanager
def errors_of(signal: Signal) -> Iterator[list[Exception]]:
    """Yields a list that collects the errors which a signal reports."""
    errors: list[Exception] = []

    def note(error: Exception, **kwargs: Any) -> None:
        errors.append(error)

    signal.connect(note)
    yield errors
    signal.disconnect(note)


class HubRecorder:
    """A stand-in for a hub that only records its calls."""

    def __init__(self) -> None:
        self.rung: list[Any] = []
        self.ticked: list[Any] = []
        self.kicked: list[Any] = []
        self.take = self.rung.extend
        self.tick = self.ticked.extend

    def kick(self, recipient: str, session: str | None) -> None:
        self.kicked.append((recipient, session))


async def settle() -> None:
    """Run everything that can run without time passing, including one hop to a thread."""
    for _ in range(20):
        await asyncio.sleep(0)
    await asyncio.get_running_loop().run_in_executor(None, int)


def at(position: int, epoch: str = EPOCH) -> Cursor:
    return Cursor(epoch, position)


def row(position: int, message: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "id": position,
        "position": position,
        "arrived": position,
        "message": message or f"message {position}",
        **fields,
    }


def document(since: int | None, cursor: int, *, size: int = 0, reset: bool = False) -> Changes:
    """The changes from one position to another, with one row for each position. `size` pads each row."""
    start = 0 if since is None else since
    rows = ",".join(
        json.dumps(row(position, "x" * size)) for position in range(start + 1, cursor + 1)
    )
    return Changes(
        None if reset or since is None else at(since),
        at(cursor),
        cursor,
        Counts(cursor, cursor),
        rows,
        reset=reset or since is None,
    )


class Layer(BaseChannelLayer):
    """
    A channel layer that reaches other threads, and fails on request.

    `fault = "raise"` makes every call fail, `fault = "hang"` makes every call wait forever.
    `forget()` acts like a Redis that was restarted empty.
    """

    fault: str | None = None

    def __init__(self, group_expiry: int = 86400, fault: str | None = None, **kwargs: Any) -> None:
        super().__init__()
        self.group_expiry = group_expiry
        self.fault = fault
        self.groups: defaultdict[str, set[str]] = defaultdict(set)
        self.calls: list[tuple[str, str]] = []
        self._queues: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Queue[Any]]] = {}

    async def _call(self, name: str, group: str) -> None:
        self.calls.append((name, group))
        if self.fault == "raise":
            raise ConnectionError("The layer is down.")
        if self.fault == "hang":
            await asyncio.Event().wait()

    def count(self, name: str, group: str = "") -> int:
        return sum(call[0] == name and group in call[1] for call in self.calls)

    def members(self, group: str) -> int:
        return len(self.groups[group])

    def forget(self) -> None:
        self.groups.clear()

    def inject(self, message: Any) -> None:
        """Deliver a message to every receiver. An exception is raised there."""
        for loop, queue in self._queues.values():
            loop.call_soon_threadsafe(queue.put_nowait, message)

    async def new_channel(self, prefix: str = "specific.") -> str:
        await self._call("new_channel", "")
        channel = f"{prefix}{len(self._queues)}"
        self._queues[channel] = (asyncio.get_running_loop(), asyncio.Queue())
        return channel

    async def receive(self, channel: str) -> Any:
        await self._call("receive", channel)
        message = await self._queues[channel][1].get()
        if isinstance(message, Exception):
            raise message
        return message

    async def group_add(self, group: str, channel: str) -> None:
        await self._call("group_add", group)
        self.groups[group].add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        await self._call("group_discard", group)
        self.groups[group].discard(channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await self._call("group_send", group)
        for channel in tuple(self.groups[group]):
            loop, queue = self._queues[channel]
            loop.call_soon_threadsafe(queue.put_nowait, json.loads(json.dumps(message)))


class UnmakeableLayer:
    def __init__(self, **config: Any) -> None:
        raise RuntimeError("This layer cannot be made.")


class Wire(connection.Wire):
    """The wire of a connection. It accepts frames at once, except while a test holds it."""

    def __init__(self, *, suspends: bool = False, take: Callable[[Any], None] = id) -> None:
        self.frames: list[dict[str, Any]] = []
        self.take = take  # called with each frame
        self.code: int | None = None
        self.fails = False
        self.suspends = suspends  # whether each send yields to the loop, as granian's does
        self._flows = asyncio.Event()
        self._flows.set()

    def hold(self) -> None:
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    async def send(self, text: str) -> None:
        if self.suspends:
            await asyncio.sleep(0)
        await self._flows.wait()
        if self.fails:
            raise ConnectionError("The client is gone.")
        self.frames.append(json.loads(text))
        self.take(self.frames[-1])

    async def close(self, code: int) -> None:
        self.code = int(code)

    @property
    def types(self) -> list[str]:
        return [frame["type"] for frame in self.frames]


class Reader:
    """A small client: applies the protocol's rule, then the rows, and counts the gaps it finds."""

    def __init__(self) -> None:
        self.cursor: Cursor | None = None
        self.rows: dict[int, dict[str, Any]] = {}
        self.shown: list[str] = []  # every content that arrived, in order
        self.counts: dict[str, int] = {}
        self.resets = 0
        self.gaps = 0

    def take(self, changes: dict[str, Any], *, is_welcome: bool = False) -> Verdict:
        since, cursor = (
            changes[name] and Cursor.parse(changes[name]) for name in ("since", "cursor")
        )
        is_reset = changes.get("reset", False)
        verdict = judge(self.cursor, since, cursor, reset=is_reset)
        if is_welcome and is_reset:
            verdict = Verdict.APPLY
        if verdict is Verdict.READ:
            self.gaps += 1
        if verdict is not Verdict.APPLY:
            return verdict
        if is_reset:
            self.resets += 1
            self.rows.clear()
            self.shown.clear()
        for row in changes["notifications"]:
            held = self.rows.get(row["id"])
            if not is_reset and self.cursor and row["position"] <= self.cursor.position:
                continue
            if held is None or row["arrived"] > held["arrived"]:
                self.shown.append(row["message"])
            self.rows[row["id"]] = row
        self.cursor, self.counts = cursor, changes["counts"]
        return verdict

    def take_frame(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "welcome":
            self.take(frame["changes"], is_welcome=True)
        elif frame["type"] == "changes":
            self.take(frame)


class Tab(Reader):
    """A connection to a hub in this process, with a client that answers pings."""

    def __init__(self, hub: Any, user: Any, *, session: str = "", suspends: bool = False) -> None:
        super().__init__()
        self.wire = Wire(suspends=suspends, take=self._take)
        self.answers = True
        visitor = Visitor(user.pk, session, owner=str(user.pk) if session else None)
        self.connection = Connection(visitor, self.wire, hub.catch_up)

    @classmethod
    async def open(cls, hub: Any, user: Any, since: Cursor | None = None, **options: Any) -> Self:
        """Returns a tab that has received its welcome."""
        tab = cls(hub, user, **options)
        tab.cursor = since
        await hub.connect(tab.connection, since)
        await until(lambda: tab.wire.frames)
        return tab

    def _take(self, frame: dict[str, Any]) -> None:
        self.take_frame(frame)
        if frame["type"] == "ping" and self.answers:
            self.connection.answered(frame["ref"])


def scope_of(path: str = "/notify/ws/", *, session: str = "", **more: Any) -> dict[str, Any]:
    """
    The ASGI scope of a WebSocket, or of a GET for the other paths, as sent by the site's own pages.

    `more` accepts `since`, `wait`, `page_of`, `headers`, and any key of a scope. `page_of` is the identity
    of the user for whom the page was rendered.
    """
    is_socket = not path.endswith(("/stream/", "/changes/"))
    headers = {"host": "testserver", "origin": "http://testserver" if is_socket else ""}
    if session:
        headers["cookie"] = f"{settings.SESSION_COOKIE_NAME}={session}"
    headers |= more.pop("headers", {})
    asked = {name: str(more.pop(name)) for name in ("since", "wait") if more.get(name) is not None}
    if page_of := more.pop("page_of", ""):
        asked["user"] = page_of
    return {
        "type": "websocket" if is_socket else "http",
        "path": path,
        **({} if is_socket else {"method": "GET"}),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value],
        "query_string": urlencode(asked).encode(),
        **more,
    }


def sign_in(user: Any) -> str:
    """Create a session of this user. Returns its key."""
    from django.test import Client

    browser = Client()
    browser.force_login(user)
    key = browser.session.session_key
    assert key
    return key


class Call(Reader):
    """An ASGI application that serves one scope, with a client reading what it sends."""

    frames: Any  # the documents that have arrived

    def __init__(self, app: Any, scope: dict[str, Any], first: dict[str, Any]) -> None:
        super().__init__()
        self.holds = False  # whether send waits forever, as for a client that does not read
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._events.put_nowait(first)
        self.app = asyncio.ensure_future(app(scope, self._events.get, self._send))

    async def _send(self, event: dict[str, Any]) -> None:
        raise NotImplementedError

    def disconnect(self) -> None:
        raise NotImplementedError

    async def welcome(self) -> dict[str, Any]:
        frame: dict[str, Any] = (await until(lambda: self.frames))[0]
        return frame

    async def returned(self) -> None:
        """Wait until the application has returned."""
        await asyncio.wait_for(asyncio.shield(self.app), PATIENCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if not self.app.done():
            self.disconnect()
            await self.returned()


class Socket(Call):
    """A browser's WebSocket as an ASGI server presents it to an application, with a client reading it."""

    def __init__(self, app: Any, scope: dict[str, Any]) -> None:
        super().__init__(app, scope, {"type": "websocket.connect"})
        self.frames: list[dict[str, Any]] = []
        self.accepted = False
        self.code: int | None = None
        self.reason = ""
        self.fails = False  # whether send raises, as uvicorn's does when the peer is gone

    async def _send(self, event: dict[str, Any]) -> None:
        if self.fails:
            raise ConnectionError("The client is gone.")
        if self.holds:
            await asyncio.Event().wait()
        if event["type"] == "websocket.accept":
            self.accepted = True
        elif event["type"] == "websocket.close":
            self.code, self.reason = event.get("code", 1000), event.get("reason", "")
            self._events.put_nowait({"type": "websocket.disconnect", "code": self.code})
        else:
            frame = json.loads(event["text"])
            self.frames.append(frame)
            self.take_frame(frame)

    def send(self, **document: Any) -> None:
        self.send_text(json.dumps(document))

    def send_text(self, text: str) -> None:
        self._events.put_nowait({"type": "websocket.receive", "text": text})

    def send_bytes(self, data: bytes) -> None:
        self._events.put_nowait({"type": "websocket.receive", "bytes": data})

    def answer_to(self, ref: int) -> dict[str, Any] | None:
        return next((frame for frame in self.frames if frame.get("ref") == ref), None)

    def disconnect(self) -> None:
        self._events.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def ended(self) -> int | None:
        """Wait until the application has returned. Returns the close code."""
        await self.returned()
        return self.code


class Exchange(Call):
    """
    A GET as an ASGI server presents it to an application, with a client reading the answer as it
    arrives.
    """

    def __init__(self, app: Any, scope: dict[str, Any]) -> None:
        request = {"type": "http.request", "body": b"", "more_body": False}
        super().__init__(app, scope, request)
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = ""
        self.is_over = False

    async def _send(self, event: dict[str, Any]) -> None:
        if self.holds:
            await asyncio.Event().wait()
        assert not self.is_over, f"{event} came after the end."
        if event["type"] == "http.response.start":
            assert self.status is None, "A second answer came."
            self.status = event["status"]
            self.headers = {
                name.decode().lower(): value.decode() for name, value in event["headers"]
            }
            return
        assert self.status is not None, f"{event} came before the start."
        text = event["body"].decode()
        self.body += text
        self.is_over = not event.get("more_body", False)
        for message in self.events_of(text):
            if message["event"] == "message":
                self.take_frame(json.loads(message["data"]))

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of a stream, each with its name, data and id."""
        return self.events_of(self.body)

    @property
    def frames(self) -> list[dict[str, Any]]:
        """The documents of these events."""
        return [json.loads(event["data"]) for event in self.events]

    def events_of(self, text: str) -> list[dict[str, Any]]:
        """The events that an EventSource would read from a text, without `retry`."""
        events = []
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            for block in text.split("\n\n"):
                event: dict[str, Any] = {"event": "message", "data": None, "id": None}
                event.update(line.split(": ", 1) for line in block.splitlines())
                if event["data"] is not None:
                    events.append(event)
        return events

    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    def disconnect(self) -> None:
        self._events.put_nowait({"type": "http.disconnect"})

    async def ended(self) -> int | None:
        """Wait until the application has returned. Returns the status of the answer."""
        await self.returned()
        return self.status


async def close_connections() -> None:
    """Close the connections of Django's thread for async code, so that none stays open after a test."""
    await sync_to_async(connections.close_all)()


def start_thread(function: Callable[[], Any]) -> threading.Thread:
    """Start a function in a plain thread, without an event loop, and close its connections at the end."""

    def run() -> None:
        try:
            function()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def in_thread(function: Callable[[], Any]) -> Any:
    """Run a function in a plain thread. Returns its return value."""
    outcome: list[Any] = []
    start_thread(lambda: outcome.append(function())).join(PATIENCE)
    assert outcome, "The thread failed."
    return outcome[0]
