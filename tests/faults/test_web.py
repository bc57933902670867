"""Web processes with hundreds of tabs are killed, restarted and terminated."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import pytest

from tests.faults import at_most, deeds, is_thorough, seconds
from tests.faults.browsers import tab
from tests.faults.clients import Client, User, until
from tests.faults.proxy import Proxy
from tests.faults.window import WATCHED, asked_of
from tests.faults.world import World, aside, pubsub
from tests.kit import servers

SERVERS = ["uvicorn", "daphne"]
TABS_OF_ONE = 2
QUERIES_OF_ONE = 4  # queries that a returning tab may cost: session, user, a glance, the rows
QUERIES_OF_THE_HOUSE = 40  # for sweeps, rechecks and their few repairs meanwhile
# Two shares of the tabs. A busy machine stands still at times, and then does much at once.
# May knock in the same tenth of a second; without jitter all would.
BUSIEST = 0.5 if is_thorough() else 0.9
# Are told before the process ends; the others are cut.
TOLD = 0.9 if is_thorough() else 0.5
DRAIN = 3.0  # seconds; NOTIFY_DRAIN_SECONDS


async def fill(world: World, count: int, at: Any) -> list[Client]:
    """Open that many tabs, some of the same user. Each has its welcome."""
    made = await world.clerk.call(
        f"{deeds.__name__}:crowd", prefix="u", number=count // TABS_OF_ONE
    )
    users = [User(**fields) for fields in made]
    world.users += users
    tabs = []
    for number in range(0, count, 50):  # no site is visited by all users at the same moment
        some = [tab(world, users[n % len(users)], at=at) for n in range(number, number + 50)]
        await asyncio.gather(*(client.opened() for client in some))
        tabs += some
    return tabs


async def end(web: servers.Web, within: float) -> float:
    """Tell a process to end, and wait for it. Returns the seconds that it took."""
    assert web.process
    told = time.monotonic()
    web.process.send_signal(signal.SIGTERM)
    await until(lambda: not web.running, f"{web.address} has ended", within)
    return time.monotonic() - told


def busiest(moments: list[float], width: float = 0.1) -> int:
    """The largest number of moments in any window of that many seconds."""
    moments = sorted(moments)
    return max(
        sum(start <= moment < start + width for moment in moments[n : n + len(moments)])
        for n, start in enumerate(moments)
    )


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_killed_process_gets_its_tabs_back_without_a_storm(
    make_world: Any, redis_server: Any, kind: str
) -> None:
    """
    500 tabs, kill -9, a restart: all is shown, and the tabs come back spread by jitter.

    Each costs the database four queries, and few of them more.
    """
    world = await make_world(
        "postgresql", layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=5.0
    )
    web = await world.start_web(kind, application=WATCHED)
    sender = await world.start_sender()
    count = int(seconds(500, 100))
    with Proxy(web.address) as link:
        tabs = await fill(world, count, link.address)
        users = world.users
        await sender.start_load(users, rate=50, name="before")
        await until(lambda: sum(len(client.shown) for client in tabs) > count / 4, "a load")
        await aside(web.kill)
        killed = time.monotonic()
        world.note("killed")
        came = len(link.knocks)
        await asyncio.sleep(0.5)  # of the load, sent while no process runs
        await sender.stop_load("before")
        await aside(web.start)
        world.note("restarted")
        opens = count * 2
        await until(lambda: sum(client.opens for client in tabs) >= opens, "all are back")
        back = time.monotonic() - killed
        told = await asked_of(web)
        await world.oracle.check(tabs)
        knocks = [moment - killed for moment in link.knocks[came:]]
        await sender.start_load(users, rate=50, name="after")
        await until(lambda: any("after 5" in client.shown for client in tabs), "a load")
        await sender.stop_load("after")
        await world.oracle.check(tabs)
    # On a busy machine, a tab that waited too long has connected more than once.
    handshakes = told["by"]["SELECT django_session"]
    per_client = told["queries"] / handshakes
    crowded = busiest(knocks)
    print(
        f"{kind}: {count} tabs are back {back:.1f} s after the kill, by {len(knocks)} knocks between"
        f" {min(knocks):.1f} and {max(knocks):.1f} s, {crowded} in the busiest tenth of a second;"
        f" {per_client:.2f} queries for each of {handshakes} handshakes: {told['by']}"
    )
    assert told["queries"] <= QUERIES_OF_ONE * handshakes + QUERIES_OF_THE_HOUSE, told
    assert not is_thorough() or handshakes <= 2 * count
    assert crowded <= count * BUSIEST
    assert all(client.resets <= 1 for client in tabs)


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_rolling_restart_loses_nothing(
    make_world: Any, redis_server: Any, kind: str
) -> None:
    """Two processes behind a balancer are ended by SIGTERM and started again, one after the other."""
    world = await make_world(
        "postgresql",
        layer=pubsub(redis_server.url),
        NOTIFY_SWEEP_INTERVAL=2.0,
        NOTIFY_DRAIN_SECONDS=DRAIN,
    )
    webs = [await world.start_web(kind) for _ in range(2)]
    sender = await world.start_sender()
    count = int(seconds(200, 50))
    with Proxy(*(web.address for web in webs)) as balancer:
        tabs = await fill(world, count, balancer.address)
        await sender.start_load(world.users, rate=50)
        for web in webs:
            took = await end(web, at_most(DRAIN + 7))
            world.note(f"{web.address} took {took:.1f} s to end")
            await aside(web.start)
        await until(lambda: all(client.is_open for client in tabs), "all are back")
        sends = await sender.stop_load()
        await world.oracle.check(tabs)
    assert all(sent["error"] is None for sent in sends)
    codes = {code for client in tabs for code in client.closes}
    assert codes <= {4000, 1006, 1001, 1012}, codes
    assert all(client.resets <= 1 for client in tabs)


@pytest.mark.parametrize("kind", SERVERS)
async def test_who_is_told_to_end_sends_its_tabs_elsewhere_one_by_one(
    make_world: Any, redis_server: Any, kind: str
) -> None:
    """
    After SIGTERM, each tab is told to come back, spread over seconds, and the process ends in time.

    Notifications sent meanwhile are shown by the process beside it.
    """
    world = await make_world(
        "postgresql",
        layer=pubsub(redis_server.url),
        NOTIFY_SWEEP_INTERVAL=2.0,
        NOTIFY_DRAIN_SECONDS=DRAIN,
    )
    leaving, staying = [await world.start_web(kind) for _ in range(2)]
    sender = await world.start_sender()
    with Proxy(leaving.address) as balancer:
        tabs = await fill(world, int(seconds(300, 50)), balancer.address)
        balancer.targets = [staying.address]  # as a balancer that was notified does
        await sender.start_load(world.users, rate=50)
        told = time.monotonic()
        world.note("SIGTERM")
        took = await end(leaving, at_most(DRAIN + 3))
        await until(lambda: all(client.closes for client in tabs), "all have noticed")
        ends = [
            moment - told
            for client in tabs
            for moment, what in client.history
            if "closed with" in what and moment >= told
        ]
        await until(lambda: all(client.is_open for client in tabs), "all are back")
        sends = await sender.stop_load()
        await world.oracle.check(tabs)
    codes = [client.closes for client in tabs]
    print(
        f"{kind}: {len(tabs)} tabs were told between {min(ends):.1f} and {max(ends):.1f} s,"
        f" {busiest(ends)} in the busiest tenth of a second; it ended after {took:.1f} s"
    )
    assert codes.count([4000]) >= TOLD * len(tabs), codes
    assert {code for some in codes for code in some} <= {4000, 1006, 1012}
    assert max(ends) - min(ends) > DRAIN / 2
    assert busiest(ends) <= len(tabs) * BUSIEST
    assert all(sent["error"] is None for sent in sends)
    assert all(client.resets <= 1 for client in tabs)
