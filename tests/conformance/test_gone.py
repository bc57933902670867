"""A client that disconnects without a close frees its place at once, on every server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

import notify
from tests.conformance.conftest import SERVERS, cookies_of, sign_in
from tests.faults import at_most
from tests.kit import servers
from tests.kit.fakes import close_connections

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = at_most(10.0, 10)  # seconds; a heartbeat, or the wait of a question, would be 25


@pytest.mark.parametrize("server", SERVERS)
async def test_a_client_that_is_gone_is_left_at_once(
    server: str, web: Callable[[str], servers.Web], user: Any, settings: Any
) -> None:
    """Ten streams, and then ten held long polls, are counted; after the cut, the count is zero."""
    settings.CHANNEL_LAYERS = {}
    await notify.asend(user, "one")
    since = (await notify.inbox.asnapshot(user)).cursor
    async with httpx.AsyncClient(
        base_url=web(server).url,
        cookies=cookies_of(await sync_to_async(sign_in)(user)),
        timeout=30,
        trust_env=False,
        verify=False,
    ) as http:

        async def count(wanted: int) -> None:
            """Wait until the server counts that many connections."""
            deadline = time.monotonic() + AT_ONCE
            wish = {"admitted": wanted, "in_rooms": wanted}
            while (found := (await http.get("/connections/")).json()) != wish:
                assert time.monotonic() < deadline, found
                await asyncio.sleep(0.02)

        async def ask(address: str) -> None:
            async with http.stream("GET", address) as answer:
                async for _ in answer.aiter_raw():
                    pass

        for address in (
            f"/notify/stream/?since={since}",
            f"/notify/changes/?wait=25&since={since}",
        ):
            await count(0)
            clients = [asyncio.create_task(ask(address)) for _ in range(10)]
            await count(10)
            for client in clients:
                client.cancel()
            await asyncio.wait(clients)
            await count(0)
    await close_connections()
