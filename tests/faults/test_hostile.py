"""Clients that misbehave get an error or a close, and no other client is affected."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.faults import deeds, seconds
from tests.faults.street import SERVERS, Street
from tests.kit.patience import PATIENCE

MEGABYTE = 1024 * 1024


@pytest.fixture(params=SERVERS)
async def street(request: pytest.FixtureRequest, make_world: Any) -> Street:
    street = Street(await make_world(NOTIFY_SWEEP_INTERVAL=0.1))
    await street.open(request.param)
    return street


async def test_a_megabyte_closes_only_the_socket_that_sent_it(street: Street) -> None:
    """It is sent as text, as bytes, and as a padded valid command. The close has a code."""
    padded = {"type": "read", "ids": [], "ref": 1, "padding": "x" * (MEGABYTE - 100)}
    for frame in ("x" * MEGABYTE, b"\0" * MEGABYTE, json.dumps(padded)):
        rogue = await street.rogue()
        await rogue.say(frame)
        assert await rogue.is_closed() in (4500, 1009)
    await street.is_quiet()


async def test_more_than_the_server_takes_is_cut_off(street: Street) -> None:
    """
    Two and forty megabytes in one frame end the connection, but not the process.

    The limit is the server's own (daphne cuts above one megabyte, without a code).
    """
    for size in (2, 40):
        rogue = await street.rogue()
        await rogue.say(b"x" * (size * MEGABYTE))
        assert await rogue.is_closed()
    await street.is_quiet()


async def test_a_binary_frame_closes_the_socket(street: Street) -> None:
    """This holds even if it contains a command."""
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
    """Each is answered with a code and a sentence. A valid command after them is executed."""
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
    """The answer is 400 with a code and a sentence, and never a page or a 500."""
    async with httpx.AsyncClient(
        base_url=f"http://{street.web.address}",
        cookies=street.mallory.cookies,
        timeout=PATIENCE,
        trust_env=False,
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
    """
    Every mark is sent for every existing id, over the socket and by POST. It is answered as usual, or,
    with a cursor of that other mailbox, as stale.
    """
    clerk = street.world.clerk
    ids = await clerk.call(f"{deeds.__name__}:ids", user=street.alice.pk)
    stolen = [[pk, 2**53 - 1] for pk in ids[:100]]
    cursor = str(street.tab.cursor)
    assert stolen
    commands = [
        *({"type": kind, "ids": stolen} for kind in ("seen", "read", "archived", "dismissed")),
        *({"type": kind, "cursor": cursor, "ids": stolen} for kind in ("seen_all", "read_all")),
    ]

    def outcome(command: dict[str, Any]) -> str:
        return "stale" if "cursor" in command else "ack"

    rogue = await street.rogue()
    for ref, command in enumerate(commands):
        await rogue.say({**command, "ref": ref})
        answer = await rogue.is_answered(ref)
        assert answer.get("code", answer["type"]) == outcome(command), command
    async with street.browser() as browser:
        for command in commands:
            answer = await browser.post("/notify/commands/", json=command)
            assert answer.status_code == (409 if "cursor" in command else 200)
            assert answer.json().get("code", answer.json()["type"]) == outcome(command)
    await rogue.close()
    await street.is_quiet()


@pytest.mark.parametrize("kind", ["marks", "questions", "pings", "nonsense"])
async def test_a_thousand_commands_a_second_disturb_nobody(street: Street, kind: str) -> None:
    """Each is answered, or refused with a code. The neighbour's tab is not affected."""
    documents = {
        "marks": {"type": "read", "ids": []},
        "questions": {"type": "changes", "since": None},
        "pings": {"type": "ping", "cursor": None},
        "nonsense": {"type": "nonsense"},
    }
    rogue = await street.rogue()
    lasts = seconds(3, 1)
    started = time.monotonic()
    said = 0
    while (now := time.monotonic() - started) < lasts and not rogue.reading.done():
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
    """Its answers are buffered only up to a limit. Then it is told to come back, or cut."""
    rogue = await street.rogue()
    rogue.reading.cancel()
    with suppress(asyncio.CancelledError):
        await rogue.reading
    rogue.socket.transport.pause_reading()
    with suppress(ConnectionClosed, TimeoutError):
        async with asyncio.timeout(seconds(5, 2)):
            for ref in range(200_000):
                await rogue.socket.send(json.dumps({"type": "ping", "cursor": None, "ref": ref}))
                if ref % 20 == 0:
                    await asyncio.sleep(0.001)  # the neighbour's tab lives in this process too
    rogue.socket.transport.abort()
    await street.is_quiet()


async def test_half_a_handshake_holds_nobody_up(street: Street) -> None:
    """A hundred clients connect, and send nothing, half a line, or something other than HTTP."""
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
