"""The effect of the reference configuration of nginx, and how nginx behaves without it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.kit import servers
from tests.kit.proxies.visitor import Visitor

KINDS = {
    "http": ("http.conf", False),
    "https": ("https.conf", False),
    "plain": ("plain.conf", False),
    "plain-https": ("plain.conf", True),
}


@pytest.fixture(params=KINDS)
def nginx(request: pytest.FixtureRequest, web: servers.Web) -> Iterator[servers.Nginx]:
    servers.need(servers.Nginx.check)
    site, secure = KINDS[request.param]
    with servers.Nginx(site, web.address, secure=secure) as nginx:
        yield nginx


reference = pytest.mark.parametrize("nginx", ["http", "https"], indirect=True)
plain = pytest.mark.parametrize("nginx", ["plain", "plain-https"], indirect=True)


async def test_a_stream_passes_event_by_event(nginx: servers.Nginx):
    """X-Accel-Buffering achieves this even without the reference configuration."""
    async with Visitor(nginx.url) as visitor, visitor.stream() as stream:
        assert await stream.read() == "data: hello\n\n"
        for text in ("one", "two"):
            await visitor.publish(text)
            assert await stream.read() == f"data: {text}\n\n"


@reference
async def test_a_websocket_passes(nginx: servers.Nginx):
    async with Visitor(nginx.url) as visitor, visitor.socket() as socket:
        await socket.send("Hello")
        assert await socket.recv() == "Hello"


@plain
async def test_a_plain_site_has_no_websocket(nginx: servers.Nginx):
    """nginx does not forward the upgrade, so the site receives an ordinary request over HTTP/1.0."""
    async with Visitor(nginx.url) as visitor:
        with pytest.raises(InvalidStatus):
            await visitor.socket()
        assert "http: 1.0\n" in await visitor.head()


async def test_the_site_is_told_who_was_asked_for(nginx: servers.Nginx):
    async with Visitor(nginx.url) as visitor:
        lines = (await visitor.head()).splitlines()
    assert f"host: {nginx.address}" in lines
    assert f"x-forwarded-proto: {'https' if nginx.secure else 'http'}" in lines
    assert not [line for line in lines if line.startswith("upgrade")]


async def test_over_tls_it_speaks_http_2(nginx: servers.Nginx):
    curl = servers.need(lambda: servers.find_program("curl", package="curl"))
    command = [curl, "-sk", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_version}", nginx.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ("2" if nginx.secure else "1.1")
