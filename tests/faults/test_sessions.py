"""Users whose sign-in has ended are disconnected in every tab, and no other users are."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.faults import at_most, deeds
from tests.faults.clients import TRANSPORTS, Client, User
from tests.faults.world import World, pubsub
from tests.kit.patience import PATIENCE

SERVERS = ["uvicorn", "daphne"]
RECHECK = 1.0  # seconds; NOTIFY_RECHECK_INTERVAL
AT_ONCE = at_most(5.0)  # seconds; no recheck comes within them
LATEST = at_most(RECHECK * 1.25 + 3)  # seconds: a recheck, its jitter, and a handshake

DEEDS = {
    "password": ("set_password", "user"),
    "deactivated": ("deactivate", "user"),
    "deleted": ("delete", "user"),
    "session-deleted": ("end_session", "key"),
    "session-expired": ("let_session_expire", "key"),
    "session-emptied": ("empty_session", "key"),
}


def session_of(user: User) -> str:
    return user.cookies["sessionid"]


async def sign_in_again(world: World, user: User) -> User:
    """Sign the same user in, in another browser."""
    cookies = await world.clerk.call("sign_in", user=user.pk)
    return User(user.pk, f"{user.name} elsewhere", cookies)


async def do(world: World, deed: str, user: User) -> None:
    name, of = DEEDS[deed]
    argument = {"user": user.pk} if of == "user" else {"key": session_of(user)}
    await world.clerk.call(f"{deeds.__name__}:{name}", **argument)


async def is_told(tab: Client, within: float) -> float:
    """Wait until the client has stopped for good, with the right reason. Returns how long that took."""
    started = time.monotonic()
    await tab.until(lambda: tab.refusal, "it was told not to come back", within)
    took = time.monotonic() - started
    assert tab.refusal == "not_signed_in", tab.story()
    await tab.until(lambda: tab._work is not None and tab._work.done(), "it stopped")
    if tab.transport == "websocket":
        # It may first be told to come back, because only a handshake determines the user.
        assert tab.closes[-1] == 4501, tab.story()
        assert set(tab.closes) <= {4000, 4501}, tab.story()
    return took


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("kind", SERVERS)
async def test_who_is_no_longer_signed_in_is_told_within_a_recheck(
    make_world: Any, kind: str, deed: str
) -> None:
    """Every tab of the user, or of the session, is closed. Others are not affected."""
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
    """Log out as a browser does: by POST, to a view of Django. The admin's view is only for its staff."""
    await world.clerk.call(f"{deeds.__name__}:make_staff", user=user.pk)
    async with user.browser(f"http://{address}") as browser:
        answer = await browser.post("/admin/logout/")
        assert answer.status_code == 200, answer
    world.note(f"{user.name} has logged out")


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_logout_ends_every_tab_of_the_session_at_once(
    make_world: Any, redis_server: Any, kind: str
) -> None:
    """
    The tabs of all processes are closed through the layer, long before any recheck.

    The other browser continues.
    """
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
    """No ring leaves the process in which the user logged out, so the others find out by a recheck."""
    world = await make_world(NOTIFY_RECHECK_INTERVAL=RECHECK, NOTIFY_SWEEP_INTERVAL=0.2)
    web = await world.start_web(kind, NOTIFY_RECHECK_INTERVAL=3600)
    webs = [web, await world.start_web(kind)]
    alice = await world.user("alice")
    here, there = [await world.open(alice, at=web) for web in webs]
    await log_out(world, webs[0].address, alice)
    await is_told(here, LATEST)
    assert here.closes == [4501], "A recheck would first have closed it with a reconnect code."
    await is_told(there, LATEST)


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_disconnect_ends_every_tab_of_the_user_in_all_processes(
    make_world: Any, redis_server: Any, kind: str
) -> None:
    """
    `notify.disconnect()` is called in a process without tabs.

    The other processes close with a terminal code.
    """
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
    """The close code lets it come back. The tab that was admitted is not affected."""
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
