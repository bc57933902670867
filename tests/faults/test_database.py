"""The database restarts, or cuts connections. A send either fails like any INSERT, or is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.faults import seconds
from tests.faults.breakable import MariaDB, PostgreSQL
from tests.faults.clients import until
from tests.faults.world import aside, migrate, pubsub
from tests.kit import servers
from tests.kit.patience import PATIENCE

SWEEP = 0.5  # seconds


@pytest.fixture(params=[PostgreSQL, MariaDB], ids=lambda kind: kind.kind)
def breakable(request: pytest.FixtureRequest) -> Iterator[PostgreSQL | MariaDB]:
    servers.need(request.param.check)
    with request.param() as server:
        yield server


async def test_the_database_restarts_under_load(make_world, redis_server, breakable):
    """
    A send whose INSERT failed raises Django's own error. Every other one is shown.

    The web processes reconnect to the database by themselves, and no tab stays away.
    """
    database = breakable.make()
    migrate(database)
    world = await make_world(database, layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=SWEEP)
    webs = await world.start_webs("uvicorn", "daphne")
    users = await world.make_users(2)
    sockets = [await world.open(user, at=web) for user in users for web in webs]
    polls = [await world.open(users[0], "poll", at=web) for web in webs]
    sender = await world.start_sender()
    await sender.start_load(users, 40, "plain")
    await sender.start_load(users, 40, "atomic", atomic=True)
    for stop in (breakable.stop_at_once, breakable.kill):
        await asyncio.sleep(1)
        world.note(stop.__name__)
        await aside(stop)
        await asyncio.sleep(seconds(3, 1))
        await aside(breakable.start)
        world.note(f"{breakable.kind} is back")
    await asyncio.sleep(1)
    sent = await sender.stop_load("plain") + await sender.stop_load("atomic")
    errors = [each["error"] for each in sent if each["error"]]
    assert errors
    assert {error for error in errors if not error.startswith("django.db.utils.")} == set()
    await world.oracle.check()
    # No tab was refused for good. Tabs that were open during the fault stayed open or came back.
    assert {client.refusal for client in world.clients} == {None}
    print([(tab.opens, tab.closes) for tab in sockets], [set(poll.statuses) for poll in polls])


async def cut(world):
    """End the session that waits for the mailbox's lock."""

    async with asyncio.timeout(PATIENCE):
        while not (waiting := await world.clerk.call("execute", statement=WAITING)):
            await asyncio.sleep(0.02)
    for [pid] in waiting:
        await world.clerk.call("execute", statement=f"SELECT pg_terminate_backend({pid})")


WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
    AND query LIKE '%notify_mailbox%'
"""


@pytest.fixture
async def held(make_world):
    """A world in which a transaction holds the mailbox's lock. The sweep would wait for it too."""
    world = await make_world("postgresql", NOTIFY_SWEEP_INTERVAL=3600)
    user = await world.user()
    holder = await world.start_sender()
    await holder.call("begin")
    lock = f"SELECT 1 FROM notify_mailbox WHERE user_id = {user.pk} FOR UPDATE"
    await holder.call("execute", statement=lock)
    return world, user, holder


async def test_a_send_that_is_cut_in_its_one_statement_raises_and_stores_nothing(held):
    world, user, holder = held
    sender = await world.start_sender()
    sending = sender.start_call("send", to=user.pk, message="never")
    await cut(world)
    assert (await sending)["error"].startswith("django.db.utils.OperationalError")
    await holder.call("commit")
    await sender.send(user, "at last")
    await world.start_web()
    tab = await world.open(user)
    await tab.shows("at last")
    await world.oracle.check()


@pytest.mark.parametrize("transport", ["websocket", "poll"])
async def test_a_publish_that_is_cut_raises_nothing_and_is_done_by_the_next_reader(held, transport):
    """The commit has happened: the caller gets no error, and nothing is lost."""
    world, user, holder = held
    sender = await world.start_sender()
    await sender.call("begin")
    await sender.send(user, "one")
    committing = sender.start_call("commit")
    await cut(world)
    assert (await committing)["error"] is None
    await holder.call("commit")
    await world.start_web()
    tab = await world.open(user, transport)
    await tab.shows("one")
    await world.oracle.check()


async def test_a_send_with_a_key_that_is_cut_while_it_is_merged_raises_nothing(held):
    """Its own transaction has stored it. The publish is left to the next reader."""
    world, user, holder = held
    sender = await world.start_sender()
    sending = sender.start_call("send", to=user.pk, message="one", key="key")
    await cut(world)
    assert (await sending)["error"] is None
    await holder.call("commit")
    await world.start_web()
    tab = await world.open(user)
    await tab.shows("one")
    await world.oracle.check()


async def test_every_connection_of_the_web_processes_is_cut_again_and_again(make_world):
    """Sockets stay open, and the next sweep repeats reads that were cut."""
    world = await make_world("postgresql", NOTIFY_SWEEP_INTERVAL=0.2)
    webs = await world.start_webs("uvicorn", "daphne")
    user = await world.user()
    tabs = [await world.open(user, at=web) for web in webs]
    sender = await world.start_sender()
    await sender.start_load([user], 40)  # its connection is cut too
    cut = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid != pg_backend_pid()"
    )
    for _ in range(10):
        await world.clerk.call("execute", statement=cut)
        await asyncio.sleep(0.2)
    sent = await sender.stop_load()
    errors = {each["error"] for each in sent if each["error"]}
    assert all(error.startswith("django.db.utils.") for error in errors), errors
    await world.oracle.check()
    for tab in tabs:
        await until(lambda tab=tab: tab.is_open, "open")
        assert tab.closes == [], tab.story()
