"""Thousands of idle tabs on one process, all of which reconnect within the same second."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.faults import at_most, deeds, is_thorough, seconds
from tests.faults.breakable import Daphne, Uvicorn
from tests.faults.clients import User, until
from tests.faults.crowd import HEAD_START
from tests.faults.window import WATCHED, asked_of, memory_of
from tests.faults.world import MAX_LINE, pubsub
from tests.kit import servers
from tests.kit.patience import PATIENCE

TABS = int(seconds(5000, 300))
TABS_OF_ONE = 5  # tabs of the same user
SPARE_FILES = 500  # files that a process has open beside its sockets
QUERIES_OF_ONE = 4.1  # queries that a returning tab may cost; few rooms are read twice
QUERIES_OF_THE_HOUSE = 100  # for sweeps and rechecks meanwhile
HANDSHAKE = "SELECT django_session"  # the query that each handshake costs once
MEMORY_OF_ONE = {Uvicorn: 96 * 1024, Daphne: 160 * 1024}  # bytes
ALL_BACK = at_most(120)  # seconds


def allow_files(count: int) -> None:
    """Raise the limit of open files for this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            pytest.fail(
                f"{TABS} WebSockets need {count} open files, and this machine allows {hard}."
                f" Raise the hard limit, for example by: ulimit -Hn {count}"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


class Crowd:
    """Many tabs in a process of their own (crowd.py)."""

    def __init__(self) -> None:
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.crowd"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=servers.PROJECT,
            env={name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"},
            limit=MAX_LINE,
        )

    async def ask(self, call: str, **arguments: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"call": call, **arguments}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self.process.stdout.readline())

    async def comes(self, within: float) -> dict[str, Any]:
        """Let all disconnected tabs connect within that many seconds. Returns the measurements."""
        await self.ask("come", within=within)
        deadline = time.monotonic() + ALL_BACK
        while (said := await self.ask("look"))["states"] != {"greeted": TABS}:
            assert time.monotonic() < deadline, {**said, "waits": len(said["waits"]), "knocks": 0}
            await asyncio.sleep(0.2)
        return said

    async def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        await self.process.wait()


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    allow_files(TABS + SPARE_FILES)
    crowd = Crowd()
    await crowd.start()
    yield crowd
    await crowd.close()


@pytest.mark.parametrize("kind", [Uvicorn, Daphne], ids=lambda kind: kind.__name__.lower())
async def test_all_come_back_in_the_same_second(
    make_world: Callable[..., Any],
    redis_server: Any,
    crowd: Crowd,
    kind: type[servers.Web],
) -> None:
    """
    5,000 idle tabs of 1,000 users are measured for memory, then cut, and reconnect within one
    second.

    None is refused, and each gets its welcome, for a few queries.
    """
    world = await make_world("postgresql", layer=pubsub(redis_server.url), NOTIFY_HEARTBEAT=25.0)
    # As on a site of that size, notify's few threads keep their database connections.
    database = {**world.database, "CONN_MAX_AGE": 60}
    web = await world.start_web(kind, application=WATCHED, DATABASES={"default": database})
    made = await world.clerk.call(f"{deeds.__name__}:crowd", prefix="u", number=TABS // TABS_OF_ONE)
    users = [User(**fields) for fields in made]
    sender = await world.start_sender()
    witness = await world.open(users[0])
    await asked_of(web)
    before = memory_of(web)
    cookies = [f"sessionid={user.cookies['sessionid']}" for user in users] * TABS_OF_ONE
    await crowd.ask("gather", address=web.address, cookies=cookies)
    first = await crowd.comes(within=seconds(20, 5))
    each = (memory_of(web) - before) / TABS
    # The witness may have lost its patience, and be on its way.
    async with asyncio.timeout(PATIENCE):
        while (await asked_of(web))["sockets"] != TABS + 1:
            await asyncio.sleep(0.2)

    await crowd.ask("drop")
    async with asyncio.timeout(PATIENCE):  # until it has left their groups too
        while (told := await asked_of(web))["sockets"] + told["rooms"] > 2:
            await asyncio.sleep(0.1)
    for user in users[:50]:
        await sender.send(user, "meanwhile")
    asked = await asked_of(web)
    again = await crowd.comes(within=1.0)
    told = await asked_of(web)
    handshakes = told["by"][HANDSHAKE] - asked["by"][HANDSHAKE]
    queries = told["queries"] - asked["queries"]
    waits = again["waits"]
    print(
        f"{kind.__name__}: {TABS} tabs take {each / 1024:.0f} KB each. All back in one second: first"
        f" welcome after {waits[0]:.2f} s, median {waits[TABS // 2]:.1f} s, last {waits[-1]:.1f} s;"
        f" {again['in_time']:.1%} have a first frame within {HEAD_START} s,"
        f" {again['in_time_once_open']:.1%} within that of the handshake's answer;"
        f" {queries / handshakes:.2f} queries for each of {handshakes} handshakes."
        f" Refused: {again['refusals']}, closed: {again['codes']}"
    )
    if is_thorough():  # a busy server keeps some waiting for too long, and they come once more
        assert first["refusals"] == again["refusals"] == {}
        assert first["codes"] == again["codes"] == {}
        assert handshakes == TABS
    assert again["shown"] == 50 * TABS_OF_ONE
    assert queries <= QUERIES_OF_ONE * handshakes + QUERIES_OF_THE_HOUSE
    assert each <= MEMORY_OF_ONE[kind]
    assert memory_of(web) - before <= 2 * TABS * MEMORY_OF_ONE[kind]

    await sender.call("send_many", to=[user.pk for user in users], message="to all")
    await until(
        lambda: "to all" in witness.shown, lambda: f"the witness shows it\n{witness.story()}"
    )
    deadline = time.monotonic() + PATIENCE
    while (said := await crowd.ask("look"))["shown"] < again["shown"] + TABS:
        assert time.monotonic() < deadline, said["shown"]
        await asyncio.sleep(0.2)
    assert said["shown"] == again["shown"] + TABS
