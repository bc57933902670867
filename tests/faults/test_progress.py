"""Tasks whose progress is shown while Redis, the database or their own process fails."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import pytest

from tests.faults.breakable import PostgreSQL, Redis
from tests.faults.clients import Client, User
from tests.faults.world import Sender, World, aside, environment, migrate, pubsub
from tests.kit import servers

NAME = "Importing customers"


def told(tab: Client, name: str = NAME) -> dict[str, Any]:
    """The task as a tab shows it, or an empty value."""
    rows = [row for row in tab.rows.values() if name in (row["title"], row["message"])]
    return rows[0]["progress"] if rows else {}


async def is_told(tab: Client, name: str = NAME, **wanted: Any) -> None:
    def is_so() -> bool:
        found = told(tab, name)
        return bool(found) and all(found[key] == value for key, value in wanted.items())

    await tab.until(is_so, f"{name} is {wanted}")


async def begin(world: World) -> tuple[User, Client, Sender]:
    """A user with a tab, and a process whose tasks the user sees."""
    await world.start_web()
    alice = await world.user("alice")
    return alice, await world.open(alice), await world.start_sender()


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"])
async def test_progress_shows_from_a_transaction_that_rolls_back(
    make_world: Any, database: str
) -> None:
    """On SQLite, whose only writer may be the task itself, progress is shown once the transaction is over."""
    world = await make_world(database, NOTIFY_SWEEP_INTERVAL=0.5)
    alice, tab, sender = await begin(world)
    await sender.call("tests.faults.deeds:task_in_a_transaction", user=alice.pk, name=NAME)
    await is_told(tab, state="failed", done=3)


async def test_a_task_goes_on_without_redis_and_its_tabs_hear_of_it(make_world: Any) -> None:
    servers.need(servers.Redis.check)
    with Redis() as redis:
        world = await make_world("postgresql", layer=pubsub(redis.url), NOTIFY_SWEEP_INTERVAL=0.5)
        alice, tab, sender = await begin(world)
        await sender.call("tests.faults.deeds:begin_task", user=alice.pk, name=NAME, total=1200)
        await is_told(tab, state="running")
        await aside(redis.kill)
        await sender.call("tests.faults.deeds:task_says", name=NAME, what="advance", n=420)
        await is_told(tab, state="running", done=420)
        await sender.call(
            "tests.faults.deeds:task_says", name=NAME, what="succeed", message="Done."
        )
        await is_told(tab, state="succeeded", done=1200)
        assert tab.closes == []


async def test_a_task_goes_on_without_a_database_which_is_told_the_end_when_it_is_back(
    make_world: Any,
) -> None:
    servers.need(PostgreSQL.check)
    with PostgreSQL() as server:
        database = server.make()
        migrate(database)
        await go_on_without(server, await make_world(database, NOTIFY_SWEEP_INTERVAL=0.5))


async def go_on_without(server: PostgreSQL, world: World) -> None:
    alice, tab, sender = await begin(world)
    await sender.call("tests.faults.deeds:begin_task", user=alice.pk, name=NAME, total=1200)
    await is_told(tab, state="running")
    await aside(server.kill)
    for _ in range(100):
        await sender.call("tests.faults.deeds:task_says", name=NAME, what="advance", n=4)
    # A task that begins meanwhile is shown as soon as it can be stored.
    await sender.call("tests.faults.deeds:begin_task", user=alice.pk, name="Another")
    await sender.call("tests.faults.deeds:task_says", name=NAME, what="fail", message="No.")
    await aside(server.start)
    await is_told(tab, state="failed", done=400)
    await is_told(tab, "Another", state="running")


async def test_a_worker_that_is_killed_is_silent_then_lost_in_every_tab(make_world: Any) -> None:
    world = await make_world(
        "postgresql",
        NOTIFY_PROGRESS_LOST_AFTER=10,  # silent after 2 seconds, which each tab has to be told first
        NOTIFY_SWEEP_INTERVAL=0.5,
    )
    await world.start_web()
    alice = await world.user("alice")
    tabs = [await world.open(alice, transport) for transport in ("websocket", "sse", "poll")]
    sender = await world.start_sender()
    dying = sender.start_call("tests.faults.deeds:begin_task_and_die", user=alice.pk, name=NAME)
    assert await sender.dies() == -9
    dying.exception()
    await asyncio.gather(*(is_told(tab, state="running", silent=True) for tab in tabs))
    await asyncio.gather(*(is_told(tab, state="lost") for tab in tabs))


async def test_children_of_a_process_that_shows_a_task_show_their_own(make_world: Any) -> None:
    world = await make_world("postgresql", NOTIFY_SWEEP_INTERVAL=0.5)
    alice, tab, sender = await begin(world)
    names = ["one", "two", "three"]
    codes = await sender.call("tests.faults.deeds:children_with_tasks", user=alice.pk, names=names)
    assert codes == [0, 0, 0]
    for name in [*names, "parent"]:
        await is_told(tab, name, state="succeeded")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn", "pool-fork"])
async def test_a_child_of_multiprocessing_says_its_last_word(make_world: Any, method: str) -> None:
    """It ends without running its `atexit` functions."""
    world = await make_world("sqlite")
    alice = await world.user("alice")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.children", method, str(alice.pk)),
        env={**os.environ, **environment(world.settings)},
        cwd=servers.PROJECT,
    )
    assert await process.wait() == 0
    (task,) = await world.clerk.call("tests.queues.rows:tasks", user=alice.pk)
    assert (task["title"], task["state"]) == (NAME, "succeeded")
