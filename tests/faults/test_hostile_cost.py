"""
The cost that one client may cause to the others has a bound on each server.

Most bounds are on what can be counted: commands that are parsed, marks that are executed, bytes and
threads of the process. The neighbour's own delay has a bound that holds on a busy machine.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.faults import deeds
from tests.faults.street import SERVERS, Street, break_in
from tests.kit.patience import PATIENCE

BURST, RATE, UNIT = 200, 20, 1024  # limits.py
THREADS = 4  # NOTIFY_THREADS


@pytest.fixture
async def open_street(make_world: Any) -> Any:
    """Returns a function that opens a street on a server."""

    async def open_street(kind: str, database: str = "sqlite", **options: Any) -> Street:
        street = Street(await make_world(database, NOTIFY_SWEEP_INTERVAL=0.1))
        await street.open(kind, **options)
        return street

    return open_street


@pytest.fixture(params=SERVERS)
async def street(request: pytest.FixtureRequest, open_street: Any) -> Street:
    street: Street = await open_street(request.param)
    return street


async def test_an_overlong_query_is_refused_by_every_transport(street: Street) -> None:
    """Nobody needs to be signed in for it."""
    query = "?wait=1" + "&a" * 6000
    async with street.browser() as browser:
        browser.cookies.clear()
        for path in ("changes/", "stream/"):
            answers = [await browser.get(f"/notify/{path}{query}") for _ in range(20)]
            assert {answer.status_code for answer in answers} == {400}
    rogue = await street.rogue("?" + "&a" * 200)  # uvicorn does not even read a longer line
    assert await rogue.is_closed() == 4500
    await street.is_quiet()


async def test_large_commands_are_refused_before_they_are_parsed(street: Street) -> None:
    """Of 64 KB each, the burst allows three, and the rate one in three seconds. The flood is closed."""
    text = json.dumps({"type": "read", "ids": [[1, 1]] * 10_900}, separators=(",", ":"))
    rogue = await street.rogue()
    await rogue.is_let_in()
    began = time.monotonic()
    for _ in range(100):
        await rogue.say(text)
    assert await rogue.is_closed() == 4500
    units = BURST + RATE * (time.monotonic() - began)
    told = Counter(frame["code"] for frame in rogue.heard if frame["type"] == "error")
    assert told["too_large"] <= units / (len(text) / UNIT)
    assert told["too_many"] <= 10 * BURST / (len(text) / UNIT) + 1
    await street.is_quiet()


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "once it is let in"])
async def test_a_flood_of_large_commands_fills_no_memory(street: Street, waits: bool) -> None:
    """The socket is closed after a few megabytes, and what it sends afterwards is not kept."""
    text = json.dumps({"type": "read", "ids": [[1, 1]] * 400}).ljust(64 * UNIT)
    rogue = await street.rogue()
    if waits:
        await rogue.is_let_in()
    before = street.status("VmRSS")
    most = sent = 0
    with suppress(ConnectionClosed):
        while sent < 256 * 1024 * UNIT:
            await rogue.socket.send(text)
            sent += len(text)
            most = max(most, street.status("VmRSS"))
    assert most - before < 96 * 1024, f"{(most - before) // 1024} MB more after {sent >> 20} MB"
    assert rogue.reading.done() or await rogue.is_closed()
    await street.is_quiet()


@pytest.mark.parametrize("kind", SERVERS)
async def test_what_waits_for_a_lock_is_bounded_and_dropped_at_the_end(
    open_street: Any, kind: str
) -> None:
    """Meanwhile pings are answered, and a neighbour may come. Marks that have not begun are dropped."""
    street = await open_street(kind, "postgresql")
    for number in range(10):
        await street.sender.send(street.mallory, f"own {number}")
    rows = await street.world.clerk.call(f"{deeds.__name__}:ids", user=street.mallory.pk)
    await street.sender.call("begin", thread="lock")
    lock = f"{deeds.__name__}:lock_mailbox"
    await street.sender.call(lock, thread="lock", user=street.mallory.pk)
    rogues = [await street.rogue() for _ in range(10)]
    for rogue, row in zip(rogues, rows, strict=False):
        for ref in range(150):
            await rogue.say({"type": "read", "ids": [[row, 2**53 - 1]], "ref": ref})
        await rogue.say({"type": "ping", "ref": 999})
    for rogue in rogues:
        async with asyncio.timeout(PATIENCE):
            while not any(frame.get("ref") == 999 for frame in rogue.heard):
                await asyncio.sleep(0.01)
        assert not any(frame["type"] == "ack" for frame in rogue.heard)
    await street.world.open(street.alice)
    for rogue in rogues:
        await rogue.close()
    # They have left. One mark may still run, of one of them.
    await street.sender.call("roll_back", thread="lock")
    after = await street.rogue()
    await after.say({"type": "read", "ids": [], "ref": 1})
    assert (await after.is_answered(1))["type"] == "ack"
    marks = await street.world.clerk.call(f"{deeds.__name__}:marks", user=street.mallory.pk)
    assert sum(any(moments) for _, *moments in marks) <= 1
    await after.close()
    await street.is_undisturbed()


@pytest.mark.parametrize("kind", SERVERS)
async def test_reads_that_users_ask_for_leave_a_thread_to_others(
    open_street: Any, kind: str, tmp_path: Path
) -> None:
    """
    Fifty sockets ask at the rate that each may, and others after them, while their reads hang. A neighbour
    comes, and then each of their reads is answered.
    """
    held, begun = tmp_path / "held", tmp_path / "held.begun"
    street = await open_street(
        kind, application="tests.faults.held_reads:application", HELD_READS=str(held)
    )
    rogues = [await street.rogue() for _ in range(50)]
    others = await street.world.make_users(THREADS, "mallory")
    helpers = [await break_in(street.web.address, other) for other in others]
    held.write_text(f"{street.mallory.pk}")
    for _ in range(20):
        for rogue in rogues:
            await rogue.say({"type": "changes", "since": None})
        await asyncio.sleep(0.05)
    began = time.monotonic()
    await street.world.open(street.alice)
    print(f"{street.web.address}: a neighbour's handshake took {time.monotonic() - began:.3f} s")
    assert begun.read_text().split() == [f"{street.mallory.pk}"]
    held.write_text(" ".join(f"{user.pk}" for user in (street.mallory, *others)))
    for helper in helpers:
        await helper.say({"type": "changes", "since": None})
    async with asyncio.timeout(PATIENCE):
        while len(begun.read_text().split()) < THREADS - 1:
            await asyncio.sleep(0.01)
    await street.world.open(street.alice)
    assert len(begun.read_text().split()) == THREADS - 1
    held.unlink()
    rogues += helpers
    for rogue in rogues:
        async with asyncio.timeout(PATIENCE):
            while not any(frame["type"] == "changes" for frame in rogue.heard):
                await asyncio.sleep(0.01)
        await rogue.close()
    await street.is_quiet()


@pytest.mark.parametrize("kind", SERVERS)
async def test_cancelling_again_and_again_starts_a_few_threads(open_street: Any, kind: str) -> None:
    """The queue hangs whenever it is asked to take a job out."""
    street = await open_street(kind, application="tests.faults.stuck_queue:application")
    carol = await street.world.user("carol")
    queue_jobs = f"{deeds.__name__}:queue_jobs"
    shown = await street.sender.call(queue_jobs, user=carol.pk, count=40)
    rogue = await break_in(street.web.address, carol)
    await rogue.say({"type": "read", "ids": [], "ref": 0})
    await rogue.is_answered(0)
    before = street.status("Threads")
    for ref in range(1, 101):
        await rogue.say({"type": "cancel", "ids": shown, "ref": ref})
    assert (await rogue.is_answered(100))["type"] in ("ack", "error")
    assert street.status("Threads") <= before + 4 + 4  # those of errands, and of NOTIFY_THREADS
    await rogue.close()
    await street.is_undisturbed()


async def test_posts_have_a_rate(street: Street) -> None:
    """Above it, the answer is 429, and the command is not executed."""
    began = time.monotonic()
    async with street.browser() as browser:
        command = {"type": "read", "ids": [], "ref": 1}
        answers = [
            await browser.post("/notify/commands/", content=json.dumps(command).ljust(8 * UNIT))
            for _ in range(40)
        ]
    told = Counter(answer.status_code for answer in answers)
    assert set(told) <= {200, 429}
    assert told[200] <= (BURST + RATE * (time.monotonic() - began)) / 8 + 1
    await street.is_quiet()


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_session_cookie_with_nul_is_not_signed_in(open_street: Any, kind: str) -> None:
    """PostgreSQL fails when asked for such a session. Nothing is logged."""
    street = await open_street(kind, "postgresql")
    cookie = '"abcdefgh\\000"'
    rogue = await street.rogue(sessionid=cookie)
    assert await rogue.is_closed() == 4501
    async with street.browser() as browser:
        browser.cookies.clear()
        headers = {"Cookie": f"sessionid={cookie}"}
        for path in ("changes/", "changes/?wait=1", "stream/"):
            answer = await browser.get(f"/notify/{path}", headers=headers)
            assert answer.status_code == 401, path
    assert "Traceback" not in street.web.log
    await street.is_undisturbed()
