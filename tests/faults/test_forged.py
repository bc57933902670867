"""Requests that forge what they are or know: another origin, a made-up cursor, a mark of another epoch."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from notify.protocol import new_epoch
from tests.faults import deeds
from tests.faults.clients import Client, User
from tests.faults.world import Sender, World
from tests.kit.patience import PATIENCE

SERVERS = ["uvicorn", "daphne"]


class Site:
    """A server, and Alice with an open tab that has shown one notification."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def open(self, kind: str) -> None:
        self.web = await self.world.start_web(kind)
        self.sender: Sender = await self.world.start_sender()
        self.alice: User = await self.world.user("alice")
        await self.do("age", user=self.alice.pk)
        self.tab: Client = await self.world.open(self.alice)
        await self.sender.send(self.alice, "one")
        await self.tab.shows("one")

    async def do(self, deed: str, **arguments: Any) -> Any:
        return await self.world.clerk.call(f"{deeds.__name__}:{deed}", **arguments)

    async def epoch(self) -> str:
        return str(await self.do("epoch", user=self.alice.pk))

    @property
    def browser(self) -> httpx.AsyncClient:
        """Alice's browser, over HTTP."""
        return self.alice.browser(f"http://{self.web.address}/notify/")

    @asynccontextmanager
    async def socket(self, query: str = "", **headers: str) -> AsyncIterator[ClientConnection]:
        """A WebSocket of Alice's browser."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.alice.cookies.items())
        asked = {"origin": f"http://{self.web.address}", "cookie": cookies, **headers}
        async with connect(
            f"ws://{self.web.address}/notify/ws/{query}",
            additional_headers={name.replace("_", "-"): value for name, value in asked.items()},
            proxy=None,
            open_timeout=PATIENCE,
        ) as socket:
            yield socket

    async def knock(self, query: str = "", **headers: str) -> str | int:
        """Open a WebSocket. Returns the type of the first frame, or the close code."""
        async with self.socket(query, **headers) as socket:
            try:
                return str(json.loads(await socket.recv())["type"])
            except ConnectionClosed:
                return socket.close_code or 1006


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def site(server: str, make_world: Any) -> Site:
    site = Site(await make_world(NOTIFY_SWEEP_INTERVAL=0.1))
    await site.open(server)
    return site


# -- Origins -------------------------------------------------------------------------------------


async def test_a_page_that_was_loaded_without_tls_is_refused(server: str, make_world: Any) -> None:
    """Anybody on the way may have changed it. The proxy says that the request itself came over TLS."""
    header = ["HTTP_X_FORWARDED_PROTO", "https"]
    site = Site(await make_world(SECURE_PROXY_SSL_HEADER=header))
    await site.open(server)
    own, plain = f"https://{site.web.address}", f"http://{site.web.address}"
    assert await site.knock(origin=own, x_forwarded_proto="https") == "welcome"
    assert await site.knock(origin=plain, x_forwarded_proto="https") == 4503
    assert await site.knock(origin=own, x_forwarded_proto="http") == 4503
    async with site.browser as browser:
        for address in ("stream/", "changes/?wait=20"):
            asked = {"origin": plain, "x-forwarded-proto": "https"}
            answer = await browser.get(address, headers=asked)
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")


# -- Cursors -------------------------------------------------------------------------------------


async def ask_everywhere(site: Site, since: str) -> None:
    """Ask for the changes since a cursor, over each transport."""
    async with site.browser as browser:
        for query in (f"?since={since}", f"?since={since}&wait=0"):
            assert (await browser.get(f"changes/{query}")).json()["reset"] is True
        async with browser.stream("GET", f"stream/?since={since}") as stream:
            assert stream.status_code == 200
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    break
    async with site.socket(f"?since={since}") as socket:
        assert json.loads(await socket.recv())["changes"]["reset"] is True
        await socket.send(json.dumps({"type": "changes", "since": since, "ref": 1}))
        with suppress(ConnectionClosed):
            await socket.send(json.dumps({"type": "seen", "ids": [], "ref": 2}))
            while json.loads(await socket.recv()).get("ref") != 2:
                pass


async def test_a_made_up_cursor_starts_no_epoch(site: Site) -> None:
    """Nor does one of another user, or of the site's past."""
    bob = await site.world.user("bob")
    await site.sender.send(bob, "private")
    before, resets = await site.epoch(), site.tab.resets
    made_up = [
        f"{new_epoch()}:99",
        f"{before[:9]}vvvvvvvv:99",
        f"{await site.do('epoch', user=bob.pk)}:99",
        f"{'v' * 17}:99",
    ]
    for cursor in made_up:
        assert cursor > before
        await ask_everywhere(site, cursor)
        assert await site.epoch() == before, cursor
    await site.sender.send(site.alice, "two")
    await site.tab.shows("one", "two")
    assert site.tab.resets == resets, site.tab.story()


async def test_a_user_starts_few_epochs_for_themselves(site: Site) -> None:
    """They know their own epoch, and so may make up positions in it, but at most once a minute."""
    epochs = {await site.epoch()}
    for _ in range(5):
        await ask_everywhere(site, f"{await site.epoch()}:99")
        epochs.add(await site.epoch())
    assert len(epochs) == 2


@pytest.mark.parametrize("other", ["cross-site", "same-site"])
async def test_a_link_or_an_image_on_another_site_starts_no_epoch(site: Site, other: str) -> None:
    """Even with a cursor that proves a restore if the page of the site itself sends it."""
    before = await site.epoch()
    async with site.browser as browser:
        for headers, may in (({"sec-fetch-site": other}, False), ({}, True)):
            answer = await browser.get(f"changes/?since={before}:99", headers=headers)
            assert answer.json()["reset"] is True
            assert (await site.epoch() != before) is may
        refused = await browser.get("stream/", headers={"sec-fetch-site": other})
        assert refused.status_code == 403


async def test_a_mark_in_an_epoch_that_is_over_is_stale(site: Site) -> None:
    """The tab learns that it marked nothing, over the WebSocket and by POST. In the new epoch it marks."""
    before = await site.epoch()
    (row,) = site.tab.rows.values()
    ids = [[row["id"], row["arrived"]]]
    await site.world.clerk.call("manage", args=["notify_check", "--new-epoch"])
    old = [
        {"type": "read", "ids": ids, "epoch": before},
        {"type": "read_all", "cursor": f"{before}:99", "ids": []},
        {"type": "cancel", "ids": ids, "epoch": before},
    ]
    async with site.browser as browser, site.socket() as socket:
        await socket.recv()
        for command in old:
            answer = await browser.post("commands/", json=command)
            assert (answer.status_code, answer.json()["code"]) == (409, "stale")
            await socket.send(json.dumps(command))
            assert json.loads(await socket.recv())["code"] == "stale"
        assert await site.do("marks", user=site.alice.pk) == [["one", False, False, False, False]]
        new = {"type": "read", "ids": ids, "epoch": await site.epoch()}
        assert (await browser.post("commands/", json=new)).json()["type"] == "ack"
    assert await site.do("marks", user=site.alice.pk) == [["one", True, True, False, False]]


# -- Lengths -------------------------------------------------------------------------------------


async def test_a_command_is_measured_in_bytes(site: Site) -> None:
    """As many characters of four bytes are too long, over the WebSocket as by POST."""
    text = json.dumps({"type": "read", "ids": [], "text": "😀" * 20_000}, ensure_ascii=False)
    async with site.browser as browser:
        answer = await browser.post("commands/", content=text.encode())
        assert (answer.status_code, answer.json()["code"]) == (400, "too_large")
    async with site.socket() as socket:
        await socket.recv()
        await socket.send(text)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4500


# -- Jobs ----------------------------------------------------------------------------------------


async def test_cancelling_a_job_ends_no_job_of_another_user_with_its_name(site: Site) -> None:
    """Not in the list of the other user, and not in the queue."""
    bob = await site.world.user("bob")
    tab = await site.world.open(bob)

    async def states(tab: Client, state: str) -> int:
        def found() -> int | None:
            rows = [row for row in tab.rows.values() if "progress" in row]
            return rows[0]["id"] if rows and rows[0]["progress"]["state"] == state else None

        return int(await tab.until(found, f"the job is {state}"))

    for user in (site.alice, bob):
        await site.do("queue_job", user=user.pk, job="rq:import")
    own = await states(site.tab, "queued")
    theirs = await states(tab, "queued")
    async with site.browser as browser:
        ids = [[own, 2**53 - 1], [theirs, 2**53 - 1]]
        answer = await browser.post("commands/", json={"type": "cancel", "ids": ids})
        assert answer.json()["type"] == "ack"
    await states(site.tab, "cancelled")
    assert not await site.do("run_job", user=site.alice.pk, job="rq:import")
    assert await site.do("run_job", user=bob.pk, job="rq:import")
    await states(tab, "succeeded")
