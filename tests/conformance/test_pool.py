"""What two hundred open streams leave to the rest of the site: threads, database connections."""

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
from tests.conformance.conftest import APPLICATION, DJANGO_ALONE, cookies_of, sign_in
from tests.conformance.tabs import events_in
from tests.kit import servers
from tests.kit.fakes import close_connections, until

pytestmark = [
    pytest.mark.database,
    pytest.mark.django_db(transaction=True),
    pytest.mark.only_if(settings.DATABASE == "postgresql"),  # the one with a pool
]

STREAMS = 200
POOL = {"DJANGO_SETTINGS_MODULE": "tests.conformance.pool_settings"}


class Site:
    """A web process with a pool of four, and one browser that has many streams."""

    def __init__(self, server: servers.Web, http: httpx.AsyncClient, stack: AsyncExitStack) -> None:
        self.server = server
        self.http = http
        self.stack = stack
        self.told = [0] * STREAMS  # documents that each stream has brought

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
    """Starts an application, and signs a user in; the streams are not open yet."""
    cookies = cookies_of(await sync_to_async(sign_in)(user))
    async with AsyncExitStack() as stack:

        async def open_site(application: str) -> Site:
            server = stack.enter_context(servers.Uvicorn(application, POOL))
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
    """Requests that ask the database are answered, many at once; and so are all streams."""
    answers = await asyncio.gather(*(site.http.get("/notify/changes/") for _ in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    before = sum(site.told)
    await notify.asend(user, "Hello")
    await until(lambda: sum(site.told) == before + STREAMS)
    assert await sync_to_async(connections_of_the_site)() <= 4


async def test_beside_django_they_cost_no_thread_and_no_connection(open_site, user):
    site = await open_site(APPLICATION)
    assert (await site.http.get("/notify/changes/")).status_code == 200
    before = site.threads()
    await site.open_streams()
    await until(lambda: site.threads() <= before + 4)  # notify's own, NOTIFY_THREADS
    await stays_usable(site, user)


async def test_as_views_they_cost_a_thread_each_and_no_connection(open_site, user):
    """Django keeps the thread of a request until it is answered."""
    site = await open_site(DJANGO_ALONE)
    assert (await site.http.get("/notify/changes/")).status_code == 200
    before = site.threads()
    await site.open_streams()
    assert before + STREAMS <= site.threads() <= before + STREAMS + 10
    await stays_usable(site, user)
