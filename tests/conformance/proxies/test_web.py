"""The hostile proxy, in front of a site without any code of notify."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.faults import at_most
from tests.kit import servers
from tests.kit.patience import PATIENCE
from tests.kit.proxies.visitor import SILENCE, Visitor
from tests.kit.proxies.web import WebProxy


@pytest.fixture
def proxy(web: servers.Web) -> Iterator[WebProxy]:
    with WebProxy(web.address) as proxy:
        yield proxy


@pytest.fixture
async def visitor(proxy: WebProxy) -> AsyncIterator[Visitor]:
    async with Visitor(f"http://{proxy.address}") as visitor:
        yield visitor


async def test_an_honest_proxy_passes_everything_as_it_comes(proxy: WebProxy, visitor: Visitor):
    """Each request has its own connection. A stream passes event by event, and a WebSocket both ways."""
    assert "connection: close" in await visitor.head()
    async with visitor.stream() as stream:
        assert await stream.read() == "data: hello\n\n"
        assert await visitor.publish("one") == 1
        assert await stream.read() == "data: one\n\n"
        await visitor.publish("")
        assert await stream.read() is None
    async with visitor.socket() as socket:
        await socket.send("Hello")
        assert await socket.recv() == "Hello"
    assert proxy.requests[:2] == ["GET /notify/head/ HTTP/1.1", "GET /notify/stream/ HTTP/1.1"]


async def test_a_client_that_leaves_leaves_the_site_too(visitor: Visitor):
    async with visitor.stream() as stream:
        await stream.read()
    async with asyncio.timeout(PATIENCE):
        while await visitor.publish("anybody?"):
            pass


async def test_an_upgrade_is_refused_and_the_rest_is_not(proxy: WebProxy, visitor: Visitor):
    proxy.refuse_upgrades()
    with pytest.raises(InvalidStatus, match="403"):
        await visitor.socket()
    assert await visitor.head()
    proxy.heal()
    async with visitor.socket() as socket:
        await socket.send("Hello")
        assert await socket.recv() == "Hello"


async def test_frames_are_swallowed_after_the_handshake(proxy: WebProxy, visitor: Visitor):
    """The socket opens, but no frame arrives. Healing the proxy resets it, because its frames have a gap."""
    proxy.swallow_frames()
    socket = await visitor.socket()
    await socket.send("Hello")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(socket.recv(), SILENCE)
    assert await visitor.head()
    proxy.heal()
    with pytest.raises(ConnectionClosed):
        await socket.recv()


async def test_a_stream_is_collected_until_it_ends(proxy: WebProxy, visitor: Visitor):
    """Its head arrives at once, so it looks open. A body with a length is forwarded at once."""
    proxy.collect()
    async with visitor.stream() as stream:
        assert stream.answer.status_code == 200
        await visitor.publish("one")
        assert await stream.is_silent()
        await visitor.publish("")
        pieces = [await stream.read() for _ in range(3)]
        assert pieces == ["data: hello\n\n", "data: one\n\n", None]
    assert await visitor.head()


async def test_a_silent_connection_is_cut_and_a_busy_one_is_not(proxy: WebProxy, visitor: Visitor):
    proxy.cut_idle(1.0)
    async with visitor.socket() as socket:
        began = time.monotonic()
        while time.monotonic() < began + 2:
            await asyncio.sleep(0.2)
            last = time.monotonic()
            await socket.send("I am here")
            assert await socket.recv() == "I am here"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert time.monotonic() - last >= 1.0
        assert proxy.cuts == 1


async def test_it_answers_by_itself_for_a_while(proxy: WebProxy, visitor: Visitor):
    proxy.answer(502, below="/notify/")
    assert (await visitor.http.get("/notify/head/")).status_code == 502
    assert (await visitor.http.get("/head/")).status_code == 200
    with pytest.raises(InvalidStatus, match="502"):
        await visitor.socket()
    proxy.heal()
    assert await visitor.head()


async def test_a_delay_is_felt_once_on_each_way(proxy: WebProxy, visitor: Visitor):
    proxy.delay(up=0.3, down=0.3)
    began = time.monotonic()
    async with visitor.stream() as stream:
        assert await stream.read() == "data: hello\n\n"
    assert 0.6 <= time.monotonic() - began < at_most(3)


async def test_a_server_that_is_away_is_a_502(web: servers.Web):
    with WebProxy("127.0.0.1:1") as proxy:
        async with Visitor(f"http://{proxy.address}") as visitor:
            assert (await visitor.http.get("/")).status_code == 502
