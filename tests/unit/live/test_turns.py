"""Turns: one piece of work for each key, and a bound on the threads of all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

import pytest

from notify.live.turns import Turns
from tests.kit.fakes import settle, until
from tests.kit.patience import PATIENCE


class Work:
    """Work that runs until it is released, and records what has begun and ended."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self._gates: dict[str, threading.Event] = {}

    def __call__(self, name: str) -> Callable[[], str]:
        self._gates[name] = threading.Event()
        return partial(self._run, name)

    def _run(self, name: str) -> str:
        self.begun.append(name)
        assert self._gates[name].wait(PATIENCE)
        self.ended.append(name)
        if name == "bad":
            raise ZeroDivisionError
        return name.upper()

    def release(self, *names: str) -> None:
        for name in names or self._gates:
            self._gates[name].set()


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.release()


@pytest.fixture
async def turns(settings) -> AsyncIterator[Turns]:
    """Turns with two slots, in a process with four threads."""
    settings.NOTIFY_THREADS = 4
    tasks = set()

    def spawn(work):
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        return task

    yield Turns(2, spawn)
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_result_comes_back(turns, work):
    work("a")
    work.release()
    assert await turns.run(1, partial(work._run, "a")) == "A"


async def test_an_error_comes_back_and_ends_the_turn(turns, work):
    bad, good = work("bad"), work("good")
    work.release()
    with pytest.raises(ZeroDivisionError):
        await turns.run(1, bad)
    assert await turns.run(1, good) == "GOOD"


async def test_work_of_one_key_runs_one_after_the_other(turns, work):
    """Work of another key does not wait for it."""
    running = [
        asyncio.ensure_future(turns.run(key, work(name)))
        for key, name in [(1, "a"), (1, "b"), (2, "other")]
    ]
    await until(lambda: sorted(work.begun) == ["a", "other"])
    work.release("other")
    assert await running[2] == "OTHER"
    assert "b" not in work.begun
    work.release()
    assert await asyncio.gather(*running) == ["A", "B", "OTHER"]


async def test_all_keys_together_have_the_slots(turns, work):
    running = [asyncio.ensure_future(turns.run(key, work(f"work {key}"))) for key in range(5)]
    await until(lambda: len(work.begun) == 2)
    await settle()
    assert work.begun == ["work 0", "work 1"]
    work.release()
    assert len(await asyncio.gather(*running)) == 5


async def test_a_guest_takes_no_slot_and_still_waits_for_its_key(turns, work):
    running = [asyncio.ensure_future(turns.run(key, work(f"work {key}"))) for key in range(2)]
    await until(lambda: len(work.begun) == 2)
    running += [
        asyncio.ensure_future(turns.run("guest", work(name), is_guest=True))
        for name in ("guest", "next")
    ]
    await until(lambda: "guest" in work.begun)
    await settle()
    assert "next" not in work.begun
    work.release()
    await asyncio.gather(*running)


async def test_work_that_nobody_waits_for_any_more_does_not_begin(turns, work):
    first = asyncio.ensure_future(turns.run(1, work("first")))
    second = asyncio.ensure_future(turns.run(1, work("second")))
    await until(lambda: work.begun)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    work.release()
    await first
    await turns.run(1, partial(work._run, "first"))
    assert "second" not in work.begun


async def test_work_that_has_begun_keeps_its_turn(turns, work):
    """Its thread cannot be stopped, so the next work must not occupy another thread."""
    first = asyncio.ensure_future(turns.run(1, work("first")))
    await until(lambda: work.begun)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.ensure_future(turns.run(1, work("second")))
    await settle()
    assert work.begun == ["first"]
    work.release("first")
    await until(lambda: work.begun == ["first", "second"])
    work.release()
    assert await second == "SECOND"


async def test_no_lock_is_left(turns, work):
    work("a")
    work.release()
    for key in range(100):
        await turns.run(key, partial(work._run, "a"))
    await settle()
    assert len(turns._locks) == 0
