"""Actions are run once, whatever happens to processes and answers in between."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from tests.faults import deeds
from tests.faults.clients import Client, until
from tests.faults.test_frozen import is_frozen
from tests.faults.world import SenderDied, World, pubsub

# After the handler, and before the commit: its result is not stored yet, or everything is stored.
PLACES = ["notify.actions.outcomes:stored", "notify.mailbox.change:Change.save"]


async def offer(world: World, user: Any) -> tuple[str, list[int]]:
    """Send a notification that can be answered. Returns the order, and what is shown of it."""
    order = f"order-{secrets.token_hex(4)}"
    sender = await world.start_sender()
    shown = await sender.call(f"{deeds.__name__}:offer", to=user.pk, order=order)
    sender.committed.append((user.pk, f"{order} was cancelled"))
    return order, shown


async def effects(world: World, order: str) -> int:
    count: int = await world.clerk.call(f"{deeds.__name__}:effects", order=order)
    return count


async def act(tab: Client, shown: list[int]) -> dict[str, Any]:
    return await tab.command("act", ids=[shown], action=0)


async def shows_outcome(world: World, tab: Client, order: str) -> None:
    """The tab shows the outcome, and what the handler sent."""
    world.senders[0].committed.append((tab.user.pk, f"{order} was brought back"))
    await tab.until(lambda: outcomes(tab) == [f"{order} is back."], "the outcome is shown")
    await tab.shows(f"{order} was cancelled", f"{order} was brought back")


def outcomes(tab: Client) -> list[str]:
    rows = tab.rows.values()
    return [row["outcome"]["message"] for row in rows if "outcome" in row]


@pytest.mark.parametrize("place", PLACES, ids=["before it is stored", "before the commit"])
async def test_a_process_that_dies_before_the_commit_has_done_nothing(
    make_world, redis_server, database, place
):
    world = await make_world(database, layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=0.5)
    await world.start_web()
    user = await world.user()
    order, shown = await offer(world, user)
    tab = await world.open(user)
    worker = await world.start_sender()
    await worker.call("freeze_at", function=place)
    acting = worker.start_call(f"{deeds.__name__}:act", user=user.pk, shown=shown)
    await until(lambda: is_frozen(worker.pid), "frozen")
    again = asyncio.ensure_future(act(tab, shown))  # it waits for the lock
    await worker.kill()
    with pytest.raises(SenderDied):
        await acting
    answer = await again
    assert answer["type"] == "ack"
    await shows_outcome(world, tab, order)
    assert await effects(world, order) == 1
    await world.oracle.check()


async def test_a_process_that_dies_after_the_commit_has_done_everything(
    make_world, redis_server, database
):
    """Nobody was rung, so the sweep delivers. The client does not know, and sends the command again."""
    world = await make_world(database, layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=0.5)
    await world.start_web()
    user = await world.user()
    order, shown = await offer(world, user)
    tab = await world.open(user)
    worker = await world.start_sender()
    await worker.call("freeze_at", function="notify.mailbox.outbox:publish")  # a hook of the commit
    acting = worker.start_call(f"{deeds.__name__}:act", user=user.pk, shown=shown)
    await until(lambda: is_frozen(worker.pid), "frozen")
    await worker.kill()
    with pytest.raises(SenderDied):
        await acting
    await shows_outcome(world, tab, order)
    assert (await act(tab, shown))["type"] == "ack"
    assert await effects(world, order) == 1
    await world.oracle.check()


async def test_two_tabs_at_two_processes_click_at_once(make_world, redis_server, database):
    world = await make_world(database, layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=0.5)
    webs = await world.start_webs("uvicorn", "daphne")
    user = await world.user()
    order, shown = await offer(world, user)
    tabs = [await world.open(user, kind, at=web) for web in webs for kind in ("websocket", "poll")]
    answers = await asyncio.gather(*(act(tab, shown) for tab in tabs))
    assert {answer["type"] for answer in answers} == {"ack"}
    await shows_outcome(world, tabs[0], order)
    for tab in tabs:
        await tab.until(lambda tab=tab: outcomes(tab) == [f"{order} is back."], "the same outcome")
    assert await effects(world, order) == 1
    await world.oracle.check()
