"""Dramatiq, with Redis as its broker and threads in a worker process."""

from __future__ import annotations

from typing import Any

import pytest
from dramatiq import actor
from dramatiq.brokers.stub import StubBroker

from notify.contrib.dramatiq import Tracking, tracked
from notify.models import Notification
from notify.tracking import decorator as jobs
from notify.tracking import rows as runs
from tests.faults.clients import Client
from tests.queues.conftest import Queue

COMMAND = ["dramatiq", "tests.queues.dramatiq_worker", "--processes", "1", "--threads", "2"]
WORKER = {"command": COMMAND, "ready": "ready for action"}


@pytest.fixture
async def dramatiq(make_queue: Any) -> Queue:
    queue: Queue = await make_queue("tests.queues.dramatiq_tasks", WORKER, QUEUE_FIRST=False)
    return queue


def states(tab: Client) -> list[str]:
    return [row["progress"]["state"] for row in tab.rows.values()]


async def test_a_message_is_shown_from_the_queue_to_its_end_in_one_toast(dramatiq: Queue) -> None:
    alice = await dramatiq.world.user("alice")
    await dramatiq.world.start_web()
    tab = await dramatiq.world.open(alice)
    await dramatiq.call("import_customers", user_id=alice.pk, door="door")
    queued = await dramatiq.state(alice, "queued")
    assert (queued["text"], queued["started_at"]) == ("Importing customers", None)
    worker = await dramatiq.start_worker()
    await dramatiq.until(alice, lambda rows: (rows[0]["state"], rows[0]["done"]) == ("running", 3))
    dramatiq.open("door")
    worker.process.terminate()  # which waits for what runs; its last word is written all the same
    ended = await dramatiq.state(alice, "succeeded")
    assert (ended["title"], ended["text"]) == ("Importing customers", "4 customers imported")
    assert ended["attempt"] == 1
    await tab.until(lambda: states(tab) == ["succeeded"], "the end")
    assert list(tab.rows) == [ended["id"]]


@pytest.mark.parametrize("first", [False, True])
async def test_a_message_that_is_tried_again_has_not_failed(make_queue: Any, first: bool) -> None:
    """Wherever the middleware stands among the others."""
    dramatiq = await make_queue("tests.queues.dramatiq_tasks", WORKER, QUEUE_FIRST=first)
    alice = await dramatiq.world.user("alice")
    await dramatiq.world.start_web()
    tab = await dramatiq.world.open(alice)
    await dramatiq.start_worker()
    await dramatiq.call("ask_the_bank", user_id=alice.pk, door="door")
    await dramatiq.until(
        alice, lambda rows: [(row["state"], row["attempt"]) for row in rows] == [("running", 2)]
    )
    dramatiq.open("door")
    ended = await dramatiq.state(alice, "succeeded")
    assert (ended["attempt"], ended["detail"]) == (2, "")
    assert all(row["level"] != "error" for row in tab.rows.values())


async def test_a_message_that_was_tried_often_enough_has_failed(dramatiq: Queue) -> None:
    """Or once, where what it raises is expected."""
    alice, bob = await dramatiq.world.user("alice"), await dramatiq.world.user("bob")
    await dramatiq.start_worker()
    await dramatiq.call("divide", user_id=alice.pk, by=0)
    await dramatiq.call("divide_once", user_id=bob.pk)
    failed = await dramatiq.state(alice, "failed")
    assert (failed["level"], failed["text"], failed["attempt"]) == ("error", "It failed.", 2)
    assert "ZeroDivisionError" in failed["detail"]
    assert "divide" in failed["detail"]
    assert (await dramatiq.state(bob, "failed"))["attempt"] == 1


async def test_a_queued_message_that_its_user_cancels_never_begins(dramatiq: Queue) -> None:
    alice = await dramatiq.world.user("alice")
    await dramatiq.call("count", user_id=alice.pk)
    await dramatiq.state(alice, "queued")
    await dramatiq.cancel(alice)
    assert (await dramatiq.state(alice, "cancelled"))["text"] == "Cancelled."
    await dramatiq.start_worker("--threads", "1")
    await dramatiq.call("send_letters", user_id=alice.pk)
    assert await dramatiq.noted() == "sent"
    await dramatiq.until(
        alice, lambda rows: [row["state"] for row in rows] == ["cancelled", "succeeded"]
    )


async def test_a_running_message_that_its_user_cancels_ends(dramatiq: Queue) -> None:
    alice = await dramatiq.world.user("alice")
    await dramatiq.start_worker()
    await dramatiq.call("count", user_id=alice.pk)
    assert await dramatiq.noted() == "counting"
    await dramatiq.state(alice, "running")
    await dramatiq.cancel(alice)
    assert (await dramatiq.state(alice, "cancelled"))["text"] == "Cancelled."


async def test_a_message_that_waited_too_long_says_so(dramatiq: Queue) -> None:
    alice = await dramatiq.world.user("alice")
    await dramatiq.call("come_too_late", user_id=alice.pk)
    await dramatiq.state(alice, "queued")
    await dramatiq.start_worker()
    assert "too long" in (await dramatiq.state(alice, "cancelled"))["text"]


async def test_a_message_whose_worker_was_killed_is_silent_then_lost(make_queue: Any) -> None:
    soon = {
        "NOTIFY_PROGRESS_SILENT_AFTER": 1,
        "NOTIFY_PROGRESS_LOST_AFTER": 2,
        "QUEUE_FIRST": False,
    }
    dramatiq = await make_queue(
        "tests.queues.dramatiq_tasks", WORKER, **soon, NOTIFY_SWEEP_INTERVAL=0.5
    )
    alice = await dramatiq.world.user("alice")
    await dramatiq.world.start_web()
    await dramatiq.world.open(alice)
    worker = await dramatiq.start_worker()
    await dramatiq.call("import_customers", user_id=alice.pk, door="door")
    await dramatiq.state(alice, "running")
    worker.kill_all()
    assert (await dramatiq.state(alice, "lost"))["silent"]


def test_of_an_actor_that_is_not_tracked_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(jobs, "failed", lambda *args, **options: said.append(args))
    monkeypatch.setattr(jobs, "cancelled", lambda *args, **options: said.append(args))
    broker = StubBroker()
    message = actor(len, broker=broker, actor_name="len").message()
    Tracking().after_skip_message(broker, message)
    Tracking().before_nack(broker, message)
    assert said == []
    Tracking().before_nack(broker, message.copy(actor_name="unknown"))
    assert len(said) == 1


@pytest.mark.django_db
def test_a_delayed_message_that_was_cancelled_stays_so_when_it_is_due(
    user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = StubBroker()
    broker.add_middleware(Tracking())
    letters = tracked("Sending letters", user="user_id", cancellable=True)(lambda user_id: None)
    send = actor(letters, broker=broker, actor_name="letters")
    message = send.send_with_options(args=(user.pk,), delay=60_000)
    row = Notification.objects.get()
    runs.ask_to_end(user.pk, [(row.pk, row.arrived or 0)])
    monkeypatch.setattr(runs, "LATE_SECONDS", 0.0)  # as after a minute
    broker.enqueue(message)  # as its worker does then
    told = Notification.objects.get().progress or {}
    assert (told["state"], told["attempt"]) == ("cancelled", 1)
