"""A reader takes all frames from the server, and holds only so many."""

from __future__ import annotations

import asyncio

import pytest

from notify.live import limits
from notify.protocol import Mark
from notify.transports.frames import Backlog, FrameReader
from notify.transports.parser import MarkCommand
from tests.kit.fakes import settle, until


class Server:
    """The receiving half of a server that queues without bound, as daphne does."""

    def __init__(self):
        self.queue = asyncio.Queue()
        self.reader = FrameReader(self.queue.get)

    def send(self, text):
        self.queue.put_nowait({"type": "websocket.receive", "text": text})

    def disconnect(self):
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1001})


@pytest.fixture
async def server():
    server = Server()
    yield server
    await server.reader.close()


async def test_frames_are_kept_until_it_is_open_and_then_handed_over_at_once(server):
    taken = []
    for text in ("one", "two"):
        server.send(text)
    await until(server.queue.empty)
    server.reader.open(taken.append)
    assert taken == ["one", "two"]
    assert server.reader._kept == []
    server.send("three")
    server.queue.put_nowait({"type": "websocket.receive", "bytes": b"x"})
    await until(lambda: taken == ["one", "two", "three", None])


@pytest.mark.parametrize(("text", "fits"), [("x", 200), ("x" * 2048, 100), ("x" * 1024 * 1024, 0)])
async def test_what_is_kept_has_a_bound(server, text, fits):
    """Beyond it, nothing is kept but a frame that closes the socket."""
    for _ in range(fits):
        server.send(text)
    await until(server.queue.empty)
    assert server.reader._kept == [text] * fits
    server.send(text)
    await until(server.queue.empty)
    assert server.reader._kept == [None]
    for _ in range(1000):
        server.send(text)
    await until(server.queue.empty)
    assert server.reader._kept == [None]


async def test_a_flood_leaves_the_event_loop_to_others(server):
    """A server whose queue is never empty does not make the reader wait, so it gives way by itself."""
    taken = []
    server.reader.open(taken.append)
    for _ in range(100):
        server.send("x")
    for _ in range(10):
        await asyncio.sleep(0)
    assert 0 < len(taken) <= 10
    await until(lambda: len(taken) == 100)


async def test_it_ends_with_the_client(server):
    assert not server.reader.is_gone
    server.disconnect()
    await server.reader.ended()
    assert server.reader.is_gone


async def test_who_waits_for_the_end_may_stop_waiting(server):
    """The reader goes on."""
    waiting = asyncio.ensure_future(server.reader.ended())
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    server.disconnect()
    await server.reader.ended()
    assert server.reader.is_gone


async def test_an_error_of_the_server_is_passed_on():
    async def receive():
        raise ZeroDivisionError

    reader = FrameReader(receive)
    with pytest.raises(ZeroDivisionError):
        await reader.ended()
    await reader.close()


async def test_a_closed_one_receives_no_more(server):
    await server.reader.close()
    server.send("one")
    await settle()
    assert server.queue.qsize() == 1
    assert not server.reader.is_gone


# -- The backlog ---------------------------------------------------------------------------------


def command(ref):
    return MarkCommand(Mark.READ, (), None, ref)


async def test_commands_are_taken_in_order():
    backlog = Backlog()
    waiting = asyncio.ensure_future(backlog.next())
    await settle()
    assert not waiting.done()
    for ref in (1, 2, 3):
        assert backlog.add(command(ref), 1)
    assert [(await waiting).ref, (await backlog.next()).ref, (await backlog.next()).ref] == [
        1,
        2,
        3,
    ]
    waiting = asyncio.ensure_future(backlog.next())
    await settle()
    assert not waiting.done()
    backlog.add(command(4), 1)
    assert (await waiting).ref == 4


async def test_only_so_much_may_wait():
    backlog = Backlog()
    assert backlog.add(command(1), 2 * limits.COMMAND_BURST - 1)
    assert not backlog.add(command(2), 2)
    assert backlog.add(command(3), 1)
    assert not backlog.add(command(4), 1)
    await backlog.next()
    assert backlog.add(command(5), 2 * limits.COMMAND_BURST - 1)
