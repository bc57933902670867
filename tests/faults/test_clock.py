"""A clock that steps back an hour, in the processes and not on the machine."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notify.protocol import EPOCH_TIME_DIGITS
from tests.faults import clock, deeds
from tests.faults.clients import until
from tests.faults.window import WATCHED, asked_of
from tests.faults.world import World, pubsub
from tests.kit.patience import PATIENCE

HOUR = 3600.0
SWEEP = 0.2  # seconds
NOW = "tests.faults.clock:says"


class Clock:
    """The clock of both the web process and the sender."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.path = Path(world.folder, "clock")
        self.path.write_text("0")

    def step(self, seconds: float) -> None:
        """
        Set the offset from the machine's clock.

        The file is replaced atomically, so no reader sees half of it.
        """
        new = self.path.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self.path)
        self.world.note(f"the clock is {seconds:+g} s off")

    async def open(self, kind: str) -> None:
        settings = {clock.SETTING: str(self.path)}
        self.web = await self.world.start_web(kind, application=WATCHED, **settings)
        self.sender = await self.world.start_sender()
        await self.sender.call("tests.faults.clock:install", path=str(self.path))

    async def is_at(self, seconds: float) -> None:
        """Check that both processes use the offset. Otherwise the test would prove nothing."""
        real = datetime.now(UTC).timestamp()
        told = [(await asked_of(self.web))["time"], await self.sender.call(NOW)]
        assert all(abs(moment - real - seconds) < 30 for moment in told), told


@pytest.fixture(params=["uvicorn", "daphne"])
async def stage(request: pytest.FixtureRequest, make_world: Any, redis_server: Any) -> Clock:
    world = await make_world(layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=SWEEP)
    stage = Clock(world)
    await stage.open(request.param)
    return stage


async def test_order_holds_when_the_clock_steps_back(stage: Clock) -> None:
    """Later notifications are shown later, whatever their created_at is, also in tabs that were away."""
    world = stage.world
    alice = await world.user("alice")
    tabs = [await world.open(alice, transport) for transport in ("websocket", "poll")]
    sleeper = await world.open(alice)
    texts = []
    for step, offset in enumerate((0, -HOUR, -2 * HOUR, HOUR, 0)):
        stage.step(offset)
        await stage.is_at(offset)
        await stage.sender.start_load([alice], rate=50, name=f"part {step}")
        last = f"part {step} 9"
        await until(lambda last=last: all(last in tab.shown for tab in tabs), f"{last} is shown")
        if step == 1:
            await sleeper.close()
        texts += [sent["text"] for sent in await stage.sender.stop_load(f"part {step}")]
    for tab in tabs:
        await tab.shows(*texts)
    sleeper.start()
    await sleeper.shows(*texts)
    await world.oracle.check()
    late = await world.open(alice)  # receives the newest hundred rows: by arrival, not by the clock
    await until(lambda: late.shown == texts[-100:], late.story)
    await late.close()
    world.clients.remove(late)
    assert all(tab.resets <= 1 for tab in tabs)


async def test_expiry_holds_when_the_clock_steps_back(stage: Clock) -> None:
    """
    Rows expire by the clock, and none before its moment, however the clock got there.

    Archived rows stay archived when the clock steps back, and rows sent then are shown.
    """
    world = stage.world
    alice = await world.user("alice")
    tab = await world.open(alice)

    async def archived() -> list[str]:
        rows = await world.clerk.call(f"{deeds.__name__}:marks", user=alice.pk)
        return [text for text, _, _, is_archived, _ in rows if is_archived]

    async def is_archived(*texts: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while await archived() != list(texts):
                await asyncio.sleep(0.05)

    def shown_as_archived() -> list[str]:
        return [row["message"] for row in tab.rows.values() if row["archived_at"]]

    now = datetime.now(UTC)
    for minutes in (30, 90):
        expires = f"in {minutes} minutes"
        await stage.sender.call(
            f"{deeds.__name__}:send_expiring",
            to=alice.pk,
            message=expires,
            at=(now + timedelta(minutes=minutes)).isoformat(),
        )
    await until(lambda: len(tab.shown) == 2, tab.story)
    stage.step(HOUR)
    await is_archived("in 30 minutes")
    await until(lambda: shown_as_archived() == ["in 30 minutes"], tab.story)
    stage.step(0)
    await stage.is_at(0)
    await stage.sender.send(alice, "after the step back")
    await until(lambda: "after the step back" in tab.shown, tab.story)
    await asyncio.sleep(5 * SWEEP)  # some sweeps, none of which restores the row or archives others
    assert await archived() == ["in 30 minutes"]
    stage.step(-HOUR)
    await asyncio.sleep(5 * SWEEP)
    assert await archived() == ["in 30 minutes"]
    stage.step(2 * HOUR)
    await is_archived("in 30 minutes", "in 90 minutes")
    await until(lambda: len(shown_as_archived()) == 2, tab.story)
    assert tab.resets <= 1
    await world.oracle.check()


async def test_epochs_rise_when_the_clock_steps_back(stage: Clock) -> None:
    """
    A mailbox starts over while the clock is an hour behind.

    Its new epoch is still above the old one, so every tab follows, and none alternates between
    them.
    """
    world = stage.world
    alice = await world.user("alice")
    await stage.sender.send(alice, "one")
    tabs = [await world.open(alice, transport) for transport in ("websocket", "poll")]
    for tab in tabs:
        await tab.shows("one")
    before = await world.clerk.call(f"{deeds.__name__}:epoch", user=alice.pk)
    stage.step(-HOUR)
    await stage.is_at(-HOUR)
    # A restored database: the mailbox is behind the cursor of a tab.
    await world.clerk.call(f"{deeds.__name__}:set_back", user=alice.pk)
    for tab in tabs:
        await tab.close()
        tab.start()
    await until(
        lambda: all(tab.cursor and tab.cursor.epoch > before for tab in tabs),
        lambda: "\n".join(tab.story() for tab in tabs),
    )
    after = await world.clerk.call(f"{deeds.__name__}:epoch", user=alice.pk)
    assert after[:EPOCH_TIME_DIGITS] > before[:EPOCH_TIME_DIGITS]
    await stage.sender.send(alice, "two")
    for tab in tabs:
        await until(lambda tab=tab: tab.shown[-1] == "two", tab.story)
    opens, resets = [tab.opens for tab in tabs], [tab.resets for tab in tabs]
    await asyncio.sleep(5 * SWEEP)
    assert [tab.opens for tab in tabs] == opens
    assert [tab.resets for tab in tabs] == resets
    assert {str(tab.cursor) for tab in tabs} == {f"{after}:{tabs[0].cursor.position}"}  # type: ignore[union-attr]


async def test_who_is_signed_in_stays_so_when_the_clock_steps_back(
    make_world: Any, redis_server: Any
) -> None:
    """No recheck, limit or heartbeat mistakes a step back of an hour for an hour of silence."""
    world = await make_world(
        layer=pubsub(redis_server.url),
        NOTIFY_SWEEP_INTERVAL=SWEEP,
        NOTIFY_RECHECK_INTERVAL=0.2,
        NOTIFY_HEARTBEAT=1.0,
    )
    stage = Clock(world)
    await stage.open("uvicorn")
    alice = await world.user("alice")
    tab = await world.open(alice)
    for offset in (-HOUR, HOUR, 0):
        stage.step(offset)
        await stage.is_at(offset)
        await stage.sender.send(alice, f"at {offset}")
        await until(lambda offset=offset: f"at {offset}" in tab.shown, tab.story)
        await asyncio.sleep(1.5)  # some heartbeats and rechecks
    assert tab.closes == [], tab.story()
    await world.oracle.check()
