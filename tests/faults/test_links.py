"""Links that are cut again and again, and a very slow link beside fast ones."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import ExitStack
from typing import Any

import pytest

from tests.faults import at_most, is_thorough, seconds
from tests.faults.browsers import tab
from tests.faults.clients import Client
from tests.faults.proxy import Proxy
from tests.faults.window import memory_of
from tests.faults.world import pubsub
from tests.kit.patience import PATIENCE

P99 = at_most(5.0)  # seconds
PERIOD, AWAY = seconds(15, 12), 2.0  # seconds between two cuts, and the length of a cut
POLL_INTERVAL = 1.0  # seconds; with the default, 5, no poll could show within 5
HEARTBEAT = (
    2.0  # seconds; with the default, 25, a link that swallows is only detected after half a minute
)


async def go_away(link: Proxy, how: str) -> None:
    """
    Break the link for a moment.

    It is reset and refused, which both ends notice; held, like an outage that TCP survives; or it
    swallows, which neither end notices.
    """
    if how == "reset":
        link.cut()
        link.refuse()
    elif how == "held":
        link.hold()
    else:
        link.swallow()
    await asyncio.sleep(AWAY)
    link.heal()


def in_words(delays: list[float]) -> str:
    return ", ".join(f"p{part} {percentile(delays, part / 100) * 1000:.0f} ms" for part in (50, 95))


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def delays_of(client: Client, sends: list[dict[str, Any]]) -> list[float]:
    """The delays from the commit of `send` to the screen."""
    return [
        max(0.0, client.shown_at[sent["text"]] - sent["ended"])
        for sent in sends
        if sent["to"] == client.user.pk
    ]


@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
async def test_a_link_that_is_cut_again_and_again_loses_nothing(
    make_world: Any, redis_server: Any, kind: str
) -> None:
    """
    Two of every fifteen seconds, for two minutes: all is shown, and 99 of 100 within five seconds.

    There are three users, each behind a link that fails in another way, with tabs of every
    transport.
    """
    world = await make_world(
        layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=1.0, NOTIFY_HEARTBEAT=HEARTBEAT
    )
    web = await world.start_web(kind)
    sender = await world.start_sender()
    with ExitStack() as stack:
        links = {how: stack.enter_context(Proxy(web.address)) for how in ("reset", "held", "lost")}
        users = {how: await world.user(how) for how in links}
        tabs = {
            (how, transport): [
                tab(world, users[how], transport, at=links[how].address, grace=HEARTBEAT / 2)
                for _ in range(count)
            ]
            for how in links
            for transport, count in (("websocket", 10), ("sse", 5), ("longpoll", 5), ("poll", 5))
        }
        for client in (client for group in tabs.values() for client in group):
            if client.transport == "poll":
                client.pause = POLL_INTERVAL  # type: ignore[attr-defined]
            await client.opened()
        await sender.start_load(list(users.values()), rate=15)
        began = time.monotonic()
        while time.monotonic() - began < seconds(120, 24):
            await asyncio.sleep(PERIOD - AWAY)
            world.note("the links go away")
            await asyncio.gather(*(go_away(link, how) for how, link in links.items()))
        sends = await sender.stop_load()
        await world.oracle.check(within=PATIENCE)
        report = {
            group: list(itertools.chain(*(delays_of(client, sends) for client in clients)))
            for group, clients in tabs.items()
        }
    lines = [
        f"{how:6} {transport:10} p50 {percentile(delays, 0.5):6.2f}"
        f"  p95 {percentile(delays, 0.95):6.2f}  p99 {percentile(delays, 0.99):6.2f}"
        f"  max {max(delays):6.2f} s"
        for (how, transport), delays in report.items()
    ]
    said = f"{kind}, delays from commit to screen:\n" + "\n".join(lines)
    print(said)
    assert all(client.resets <= 1 for group in tabs.values() for client in group)
    # With two cuts only, chance decides about each tab's one percent.
    part = 0.99 if is_thorough() else 0.9
    assert all(percentile(delays, part) <= P99 for delays in report.values()), said


SIZE = 1900  # characters of each message
FAST, SLOW = 10, 4
RATE = 100  # notifications per second
SLOWNESS = 1024  # bytes per second
MORE_DELAY = at_most(0.1)  # additional seconds in the median
MORE_MEMORY = 12 * 1024 * 1024  # bytes for the slow tabs; queues and windows take 1.5 MB for each


@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
async def test_a_slow_reader_delays_nobody_and_ends_complete(
    make_world: Any, redis_server: Any, kind: str
) -> None:
    """
    Ten tabs alone, then beside others of the same user that read one kilobyte per second: they are
    delayed at most 100 ms more, the process grows by a bound, and the slow tabs show all in the
    end.

    Both halves run in one process, so its memory has reached its usual size before. The median is
    compared: a tab that waits for a slow reader is late with everything that follows, but a machine
    that pauses for half a second is late with some of it.
    """
    world = await make_world(layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=1.0)
    web = await world.start_web(kind)
    sender = await world.start_sender()
    alice = await world.user("alice")
    fast = [await world.open(alice) for _ in range(FAST)]
    count = int(seconds(1000, 300))

    async def run(name: str) -> list[float]:
        await sender.start_load([alice], rate=RATE, name=name, size=SIZE)
        await asyncio.sleep(count / RATE)
        sends = await sender.stop_load(name)
        await world.oracle.check(fast)
        return [delay for client in fast for delay in delays_of(client, sends)]

    alone = await run("alone")
    before = memory_of(web)
    with Proxy(web.address) as link:
        link.throttle(down=SLOWNESS)
        # Long timeouts, as in a tab whose timers stand still. Otherwise it would reconnect again
        # and again.
        since = str(fast[0].cursor)
        slow = [world.client(alice, at=link.address, grace=600, since=since) for _ in range(SLOW)]
        for client in slow:
            client.shown, client.rows = list(fast[0].shown), dict(fast[0].rows)
            client.cursor = client._newest = fast[0].cursor
            client.start()
        await asyncio.gather(*(client.opened() for client in slow))
        beside = await run("beside")
        grown = memory_of(web) - before
        behind = [len(fast[0].shown) - len(client.shown) for client in slow]
        print(
            f"{kind}: the fast ones alone {in_words(alone)}, beside {SLOW} slow ones {in_words(beside)};"
            f" the slow ones are {behind} of {count} behind;"
            f" the process has grown by {grown / 1024**2:.1f} MB"
        )
        assert min(behind) > 0, "The slow tabs were not slow."
        assert percentile(beside, 0.5) - percentile(alone, 0.5) <= MORE_DELAY
        assert grown <= MORE_MEMORY
        link.heal()
        world.note("the slow link is fast again")
        await world.oracle.check(within=PATIENCE)
    assert all(client.closes == [] for client in fast)
