"""No channel layer and no Redis: two web processes and a worker on one SQLite file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults import at_most
from tests.faults.world import copy_sqlite

SWEEP = 1.0  # seconds, the default without a cross-process layer; up to a quarter more by jitter
LATEST = at_most(2 * SWEEP * 1.25 + 4)  # seconds


@pytest.fixture(params=["IMMEDIATE", "DEFERRED"])
def database(request, sqlite_template, tmp_path: Path):
    """
    The settings that the documentation recommends, and Django's defaults.

    With the latter, notify's own transactions must begin with a write. A transaction of the caller
    that first reads, if only its recipients, fails when it meets a writer.
    """
    database = copy_sqlite(sqlite_template, tmp_path)
    database["OPTIONS"]["transaction_mode"] = request.param
    return database


async def test_two_web_processes_and_a_worker_share_one_file(make_world, database):
    """All is shown within two sweeps. No "database is locked" reaches a caller."""
    world = await make_world(database)
    webs = await world.start_webs("uvicorn", "daphne")
    users = await world.make_users(3)
    tabs = [await world.open(user, at=web) for user in users for web in webs]
    polls = [await world.open(users[0], "poll", at=web) for web in webs]
    worker = await world.start_sender()
    await worker.start_load(users, 30, "plain")
    atomic = database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    await worker.start_load(users, 15, "more", atomic=atomic)
    answers = []
    for _ in range(20):  # the web processes write as well
        for tab in tabs:
            answers.append(await tab.command("seen_all", cursor=str(tab.cursor), ids=[]))
        await asyncio.sleep(0.2)
    sent = await worker.stop_load("plain") + await worker.stop_load("more")
    assert [each["error"] for each in sent if each["error"]] == []
    assert [answer for answer in answers if answer["type"] != "ack"] == []
    await world.oracle.check()
    for tab in tabs:
        assert (tab.opens, tab.closes) == (1, []), tab.story()
        mine = [each for each in sent if each["to"] == tab.user.pk]
        late, text = max(
            (tab.shown_at[each["text"]] - each["ended"], each["text"]) for each in mine
        )
        assert late < LATEST, f"{text} after {late} s\n{tab.story()}"
    for poll in polls:
        assert set(poll.statuses) <= {200, 204}, poll.story()
    assert "is locked" not in world.story()
