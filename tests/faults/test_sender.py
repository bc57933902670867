"""A sender is killed after its commit. The next sweep, poll or connect finds its rows."""

from __future__ import annotations

import pytest

from tests.faults import at_most
from tests.faults.clients import TRANSPORTS
from tests.faults.world import SenderDied, pubsub

SWEEP = 0.5  # seconds
LATEST = at_most(SWEEP * 1.25 + 4)  # seconds


async def commit_and_die(sender, user, *texts):
    """The sender dies in a hook that runs after the commit, and before the hooks of the sends."""
    await sender.call("begin")
    await sender.call("die_on_commit")
    for text in texts:
        await sender.send(user, text)
    with pytest.raises(SenderDied):
        await sender.call("commit")
    assert await sender.dies() == -9


async def die_at(sender, function, user, text, **options):
    await sender.call("die_at", function=function)
    with pytest.raises(SenderDied):
        await sender.send(user, text, **options)
    assert await sender.dies() == -9


async def test_killed_before_it_publishes_it_is_shown_by_the_next_sweep(
    make_world, redis_server, database
):
    world = await make_world(database, layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=SWEEP)
    await world.start_web()
    user = await world.user()
    tab = await world.open(user)
    await commit_and_die(await world.start_sender(), user, "one", "two")
    await tab.until(lambda: "two" in tab.shown, "shown by the sweep", LATEST)
    await tab.shows("one", "two")
    await world.oracle.check()


async def test_killed_before_it_rings_it_is_shown_by_the_next_sweep(make_world, redis_server):
    """The fast path has published with the INSERT, but not rung."""
    world = await make_world(layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=SWEEP)
    await world.start_web()
    user = await world.user()
    tab = await world.open(user)
    await die_at(await world.start_sender(), "notify.doorbell:ring", user, "one")
    await tab.until(lambda: tab.shown, "shown by the sweep", LATEST)
    await tab.shows("one")
    await world.oracle.check()


async def test_killed_between_the_row_and_its_merge_it_is_merged_by_the_next_sweep(
    make_world, redis_server
):
    """A row with a key is first stored, and merged in the publish, which the sweep does."""
    world = await make_world(layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=SWEEP)
    await world.start_web()
    user = await world.user()
    tab = await world.open(user)
    await (await world.start_sender()).send(user, "1 of 2", key="import")
    await tab.shows("1 of 2")
    again = await world.start_sender()
    options = {"key": "import", "count": True}
    await die_at(again, "notify.mailbox.outbox:publish", user, "2 of 2", **options)
    await tab.until(lambda: len(tab.shown) > 1, "shown by the sweep", LATEST)
    await tab.shows("1 of 2", "2 of 2")
    assert [row["count"] for row in tab.rows.values()] == [2]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_nobody_published_is_found_by_the_next_connect_or_poll(make_world, transport):
    """No daemon is required: here, no sweep runs, and no tab was open."""
    world = await make_world(NOTIFY_SWEEP_INTERVAL=3600)
    await world.start_web()
    user = await world.user()
    await commit_and_die(await world.start_sender(), user, "one", "two")
    tab = await world.open(user, transport)
    await tab.shows("one", "two")
    await world.oracle.check()


async def test_the_next_send_publishes_what_a_dead_one_left(make_world, redis_server):
    """If it publishes by itself, it publishes them in their order, before its own."""
    world = await make_world(layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=3600)
    await world.start_web()
    user = await world.user()
    tab = await world.open(user)
    await commit_and_die(await world.start_sender(), user, "one")
    sender = await world.start_sender()
    await sender.call("begin")
    await sender.send(user, "two")
    await sender.call("commit")
    await tab.shows("one", "two")
    await world.oracle.check()
