"""
The wire in use by clients without knowledge of notify: curl, Python's websockets, and npm's
eventsource.

They must get along with what docs/reference/protocol.md says.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from django.conf import settings as django_settings
from django.test import Client
from websockets.asyncio.client import connect

from notify import asend
from tests.conformance.conftest import SERVERS, cookies_of
from tests.faults.proxy import Proxy
from tests.kit import schema, servers
from tests.kit.fakes import Reader, close_connections
from tests.kit.patience import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "x" * 32  # a client may choose its own, as Django only compares the cookie with the header
CLIENT = servers.PROJECT / "client"


@pytest.fixture(params=SERVERS)
async def server(
    request: pytest.FixtureRequest, settings: Any, web: Callable[[str], servers.Web]
) -> AsyncIterator[servers.Web]:
    """Each server in turn, rung by this process or finding changes by its sweep."""
    settings.CHANNEL_LAYERS = {}
    if request.param.endswith("-rings"):
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [request.getfixturevalue("redis_server").url]},
            }
        }
    yield web(request.param)
    await close_connections()


# -- curl ----------------------------------------------------------------------------------------


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    document: dict[str, Any] | None


class Curl:
    """curl in a terminal, signed in as a user or anonymous."""

    def __init__(self, url: str, cookies: dict[str, str]) -> None:
        self.url = f"{url}/notify/"
        program = servers.need(lambda: servers.find_program("curl", package="curl"))
        jar = "; ".join(f"{name}={value}" for name, value in {**cookies, **csrf()}.items())
        self.start = [program, "-sS", "--noproxy", "*", "--cookie", jar]

    async def __call__(self, path: str, *options: str) -> Answer:
        process = await asyncio.create_subprocess_exec(
            *self.start, "-i", *options, self.url + path, stdout=subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        head, _, body = output.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        status = int(first.split()[1])
        is_ours = body and headers["content-type"] == "application/json"
        return Answer(status, headers, schema.from_server(body) if is_ours else None)

    @asynccontextmanager
    async def stream(self, path: str, *options: str) -> AsyncIterator[Events]:
        process = await asyncio.create_subprocess_exec(
            *self.start, "-N", *options, self.url + path, stdout=subprocess.PIPE
        )
        assert process.stdout
        yield Events(process.stdout)
        if process.returncode is None:
            process.kill()
        await process.wait()


class Events:
    """A reader of server-sent events, as the standard defines them."""

    def __init__(self, output: asyncio.StreamReader) -> None:
        self.output = output
        self.retry = 0
        self.last_id = ""

    async def next(self) -> tuple[str, dict[str, Any]]:
        """Returns the name of the next event, and its document."""
        async with asyncio.timeout(PATIENCE):
            fields: dict[str, str] = {}
            while True:
                line = (await self.output.readline()).decode()
                assert line, "The stream has ended."
                if line != "\n":
                    name, _, value = line.rstrip("\n").partition(": ")
                    fields[name] = value
                    continue
                self.retry = int(fields.get("retry", self.retry))
                self.last_id = fields.get("id", self.last_id)
                if "data" in fields:
                    return fields.get("event", "message"), schema.from_server(fields["data"])
                fields = {}


def csrf() -> dict[str, str]:
    return {django_settings.CSRF_COOKIE_NAME: TOKEN}


def texts(document: Any) -> list[str]:
    return [row["message"] for row in document["notifications"]]


@pytest.fixture
def curl(server: servers.Web, browser: Client) -> Curl:
    return Curl(server.url, cookies_of(browser))


async def test_curl_polls(curl: Curl, user: Any):
    await asend(user, "one")
    first = await curl("changes/")
    assert (first.status, first.document and first.document["reset"]) == (200, True)
    assert "no-store" in first.headers["cache-control"]
    assert texts(first.document) == ["one"]
    since = f"changes/?since={first.document['cursor']}"
    assert (await curl(since)).status == 204
    await asend(user, "two")
    second = await curl(since)
    assert texts(second.document) == ["two"]
    assert second.document["since"] == first.document["cursor"]
    assert (await curl("changes/?since=44")).document["code"] == "bad_cursor"


async def test_curl_waits(curl: Curl, user: Any):
    """The answer arrives with the news, long before the time is over, or else at the end of the time."""
    await asend(user, "one")
    first = await curl("changes/?wait=20")
    assert texts(first.document) == ["one"]
    since = f"changes/?since={first.document['cursor']}&wait="
    assert (await curl(f"{since}0.2")).status == 204
    held = asyncio.create_task(curl(f"{since}20"))
    await asyncio.sleep(0.3)
    assert not held.done()
    await asend(user, "two")
    second = await held
    assert (second.status, texts(second.document)) == (200, ["two"])
    assert "retry-after" not in second.headers
    wrong = await curl(f"{since}soon")
    assert (wrong.status, wrong.document["code"]) == (400, "bad_wait")


async def test_curl_streams(curl: Curl, user: Any):
    """The stream continues after the last event id."""
    await asend(user, "one")
    async with curl.stream("stream/") as events:
        name, welcome = await events.next()
        assert (name, welcome["type"], welcome["version"]) == ("message", "welcome", 1)
        assert welcome["changes"]["cursor"] == events.last_id
        assert 1000 <= events.retry <= 5000
        await asend(user, "two")
        name, changes = await events.next()
        assert (name, texts(changes)) == ("message", ["two"])
        assert changes["cursor"] == events.last_id
    await asend(user, "three")
    last = f"Last-Event-ID: {events.last_id}"
    # The URL still contains an older cursor, as in a browser's reconnect.
    old = welcome["changes"]["cursor"]
    async with curl.stream(f"stream/?since={old}", "-H", last) as again:
        _, welcome = await again.next()
        assert welcome["changes"]["since"] == events.last_id
        assert texts(welcome["changes"]) == ["three"]


async def test_the_head_of_a_stream_keeps_proxies_off(curl: Curl):
    async with curl.stream("stream/", "-i") as events:
        head = {}
        while (line := (await events.output.readline()).decode().rstrip("\r\n")) != "":
            name, _, value = line.partition(": ")
            head[name.lower()] = value
    assert head["content-type"] == "text/event-stream; charset=utf-8"
    assert head["x-accel-buffering"] == "no"
    assert head["content-encoding"] == "identity"
    assert head["x-content-type-options"] == "nosniff"
    assert head["vary"] == "Cookie"
    caching = set(head["cache-control"].split(", "))
    assert caching == {"no-cache", "no-store", "no-transform", "private"}


async def test_curl_commands(curl: Curl, user: Any):
    await asend(user, "one")
    first = (await curl("changes/")).document
    row = first["notifications"][0]
    command = {"type": "read", "ids": [[row["id"], row["arrived"]]], "ref": 7}
    data = ("--json", json.dumps(command))
    assert (await curl("commands/", *data)).status == 403
    done = await curl("commands/", *data, "-H", f"X-CSRFToken: {TOKEN}")
    assert (done.status, done.document["type"], done.document["ref"]) == (200, "ack", 7)
    after = (await curl(f"changes/?since={first['cursor']}")).document
    assert after["cursor"] == done.document["cursor"]
    assert after["notifications"][0]["read_at"]
    wrong = await curl("commands/", "--json", "{}", "-H", f"X-CSRFToken: {TOKEN}")
    assert (wrong.status, wrong.document["type"]) == (400, "error")


@pytest.mark.parametrize("path", ["changes/", "changes/?wait=5", "stream/", "commands/"])
async def test_curl_is_told_that_nobody_is_signed_in(server: servers.Web, path: str):
    curl = Curl(server.url, {})
    options = ("--json", "{}", "-H", f"X-CSRFToken: {TOKEN}") if path == "commands/" else ()
    answer = await curl(path, *options)
    assert (answer.status, answer.document["code"]) == (401, "not_signed_in")


@pytest.mark.parametrize("path", ["changes/?wait=5", "stream/"])
@pytest.mark.parametrize("header", ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site"])
async def test_a_page_of_another_site_is_refused(curl: Curl, path: str, header: str):
    answer = await curl(path, "-H", header)
    assert (answer.status, answer.document["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize("site", ["http.conf", "plain.conf"])
async def test_curl_is_told_at_once_behind_nginx(
    server: servers.Web, browser: Client, user: Any, site: str
):
    """On every server, over HTTP/1.1, and over HTTP/1.0 through an nginx without our configuration."""
    servers.need(servers.Nginx.check)
    # The first send to a user creates the mailbox, which a sweep may find while it is still empty.
    await asend(user, "one")
    with servers.Nginx(site, server.address) as nginx:
        curl = Curl(nginx.url, cookies_of(browser))
        async with curl.stream("stream/") as events:
            _, welcome = await events.next()
            assert texts(welcome["changes"]) == ["one"]
            await asend(user, "two")
            _, changes = await events.next()
            assert texts(changes) == ["two"]
        since = f"changes/?since={changes['cursor']}&wait=20"
        held = asyncio.create_task(curl(since))
        await asend(user, "three")
        assert texts((await held).document) == ["three"]


# -- websockets ----------------------------------------------------------------------------------


async def test_websockets_talks(server: servers.Web, browser: Client, user: Any):
    await asend(user, "one")
    cookie = "; ".join(f"{name}={value}" for name, value in cookies_of(browser).items())
    url = f"{server.url.replace('http', 'ws')}/notify/ws/"
    async with connect(url, additional_headers={"Cookie": cookie}, proxy=None) as socket:

        async def ask(command: dict[str, Any], kind: str) -> Any:
            """Returns the first answer of this type. Changes may arrive before it."""
            await socket.send(json.dumps(command))
            async with asyncio.timeout(PATIENCE):
                while (document := schema.from_server(await socket.recv()))["type"] != kind:
                    assert document["type"] == "changes"
                return document

        welcome = schema.from_server(await socket.recv())
        row = welcome["changes"]["notifications"][0]
        assert (welcome["type"], row["message"]) == ("welcome", "one")
        pong = await ask({"type": "ping", "ref": 1}, "pong")
        assert pong == {"type": "pong", "cursor": welcome["changes"]["cursor"], "ref": 1}
        ack = await ask({"type": "seen", "ids": [[row["id"], row["arrived"]]], "ref": 2}, "ack")
        assert ack["ref"] == 2
        assert (await ask({"type": "nonsense", "ref": 3}, "error"))["code"] == "bad_command"
        again = {"type": "changes", "since": welcome["changes"]["cursor"], "ref": 4}
        changes = await ask(again, "changes")
        assert changes["notifications"][0]["seen_at"]


# -- npm's eventsource ---------------------------------------------------------------------------


def find_eventsource() -> str:
    """Returns Node, and the package beside notify's client."""
    node = servers.find_program("node", package="nodejs")
    if not (CLIENT / "node_modules" / "eventsource").is_dir():
        raise servers.MissingProgram("The npm package eventsource is missing: cd client && npm ci")
    return node


async def test_eventsource_comes_back_by_itself(server: servers.Web, browser: Client, user: Any):
    """The last event id bridges a cut: nothing is lost, and nothing arrives twice."""
    node = servers.need(find_eventsource)
    cookie = "; ".join(f"{name}={value}" for name, value in cookies_of(browser).items())
    reader = Reader()
    with Proxy(server.address) as link:
        url = f"http://{link.address}/notify/stream/"
        script = CLIENT / "test" / "eventsource.js"
        process = await asyncio.create_subprocess_exec(
            node, str(script), url, cookie, stdout=subprocess.PIPE
        )
        assert process.stdout

        async def hear() -> tuple[str, str, Any]:
            assert process.stdout
            line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
            event = json.loads(line)
            document = schema.from_server(event["data"]) if event.get("data") else None
            if document is not None:
                reader.take_frame(document)
                assert event["id"] == str(reader.cursor)
            return event["type"], event.get("id", ""), document

        try:
            await asend(user, "one")
            assert (await hear())[0] == "open"
            assert (await hear())[2]["type"] == "welcome"
            await asend(user, "two")
            while reader.shown != ["one", "two"]:
                await hear()
            last = str(reader.cursor)
            link.cut()
            assert (await hear())[0] == "error"
            await asend(user, "three")
            assert (await hear())[0] == "open"
            _, _, welcome = await hear()
            assert welcome["type"] == "welcome"
            assert welcome["changes"]["since"] == last
            assert reader.shown == ["one", "two", "three"]
        finally:
            process.kill()
            await process.wait()
    assert reader.resets == 1
