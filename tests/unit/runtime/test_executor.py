"""The executor of the push side, created again after a fork."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from asgiref.sync import async_to_sync

from notify.runtime import executor
from notify.runtime.executor import in_executor
from tests.kit.fakes import until
from tests.kit.forks import exit_code_of_child, forks
from tests.kit.patience import PATIENCE


async def test_the_executor_is_not_the_shared_thread():
    """A slow synchronous call elsewhere in the process delays no delivery."""
    gate = threading.Event()
    blocked = asyncio.ensure_future(asyncio.to_thread(async_to_sync(asyncio.sleep), 0))
    from asgiref.sync import sync_to_async

    stuck = asyncio.ensure_future(sync_to_async(gate.wait)(PATIENCE))
    name = await asyncio.wait_for(in_executor(lambda: threading.current_thread().name), PATIENCE)
    assert name.startswith("notify")
    gate.set()
    await asyncio.gather(stuck, blocked)


async def test_arguments_results_and_errors_pass_through():
    assert await in_executor(divmod, 7, 2) == (3, 1)
    assert await in_executor(int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        await in_executor(divmod, 1, 0)


async def test_several_run_at_once(settings):
    """NOTIFY_THREADS calls run at once, so they pass a barrier of two."""
    barrier = threading.Barrier(2)
    await asyncio.gather(*(in_executor(barrier.wait, PATIENCE) for _ in range(2)))


async def test_without_threads_of_its_own_it_uses_djangos(settings):
    """NOTIFY_THREADS = 0 is for a TestCase, whose transaction no other thread sees."""
    from asgiref.sync import sync_to_async

    settings.NOTIFY_THREADS = 0
    assert await in_executor(threading.get_ident) == await sync_to_async(threading.get_ident)()


@forks
def test_a_child_has_an_executor_of_its_own():
    async def work() -> int:
        return await asyncio.wait_for(in_executor(os.getpid), PATIENCE)

    assert asyncio.run(work()) == os.getpid()
    assert exit_code_of_child(lambda: asyncio.run(work()) == os.getpid()) == 0


@pytest.mark.django_db(transaction=True)
async def test_no_database_connection_stays_open(user):
    """Each call ends according to CONN_MAX_AGE, so an idle hub keeps no connection."""
    from django.db import connection

    from notify import inbox

    def look() -> object:
        inbox.counts(user)
        return connection._connections  # the connections of this thread

    held = await in_executor(look)
    del held
    assert await in_executor(lambda: connection.connection) is None


@pytest.fixture
def one_thread(settings, monkeypatch):
    """A pool of one thread, which its first work holds until the gate is opened."""
    settings.NOTIFY_THREADS = 1
    monkeypatch.setattr(executor.workers, "_value", None)
    return threading.Event()


@pytest.mark.django_db(transaction=True)
async def test_a_connection_is_kept_while_other_work_waits(user, one_thread):
    """In a storm of tabs, most of the time would otherwise be spent on opening connections."""
    from django.db import connection

    from notify import inbox

    def look() -> object:
        one_thread.wait(PATIENCE)
        inbox.counts(user)
        return connection.connection

    looking = [asyncio.ensure_future(in_executor(look)) for _ in range(4)]
    await asyncio.sleep(0)
    one_thread.set()
    first, *others = await asyncio.gather(*looking)
    assert all(other is first for other in others)
    assert await in_executor(lambda: connection.connection) is None


@pytest.mark.django_db(transaction=True)
async def test_a_connection_that_failed_is_not_kept(user, one_thread, monkeypatch):
    """The next work must not inherit it."""
    from django.db import connection

    from notify import inbox

    def fail() -> None:
        one_thread.wait(PATIENCE)
        inbox.counts(user)
        connection.errors_occurred = True

    failing = asyncio.ensure_future(in_executor(fail))
    await asyncio.sleep(0)
    looking = asyncio.ensure_future(in_executor(lambda: connection.connection))
    await asyncio.sleep(0)
    one_thread.set()
    await failing
    assert await looking is None


@pytest.mark.django_db(transaction=True)
async def test_work_that_is_cancelled_while_it_waits_is_not_done(user, one_thread):
    """A disconnected tab needs no welcome, and no connection stays open for it."""
    from django.db import connection

    from notify import inbox

    done = []

    def look() -> None:
        one_thread.wait(PATIENCE)
        inbox.counts(user)

    looking = asyncio.ensure_future(in_executor(look))
    cancelled = [asyncio.ensure_future(in_executor(done.append, 1)) for _ in range(3)]
    await asyncio.sleep(0)
    for each in cancelled:
        each.cancel()
    await asyncio.wait(cancelled)  # only then has the executor been told, too
    one_thread.set()
    await looking
    await until(lambda: not executor.workers()._busy)
    assert executor.workers()._pool.submit(lambda: connection.connection).result(PATIENCE) is None
    assert done == []


def test_a_thread_that_could_not_be_started_is_not_waited_for(monkeypatch):
    """The process has reached its limit of threads. Later work is done again."""

    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    workers = executor.Workers(1)
    with monkeypatch.context() as patched:
        patched.setattr(workers._pool, "submit", refuse)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                workers.submit(lambda: 1)
    assert workers.submit(lambda: 42).result(PATIENCE) == 42
    workers._pool.shutdown()


def test_work_is_left_to_a_running_thread_if_no_other_can_be_started(monkeypatch):
    """The process is at its thread limit, but a thread of the pool will become free."""

    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    gate = threading.Event()
    workers = executor.Workers(2)
    first = workers.submit(lambda: gate.wait(PATIENCE) and threading.get_ident())
    with monkeypatch.context() as patched:
        patched.setattr(workers._pool, "submit", refuse)
        second = workers.submit(threading.get_ident)
    gate.set()
    assert first.result(PATIENCE) == second.result(PATIENCE)
    workers._pool.shutdown()


async def test_a_connection_that_cannot_be_closed_ends_no_thread(one_thread, monkeypatch):
    """The caller of the work gets the error, and the next work is done."""
    one_thread.set()

    def fail() -> None:
        raise OSError("It cannot be closed.")

    with monkeypatch.context() as patch:
        patch.setattr(executor, "close_old_connections", fail)
        for _ in range(3):
            with pytest.raises(OSError, match="closed"):
                await asyncio.wait_for(in_executor(int), PATIENCE)
        await until(lambda: not executor.workers()._busy)
    assert await asyncio.wait_for(in_executor(int), PATIENCE) == 0
