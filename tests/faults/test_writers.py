"""Concurrent writers to one mailbox beside an open transaction: nothing is lost, and no writer waits."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults import at_most, seconds
from tests.faults.world import pubsub

SWEEP = 0.5  # seconds
WAIT = at_most(2.0)  # seconds that a send may take; in full, the open transaction lasts longer
EACH = 10  # notifications of each writer are shown while that transaction is open


async def write_at_once(world, user, rate, meanwhile):
    """
    Run two processes with four writers each, while a transaction that has sent stays open.

    Args:
        meanwhile: called with the names of the writers, and awaited, while it is open.

    Returns what the writers sent while it was open.
    """
    senders = [await world.start_sender(), await world.start_sender()]
    slow = await world.start_sender()
    await slow.call("begin")
    for number in range(3):
        await slow.send(user, f"slow {number}")
    world.note("one transaction is open")
    names = [f"{kind} {number}" for kind in ("plain", "atomic") for number in range(2)]
    for number, sender in enumerate(senders):
        for name in names:
            kind = {"atomic": name.startswith("atomic")}
            await sender.start_load([user], rate, f"{number} {name}", **kind)
    await meanwhile([f"{number} {name}" for number in range(len(senders)) for name in names])
    ended = await slow.call("execute", statement="SELECT 1")  # it is still open, and works
    assert ended == [[1]]
    await slow.call("commit")
    world.note("and has committed")
    sent = []
    for number, sender in enumerate(senders):
        for name in names:
            sent += await sender.stop_load(f"{number} {name}")
    assert [each["error"] for each in sent if each["error"]] == []
    assert slow.committed == [(user.pk, f"slow {number}") for number in range(3)]
    return sent


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
async def test_eight_writers_and_an_open_transaction(make_world, redis_server, database):
    """No notification is lost, the counts equal the rows, and all is shown while the other stays open."""
    world = await make_world(database, layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=SWEEP)
    webs = await world.start_webs("uvicorn", "daphne")
    user = await world.user()
    tabs = [await world.open(user, at=web) for web in webs]

    async def meanwhile(names):
        await asyncio.sleep(seconds(10, 0))
        for tab in tabs:
            for name in names:
                text = f"{name} {EACH - 1}"
                await tab.until(lambda tab=tab, text=text: text in tab.shown_at, text)

    sent = await write_at_once(world, user, 10, meanwhile)
    slowest = max(each["took"] for each in sent)
    assert slowest < WAIT, f"{slowest}\n{world.story()}"
    truth = await world.oracle.check(tabs)
    assert len(truth[str(user.pk)]["texts"]) == len(sent) + 3
    print(f"{database}: {len(sent)} sends, the slowest {slowest * 1000:.0f} ms")


async def test_on_sqlite_the_others_wait_for_the_open_transaction(make_world, redis_server):
    """As documented, SQLite has one writer. No send fails before the database's timeout."""
    world = await make_world(layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=SWEEP)
    await world.start_web()
    user = await world.user()
    tab = await world.open(user)
    sent = await write_at_once(world, user, 5, lambda names: asyncio.sleep(2))
    assert max(each["took"] for each in sent) > 1
    truth = await world.oracle.check([tab])
    assert len(truth[str(user.pk)]["texts"]) == len(sent) + 3
