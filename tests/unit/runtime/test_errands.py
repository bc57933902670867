"""Errands run in a few threads, each of them once at a time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from notify.runtime import errands
from notify.runtime.errands import Errands
from tests.kit.patience import PATIENCE


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds errands until it is set."""
    gate = threading.Event()
    yield gate
    gate.set()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "notify-errands"]


def join() -> None:
    for thread in threads():
        thread.join(PATIENCE)


def test_errands_run_in_a_thread_that_ends_with_the_last():
    done: list[str] = []
    runner = Errands()
    for name in ("a", "b"):
        assert runner.submit(name, lambda name=name: done.append(name))
    join()
    assert sorted(done) == ["a", "b"]
    for number in range(2 * errands.THREADS):
        assert runner.submit("a", lambda: done.append("again"))
        join()
        assert done[2:] == ["again"] * (number + 1)


def test_services_that_hang_take_a_few_threads(gate):
    before = len(threads())
    done: list[int] = []
    runner = Errands()
    for number in range(50):
        assert runner.submit(str(number), lambda n=number: gate.wait(PATIENCE) and done.append(n))
    assert len(threads()) == before + errands.THREADS
    assert all(thread.daemon for thread in threads())  # they hold up no process that ends
    gate.set()
    join()
    assert sorted(done) == list(range(50))


def test_an_errand_that_waits_or_runs_is_not_taken_twice(gate):
    done: list[str] = []
    runner = Errands()
    for number in range(errands.THREADS):
        assert runner.submit(f"running {number}", lambda: gate.wait(PATIENCE))
    assert runner.submit("waits", lambda: done.append("once"))
    assert not runner.submit("waits", lambda: done.append("twice"))
    assert not runner.submit("running 0", lambda: done.append("twice"))
    gate.set()
    join()
    assert done == ["once"]


def test_threads_share_the_errands():
    """None is lost, and none runs twice."""
    done: list[int] = []
    runner = Errands()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(1000):
            assert runner.submit(str(number), lambda n=number: done.append(n))
        join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(done) == list(range(1000))


def test_only_so_many_wait(gate, monkeypatch):
    monkeypatch.setattr(errands, "MAX_PENDING", 6)
    runner = Errands()
    taken = [runner.submit(str(number), lambda: gate.wait(PATIENCE)) for number in range(8)]
    assert taken == [True] * 6 + [False] * 2
