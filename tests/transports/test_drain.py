"""What a real server does with its clients at SIGTERM, when notify comes before its own handler."""

from __future__ import annotations

import asyncio
import json
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
from tests import servers
from tests.fakes import PATIENCE, Reader, close_connections, until
from tests.transports.conftest import APPLICATION, SETTINGS, cookies_of, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = 30


class Client(Reader):
    """A tab that notes with which code, and when, it was sent away. It does not come back by itself."""

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
                    frame = json.loads(await socket.recv())
                    self.take_frame(frame)
                    self.is_welcome |= frame["type"] == "welcome"
            except ConnectionClosed as closed:
                self.code = closed.rcvd.code if closed.rcvd else 1006
                self.closed = time.monotonic()


@pytest.fixture(params=[servers.Daphne, servers.Uvicorn])
def web(request: pytest.FixtureRequest, transactional_db: None) -> Any:
    """A server of the test's own, without a channel layer."""
    with request.param(APPLICATION, SETTINGS) as server:
        yield server


@pytest.fixture
async def clients(web: Any, user: Any, other_user: Any, settings: Any) -> Any:
    """Tabs of two users."""
    settings.CHANNEL_LAYERS = {}
    cookies = [cookies_of(await sync_to_async(sign_in)(who)) for who in (user, other_user)]
    clients = [Client(cookies[number % 2]) for number in range(CLIENTS)]
    await asyncio.gather(*(client.open(web.address) for client in clients))
    yield clients
    for client in clients:
        await client.close()
    await close_connections()


async def end_of(process: Any) -> int:
    code: int = await asyncio.to_thread(process.wait, PATIENCE)
    return code


async def test_at_sigterm_clients_are_told_to_come_back_one_by_one(clients, web, daphne, user):
    """
    Each with its reconnect code, at its own moment. Who comes meanwhile is sent elsewhere, plain
    requests are served, and what is sent meanwhile is shown by the server to which a tab comes back.
    """
    late = Client(clients[0].cookies)
    began = time.monotonic()
    os.kill(web.pid, signal.SIGTERM)
    ending = asyncio.create_task(end_of(web.process))
    await until(lambda: any(client.code for client in clients))
    await late.open(web.address)
    async with httpx.AsyncClient(trust_env=False, cookies=late.cookies) as http:
        assert (await http.get(f"{web.url}/notify/changes/")).status_code == 200
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
    assert took < conf.Defaults.DRAIN_SECONDS + 2
    assert code in (0, -signal.SIGTERM)  # as the server itself ends
    for number in (0, 1):
        mine = sorted(client.closed for client in clients[number::2])
        assert mine not in (moments[: len(mine)], moments[len(mine) :]), "One user after the other."

    again = clients[0]
    await again.open(daphne.address)
    await until(lambda: again.shown == ["sent during the drain"])
