"""
Sites that share one Redis, and strangers that send to it: each site shows its own notifications only.

The sweep is off in most tests, so whatever a tab is shown has come by a ring.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from notify.doorbell import common_group, group_of, pack
from tests.faults import at_most
from tests.faults.clients import Client, User
from tests.faults.proxy import Proxy
from tests.faults.world import Sender, World, core, pubsub, sqlite
from tests.kit.fakes import document

NEVER = 3600  # seconds between two sweeps
SIDES = [("pubsub", "uvicorn"), ("core", "daphne")]
LAYERS = {"pubsub": pubsub, "core": core}
CLASSES: dict[str, Any] = {"pubsub": RedisPubSubChannelLayer, "core": RedisChannelLayer}
TOLD = "ignored a message from the channel layer"
NO_MSGPACK = b"\xc1 is a byte that no msgpack begins with"
ON_BOTH = pytest.mark.parametrize(("layer", "kind"), SIDES)


async def watched_tab(world: World, user: User) -> tuple[Client, list[dict[str, Any]]]:
    """Open a tab. Returns it, and the list of all documents that it receives."""
    tab: Any = world.client(user)
    heard: list[dict[str, Any]] = []
    hear = tab._hear

    async def note(frame: dict[str, Any]) -> None:
        heard.append(frame)
        await hear(frame)

    tab._hear = note
    tab.start()
    await tab.opened()
    return tab, heard


async def copy_of(world: World, make_world: Any, **settings: Any) -> World:
    """A second site, with a copy of this site's database and the same Redis."""
    name = world.folder / "copy.sqlite3"
    await world.clerk.call("execute", statement=f"VACUUM INTO '{name}'")
    layer = world.settings["CHANNEL_LAYERS"]["default"]
    copy: World = await make_world(sqlite(name), layer=layer, **settings)
    return copy


async def disturb(sender: Sender, user: User, number: int) -> None:
    """Send notifications, a tick and a kick to a user of the sender's site, until Redis has them."""
    for n in range(number):
        await sender.send(user, f"staging {n}")
    tick = '{"type":"tick","ticks":[]}'
    await sender.call("notify.doorbell:tick", ticked=[[str(user.pk), tick]])
    await sender.call("tests.faults.deeds:disconnect", user=user.pk)
    assert await sender.call("notify.runtime.background:flush")


@ON_BOTH
@pytest.mark.parametrize("key", ["a key of its own", "the copied key"])
async def test_a_copy_of_the_site_on_the_same_redis_changes_nothing(
    make_world, redis_server, layer, kind, key
):
    """The copy has the same users, epochs and positions. Both sites use the same positions next."""
    settings = {"NOTIFY_SWEEP_INTERVAL": NEVER, "SECRET_KEY": "the copied key"}
    production = await make_world(layer=LAYERS[layer](redis_server.url), **settings)
    web = await production.start_web(kind)
    user = await production.user()
    staging = await copy_of(production, make_world, **settings | {"SECRET_KEY": key})
    tab, heard = await watched_tab(production, user)
    own, foreign = await production.start_sender(), await staging.start_sender()
    await own.send(user, "own 0")
    await tab.shows("own 0")
    await disturb(foreign, user, 3)
    for n in range(1, 5):
        await own.send(user, f"own {n}")
    await tab.shows(*(f"own {n}" for n in range(5)))
    assert (tab.closes, tab.resets) == ([], 1)
    assert not any(frame["type"] == "tick" for frame in heard)
    assert web.log.count(TOLD) == (key == "the copied key"), web.log
    await production.oracle.check()


async def test_two_sites_that_share_a_redis_both_deliver(make_world, redis_server):
    worlds = [
        await make_world(
            layer=pubsub(redis_server.url), SECRET_KEY=key, NOTIFY_SWEEP_INTERVAL=NEVER
        )
        for key in ("one", "other")
    ]
    tabs, senders = [], []
    for world in worlds:
        await world.start_web()
        tabs.append(await world.open(await world.user()))
        senders.append(await world.start_sender())
    assert tabs[0].user.pk == tabs[1].user.pk
    for n in range(5):
        for name, tab, sender in zip(("one", "other"), tabs, senders, strict=True):
            await sender.send(tab.user, f"{name} {n}")
    for name, tab in zip(("one", "other"), tabs, strict=True):
        await tab.shows(*(f"{name} {n}" for n in range(5)))


async def test_a_key_is_rotated_while_the_site_runs(make_world, redis_server):
    """Processes with the new key and processes that know only the old one hear each other's rings."""
    old = {"SECRET_KEY": "old"}
    new = {"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": ["old"]}
    world = await make_world(layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=NEVER, **old)
    webs = [await world.start_web(**old), await world.start_web(**new)]
    senders = [await world.start_sender(**old), await world.start_sender(**new)]
    user = await world.user()
    tabs = [await world.open(user, at=web) for web in webs]
    texts = []
    for n in range(6):
        texts.append(f"{n}")
        await senders[n % 2].send(user, texts[-1])
        for tab in tabs:
            await tab.shows(*texts)
    await senders[1].call("tests.faults.deeds:disconnect", user=user.pk)
    for tab in tabs:
        await tab.until(lambda tab=tab: tab.refusal == "kicked", "kicked")
    assert [TOLD in web.log for web in webs] == [False, False]


async def test_a_worker_that_uses_another_address_of_the_database_is_heard(
    make_world, redis_server, postgresql_server
):
    """For example a connection pooler's. Its rings make the web process read, and the log tells it."""
    with Proxy(f"127.0.0.1:{postgresql_server.port}") as pooler:
        world = await make_world(
            "postgresql", layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=NEVER
        )
        web = await world.start_web()
        user = await world.user()
        tab = await world.open(user)
        database = {"default": world.database | {"PORT": str(pooler.port)}}
        worker = await world.start_sender(DATABASES=database)
        for n in range(3):
            await worker.send(user, f"{n}")
        await tab.shows("0", "1", "2")
        assert web.log.count(TOLD) == 1, web.log
        assert "another address of the database" in web.log
        await worker.close()


# -- Strangers -----------------------------------------------------------------------------------


class Stranger:
    """Someone who can reach the site's Redis, and has found the groups of its hubs there."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.layer = CLASSES[kind](**LAYERS[kind](url)["CONFIG"])
        self.redis = redis.asyncio.Redis.from_url(url)

    async def send(self, group: str, message: dict[str, Any]) -> None:
        await self.layer.group_send(group, message)

    async def send_bytes(self, group: str, data: bytes) -> None:
        if self.kind == "pubsub":
            await self.redis.publish(f"asgi__group__{group}", data)
            return
        for channel in await self.redis.zrange(f"asgi:group:{group}", 0, -1):
            key = f"asgi{channel.decode().partition('!')[0]}!"
            await self.redis.zadd(key, {data + random.randbytes(8): time.time()})

    async def close(self) -> None:
        await self.redis.aclose()
        if self.kind == "pubsub":
            await self.layer.flush()
        else:
            await self.layer.close_pools()


@pytest.fixture
async def stranger(redis_server: Any) -> AsyncIterator[Callable[[str], Stranger]]:
    made: list[Stranger] = []

    def make(kind: str) -> Stranger:
        made.append(Stranger(kind, redis_server.url))
        return made[-1]

    yield make
    for each in made:
        await each.close()


def forged(tab: Client, database: str) -> list[dict[str, Any]]:
    """
    Messages in the form of the doorbell's, without its signature, and messages that make no sense.

    Args:
        database: the digest that the site's own messages name.
    """
    assert tab.cursor is not None
    cursor, name = tab.cursor, str(tab.user.pk)
    changes = document(cursor.position, cursor.position + 3)
    far = cursor._replace(position=cursor.position + 3)
    ring = pack(name, changes._replace(since=cursor, cursor=far))
    mac = "0" * 32
    contents: dict[str, dict[str, Any]] = {
        "notify.ring": {"rings": [ring]},
        "notify.tick": {"ticks": [[name, '{"type":"tick","ticks":[]}']]},
        "notify.kick": {"recipient": name, "session": None},
    }
    return [
        *(
            {"type": type_, "body": json.dumps({"database": database, **content}), "macs": [mac]}
            for type_, content in contents.items()
        ),
        {"type": "notify.ring", "from": "x", "rings": [ring]},
        {"type": "notify.tick", "from": "x", "ticks": [[name, '{"type":"tick","ticks":[]}']]},
        {"type": "notify.kick", "recipient": name, "session": None},
        {"type": "notify.kick", "body": f'{{"recipient":"{name}","session":null}}', "macs": [mac]},
        {"type": "notify.ring", "body": None, "macs": None},
        {"type": "notify.ring"},
        {"type": "notify.canary"},
        {"no": "type"},
    ]


@ON_BOTH
async def test_forged_and_malformed_messages_are_ignored_and_told_once(
    make_world, redis_server, stranger, layer, kind
):
    world = await make_world(layer=LAYERS[layer](redis_server.url), NOTIFY_SWEEP_INTERVAL=NEVER)
    web = await world.start_web(kind)
    user = await world.user()
    tab, heard = await watched_tab(world, user)
    sender = await world.start_sender()
    await sender.send(user, "0")
    await tab.shows("0")
    database = await sender.call("notify.installation:database_id")
    mallory = stranger(layer)
    for group in (common_group(), group_of(str(user.pk))):
        for message in forged(tab, database):
            await mallory.send(group, message)
        await mallory.send_bytes(group, NO_MSGPACK)
    await sender.send(user, "1")
    await tab.shows("0", "1")
    assert tab.closes == []
    assert not any(frame["type"] == "tick" for frame in heard)
    assert web.log.count(TOLD) == 1, web.log
    assert "the sweep delivers" not in web.log  # the layer is not out of order


@asynccontextmanager
async def flood(send: Callable[[], Any]) -> AsyncIterator[None]:
    """Send again and again while the block runs."""
    is_over = asyncio.Event()

    async def repeat() -> None:
        while not is_over.is_set():
            await send()
            await asyncio.sleep(0.005)

    flooding = asyncio.create_task(repeat())
    try:
        yield
    finally:
        is_over.set()
        await flooding


@ON_BOTH
async def test_bytes_that_are_no_msgpack_do_not_slow_the_rings(
    make_world, redis_server, stranger, layer, kind
):
    """Tabs that open meanwhile are rung too."""
    world = await make_world(layer=LAYERS[layer](redis_server.url), NOTIFY_SWEEP_INTERVAL=NEVER)
    await world.start_web(kind)
    users = await world.make_users(2)
    tabs = [await world.open(users[0])]
    sender = await world.start_sender()
    await sender.send(users[0], "before")
    await tabs[0].shows("before")
    mallory = stranger(layer)
    async with flood(lambda: mallory.send_bytes(common_group(), NO_MSGPACK)):
        tabs.append(await world.open(users[1]))
        waits = []
        for n in range(10):
            for tab in tabs:
                sent = time.monotonic()
                await sender.send(tab.user, f"{n}")
                await tab.until(lambda tab=tab, n=n: f"{n}" in tab.shown_at, f"{n}")
                waits.append(tab.shown_at[f"{n}"] - sent)
    print(f"the slowest ring took {max(waits):.3f} s")
    assert max(waits) < at_most(1.0, 5.0)
