"""The drain at SIGTERM in real servers, whose own signal handler notify precedes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import notify
from notify import conf
from notify.protocol import CloseCode
from tests.conformance.conftest import APPLICATION, SETTINGS, cookies_of, has_all_servers, sign_in
from tests.faults import at_most
from tests.kit import schema, servers
from tests.kit.fakes import Reader, close_connections, until
from tests.kit.patience import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = 30
WAIT = 25  # seconds that a question is held
LATEST = at_most(conf.Defaults.DRAIN_SECONDS + 2, 15)  # seconds; before any question is answered


class Client(Reader):
    """A tab that records its close code and the moment of the close. It does not reconnect."""

    def __init__(self, cookies: dict[str, str]) -> None:
        super().__init__()
        self.cookies = cookies
        self.code: int | None = None
        self.closed = 0.0
        self.is_welcome = False
        self._work: asyncio.Task[None] | None = None

    async def open(self, address: str) -> None:
        self.code, self.is_welcome = None, False
        self._work = asyncio.create_task(self._run(address))
        await until(lambda: self.is_welcome or self.code)

    async def close(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])

    async def _run(self, address: str) -> None:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        since = f"?since={self.cursor}" if self.cursor else ""
        async with connect(
            f"ws://{address}/notify/ws/{since}",
            origin=f"http://{address}",  # type: ignore[arg-type]
            additional_headers=headers,
            proxy=None,
        ) as socket:
            try:
                while True:
                    frame = schema.from_server(await socket.recv())
                    self.take_frame(frame)
                    self.is_welcome |= frame["type"] == "welcome"
            except ConnectionClosed as closed:
                self.code = closed.rcvd.code if closed.rcvd else 1006
                self.closed = time.monotonic()


@pytest.fixture(params=[servers.Daphne, servers.Uvicorn])
def server(request: pytest.FixtureRequest, transactional_db: None) -> Any:
    """A private server for the test, without a channel layer."""
    with request.param(APPLICATION, SETTINGS) as server:
        yield server


@pytest.fixture
async def clients(server: Any, user: Any, other_user: Any, settings: Any) -> Any:
    """Tabs of two users."""
    settings.CHANNEL_LAYERS = {}
    cookies = [cookies_of(await sync_to_async(sign_in)(who)) for who in (user, other_user)]
    clients = [Client(cookies[number % 2]) for number in range(CLIENTS)]
    await asyncio.gather(*(client.open(server.address) for client in clients))
    yield clients
    for client in clients:
        await client.close()
    await close_connections()


async def end_of(process: Any) -> int:
    code: int = await asyncio.to_thread(process.wait, PATIENCE)
    return code


async def test_at_sigterm_clients_are_told_to_come_back_one_by_one(clients, server, daphne, user):
    """
    Each client is closed with the reconnect code, at its own moment. Meanwhile, new clients are
    sent elsewhere, plain requests are served, and a new notification is shown by the server to
    which a tab reconnects.
    """
    late = Client(clients[0].cookies)
    began = time.monotonic()
    os.kill(server.pid, signal.SIGTERM)
    ending = asyncio.create_task(end_of(server.process))
    await until(lambda: any(client.code for client in clients))
    await late.open(server.address)
    async with httpx.AsyncClient(trust_env=False, cookies=late.cookies) as http:
        assert (await http.get(f"{server.url}/notify/changes/")).status_code == 200
    assert not ending.done()
    assert not all(client.code for client in clients)
    await notify.asend(user, "sent during the drain")
    code = await ending
    took = time.monotonic() - began

    assert (late.code, late.is_welcome) == (CloseCode.GOING_AWAY, False)
    await until(lambda: all(client.code for client in clients))
    assert {client.code for client in clients} == {CloseCode.GOING_AWAY}
    moments = sorted(client.closed for client in clients)
    assert moments[-1] - moments[0] > 0.5
    assert took < LATEST
    assert code in (0, -signal.SIGTERM)  # as the server itself ends
    for number in (0, 1):
        mine = sorted(client.closed for client in clients[number::2])
        assert mine not in (moments[: len(mine)], moments[len(mine) :]), (
            "The server drained one user after the other."
        )

    again = clients[0]
    await again.open(daphne.address)
    await until(lambda: again.shown == ["sent during the drain"])


class Held:
    """A stream or a held long poll, with the end of its answer and its moment. It does not reconnect."""

    def __init__(self, cookies: dict[str, str], *, is_stream: bool, since: Any) -> None:
        self.cookies = cookies
        self.is_stream = is_stream
        self.since = since
        self.is_welcome = False
        self.status = 0
        self.text = ""
        self.ended = 0.0
        self.error: Exception | None = None

    async def run(self, url: str) -> None:
        path = "stream/?" if self.is_stream else f"changes/?wait={WAIT}&"
        try:
            async with (
                httpx.AsyncClient(
                    trust_env=False, verify=False, cookies=self.cookies, timeout=60
                ) as http,
                http.stream("GET", f"{url}/notify/{path}since={self.since}") as answer,
            ):
                self.status = answer.status_code
                async for text in answer.aiter_text():
                    self.is_welcome = True
                    self.text += text
        except httpx.HTTPError as error:
            self.error = error
        self.ended = time.monotonic()


@pytest.fixture
async def hold(user: Any, other_user: Any, settings: Any) -> Any:
    """Returns a function that opens fifty streams and fifty long polls, of two users."""
    settings.CHANNEL_LAYERS = {}
    people = []
    for who in (user, other_user):
        await notify.asend(who, "one")
        cursor = (await notify.inbox.asnapshot(who)).cursor
        people.append((cookies_of(await sync_to_async(sign_in)(who)), cursor))
    work = []

    async def hold(url: str) -> tuple[list[Held], list[Held]]:
        clients = []
        for number in range(100):
            cookies, cursor = people[number // 2 % 2]
            clients.append(Held(cookies, is_stream=number % 2 == 0, since=cursor))
        work.extend(asyncio.create_task(client.run(url)) for client in clients)
        async with httpx.AsyncClient(trust_env=False, verify=False) as http:
            while (await http.get(f"{url}/connections/")).json()["in_rooms"] < 100:
                await asyncio.sleep(0.05)
        await until(lambda: all(client.is_welcome for client in clients[::2]))
        return clients[::2], clients[1::2]

    yield hold
    for task in work:
        task.cancel()
    await asyncio.wait(work)
    await close_connections()


async def are_told(streams: list[Held], questions: list[Held]) -> list[float]:
    """Wait until each has its whole answer, which tells it to come back. Returns the moments, sorted."""
    await until(lambda: all(client.ended for client in (*streams, *questions)))
    assert [client.error for client in (*streams, *questions) if client.error] == []
    for stream in streams:
        assert stream.text.endswith('event: close\ndata: {"type":"close","code":4000}\n\n')
    for question in questions:
        assert question.status == 503
        assert schema.from_server(question.text)["code"] == "going_away"
    return sorted(client.ended for client in (*streams, *questions))


async def test_streams_and_held_questions_are_sent_away_one_by_one(hold, server):
    """They are drained like WebSockets, and none of them keeps the process alive."""
    streams, questions = await hold(server.url)
    began = time.monotonic()
    os.kill(server.pid, signal.SIGTERM)
    await end_of(server.process)
    took = time.monotonic() - began
    moments = await are_told(streams, questions)
    assert moments[-1] - moments[0] > 0.5
    assert took < LATEST


async def test_ctrl_c_does_not_wait_for_them(hold, transactional_db):
    """Uvicorn waits for each open answer, so all of them are ended at once."""
    with servers.Uvicorn(APPLICATION, SETTINGS) as server:
        streams, questions = await hold(server.url)
        began = time.monotonic()
        os.kill(server.pid, signal.SIGINT)
        await end_of(server.process)
        assert time.monotonic() - began < LATEST
        await are_told(streams, questions)


@pytest.mark.only_if(has_all_servers)
@pytest.mark.parametrize("kind", [servers.Hypercorn, servers.Granian])
async def test_other_servers_end_in_time_too(kind, hold, transactional_db):
    """They do not wait for the application, and no connection keeps them alive."""
    with kind(APPLICATION, SETTINGS) as server:
        await hold(server.url)
        began = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        await end_of(server.process)
        assert time.monotonic() - began < LATEST
