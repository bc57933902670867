"""A channel layer that loses, duplicates and reorders rings: all is shown, once, in order, in time."""

from __future__ import annotations

import pytest

from tests.faults import at_most
from tests.faults.clients import until
from tests.faults.layers import unreliable

SWEEP = 1.0  # seconds; up to a quarter more by jitter
LATEST = at_most(SWEEP * 1.25 + 4)  # seconds


async def test_the_layer_of_this_suite_does_what_it_says(make_world, redis_server):
    """Without faults, rings alone deliver. A dropped ring is only made up for by a sweep."""
    shown = {}
    for drop in (0.0, 1.0):
        layer = unreliable(redis_server.url, drop=drop, double=0.5, delay=0.05)
        world = await make_world(layer=layer, NOTIFY_SWEEP_INTERVAL=3600)
        await world.start_web()
        sender = await world.start_sender()
        user = await world.user()
        tab = await world.open(user)
        for number in range(20):
            await sender.send(user, f"{number}")
        if not drop:
            await tab.until(lambda tab=tab: len(tab.shown) == 20, "rung")
        shown[drop] = tab.shown
        log = sender.log.read_text()
        assert log == "", log
    assert shown[1.0] == []


@pytest.mark.parametrize(
    "faults",
    [
        {"drop": 0.01},
        {"drop": 0.37},
        {"drop": 1.0},
        {"double": 0.5, "delay": 0.1},
        {"drop": 0.37, "double": 0.37, "delay": 0.3},
    ],
    ids=lambda faults: " ".join(f"{name} {much:g}" for name, much in faults.items()),
)
async def test_rings_that_are_lost_doubled_and_reordered_lose_double_and_reorder_nothing(
    make_world, redis_server, faults
):
    """No notification is later than one sweep."""
    layer = unreliable(redis_server.url, **faults)
    world = await make_world("postgresql", layer=layer, NOTIFY_SWEEP_INTERVAL=SWEEP)
    webs = await world.start_webs("uvicorn", "daphne")
    users = await world.make_users(2)
    tabs = [await world.open(user, at=web) for user in users for web in webs]
    sender = await world.start_sender()
    to = [user.pk for user in users]
    await sender.start_load(users, 60, "one by one")
    for number in range(40):
        await sender.call("begin", thread="other")
        for part in range(3):
            await sender.call("send_many", to=to, message=f"{number}.{part}", thread="other")
        await sender.call("commit", thread="other")
    sent = await sender.stop_load("one by one")
    truth = await world.oracle.check()
    assert all(len(truth[str(pk)]["texts"]) >= 120 for pk in to)
    for tab in tabs:
        late = {
            each["text"]: tab.shown_at[each["text"]] - each["ended"]
            for each in sent
            if each["to"] == tab.user.pk
        }
        slowest = max(late, key=lambda text: late[text])
        print(f"the latest was shown after {late[slowest]:.2f} s")
        assert late[slowest] < LATEST, f"{slowest}\n{tab.story()}"


async def test_a_mark_shows_in_the_other_process_when_its_ring_is_lost(make_world, redis_server):
    """Counts and cursor change too. Both tabs hold the state of the rows."""
    layer = unreliable(redis_server.url, drop=1.0)
    world = await make_world(layer=layer, NOTIFY_SWEEP_INTERVAL=SWEEP)
    user = await world.user()
    here = await world.open(user, at=await world.start_web())
    there = await world.open(user, at=await world.start_web())
    sender = await world.start_sender()
    await sender.send(user, "one")
    await sender.send(user, "two")
    for tab in (here, there):
        await tab.shows("one", "two")
    answer = await here.command("read_all", cursor=str(here.cursor), ids=[])
    assert answer["type"] == "ack", answer
    await until(
        lambda: all(tab.counts == {"unseen": 0, "unread": 0} for tab in (here, there)),
        "the mark shown in both processes",
        LATEST,
    )
    assert all(row["read_at"] for row in there.rows.values())
    await world.oracle.check()
