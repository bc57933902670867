"""The background event loop of plain threads, created again after a fork."""

from __future__ import annotations

import asyncio
import threading

import pytest

from notify.runtime import background
from notify.runtime.background import Flights
from tests.kit.fakes import in_thread, until
from tests.kit.forks import exit_code_of_child, forks
from tests.kit.patience import PATIENCE


def where() -> tuple[int, int]:
    """Returns the thread and the event loop in which a submitted coroutine runs."""
    found = []

    async def look() -> None:
        found.append((threading.get_ident(), id(asyncio.get_running_loop())))

    assert background.submit(look())
    assert background.flush(PATIENCE)
    return found[0]


# -- The background loop -------------------------------------------------------------------------


def test_all_threads_share_one_background_loop():
    """There is not one loop for each thread, nor one for each call."""
    here = where()
    assert {in_thread(where) for _ in range(5)} == {here}
    assert here[0] != threading.get_ident()


@forks
def test_a_child_has_a_background_loop_of_its_own():
    """The parent's thread does not exist there."""
    where()

    def works_in_the_child() -> bool:
        return background.background.peek() is None and where() is not None

    assert exit_code_of_child(works_in_the_child) == 0
    assert where()


@forks
def test_a_child_forked_while_the_lock_is_held_can_submit():
    with background.background._lock:
        assert exit_code_of_child(lambda: where() is not None) == 0


def test_a_coroutine_that_fails_ends_nothing():
    async def fail() -> None:
        raise RuntimeError

    assert background.submit(fail())
    assert where()


def test_what_waits_is_bounded(monkeypatch):
    """A layer that hangs must not fill the memory of a worker, so further work is dropped."""
    monkeypatch.setattr(background, "MAX_PENDING", 3)
    gate = threading.Event()

    async def wait() -> None:
        while not gate.is_set():
            await asyncio.sleep(0.001)

    assert [background.submit(wait()) for _ in range(5)] == [True, True, True, False, False]
    assert not background.flush(0.01)
    gate.set()
    assert background.flush(PATIENCE)
    assert where()


def test_flush_has_nothing_to_wait_for_where_nothing_was_submitted(monkeypatch):
    monkeypatch.setattr(background.background, "_value", None)
    assert background.flush()


# -- Flights -------------------------------------------------------------------------------------


@pytest.fixture
def gate():
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def sent():
    """The batches that were sent."""
    return []


@pytest.fixture
def flights(gate, sent):
    """Flights that are sent only when the gate is open."""

    async def fly(items):
        sent.append(items)
        while not gate.is_set():
            await asyncio.sleep(0.001)

    return Flights(fly)


def test_what_is_added_during_a_flight_is_one_batch_that_follows_it(flights, gate, sent):
    flights.add([1, 2])
    asyncio.run(until(lambda: sent))
    for item in range(3, 6):
        flights.add([item])
    assert sent == [[1, 2]]
    gate.set()
    assert background.flush(PATIENCE)
    assert sent == [[1, 2], [3, 4, 5]]
    flights.add([6])
    assert background.flush(PATIENCE)
    assert sent[2:] == [[6]]


def test_too_many_items_that_wait_for_a_flight_are_refused(flights, gate, sent, monkeypatch):
    """Otherwise a layer that hangs would fill the memory."""
    monkeypatch.setattr(background, "MAX_WAITING", 2)
    flights.add([1])
    asyncio.run(until(lambda: sent))
    flights.add([2, 3, 4])
    with pytest.raises(RuntimeError, match="already waiting for the channel layer"):
        flights.add([5])
    gate.set()
    assert background.flush(PATIENCE)
    assert sent == [[1], [2, 3, 4]]


def test_a_flight_that_could_not_leave_leaves_with_the_next_items(flights, gate, sent, monkeypatch):
    """Too many other coroutines were pending at that moment."""
    gate.set()
    with monkeypatch.context() as full:
        full.setattr(background, "MAX_PENDING", 0)
        flights.add([1])
    assert sent == []
    flights.add([2])
    assert background.flush(PATIENCE)
    assert sent == [[1, 2]]
