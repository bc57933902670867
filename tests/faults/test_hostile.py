"""Clients that are no tabs: what they get is an error or a close, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.faults import deeds
from tests.faults.clients import User
from tests.faults.world import World
from tests.kit.patience import PATIENCE

SERVERS = ["uvicorn", "daphne"]
MEGABYTE = 1024 * 1024
DISTURBED = 1.0  # seconds that a neighbour may wait for a notification meanwhile


class Rogue:
    """A socket of a signed-in user who says what he likes, and remembers what he is told."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                self.heard.append(json.loads(await self.socket.recv()))

    async def say(self, what: str | bytes | dict[str, Any]) -> None:
        """Nobody minds if the server has closed already."""
        with suppress(ConnectionClosed):
            await self.socket.send(json.dumps(what) if isinstance(what, dict) else what)

    async def is_answered(self, ref: int | None) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while not self.reading.done():
                for frame in self.heard:
                    if frame["type"] in ("ack", "error") and frame["ref"] == ref:
                        return frame
                await asyncio.sleep(0.01)
        raise AssertionError(f"Closed with {self.socket.close_code}; heard {self.heard[-3:]}")

    async def is_closed(self) -> int:
        async with asyncio.timeout(PATIENCE):
            await self.reading
        return self.socket.close_code or 1006

    async def close(self) -> None:
        await self.socket.close()
        await self.reading


async def break_in(address: str, user: User) -> Rogue:
    cookies = "; ".join(f"{name}={value}" for name, value in user.cookies.items())
    socket = await connect(
        f"ws://{address}/notify/ws/",
        origin=f"http://{address}",  # type: ignore[arg-type]
        additional_headers={"Cookie": cookies},
        proxy=None,
        max_size=None,
        close_timeout=1,
        ping_interval=None,
    )
    return Rogue(socket)


class Street:
    """Mallory, and a neighbour with an open tab to whom somebody writes all the time."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def open(self, kind: str) -> None:
        self.web = await self.world.start_web(kind)
        self.sender = await self.world.start_sender()
        self.alice = await self.world.user("alice")
        self.mallory = await self.world.user("mallory")
        self.tab = await self.world.open(self.alice)
        self.own_tab = await self.world.open(self.mallory)
        await self.sender.send(self.alice, "private")
        await self.sender.send(self.mallory, "own")
        await self.own_tab.shows("own")
        await self.tab.shows("private")
        await self.sender.start_load([self.alice], rate=20)

    async def rogue(self) -> Rogue:
        return await break_in(self.web.address, self.mallory)

    async def is_quiet(self) -> None:
        """The neighbour has been shown everything in time, and no row of anybody has a mark."""
        sends = await self.sender.stop_load()
        await self.world.oracle.check([self.tab, self.own_tab])
        assert self.tab.closes == []
        waits = [self.tab.shown_at[sent["text"]] - sent["ended"] for sent in sends]
        assert max(waits) < DISTURBED + 0.2, f"{sorted(waits)[-5:]}\n{self.tab.story()}"
        for user in (self.alice, self.mallory):
            marks = await self.world.clerk.call(f"{deeds.__name__}:marks", user=user.pk)
            assert not any(any(moments) for _, *moments in marks), marks


@pytest.fixture(params=SERVERS)
async def street(request: pytest.FixtureRequest, make_world: Any) -> Street:
    street = Street(await make_world(NOTIFY_SWEEP_INTERVAL=0.1))
    await street.open(request.param)
    return street


async def test_a_megabyte_closes_only_the_socket_that_sent_it(street: Street) -> None:
    """As text, as bytes, and as a valid command that is padded; with a code, not with silence."""
    padded = {"type": "read", "ids": [], "ref": 1, "padding": "x" * (MEGABYTE - 100)}
    for frame in ("x" * MEGABYTE, b"\0" * MEGABYTE, json.dumps(padded)):
        rogue = await street.rogue()
        await rogue.say(frame)
        assert await rogue.is_closed() in (4500, 1009)
    await street.is_quiet()


async def test_more_than_the_server_takes_is_cut_off(street: Street) -> None:
    """
    Two and forty megabytes in one frame: the connection ends, the process does not.

    That is the server's own limit (daphne cuts above one megabyte, without a code).
    """
    for size in (2, 40):
        rogue = await street.rogue()
        await rogue.say(b"x" * (size * MEGABYTE))
        assert await rogue.is_closed()
    await street.is_quiet()


async def test_a_binary_frame_closes_the_socket(street: Street) -> None:
    """Even if it holds a command."""
    rogue = await street.rogue()
    await rogue.say(json.dumps({"type": "read_all", "ref": 1}).encode())
    assert await rogue.is_closed() == 4500
    await street.is_quiet()


WRONG: dict[str, str] = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "not a number": '{"type": "read", "ids": [[NaN, Infinity]], "ref": 1}',
    "deep lists": "[" * 30_000 + "]" * 30_000,
    "deep objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "deep ids": '{"type": "read", "ref": 1, "ids": ' + "[" * 20_000 + "]" * 20_000 + "}",
    "half a surrogate": '{"type": "\\ud800", "ref": 1}',
    "a null byte": '{"type": "read\\u0000", "ref": 1}',
    "no type": '{"ref": 1}',
    "a type that is none": '{"type": "drop table", "ref": 1}',
    "a type of another type": '{"type": {"read": 1}, "ref": 1}',
    "an unhashable type": '{"type": [], "ref": 1}',
    "ids as text": '{"type": "read", "ids": "all", "ref": 1}',
    "ids as an object": '{"type": "read", "ids": {"1": 1}, "ref": 1}',
    "ids without arrived": '{"type": "read", "ids": [1, 2], "ref": 1}',
    "ids of three": '{"type": "read", "ids": [[1, 2, 3]], "ref": 1}',
    "ids as fractions": '{"type": "read", "ids": [[1.5, 2.5]], "ref": 1}',
    "ids as booleans": '{"type": "read", "ids": [[true, true]], "ref": 1}',
    "ids below zero": '{"type": "read", "ids": [[-1, -1]], "ref": 1}',
    "ids beyond any": f'{{"type": "read", "ids": [[{10**30}, {10**30}]], "ref": 1}}',
    "too many digits": f'{{"type": "read", "ids": [[{"9" * 5000}, 1]], "ref": 1}}',
    "too many ids": json.dumps({"type": "read", "ids": [[n, n] for n in range(501)], "ref": 1}),
    "a ref of text": '{"type": "read", "ids": [], "ref": "1"}',
    "a ref below zero": '{"type": "read", "ids": [], "ref": -1}',
    "a cursor that is none": '{"type": "read_all", "cursor": "everything", "ref": 1}',
    "a cursor of another type": '{"type": "read_all", "cursor": 7, "ref": 1}',
    "changes since nonsense": '{"type": "changes", "since": "\'; --", "ref": 1}',
}


async def test_what_is_no_command_is_an_error_and_the_socket_stays(street: Street) -> None:
    """Each is answered with a code and a sentence; a good command after all of them is done."""
    rogue = await street.rogue()
    for name, text in WRONG.items():
        before = len(rogue.heard)
        await rogue.say(text)
        errors: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while not errors:
                assert not rogue.reading.done(), f"{name}: closed with {rogue.socket.close_code}"
                errors = [frame for frame in rogue.heard[before:] if frame["type"] == "error"]
                await asyncio.sleep(0.005)
        assert errors[0]["code"], name
        assert errors[0]["message"], name
        assert errors[0]["ref"] in (None, 1), name
    await rogue.say({"type": "read", "ids": [], "ref": 99})
    assert (await rogue.is_answered(99))["type"] == "ack"
    await rogue.close()
    await street.is_quiet()


async def test_over_http_the_same_is_an_error_too(street: Street) -> None:
    """400 with a code and a sentence; never a page, never 500."""
    async with httpx.AsyncClient(
        base_url=f"http://{street.web.address}", cookies=street.mallory.cookies, trust_env=False
    ) as rogue:
        headers = {"X-CSRFToken": street.mallory.cookies["csrftoken"]}

        async def post(body: str | bytes) -> httpx.Response:
            return await rogue.post("/notify/commands/", content=body, headers=headers)

        bodies = {
            **WRONG,
            "bytes": b"\xff\xfe\0",
            "long": "x" * MEGABYTE,
            "longer": "x" * 4 * MEGABYTE,
        }
        for name, body in bodies.items():
            answer = await post(body)
            assert answer.status_code == 400, f"{name}: {answer.status_code}"
            assert answer.json()["type"] == "error", name
        for since in ("", "%00", "a" * 7000, "0" * 17 + ":-1", "..%2f..%2f", "'%20OR%201=1--"):
            answer = await rogue.get(f"/notify/changes/?since={since}")
            assert answer.status_code == (400 if since else 200), since
        assert (await rogue.post("/notify/commands/", content="{}")).status_code == 403
        for method in ("PUT", "DELETE", "PATCH"):
            assert (await rogue.request(method, "/notify/changes/")).status_code in (403, 405)
    await street.is_quiet()


async def test_ids_of_others_are_not_touched(street: Street) -> None:
    """Every mark, on every id there is, over the socket and by POST; all are answered as usual."""
    clerk = street.world.clerk
    ids = await clerk.call(f"{deeds.__name__}:ids", user=street.alice.pk)
    stolen = [[pk, 2**53 - 1] for pk in ids[:100]]
    cursor = str(street.tab.cursor)
    assert stolen
    commands = [
        *({"type": kind, "ids": stolen} for kind in ("seen", "read", "archived", "dismissed")),
        *({"type": kind, "cursor": cursor, "ids": stolen} for kind in ("seen_all", "read_all")),
    ]
    rogue = await street.rogue()
    for ref, command in enumerate(commands):
        await rogue.say({**command, "ref": ref})
        assert (await rogue.is_answered(ref))["type"] == "ack", command
    async with httpx.AsyncClient(
        base_url=f"http://{street.web.address}", cookies=street.mallory.cookies, trust_env=False
    ) as browser:
        headers = {"X-CSRFToken": street.mallory.cookies["csrftoken"]}
        for command in commands:
            answer = await browser.post("/notify/commands/", json=command, headers=headers)
            assert answer.status_code == 200
            assert answer.json()["type"] == "ack"
    await rogue.close()
    await street.is_quiet()


@pytest.mark.parametrize("kind", ["marks", "questions", "pings", "nonsense"])
async def test_a_thousand_commands_a_second_disturb_nobody(street: Street, kind: str) -> None:
    """Three seconds of it: each is answered, or refused with a code; the neighbour's tab goes on."""
    documents = {
        "marks": {"type": "read", "ids": []},
        "questions": {"type": "changes", "since": None},
        "pings": {"type": "ping", "cursor": None},
        "nonsense": {"type": "nonsense"},
    }
    rogue = await street.rogue()
    started = time.monotonic()
    said = 0
    while (now := time.monotonic() - started) < 3 and not rogue.reading.done():
        while said < now * 1000:
            await rogue.say({**documents[kind], "ref": said})
            said += 1
        await asyncio.sleep(0.005)
    after = await street.rogue()
    await after.say({"type": "read", "ids": [], "ref": 1})
    await after.is_answered(1)
    await rogue.close()
    await after.close()
    told = Counter(frame.get("code", frame["type"]) for frame in rogue.heard)
    print(f"{kind}: {said} said, {dict(told)} heard, closed with {rogue.socket.close_code}")
    assert said > 100
    await street.is_quiet()


async def test_a_client_that_asks_and_never_reads_is_cut_and_nobody_waits(street: Street) -> None:
    """Its answers pile up only so far; then it is told to come back, or cut."""
    rogue = await street.rogue()
    rogue.reading.cancel()
    with suppress(asyncio.CancelledError):
        await rogue.reading
    rogue.socket.transport.pause_reading()
    with suppress(ConnectionClosed, TimeoutError):
        async with asyncio.timeout(5):
            for ref in range(200_000):
                await rogue.socket.send(json.dumps({"type": "ping", "cursor": None, "ref": ref}))
                if ref % 20 == 0:
                    await asyncio.sleep(0.001)  # the neighbour's tab lives in this process too
    rogue.socket.transport.abort()
    await street.is_quiet()


async def test_half_a_handshake_holds_nobody_up(street: Street) -> None:
    """A hundred that connect and say nothing, or half a line, or not HTTP at all."""
    host, _, port = street.web.address.partition(":")
    openings = [
        b"",
        b"GET /notify/ws/ HT",
        b"\x16\x03\x01\x02\x00",
        b"GET /notify/ws/ HTTP/1.1\r\n",
    ]
    ends = [await asyncio.open_connection(host, int(port)) for _ in range(100)]
    for number, (_, writer) in enumerate(ends):
        writer.write(openings[number % len(openings)])
    late = await street.rogue()
    await late.say({"type": "read", "ids": [], "ref": 1})
    assert (await late.is_answered(1))["type"] == "ack"
    await late.close()
    for _, writer in ends:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    await street.is_quiet()
