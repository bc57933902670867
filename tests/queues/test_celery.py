"""Celery, with Redis as its broker and workers that fork."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from notify.contrib import celery as contrib
from notify.tracking import decorator as jobs
from tests.faults.clients import Client
from tests.queues.conftest import Queue

WORKER = {
    "command": ["celery", "-A", "tests.queues.celery_app", "worker", "-l", "INFO", "-c", "2"],
    "ready": " ready.",
}


@pytest.fixture
async def celery(make_queue: Any) -> Queue:
    queue: Queue = await make_queue("tests.queues.celery_tasks", WORKER)
    return queue


def states(tab: Client) -> list[str]:
    return [row["progress"]["state"] for row in tab.rows.values()]


async def test_a_task_is_shown_from_the_queue_to_its_end_in_one_toast(celery: Queue) -> None:
    alice = await celery.world.user("alice")
    await celery.world.start_web()
    tab = await celery.world.open(alice)
    await celery.call("import_customers", user_id=alice.pk, door="door")
    queued = await celery.state(alice, "queued")
    assert (queued["text"], queued["started_at"]) == ("Importing customers", None)
    await celery.start_worker()
    running = await celery.until(alice, lambda rows: rows[0]["done"] == 3)
    assert (running[0]["state"], running[0]["total"]) == ("running", 4)
    celery.open("door")
    ended = await celery.state(alice, "succeeded")
    assert (ended["title"], ended["text"]) == ("Importing customers", "4 customers imported")
    assert ended["attempt"] == 1
    await tab.until(lambda: states(tab) == ["succeeded"], "the end")
    assert list(tab.rows) == [ended["id"]]


async def test_a_task_whose_result_is_ignored_has_an_end_as_well(celery: Queue) -> None:
    alice = await celery.world.user("alice")
    await celery.start_worker()
    await celery.call("send_letters", user_id=alice.pk)
    assert (await celery.state(alice, "succeeded"))["text"] == "Finished."


async def test_a_task_that_is_tried_again_has_not_failed(celery: Queue) -> None:
    alice = await celery.world.user("alice")
    await celery.world.start_web()
    tab = await celery.world.open(alice)
    await celery.start_worker()
    await celery.call("ask_the_bank", user_id=alice.pk, door="door")
    assert [await celery.noted(), await celery.noted()] == ["asked 0", "asked 1"]
    await celery.until(
        alice, lambda rows: [(r["state"], r["attempt"]) for r in rows] == [("running", 2)]
    )
    celery.open("door")
    ended = await celery.state(alice, "succeeded")
    assert (ended["attempt"], ended["detail"]) == (2, "")
    assert all(row["level"] != "error" for row in tab.rows.values())


async def test_a_task_that_was_tried_often_enough_has_failed(celery: Queue) -> None:
    alice = await celery.world.user("alice")
    await celery.ask("call_by_place", task="divide", arguments=[alice.pk, 0])
    await celery.state(alice, "queued")
    await celery.start_worker()
    failed = await celery.state(alice, "failed")
    assert (failed["level"], failed["text"], failed["attempt"]) == ("error", "It failed.", 2)
    assert "ZeroDivisionError" in failed["detail"]
    assert "divide" in failed["detail"]


async def test_a_queued_task_that_its_user_cancels_never_begins(celery: Queue) -> None:
    alice = await celery.world.user("alice")
    await celery.call("count", user_id=alice.pk)
    await celery.state(alice, "queued")
    await celery.cancel(alice)
    cancelled = await celery.state(alice, "cancelled")
    assert (cancelled["text"], cancelled["level"]) == ("Cancelled.", "warning")
    await celery.start_worker()  # which was not there to hear that it was revoked
    await celery.call("send_letters", user_id=alice.pk)
    assert await celery.noted() == "sent"
    await celery.until(
        alice, lambda rows: [row["state"] for row in rows] == ["cancelled", "succeeded"]
    )


async def test_a_running_task_that_its_user_cancels_ends(celery: Queue) -> None:
    alice = await celery.world.user("alice")
    await celery.start_worker()
    await celery.call("count", user_id=alice.pk)
    assert await celery.noted() == "counting"
    await celery.state(alice, "running")
    await celery.cancel(alice)
    assert (await celery.state(alice, "cancelled"))["text"] == "Cancelled."


async def test_a_revoked_task_is_cancelled(celery: Queue) -> None:
    alice = await celery.world.user("alice")
    await celery.start_worker("--concurrency", "1")
    await celery.call("import_customers", user_id=alice.pk, door="door")
    await celery.state(alice, "running")
    bob = await celery.world.user("bob")
    task = await celery.call("count", user_id=bob.pk)
    await celery.state(bob, "queued")
    await celery.ask("revoke", task=task)
    celery.open("door")
    assert (await celery.state(bob, "cancelled"))["text"] == "Cancelled."


async def test_a_task_that_waited_too_long_says_so(celery: Queue) -> None:
    alice = await celery.world.user("alice")
    await celery.call("come_too_late", user_id=alice.pk)
    await celery.state(alice, "queued")
    await celery.start_worker()
    assert "too long" in (await celery.state(alice, "cancelled"))["text"]


async def test_a_task_whose_child_was_killed_has_failed(celery: Queue) -> None:
    alice = await celery.world.user("alice")
    await celery.start_worker()
    await celery.call("die", user_id=alice.pk)
    failed = await celery.state(alice, "failed")
    assert (failed["text"], failed["level"]) == ("It failed.", "error")
    assert "WorkerLostError" in failed["detail"]


async def test_a_task_whose_worker_was_killed_is_silent_then_lost_in_every_tab(
    make_queue: Any,
) -> None:
    soon = {"NOTIFY_PROGRESS_SILENT_AFTER": 1, "NOTIFY_PROGRESS_LOST_AFTER": 2}
    celery = await make_queue(
        "tests.queues.celery_tasks", WORKER, **soon, NOTIFY_SWEEP_INTERVAL=0.5
    )
    alice = await celery.world.user("alice")
    await celery.world.start_web()
    tab = await celery.world.open(alice)
    worker = await celery.start_worker()
    await celery.call("import_customers", user_id=alice.pk, door="door")
    await celery.state(alice, "running")
    worker.kill_all()
    lost = await celery.state(alice, "lost")
    await tab.until(lambda: states(tab) == ["lost"], "that it is lost")
    assert lost["silent"]


@pytest.mark.parametrize(("how", "state"), [("ignore", "cancelled"), ("reject", "failed")])
async def test_a_task_that_gives_up_has_ended(celery: Queue, how: str, state: str) -> None:
    alice = await celery.world.user("alice")
    await celery.start_worker()
    await celery.call("give_up", user_id=alice.pk, how=how)
    await celery.state(alice, state)


@pytest.mark.parametrize(
    ("shape", "total"), [("group", 5), ("generator", 5), ("chain", 5), ("chord", 6), ("tracked", 5)]
)
async def test_a_group_a_chain_and_a_chord_are_one_task(
    celery: Queue, shape: str, total: int
) -> None:
    alice = await celery.world.user("alice")
    await celery.ask("call_all", shape=shape, user=alice.pk, numbers=[1, 2, 3, 4, 5], url="/album/")
    queued = await celery.state(alice, "queued")
    assert queued["total"] == total
    await celery.start_worker()
    ended = await celery.state(alice, "succeeded")
    assert (ended["title"], ended["done"], ended["total"]) == ("Resizing pictures", total, total)
    assert await celery.world.clerk.call("tests.queues.rows:parts") == 0


@pytest.mark.parametrize("shape", ["group", "chain"])
async def test_one_that_fails_fails_the_whole(celery: Queue, shape: str) -> None:
    alice = await celery.world.user("alice")
    await celery.start_worker()
    await celery.ask("call_all", shape=shape, user=alice.pk, numbers=[1, -2, 3])
    failed = await celery.state(alice, "failed")
    assert (failed["title"], failed["text"]) == ("Resizing pictures", "It failed.")
    assert "ValueError" in failed["detail"]


async def test_what_nobody_has_begun_of_a_whole_is_revoked(celery: Queue) -> None:
    alice = await celery.world.user("alice")
    await celery.start_worker()
    await celery.ask("call_all", shape="waiting", user=alice.pk, numbers=[1, 2], cancellable=True)
    await celery.state(alice, "running")
    await celery.cancel(alice)
    await celery.state(alice, "cancelling")
    celery.open("door")
    assert (await celery.state(alice, "cancelled"))["done"] < 3


async def test_it_is_shown_where_tasks_run_at_once(make_queue: Any) -> None:
    celery = await make_queue("tests.queues.celery_tasks", WORKER, CELERY_EAGER=True)
    alice = await celery.world.user("alice")
    await celery.call("send_letters", user_id=alice.pk)
    assert (await celery.state(alice, "succeeded"))["attempt"] == 1
    await celery.ask("call_all", shape="group", user=alice.pk, numbers=[1, 2])
    await celery.until(alice, lambda rows: [row["state"] for row in rows] == ["succeeded"] * 2)


def plain() -> None:
    pass


def test_of_a_task_that_is_not_tracked_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    for name in ("failed", "retried", "cancelled"):
        monkeypatch.setattr(jobs, name, lambda *args, **options: said.append(args))
    task = Celery("other", set_as_current=False).task(plain, name="plain")
    contrib.on_failure("1", sender=task, exception=ValueError(), einfo=None)
    contrib.on_retry(sender=task, request=task.request, reason="again")
    contrib.on_revoked(sender=task, request=task.request)
    assert said == []
