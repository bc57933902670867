"""Huey with Redis, as huey.contrib.djhuey has it, and consumers with processes or threads."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from huey import MemoryHuey

from notify.contrib import huey as integration
from notify.models import Notification
from notify.tracking import rows as runs
from tests.faults.clients import Client
from tests.kit.patience import PATIENCE
from tests.queues.conftest import Queue

APPS = [*settings.INSTALLED_APPS, "huey.contrib.djhuey"]
WORKER = {"command": ["tests.queues.huey_worker"], "ready": "Huey consumer started"}


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


def states(tab: Client) -> list[str]:
    return [row["progress"]["state"] for row in tab.rows.values()]


async def test_a_task_is_shown_from_the_queue_to_its_end_in_one_toast(huey: Queue) -> None:
    """The last word comes from a process that ends at once."""
    alice = await huey.world.user("alice")
    await huey.world.start_web()
    tab = await huey.world.open(alice)
    await huey.call("import_customers", user_id=alice.pk, door="door")
    queued = await huey.state(alice, "queued")
    assert (queued["text"], queued["started_at"]) == ("Importing customers", None)
    worker = await huey.start_worker("process")
    await huey.until(alice, lambda rows: (rows[0]["state"], rows[0]["done"]) == ("running", 3))
    worker.process.send_signal(signal.SIGINT)  # which waits for what runs
    huey.open("door")
    ended = await huey.state(alice, "succeeded")
    assert (ended["title"], ended["text"]) == ("Importing customers", "4 customers imported")
    assert ended["attempt"] == 1
    await tab.until(lambda: states(tab) == ["succeeded"], "the end")
    assert list(tab.rows) == [ended["id"]]


async def test_a_task_that_is_tried_again_has_not_failed(huey: Queue) -> None:
    """By an error, by RetryTask and by CancelExecution, so fast that none is written by itself."""
    alice = await huey.world.user("alice")
    await huey.world.start_web()
    tab = await huey.world.open(alice)
    await huey.start_worker("thread")
    await huey.call("ask_the_bank", user_id=alice.pk, door="door")
    await huey.until(
        alice, lambda rows: [(row["state"], row["attempt"]) for row in rows] == [("running", 4)]
    )
    huey.open("door")
    ended = await huey.state(alice, "succeeded")
    assert (ended["attempt"], ended["detail"]) == (4, "")
    assert all(row["level"] != "error" for row in tab.rows.values())


async def test_a_task_that_was_tried_often_enough_has_failed(huey: Queue) -> None:
    """Whatever its name is; one that finds its lock taken has as well."""
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
    await huey.call("import_customers", user_id=alice.pk, door="door")
    await huey.state(alice, "running")
    worker.process.terminate()
    assert (await huey.state(alice, "failed"))["text"] == "It was interrupted."


async def test_a_task_whose_consumer_was_killed_is_silent_then_lost(make_huey: Any) -> None:
    soon = {"NOTIFY_PROGRESS_SILENT_AFTER": 1, "NOTIFY_PROGRESS_LOST_AFTER": 2}
    huey = await make_huey(**soon, NOTIFY_SWEEP_INTERVAL=0.5)
    alice = await huey.world.user("alice")
    await huey.world.start_web()
    await huey.world.open(alice)
    worker = await huey.start_worker("process")
    await huey.call("import_customers", user_id=alice.pk, door="door")
    await huey.state(alice, "running")
    worker.kill_all()
    assert (await huey.state(alice, "lost"))["silent"]


async def test_it_is_shown_where_tasks_run_at_once(make_huey: Any) -> None:
    huey = await make_huey(immediate=True)
    alice = await huey.world.user("alice")
    await huey.call("divide", user_id=alice.pk, by=0)
    assert (await huey.state(alice, "failed"))["attempt"] == 2


@pytest.mark.django_db
def test_a_scheduled_task_that_was_cancelled_stays_so_when_it_is_due(
    user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integration, "_known", [])
    own = MemoryHuey("own")
    integration.connect(own)
    tracked = integration.tracked("Counting", user="user_id", cancellable=True)
    count = own.task()(tracked(lambda user_id: None))
    task = count.schedule(args=(user.pk,), delay=60).task
    row = Notification.objects.get()
    runs.ask_to_end(user.pk, [(row.pk, row.arrived or 0)])
    monkeypatch.setattr(runs, "LATE_SECONDS", 0.0)  # as after a minute
    own.enqueue(task)  # as its scheduler does then
    told = Notification.objects.get().progress or {}
    assert (told["state"], told["attempt"]) == ("cancelled", 1)
