"""Huey with Redis, set up as in huey.contrib.djhuey, and consumers with processes or threads."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from huey import MemoryHuey
from huey.api import Task
from huey.exceptions import (
    CancelExecution,
    RateLimitExceeded,
    RetryTask,
    TaskLockedException,
    TaskTimeout,
)

from notify.contrib import huey as integration
from notify.models import Notification, TaskRecord
from notify.signals import cancel_asked
from notify.tracking import attempts, jobs
from notify.tracking import rows as task_rows
from tests.kit.patience import PATIENCE
from tests.queues.conftest import Queue, states_in, told, tracked_raiser

APPS = [*settings.INSTALLED_APPS, "huey.contrib.djhuey"]
WORKER = {"command": ["tests.queues.huey_worker"], "ready": "Huey consumer started"}
PAST, FAR = datetime(2000, 1, 1), datetime(3000, 1, 1)  # without a time zone, as Huey has them


@pytest.fixture
def make_huey(make_queue: Any, redis_server: Any) -> Callable[..., Any]:
    async def make(immediate: bool = False, **options: Any) -> Queue:
        own = {"name": "tests", "immediate": immediate, "connection": {"url": redis_server.url}}
        queue: Queue = await make_queue(
            "tests.queues.huey_tasks", WORKER, INSTALLED_APPS=APPS, HUEY=own, **options
        )
        return queue

    return make


@pytest.fixture
async def huey(make_huey: Any) -> Queue:
    queue: Queue = await make_huey()
    return queue


async def test_a_task_is_shown_from_the_queue_to_its_end_in_one_toast(huey: Queue) -> None:
    """The last update comes from a process that ends right after it."""
    alice = await huey.world.user("alice")
    await huey.world.start_web()
    tab = await huey.world.open(alice)
    await huey.call("import_customers", user_id=alice.pk, gate="gate")
    queued = await huey.state(alice, "queued")
    assert (queued["text"], queued["started_at"]) == ("Importing customers", None)
    worker = await huey.start_worker("process")
    await huey.until(alice, lambda rows: (rows[0]["state"], rows[0]["done"]) == ("running", 3))
    worker.process.send_signal(signal.SIGINT)  # It waits for the running task.
    huey.open("gate")
    ended = await huey.state(alice, "succeeded")
    assert (ended["title"], ended["text"]) == ("Importing customers", "4 customers imported")
    assert ended["attempt"] == 1
    await tab.until(lambda: states_in(tab) == ["succeeded"], "the end")
    assert list(tab.rows) == [ended["id"]]


async def test_a_task_that_is_tried_again_has_not_failed(huey: Queue) -> None:
    """
    The retries are caused by an error, RetryTask and CancelExecution, and follow each other so fast
    that the writer writes none of them by itself.
    """
    alice = await huey.world.user("alice")
    await huey.world.start_web()
    tab = await huey.world.open(alice)
    await huey.start_worker("thread")
    await huey.call("ask_the_bank", user_id=alice.pk, gate="gate")
    await huey.until(
        alice, lambda rows: [(row["state"], row["attempt"]) for row in rows] == [("running", 4)]
    )
    huey.open("gate")
    ended = await huey.state(alice, "succeeded")
    assert (ended["attempt"], ended["detail"]) == (4, "")
    assert all(row["level"] != "error" for row in tab.rows.values())


async def test_a_task_that_was_tried_often_enough_has_failed(huey: Queue) -> None:
    """The name of the task does not matter. A task that cannot get its lock has failed too."""
    alice, bob = await huey.world.user("alice"), await huey.world.user("bob")
    await huey.start_worker("process")
    await huey.ask("lock")
    await huey.call("divide", user_id=alice.pk, by=0)
    await huey.call("locked", user_id=bob.pk)
    failed = await huey.state(alice, "failed")
    assert (failed["level"], failed["text"], failed["attempt"]) == ("error", "It failed.", 2)
    assert "ZeroDivisionError" in failed["detail"]
    assert "divide" in failed["detail"]
    assert "TaskLockedException" in (await huey.state(bob, "failed"))["detail"]


async def test_a_queued_task_that_its_user_cancels_never_begins(huey: Queue) -> None:
    alice = await huey.world.user("alice")
    task = await huey.call("count", user_id=alice.pk)
    await huey.state(alice, "queued")
    await huey.cancel(alice)
    assert (await huey.state(alice, "cancelled"))["text"] == "Cancelled."
    async with asyncio.timeout(PATIENCE):
        while not await huey.ask("is_revoked", task=task):
            await asyncio.sleep(0.05)
    await huey.start_worker("process")
    await huey.call("send_letters", user_id=alice.pk)
    assert await huey.noted() == "sent"
    await huey.until(
        alice, lambda rows: [row["state"] for row in rows] == ["cancelled", "succeeded"]
    )


async def test_a_running_task_that_its_user_cancels_ends(huey: Queue) -> None:
    alice = await huey.world.user("alice")
    await huey.start_worker("thread")
    await huey.call("count", user_id=alice.pk)
    assert await huey.noted() == "counting"
    await huey.state(alice, "running")
    await huey.cancel(alice)
    assert (await huey.state(alice, "cancelled"))["text"] == "Cancelled."


async def test_a_task_that_is_not_run_or_gives_up_is_cancelled(huey: Queue) -> None:
    alice, bob, eve = await huey.world.make_users(3)
    revoked = await huey.call("count", user_id=alice.pk)
    await huey.ask("revoke", task=revoked)
    await huey.call("come_too_late", user_id=bob.pk)
    await huey.call("give_up", user_id=eve.pk)
    await huey.start_worker("thread")
    assert (await huey.state(alice, "cancelled"))["text"] == "Cancelled."
    assert "too long" in (await huey.state(bob, "cancelled"))["text"]
    assert (await huey.state(eve, "cancelled"))["text"] == "Stopped."


@pytest.mark.parametrize("kind", ["process", "thread"])
async def test_a_task_that_is_interrupted_has_failed(huey: Queue, kind: str) -> None:
    alice = await huey.world.user("alice")
    worker = await huey.start_worker(kind)
    await huey.call("import_customers", user_id=alice.pk, gate="gate")
    # Waiting for "running" is not enough: it is reported shortly before Huey records interruptions.
    await huey.until(alice, lambda rows: bool(rows) and rows[0]["done"] == 3)
    worker.process.terminate()
    assert (await huey.state(alice, "failed"))["text"] == "It was interrupted."


async def test_a_task_whose_consumer_was_killed_is_silent_then_lost(make_huey: Any) -> None:
    soon = {"NOTIFY_PROGRESS_LOST_AFTER": 2}
    huey = await make_huey(**soon, NOTIFY_SWEEP_INTERVAL=0.5)
    alice = await huey.world.user("alice")
    await huey.world.start_web()
    await huey.world.open(alice)
    worker = await huey.start_worker("process")
    await huey.call("import_customers", user_id=alice.pk, gate="gate")
    await huey.state(alice, "running")
    worker.kill_all()
    assert (await huey.state(alice, "lost"))["silent"]


async def test_it_is_shown_where_tasks_run_at_once(make_huey: Any) -> None:
    huey = await make_huey(immediate=True)
    alice = await huey.world.user("alice")
    await huey.call("divide", user_id=alice.pk, by=0)
    assert (await huey.state(alice, "failed"))["attempt"] == 2


# -- A queue in memory, whose tasks this process runs ---------------------------------------------


@pytest.fixture
def own(db: None, monkeypatch: pytest.MonkeyPatch) -> MemoryHuey:
    """A queue that the integration knows."""
    monkeypatch.setattr(integration, "_known", [])
    own = MemoryHuey("own")
    integration.connect(own)
    return own


raiser = partial(tracked_raiser, integration.tracked)


def test_a_task_is_queued_then_runs_then_has_succeeded(own: MemoryHuey, user: Any) -> None:
    states = []

    @own.task()
    @integration.tracked("Importing", user="user_id", total=4)
    def work(user_id: Any, progress: Any) -> None:
        states.append(told()["state"])
        progress.advance(4)

    work(user.pk)
    states.append(told()["state"])
    own.execute(own.dequeue())
    assert states == ["queued", "running"]
    assert (told()["state"], told()["done"], told()["attempt"]) == ("succeeded", 4, 1)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("no"),
        RetryTask(),
        CancelExecution(),
        TaskLockedException("taken"),
        TaskTimeout("slow"),
        RateLimitExceeded("key", 0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_task_raises_it_is_queued_again_while_it_has_tries_left(
    own: MemoryHuey, user: Any, error: Exception
) -> None:
    own.task(retries=1)(raiser(error, None))(user.pk)
    own.execute(own.dequeue())
    assert (told()["state"], told()["attempt"]) == ("queued", 2)
    own.execute(own.dequeue() or own.read_schedule(FAR)[0], FAR)
    assert (told()["state"], told()["attempt"]) == ("succeeded", 2)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("no"),
        TaskLockedException("taken"),
        TaskTimeout("slow"),
        RateLimitExceeded("key", 0, retry=False),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_task_raises_it_has_failed_when_it_has_no_tries_left(
    own: MemoryHuey, user: Any, error: Exception
) -> None:
    own.task()(raiser(error))(user.pk)
    own.execute(own.dequeue())
    assert told()["state"] == "failed"
    assert type(error).__name__ in TaskRecord.objects.get().detail


def revoke(own: MemoryHuey, task: Any) -> None:
    own.revoke_by_id(task.id)


def expire(own: MemoryHuey, task: Any) -> None:
    task.expires_resolved = PAST


def cancel_before_it_begins(own: MemoryHuey, task: Any) -> None:
    @own.pre_execute()
    def cancel(task: Any) -> None:
        raise CancelExecution


def let_it_run(own: MemoryHuey, task: Any) -> None:
    """And the function raises CancelExecution by itself."""


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (revoke, "Cancelled."),
        (expire, "It waited too long to be started."),
        (cancel_before_it_begins, "Stopped."),
        (let_it_run, "Stopped."),
    ],
)
def test_a_task_that_is_not_to_be_run_is_cancelled_with_the_reason(
    own: MemoryHuey, user: Any, prepare: Callable[[MemoryHuey, Any], None], message: str
) -> None:
    """Although it has tries left."""
    own.task(retries=1)(raiser(CancelExecution(retry=False)))(user.pk)
    task = own.dequeue()
    prepare(own, task)
    own.execute(task)
    assert (told()["state"], Notification.objects.get().message) == ("cancelled", message)
    assert own.dequeue() is None


def test_a_task_that_the_consumer_interrupts_has_failed(own: MemoryHuey, user: Any) -> None:
    own.task(retries=1)(raiser(KeyboardInterrupt()))(user.pk)
    own.execute(own.dequeue())
    assert (told()["state"], Notification.objects.get().message) == (
        "failed",
        "It was interrupted.",
    )


def test_a_task_that_is_not_tracked_is_not_shown(own: MemoryHuey) -> None:
    """Nor is one whose class has no function."""

    class Bare(Task):
        def execute(self) -> int:
            return 1

    own._registry.register(Bare)
    own.task()(len)(())
    own.enqueue(Bare())
    for _ in range(2):
        own.execute(own.dequeue())
    assert not Notification.objects.exists()


def test_a_huey_that_is_connected_twice_reports_once(own: MemoryHuey, user: Any) -> None:
    integration.connect(own)
    own.task(retries=1)(raiser(RuntimeError("no")))(user.pk)
    own.execute(own.dequeue())
    assert told()["attempt"] == 2


def test_a_task_that_its_user_cancels_is_revoked(
    own: MemoryHuey, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job of another queue is not."""
    monkeypatch.setattr(jobs, "take_out", lambda job, revoke: revoke())
    work = integration.tracked("Working", user="user_id", cancellable=True)(lambda user_id: None)
    task = own.task()(work)(user.pk).task
    cancel_asked.send(None, recipient_id=user.pk, job=f"other:{task.id}")
    assert not own.is_revoked(task)
    row = Notification.objects.get()
    task_rows.ask_to_end(user.pk, [(row.pk, row.arrived or 0)])
    assert own.is_revoked(task)
    assert told()["state"] == "cancelled"


def test_a_scheduled_task_that_was_cancelled_stays_so_when_it_is_due(
    own: MemoryHuey, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked = integration.tracked("Counting", user="user_id", cancellable=True)
    count = own.task()(tracked(lambda user_id: None))
    task = count.schedule(args=(user.pk,), delay=60).task
    row = Notification.objects.get()
    task_rows.ask_to_end(user.pk, [(row.pk, row.arrived or 0)])
    monkeypatch.setattr(attempts, "LATE_SECONDS", 0.0)  # as a minute later
    own.enqueue(task)  # as the scheduler does then
    assert (told()["state"], told()["attempt"]) == ("cancelled", 1)


@pytest.mark.django_db(transaction=True)
def test_an_attempt_is_counted_before_the_next_one_can_begin(
    own: MemoryHuey, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise two processes could both report the first attempt, because Huey does not number them."""
    own.task(retries=1)(raiser(RuntimeError("no")))(user.pk)
    counted = []
    monkeypatch.setattr(
        own, "enqueue", lambda task: counted.append(TaskRecord.objects.get().attempt)
    )
    own.execute(own.dequeue())
    assert counted == [2]
