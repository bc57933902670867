"""The basis of these tests: the clients show what is sent, and the oracle detects violations."""

from __future__ import annotations

import pytest

from tests.faults.clients import TRANSPORTS
from tests.faults.world import CallFailed, SenderDied, core, pubsub


async def test_what_is_sent_is_shown(make_world):
    world = await make_world(NOTIFY_SWEEP_INTERVAL=0.2)
    webs = await world.start_webs("uvicorn", "daphne")
    sender = await world.start_sender()
    alice = await world.user("alice")
    tabs = [await world.open(alice, kind, at=web) for web in webs for kind in TRANSPORTS]
    await sender.send(alice, "one")
    await sender.send(alice, "two")
    for tab in tabs:
        await tab.shows("one", "two")
    await world.oracle.check()


@pytest.mark.parametrize(("database", "layer"), [("postgresql", pubsub), ("mariadb", core)])
async def test_rings_alone_deliver(make_world, redis_server, database, layer):
    world = await make_world(database, layer=layer(redis_server.url), NOTIFY_SWEEP_INTERVAL=3600)
    await world.start_web()
    sender = await world.start_sender()
    alice = await world.user("alice")
    tab = await world.open(alice)
    await sender.send(alice, "one")
    await tab.shows("one")
    await world.oracle.check()


async def test_the_oracle_notices(make_world):
    """A duplicate, missing or invented text, another order, and a reported commit that failed."""
    world = await make_world(NOTIFY_SWEEP_INTERVAL=0.2)
    await world.start_web()
    sender = await world.start_sender()
    alice = await world.user("alice")
    tab = await world.open(alice)
    for text in ("one", "two", "three"):
        await sender.send(alice, text)
    await world.oracle.check()
    for wrong in (
        ["one", "two", "three", "three"],
        ["one", "three"],
        ["one", "two", "three", "four"],
        ["two", "one", "three"],
    ):
        tab.shown = wrong
        with pytest.raises(AssertionError, match="are wrong"):
            await world.oracle.check(within=0.1)
    tab.shown = ["one", "two", "three"]
    sender.committed.append((alice.pk, "four"))
    with pytest.raises(AssertionError, match="was committed"):
        await world.oracle.check()


async def test_a_sender_says_what_failed_and_when_it_dies(make_world):
    world = await make_world()
    sender = await world.start_sender()
    with pytest.raises(CallFailed, match=r"^notify\.exceptions\.InvalidRecipient"):
        await sender.call("send", to=-1, message="Hello")
    await sender.call("die_at", function="notify.mailbox.outbox:send")
    alice = await world.user("alice")
    with pytest.raises(SenderDied):
        await sender.send(alice, "Hello")
    assert await sender.dies() == -9
