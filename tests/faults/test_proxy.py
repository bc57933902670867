"""The breakable link, in front of an echo server without any code of notify."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.faults import at_most
from tests.faults.proxy import Proxy
from tests.kit.fakes import until
from tests.kit.patience import PATIENCE


class Echo:
    """A server that sends its name, and then echoes everything."""

    def __init__(self, name: bytes = b"") -> None:
        self.name = name
        self.heard = b""
        self.cut = 0  # connections that ended without an orderly close
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.loop = asyncio.get_running_loop()
        self.tasks = {self.loop.create_task(self._accept())}

    async def _accept(self) -> None:
        while True:
            end, _ = await self.loop.sock_accept(self.listener)
            self.tasks.add(self.loop.create_task(self._serve(end)))

    async def _serve(self, end: socket.socket) -> None:
        with end:
            try:
                await self.loop.sock_sendall(end, self.name)
                while chunk := await self.loop.sock_recv(end, 65536):
                    self.heard += chunk
                    await self.loop.sock_sendall(end, chunk)
            except ConnectionError:
                self.cut += 1

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.listener.close()


class End:
    """The client's end of one connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.loop = asyncio.get_running_loop()

    async def say(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.socket, data)

    async def hear(self, size: int) -> bytes:
        heard = b""
        async with asyncio.timeout(PATIENCE):
            while len(heard) < size:
                chunk = await self.loop.sock_recv(self.socket, size - len(heard))
                assert chunk, f"The connection ended after {heard!r}."
                heard += chunk
        return heard

    async def echoes(self, data: bytes) -> bool:
        """Returns whether the data comes back. Both directions work at once, as there may be much of it."""
        _, heard = await asyncio.gather(self.say(data), self.hear(len(data)))
        return heard == data

    async def is_silent(self, seconds: float = 0.2) -> bool:
        """Returns whether no data arrives for that long."""
        try:
            async with asyncio.timeout(seconds):
                await self.loop.sock_recv(self.socket, 1)
        except TimeoutError:
            return True
        return False

    async def is_reset(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                await self.loop.sock_recv(self.socket, 1)
        except ConnectionResetError:
            return True
        return False


Connect = Callable[[Proxy], End]


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    yield echo
    await echo.close()


@pytest.fixture
def link(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.address) as proxy:
        yield proxy


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Returns a function that connects a client through a link."""
    ends = []

    def connect(link: Proxy) -> End:
        ends.append(End(link.port))
        return ends[-1]

    yield connect
    for end in ends:
        end.socket.close()


async def test_a_healthy_link_passes_everything_in_order(link: Proxy, connect: Connect) -> None:
    """Three megabytes come back unchanged, and both directions are counted."""
    data = bytes(range(256)) * 12_000
    assert await connect(link).echoes(data)
    await until(lambda: (link.up.passed, link.down.passed) == (len(data), len(data)))


async def test_the_end_of_a_stream_passes_too(link: Proxy, connect: Connect) -> None:
    """An orderly close of the client is answered, and its connection is forgotten."""
    end = connect(link)
    await end.say(b"bye")
    end.socket.shutdown(socket.SHUT_WR)
    assert await end.hear(3) == b"bye"
    assert await end.loop.sock_recv(end.socket, 1) == b""
    await until(lambda: link.connections == 0)


async def test_a_cut_resets_both_ends_now(link: Proxy, echo: Echo, connect: Connect) -> None:
    """All connections are dead at once, and a new one works."""
    ends = [connect(link) for _ in range(3)]
    for end in ends:
        assert await end.echoes(b"x")
    link.cut()
    assert [await end.is_reset() for end in ends] == [True] * 3
    await until(lambda: echo.cut == 3 and link.connections == 0)
    assert await connect(link).echoes(b"y")


async def test_a_refused_connection_is_reset_and_the_others_stand(
    link: Proxy, connect: Connect
) -> None:
    """New connections are reset until the link heals."""
    standing = connect(link)
    assert await standing.echoes(b"x")
    link.refuse()
    assert await connect(link).is_reset()
    assert link.refused == 1
    assert await standing.echoes(b"y")
    link.heal()
    assert await connect(link).echoes(b"z")


async def test_what_is_held_comes_later_and_whole(link: Proxy, connect: Connect) -> None:
    """Nothing passes, and nothing is lost."""
    end = connect(link)
    link.hold()
    await end.say(b"late")
    assert await end.is_silent()
    link.heal()
    assert await end.hear(4) == b"late"


async def test_one_direction_can_be_swallowed(link: Proxy, echo: Echo, connect: Connect) -> None:
    """The server receives, but the client does not. After healing, a stream with a gap is reset."""
    end = connect(link)
    link.swallow(up=False, down=True)
    await end.say(b"hello")
    await until(lambda: echo.heard == b"hello")
    assert await end.is_silent()
    link.heal()
    assert await end.is_reset()


async def test_swallowed_both_ways_it_accepts_and_says_nothing(
    link: Proxy, echo: Echo, connect: Connect
) -> None:
    """As with a server that hangs, connecting works, but nothing else."""
    link.swallow()
    end = connect(link)
    await end.say(b"hello?")
    assert await end.is_silent()
    assert echo.heard == b""


async def test_a_throttled_direction_passes_so_many_bytes_a_second(
    link: Proxy, connect: Connect
) -> None:
    """Each connection has the rate for itself. Without the throttle, it is fast again."""
    link.throttle(down=2000)
    ends = [connect(link) for _ in range(2)]
    started = time.monotonic()
    assert all(await asyncio.gather(*(end.echoes(b"x" * 1000) for end in ends)))
    assert 0.3 < time.monotonic() - started < at_most(2)
    link.throttle()
    assert await ends[0].echoes(b"y" * 100_000)


async def test_delay_is_a_way_not_a_queue(link: Proxy, connect: Connect) -> None:
    """A hundred chunks, each delayed, arrive together a moment later, not one after the other."""
    end = connect(link)
    link.delay(up=0.8)
    started = time.monotonic()
    for _ in range(100):
        await end.say(b"x")
        await asyncio.sleep(0.01)
    await end.hear(100)
    assert 1.6 < time.monotonic() - started < at_most(10)  # a queue would take 80


async def test_several_targets_take_turns_and_a_dead_one_is_passed_over(connect: Connect) -> None:
    """This is what a balancer does. Without a living target, a connection is reset."""
    one, two = Echo(b"1"), Echo(b"2")
    with Proxy(one.address, two.address) as link:
        assert sorted([await connect(link).hear(1) for _ in range(4)]) == [b"1", b"1", b"2", b"2"]
        await one.close()
        assert {await connect(link).hear(1) for _ in range(4)} == {b"2"}
        await two.close()
        assert await connect(link).is_reset()
