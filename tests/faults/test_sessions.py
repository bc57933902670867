"""Who is no longer who they were is told so, in every tab, and nobody else is."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from tests.faults import deeds
from tests.faults.clients import TRANSPORTS, Client, User
from tests.faults.world import World, pubsub
from tests.kit.patience import PATIENCE

SERVERS = ["uvicorn", "daphne"]
RECHECK = 1.0  # seconds; NOTIFY_RECHECK_INTERVAL
AT_ONCE = 5.0  # seconds, on a machine that does other things too; no recheck comes within them
LATEST = RECHECK * 1.25 + 3  # seconds: a recheck, its jitter, a handshake, and a slow machine

DEEDS = {
    "password": ("set_password", "user"),
    "deactivated": ("deactivate", "user"),
    "deleted": ("delete", "user"),
    "session-deleted": ("end_session", "key"),
    "session-expired": ("let_session_expire", "key"),
}


def session_of(user: User) -> str:
    return user.cookies["sessionid"]


async def sign_in_again(world: World, user: User) -> User:
    """The same user in another browser."""
    cookies = await world.clerk.call("sign_in", user=user.pk)
    return User(user.pk, f"{user.name} elsewhere", cookies)


async def do(world: World, deed: str, user: User) -> None:
    name, of = DEEDS[deed]
    argument = {"user": user.pk} if of == "user" else {"key": session_of(user)}
    await world.clerk.call(f"{deeds.__name__}:{name}", **argument)


async def is_told(tab: Client, within: float) -> float:
    """Wait until the client has stopped for good and says why; returns how long that took."""
    started = time.monotonic()
    await tab.until(lambda: tab.refusal, "it was told not to come back", within)
    took = time.monotonic() - started
    assert tab.refusal == "not_signed_in", tab.story()
    await tab.until(lambda: tab._work is not None and tab._work.done(), "it stopped")
    if tab.transport == "websocket":
        # It may be told to come back first, as only a handshake can tell who it is now.
        assert tab.closes[-1] == 4501, tab.story()
        assert set(tab.closes) <= {4000, 4501}, tab.story()
    return took


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("kind", SERVERS)
async def test_who_is_no_longer_signed_in_is_told_within_a_recheck(
    make_world: Any, kind: str, deed: str
) -> None:
    """Every tab of the user, or of the session; and others go on as if nothing were."""
    world = await make_world(NOTIFY_RECHECK_INTERVAL=RECHECK, NOTIFY_SWEEP_INTERVAL=0.2)
    await world.start_web(kind)
    sender = await world.start_sender()
    alice, bob = await world.user("alice"), await world.user("bob")
    elsewhere = await sign_in_again(world, alice)
    tabs = [await world.open(alice, transport) for transport in ("websocket", *TRANSPORTS)]
    others = [await world.open(elsewhere), await world.open(elsewhere, "poll")]
    neighbour = await world.open(bob)
    await sender.send(alice, "before")
    for tab in [*tabs, *others]:
        await tab.shows("before")
    await do(world, deed, alice)
    await asyncio.gather(*(is_told(tab, LATEST) for tab in tabs))
    await sender.send(bob, "after")
    await neighbour.shows("after")
    assert neighbour.closes == []
    if DEEDS[deed][1] == "key":  # the other browser is still signed in
        await sender.send(alice, "after")
        for tab in others:
            await tab.shows("before", "after")
            assert tab.refusal is None
        assert others[0].closes == []
    else:
        await asyncio.gather(*(is_told(tab, LATEST) for tab in others))
    assert [tab.shown for tab in tabs] == [["before"]] * len(tabs)


async def log_out(world: World, address: str, user: User) -> None:
    """As a browser does it: by POST, to a view of Django's own; the admin's serves its staff only."""
    await world.clerk.call(f"{deeds.__name__}:make_staff", user=user.pk)
    cookies = user.cookies
    async with httpx.AsyncClient(
        base_url=f"http://{address}", cookies=cookies, trust_env=False
    ) as browser:
        headers = {"X-CSRFToken": cookies["csrftoken"]}
        answer = await browser.post("/admin/logout/", headers=headers)
        assert answer.status_code == 200, answer
    world.note(f"{user.name} has logged out")


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_logout_ends_every_tab_of_the_session_at_once(
    make_world: Any, redis_server: Any, kind: str
) -> None:
    """In all processes, through the layer; long before any recheck. The other browser goes on."""
    world = await make_world(
        layer=pubsub(redis_server.url), NOTIFY_RECHECK_INTERVAL=3600, NOTIFY_SWEEP_INTERVAL=3600
    )
    webs = [await world.start_web(kind) for _ in range(2)]
    sender = await world.start_sender()
    alice = await world.user("alice")
    elsewhere = await sign_in_again(world, alice)
    tabs = [await world.open(alice, at=web) for web in webs]
    over_http = [await world.open(alice, kind, webs[1]) for kind in ("sse", "longpoll", "poll")]
    others = [await world.open(elsewhere, at=web) for web in webs]
    await log_out(world, webs[0].address, alice)
    times = await asyncio.gather(*(is_told(tab, PATIENCE) for tab in [*tabs, *over_http]))
    assert max(times) < AT_ONCE, times
    await sender.send(alice, "after")
    for tab in others:
        await tab.shows("after")
        assert tab.closes == []
    assert all(tab.shown == [] for tab in [*tabs, *over_http])


@pytest.mark.parametrize("kind", SERVERS)
async def test_without_a_layer_a_logout_ends_its_own_process_at_once_and_the_others_in_a_recheck(
    make_world: Any, kind: str
) -> None:
    """No ring leaves the process where the user logged out, so the others look."""
    world = await make_world(NOTIFY_RECHECK_INTERVAL=RECHECK, NOTIFY_SWEEP_INTERVAL=0.2)
    webs = [await world.start_web(kind) for _ in range(2)]
    alice = await world.user("alice")
    here, there = [await world.open(alice, at=web) for web in webs]
    await log_out(world, webs[0].address, alice)
    await is_told(here, LATEST)
    assert here.closes == [4501], "A recheck would have sent it to come back first."
    await is_told(there, LATEST)


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_disconnect_ends_every_tab_of_the_user_in_all_processes(
    make_world: Any, redis_server: Any, kind: str
) -> None:
    """`notify.disconnect()` in a process that has no tabs: a terminal code in those that have."""
    world = await make_world(
        layer=pubsub(redis_server.url), NOTIFY_RECHECK_INTERVAL=3600, NOTIFY_SWEEP_INTERVAL=3600
    )
    webs = [await world.start_web(kind) for _ in range(2)]
    alice, bob = await world.user("alice"), await world.user("bob")
    tabs = [await world.open(user, at=web) for user in (alice, bob) for web in webs]
    sender = await world.start_sender()
    await sender.call(f"{deeds.__name__}:disconnect", user=alice.pk)
    for tab in tabs[:2]:
        await tab.until(lambda tab=tab: tab.closes, "it was disconnected")
        assert tab.closes == [4504], tab.story()
    await sender.send(bob, "after")
    for tab in tabs[2:]:
        await tab.shows("after")
        assert tab.closes == []


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_full_process_sends_who_comes_away_until_there_is_room(
    make_world: Any, kind: str
) -> None:
    """With a code that says: come back. The tab that was let in is not disturbed."""
    world = await make_world(NOTIFY_MAX_CONNECTIONS=1, NOTIFY_SWEEP_INTERVAL=0.2)
    await world.start_web(kind)
    sender = await world.start_sender()
    alice, bob = await world.user("alice"), await world.user("bob")
    first = await world.open(alice)
    second = world.client(bob)
    second.start()
    await second.until(lambda: 4002 in second.closes, "it was sent away")
    await sender.send(alice, "one")
    await first.shows("one")
    assert first.closes == []
    await first.close()
    await sender.send(bob, "two")
    await second.shows("two")
