"""Forks, monkey patches and event loops."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from notify.runtime.process import PerProcess, in_event_loop, is_monkey_patched
from tests.kit.forks import exit_code_of_child, forks
from tests.kit.patience import PATIENCE
from tests.kit.servers import PROJECT


def test_a_value_is_made_once():
    value = PerProcess(object)
    assert value.peek() is None
    assert value() is value() is value.peek()


class CountingLock:
    """A lock that counts the threads that have asked for it."""

    def __init__(self):
        self.asked = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __enter__(self):
        self.asked.release()
        self._lock.acquire()

    def __exit__(self, *exc_info):
        self._lock.release()


def test_threads_that_ask_for_a_value_at_the_same_time_share_it():
    """The second thread waits for the value that the first is making."""
    gate, made = threading.Event(), []

    def make() -> object:
        assert gate.wait(PATIENCE)
        made.append(object())
        return made[-1]

    value = PerProcess(make)
    value._lock = CountingLock()
    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(value) for _ in range(2)]
        for _ in asking:
            assert value._lock.asked.acquire(timeout=PATIENCE)
        gate.set()
        found = [each.result(PATIENCE) for each in asking]
    assert found == made * 2


def test_without_fork_a_value_is_made_too(monkeypatch):
    """Windows has no fork, and Python has no register_at_fork there."""
    monkeypatch.delattr(os, "register_at_fork")
    value = PerProcess(object)
    assert value() is value()


@forks
def test_a_forked_child_makes_a_value_of_its_own():
    """This also holds if the parent held the lock at the moment of the fork."""
    value = PerProcess(os.getpid)
    assert value() == os.getpid()
    with value._lock:
        assert exit_code_of_child(lambda: value.peek() is None and value() == os.getpid()) == 0


@pytest.mark.parametrize(
    ("method", "when", "names"),
    [
        ("fork", "before", {"ForkProcess-1", "MainProcess"}),
        ("fork", "within", {"ForkProcess-1"}),
        ("spawn", "within", {"SpawnProcess-1"}),
    ],
)
def test_a_function_is_called_when_a_process_or_its_child_exits(method, when, names):
    """Also in a child that is forked later, and in one that registers the function itself."""
    command = [sys.executable, "-m", "tests.unit.runtime.exits", method, when]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == names


def test_an_event_loop_is_noticed():
    async def look() -> bool:
        return in_event_loop()

    assert not in_event_loop()
    assert asyncio.run(look())


@pytest.mark.parametrize(
    ("module", "function", "asked"),
    [
        ("gevent.monkey", "is_module_patched", "threading"),
        ("eventlet.patcher", "is_monkey_patched", "thread"),
    ],
)
@pytest.mark.parametrize("patched", [True, False])
def test_greenlets_are_noticed(monkeypatch, module, function, asked, patched):
    """Only patched threads count. An import of gevent proves nothing."""
    fake = types.ModuleType(module)
    setattr(fake, function, lambda name: name == asked and patched)
    monkeypatch.setitem(sys.modules, module, fake)
    assert is_monkey_patched() is patched
