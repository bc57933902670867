"""Django Tasks (the framework, or its backport), with the queue in the database and its worker."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django import VERSION
from django.db import connections, transaction

from notify.models import Notification, TaskRecord
from notify.tracking import writer
from tests.kit.patience import PATIENCE
from tests.queues import django_tasks_tasks as tasks
from tests.queues.conftest import Queue
from tests.settings import INSTALLED_APPS

FRAMEWORK = "django.tasks" if VERSION >= (6, 0) else "django_tasks"
WORKER = {
    "command": ["django", "db_worker", "--interval", "0.1", "--no-startup-delay", "-v", "3"],
    "ready": "Starting worker",
}
SETTINGS = {
    "INSTALLED_APPS": [
        *INSTALLED_APPS,
        "django_tasks_db",
        *([] if VERSION >= (6, 0) else ["django_tasks"]),
    ],
    "TASKS": {
        "default": {"BACKEND": "django_tasks_db.DatabaseBackend"},
        "immediate": {"BACKEND": f"{FRAMEWORK}.backends.immediate.ImmediateBackend"},
    },
}


@pytest.fixture
async def queue(make_queue: Any) -> Queue:
    made: Queue = await make_queue("tests.queues.django_tasks_tasks", WORKER, **SETTINGS)
    await made.world.clerk.call("manage", args=["migrate", "-v", "0"])
    return made


async def test_a_task_is_shown_from_the_queue_to_its_end(queue: Queue) -> None:
    alice = await queue.world.user("alice")
    await queue.call("import_customers", user_id=alice.pk, gate="gate")
    queued = await queue.state(alice, "queued")
    assert (queued["text"], queued["started_at"]) == ("Importing customers", None)
    await queue.start_worker()
    await queue.until(alice, lambda rows: (rows[0]["state"], rows[0]["done"]) == ("running", 3))
    queue.open("gate")
    ended = await queue.state(alice, "succeeded")
    assert (ended["text"], ended["attempt"], ended["total"]) == ("4 customers imported", 1, 4)


async def test_a_task_that_raises_has_failed(queue: Queue) -> None:
    alice = await queue.world.user("alice")
    await queue.start_worker()
    await queue.call("fail", user_id=alice.pk)
    failed = await queue.state(alice, "failed")
    assert (failed["text"], failed["level"]) == ("It failed.", "error")
    assert "ValueError: no" in failed["detail"]


async def test_a_task_may_be_cancelled_in_the_queue_and_while_it_runs(queue: Queue) -> None:
    alice, bob = await queue.world.make_users(2)
    await queue.call("count", user_id=alice.pk)
    await queue.state(alice, "queued")
    await queue.cancel(alice)
    await queue.state(alice, "cancelled")
    await queue.start_worker()
    await queue.call("count", user_id=bob.pk)
    assert await queue.noted() == "attempt 1"  # of the second task: the first has not begun
    await queue.state(bob, "running")
    await queue.cancel(bob)
    await queue.state(bob, "cancelled")
    assert [row["state"] for row in await queue.tasks(alice)] == ["cancelled"]


async def test_a_task_that_was_rolled_back_was_never_queued(queue: Queue) -> None:
    alice = await queue.world.user("alice")
    await queue.ask("call_and_roll_back", task="fail", user_id=alice.pk)
    await queue.call("add", user_id=alice.pk)
    assert (await queue.state(alice, "queued"))["text"] == "Adding"


async def test_a_coroutine_is_shown_as_well_and_what_is_not_tracked_is_not(queue: Queue) -> None:
    alice = await queue.world.user("alice")
    await queue.start_worker()
    await queue.call("add", user_id=alice.pk)
    await queue.call("plain", name="it ran")
    assert await queue.noted() == "it ran"
    assert (await queue.state(alice, "succeeded"))["done"] == 1


async def test_a_task_whose_worker_was_killed_is_lost(make_queue: Any) -> None:
    soon = {"NOTIFY_PROGRESS_LOST_AFTER": 2}
    queue = await make_queue(
        "tests.queues.django_tasks_tasks", WORKER, **SETTINGS, **soon, NOTIFY_SWEEP_INTERVAL=0.5
    )
    await queue.world.clerk.call("manage", args=["migrate", "-v", "0"])
    alice = await queue.world.user("alice")
    await queue.world.start_web()
    await queue.world.open(alice)
    worker = await queue.start_worker()
    await queue.call("import_customers", user_id=alice.pk, gate="gate")
    await queue.until(alice, lambda rows: [row["done"] for row in rows] == [3])
    worker.kill_all()
    assert (await queue.state(alice, "lost"))["silent"]


async def test_it_is_shown_where_tasks_run_at_once(queue: Queue) -> None:
    alice = await queue.world.user("alice")
    await queue.call("add", backend="immediate", user_id=alice.pk)
    assert (await queue.state(alice, "succeeded"))["attempt"] == 1


async def test_a_coroutine_may_enqueue(queue: Queue) -> None:
    alice = await queue.world.user("alice")
    await queue.ask("call_in_a_coroutine", task="fail", user_id=alice.pk)
    await queue.state(alice, "failed")


async def test_what_ran_before_the_commit_is_not_queued_by_that(queue: Queue) -> None:
    alice, bob = await queue.world.make_users(2)
    await queue.ask("call_and_commit_late", task="fail", user_id=alice.pk)
    await queue.call("add", backend="immediate", user_id=bob.pk)
    await queue.state(bob, "succeeded")
    assert (await queue.state(alice, "failed"))["attempt"] == 1


# -- In this process, with a backend that keeps the tasks, or runs each at once --------------------


@pytest.fixture
def kept(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": f"{FRAMEWORK}.backends.dummy.DummyBackend"}}


@pytest.fixture
def at_once(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": f"{FRAMEWORK}.backends.immediate.ImmediateBackend"}}


def states() -> list[str]:
    """The tasks, as their users see them."""
    return [(row.progress or {})["state"] for row in Notification.objects.all()]


@pytest.mark.usefixtures("kept")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("task", [tasks.fail, tasks.count], ids=["plain", "with a context"])
def test_a_task_is_shown_as_queued_after_the_commit(user: Any, task: Any) -> None:
    """The context, which only the worker has, does not push the user out of place."""
    with transaction.atomic():
        task.enqueue(user.pk)
        assert not Notification.objects.exists()
    assert writer.flush(PATIENCE)
    assert states() == ["queued"]


@pytest.mark.usefixtures("kept")
@pytest.mark.django_db(transaction=True)
def test_a_task_that_is_rolled_back_or_not_tracked_is_not_shown(user: Any) -> None:
    with transaction.atomic():
        tasks.fail.enqueue(user.pk)
        transaction.set_rollback(True)
    tasks.plain.enqueue("letters")
    assert writer.flush(PATIENCE)
    assert states() == []


@pytest.mark.usefixtures("kept")
@pytest.mark.django_db(transaction=True)
async def test_a_task_that_a_coroutine_enqueues_is_shown_as_queued(user: Any) -> None:
    tasks.fail.enqueue(user.pk)
    assert await sync_to_async(writer.flush)(PATIENCE)
    assert await sync_to_async(states)() == ["queued"]
    await sync_to_async(connections.close_all)()  # of the thread in which that has run


@pytest.mark.usefixtures("at_once")
@pytest.mark.django_db
def test_a_task_that_raises_in_this_process_has_failed(user: Any) -> None:
    tasks.fail.enqueue(user.pk)
    assert states() == ["failed"]
    assert "ValueError: no" in TaskRecord.objects.get().detail


@pytest.mark.usefixtures("at_once")
@pytest.mark.django_db(transaction=True)
def test_a_task_that_returns_has_succeeded(user: Any) -> None:
    tasks.add.enqueue(user.pk)
    assert writer.flush(PATIENCE)
    assert states() == ["succeeded"]
