"""The threads and database connections that two hundred open streams leave to the rest of the site."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import connection

import notify
from tests import settings
from tests.conformance.conftest import APPLICATION, cookies_of, sign_in
from tests.conformance.tabs import events_in
from tests.kit import servers
from tests.kit.fakes import close_connections, until

pytestmark = [
    pytest.mark.database,
    pytest.mark.django_db(transaction=True),
    pytest.mark.only_if(settings.DATABASE == "postgresql"),  # the database with a pool
]

STREAMS = 200
POOL = {"DJANGO_SETTINGS_MODULE": "tests.conformance.pool_settings"}


class Site:
    """A web process with a pool of four connections, and one browser with many streams."""

    def __init__(self, server: servers.Web, http: httpx.AsyncClient, stack: AsyncExitStack) -> None:
        self.server = server
        self.http = http
        self.stack = stack
        self.told = [0] * STREAMS  # the number of documents that each stream has received

    async def open_streams(self) -> None:
        for number in range(STREAMS):
            task = asyncio.create_task(self._listen(number))
            self.stack.push_async_callback(asyncio.wait, [task])
            self.stack.callback(task.cancel)
        await until(lambda: all(self.told))

    async def _listen(self, number: int) -> None:
        async with self.http.stream("GET", "/notify/stream/") as answer:
            assert answer.status_code == 200, answer.status_code
            async for _ in events_in(answer):
                self.told[number] += 1

    def threads(self) -> int:
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        (count,) = re.findall(r"^Threads:\s+(\d+)$", status, re.MULTILINE)
        return int(count)


@pytest.fixture
async def open_site(transactional_db: None, user: Any) -> AsyncIterator[Any]:
    """Returns a function that starts an application and signs a user in, without opening the streams."""
    cookies = cookies_of(await sync_to_async(sign_in)(user))
    async with AsyncExitStack() as stack:

        async def open_site() -> Site:
            server = stack.enter_context(servers.Uvicorn(APPLICATION, POOL))
            http = httpx.AsyncClient(
                base_url=server.url,
                cookies=cookies,
                limits=httpx.Limits(max_connections=None),
                timeout=httpx.Timeout(30, read=None),
                trust_env=False,
                verify=False,
            )
            await stack.enter_async_context(http)
            return Site(server, http, stack)

        yield open_site
    await close_connections()


def connections_of_the_site() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'web'")
        count: int = cursor.fetchone()[0]
        return count


async def stays_usable(site: Site, user: Any) -> None:
    """Assert that many simultaneous requests with queries are answered, and that all streams deliver."""
    answers = await asyncio.gather(*(site.http.get("/notify/changes/") for _ in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    before = sum(site.told)
    await notify.asend(user, "Hello")
    await until(lambda: sum(site.told) == before + STREAMS)
    assert await sync_to_async(connections_of_the_site)() <= 4


async def test_beside_django_they_cost_no_thread_and_no_connection(open_site, user):
    site = await open_site()
    assert (await site.http.get("/notify/changes/")).status_code == 200
    before = site.threads()
    await site.open_streams()
    # The threads of notify itself: NOTIFY_THREADS.
    await until(lambda: site.threads() <= before + 4)
    await stays_usable(site, user)
