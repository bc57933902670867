"""The background loop of plain threads, and the push side's executor; both anew after a fork."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import types

import pytest
from asgiref.sync import async_to_sync

from notify.runtime import executor as threads
from notify.runtime.executor import in_executor
from tests.kit.fakes import in_thread, until
from tests.kit.patience import PATIENCE


def exit_code_of_child(check) -> int:
    """Fork; the child ends with 0 if the check holds there."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if check() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def where() -> tuple[int, int]:
    """The thread and the event loop in which a submitted coroutine runs."""
    found = []

    async def look() -> None:
        found.append((threading.get_ident(), id(asyncio.get_running_loop())))

    assert threads.submit(look())
    assert threads.flush(PATIENCE)
    return found[0]


# -- The background loop -------------------------------------------------------------------------


def test_all_threads_share_one_background_loop():
    """Neither a loop for each thread nor one for each call."""
    here = where()
    assert {in_thread(where) for _ in range(5)} == {here}
    assert here[0] != threading.get_ident()


@forks
def test_a_child_has_a_background_loop_of_its_own():
    """Its parent's thread does not exist there."""
    where()

    def works_in_the_child() -> bool:
        return threads._background is None and where() is not None

    assert exit_code_of_child(works_in_the_child) == 0
    assert where()


@forks
def test_a_child_forked_while_the_lock_is_held_can_submit():
    with threads._lock:
        assert exit_code_of_child(lambda: where() is not None) == 0


def test_a_coroutine_that_fails_ends_nothing():
    async def fail() -> None:
        raise RuntimeError

    assert threads.submit(fail())
    assert where()


def test_what_waits_is_bounded(monkeypatch):
    """A layer that hangs must not fill the memory of a worker: what is too much is dropped."""
    monkeypatch.setattr(threads, "MAX_PENDING", 3)
    gate = threading.Event()

    async def wait() -> None:
        while not gate.is_set():
            await asyncio.sleep(0.001)

    assert [threads.submit(wait()) for _ in range(5)] == [True, True, True, False, False]
    assert not threads.flush(0.01)
    gate.set()
    assert threads.flush(PATIENCE)
    assert where()


def test_flush_has_nothing_to_wait_for_where_nothing_was_submitted(monkeypatch):
    monkeypatch.setattr(threads, "_background", None)
    assert threads.flush()


# -- The executor --------------------------------------------------------------------------------


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
    """NOTIFY_THREADS of them: a barrier of two is passed."""
    barrier = threading.Barrier(2)
    await asyncio.gather(*(in_executor(barrier.wait, PATIENCE) for _ in range(2)))


async def test_without_threads_of_its_own_it_uses_djangos(settings):
    """NOTIFY_THREADS = 0, for a TestCase, whose transaction no other thread sees."""
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
    """Each call ends with what CONN_MAX_AGE says: nothing is kept for an idle hub."""
    from django.db import connection

    from notify.inbox import reader as inbox

    def look() -> object:
        inbox.counts(user)
        return connection._connections  # of this thread

    held = await in_executor(look)
    del held
    assert await in_executor(lambda: connection.connection) is None


@pytest.fixture
def one_thread(settings, monkeypatch):
    """One thread, which is held by the first work until the gate is opened."""
    settings.NOTIFY_THREADS = 1
    monkeypatch.setattr(threads, "_executor", None)
    return threading.Event()


@pytest.mark.django_db(transaction=True)
async def test_a_connection_is_kept_while_other_work_waits(user, one_thread):
    """In a storm of tabs most of the time would go into opening connections."""
    from django.db import connection

    from notify.inbox import reader as inbox

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
    """The next work is not to inherit it."""
    from django.db import connection

    from notify.inbox import reader as inbox

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
    """A tab that is gone needs no welcome; and nothing stays open on its behalf."""
    from django.db import connection

    from notify.inbox import reader as inbox

    done = []

    def look() -> None:
        one_thread.wait(PATIENCE)
        inbox.counts(user)

    looking = asyncio.ensure_future(in_executor(look))
    cancelled = [asyncio.ensure_future(in_executor(done.append, 1)) for _ in range(3)]
    await asyncio.sleep(0)
    for each in cancelled:
        each.cancel()
    one_thread.set()
    await looking
    await until(lambda: not threads._executor._busy)
    assert threads._executor._pool.submit(lambda: connection.connection).result(PATIENCE) is None
    assert done == []


def test_a_thread_that_could_not_be_started_is_not_waited_for(monkeypatch):
    """Where a process has as many threads as it may have; later, work is done again."""

    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    workers = threads.Workers(1)
    with monkeypatch.context() as patched:
        patched.setattr(workers._pool, "submit", refuse)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                workers.submit(lambda: 1)
    assert workers.submit(lambda: 42).result(PATIENCE) == 42
    workers._pool.shutdown()


async def test_a_connection_that_cannot_be_closed_ends_no_thread(one_thread, monkeypatch):
    """Whose work it was is told; the next is done."""
    one_thread.set()

    def fail() -> None:
        raise OSError("It cannot be closed.")

    with monkeypatch.context() as patch:
        patch.setattr(threads, "close_old_connections", fail)
        for _ in range(3):
            with pytest.raises(OSError, match="closed"):
                await asyncio.wait_for(in_executor(int), PATIENCE)
    assert await asyncio.wait_for(in_executor(int), PATIENCE) == 0


# -- gevent and eventlet -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "function", "asked"),
    [
        ("gevent.monkey", "is_module_patched", "threading"),
        ("eventlet.patcher", "is_monkey_patched", "thread"),
    ],
)
@pytest.mark.parametrize("patched", [True, False])
def test_greenlets_are_noticed(monkeypatch, module, function, asked, patched):
    """Only where threads are patched; that gevent is imported says nothing."""
    fake = types.ModuleType(module)
    setattr(fake, function, lambda name: name == asked and patched)
    monkeypatch.setitem(sys.modules, module, fake)
    assert threads.is_monkey_patched() is patched
