"""
Redis dies, or accepts and never answers: senders and tabs continue, and rings return by themselves.

The cost of a send is measured in the sending process, around ``notify.send()``. A machine has
pauses of its own, so a second sender without a channel layer runs beside it. Delays that affect
both are not caused by the layer.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults import at_most, is_thorough, seconds
from tests.faults.breakable import Redis
from tests.faults.window import WATCHED, asked_of
from tests.faults.world import World, aside, core, pubsub
from tests.kit import servers

SWEEP = 1.0  # seconds; up to a quarter more by jitter
LATEST = at_most(SWEEP * 1.25 + 4)  # seconds until a sweep has shown it
RATE = 20.0  # sends per second, of each sender
ALLOWED = at_most(0.1, 0.9)  # additional seconds that a send may take
HICCUPS = 0.01 if is_thorough() else 0.25  # of the sends may take longer than that
BACK = at_most(30.0)  # seconds until rings must arrive again
LAYERS = {"pubsub": pubsub, "core": core}


@pytest.fixture
def redis() -> Iterator[Redis]:
    servers.need(servers.Redis.check)
    with Redis() as server:
        yield server


@pytest.fixture
def other_redis() -> Iterator[Redis]:
    servers.need(servers.Redis.check)
    with Redis() as server:
        yield server
        server.answer_again()


class Side:
    """A world with some web processes, a tab of one user at each, and a sender."""

    def __init__(self, world: World, *kinds: str) -> None:
        self.world = world
        self.kinds = kinds
        self.loads: dict[str, list[dict[str, Any]]] = {}

    async def start(self) -> None:
        self.sender = await self.world.start_sender()
        self.webs = await self.world.start_webs(*self.kinds, application=WATCHED)
        self.user = await self.world.user()
        self.tabs = [await self.world.open(self.user, at=web) for web in self.webs]

    async def rings_flow(self) -> None:
        """Wait until the layer, and not a sweep, has delivered a notification to each process."""
        deadline = time.monotonic() + BACK
        while True:
            text = f"ring {len(self.tabs[0].shown)}"
            await self.sender.send(self.user, text)
            for tab in self.tabs:
                await tab.until(lambda tab=tab, text=text: text in tab.shown_at, text)
            for _ in range(10):
                if await self.have_heard(text):
                    return
                await asyncio.sleep(0.05)
            assert time.monotonic() < deadline, f"No rings.\n{self.world.story()}"

    async def have_heard(self, text: str) -> bool:
        said = await asyncio.gather(*(asked_of(web) for web in self.webs))
        return all(any(f'"{text}"' in rows for rows in each["rung"]) for each in said)


def costs(sends: list[dict[str, Any]]) -> list[float]:
    return sorted(each["took"] for each in sends)


def slow(sends: list[dict[str, Any]], normal: float) -> list[float]:
    return [cost for cost in costs(sends) if cost > normal + ALLOWED]


async def test_redis_fails_under_load_and_nobody_notices(make_world, redis, other_redis):
    """
    One Redis is killed and comes back empty, another accepts and never answers; each layer runs on
    both.

    No send raises, none takes 100 ms longer (on a busy machine, most take less than a second longer),
    and no socket closes. The sweep shows all in time. Then rings arrive again by themselves.
    """
    settings = {"NOTIFY_SWEEP_INTERVAL": SWEEP, "NOTIFY_HEARTBEAT": 25}
    sides = {
        f"{fault}, {layer}": Side(
            await make_world("postgresql", layer=LAYERS[layer](server.url), **settings), kind
        )
        for fault, server, layer, kind in [
            ("killed", redis, "pubsub", "uvicorn"),
            ("killed", redis, "core", "daphne"),
            ("silent", other_redis, "pubsub", "daphne"),
            ("silent", other_redis, "core", "uvicorn"),
        ]
    }
    await asyncio.gather(*(side.start() for side in sides.values()))
    await asyncio.gather(*(side.rings_flow() for side in sides.values()))
    control = Side(await make_world("postgresql", **settings))
    await control.start()

    async def before() -> None:
        await asyncio.sleep(3)

    async def during() -> None:
        await asyncio.sleep(0.5)
        await aside(redis.kill)
        await aside(other_redis.fall_silent)
        await asyncio.sleep(seconds(30, 5))

    async def after() -> None:
        await aside(redis.start)
        await aside(other_redis.answer_again)
        await asyncio.sleep(2)

    for step in (before, during, after):
        name = step.__name__
        for side in (*sides.values(), control):
            side.world.note(name)
            await side.sender.start_load([side.user], RATE, name)
        await step()
        for side in (*sides.values(), control):
            side.loads[name] = await side.sender.stop_load(name)

    await asyncio.gather(*(side.rings_flow() for side in sides.values()))
    for which, side in sides.items():
        await side.world.oracle.check()
        story = f"{which}\n{side.world.story()}"
        normal = statistics.median(costs(side.loads["before"]))
        for name in ("during", "after"):
            sends, beside = side.loads[name], control.loads[name]
            told = [f"{cost * 1000:.1f}" for cost in (*costs(sends)[-3:], costs(beside)[-1])]
            print(f"{which}, {name}: median before {normal * 1000:.1f}; the slowest {told} ms")
            assert [each["error"] for each in sends if each["error"]] == [], story
            here, there = slow(sends, normal), slow(beside, normal)
            # A pause of the machine affects one sender or the other. Waiting for a layer affects
            # many sends.
            most = len(there) + max(2, len(sends) * HICCUPS)
            assert len(here) <= most, f"{name}: {here}\n{story}"
            assert len(sends) >= len(beside) / 4, f"{name}: {len(sends)} sends\n{story}"
        sent = [each for sends in side.loads.values() for each in sends]
        for tab in side.tabs:
            assert (tab.opens, tab.closes) == (1, []), f"{tab.story()}\n{story}"
            delay, text = max(
                (tab.shown_at[each["text"]] - each["ended"], each["text"]) for each in sent
            )
            print(f"{which}: the latest was shown after {delay:.2f} s")
            assert delay < LATEST, f"{text}: {delay} s\n{tab.story()}\n{story}"


@pytest.mark.parametrize("layer", LAYERS)
async def test_who_comes_while_redis_is_dead_is_served_and_rung_later(make_world, redis, layer):
    """A tab, a web process and a sender start during the outage."""
    world = await make_world(layer=LAYERS[layer](redis.url), NOTIFY_SWEEP_INTERVAL=SWEEP)
    await aside(redis.kill)
    side = Side(world, "uvicorn", "daphne")
    await side.start()
    await side.sender.send(side.user, "while it is dead")
    for tab in side.tabs:
        await tab.shows("while it is dead", within=LATEST)
    await aside(redis.start)
    await side.rings_flow()
    await world.oracle.check()
    assert [(tab.opens, tab.closes) for tab in side.tabs] == [(1, []), (1, [])]
