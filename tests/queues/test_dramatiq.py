"""Dramatiq, with Redis as its broker and threads in a worker process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connections
from dramatiq import Broker, Middleware, Worker, actor
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries, SkipMessage

from notify.contrib.dramatiq import Tracking, tracked
from notify.models import Notification, TaskRecord
from notify.tracking import attempts, jobs
from notify.tracking import rows as task_rows
from tests.kit.patience import PATIENCE
from tests.queues.conftest import Queue, states_in, told, tracked_raiser

COMMAND = ["dramatiq", "tests.queues.dramatiq_worker", "--processes", "1", "--threads", "2"]
WORKER = {"command": COMMAND, "ready": "ready for action"}


@pytest.fixture
async def dramatiq(make_queue: Any) -> Queue:
    queue: Queue = await make_queue("tests.queues.dramatiq_tasks", WORKER, QUEUE_FIRST=False)
    return queue


async def test_a_message_is_shown_from_the_queue_to_its_end_in_one_toast(dramatiq: Queue) -> None:
    alice = await dramatiq.world.user("alice")
    await dramatiq.world.start_web()
    tab = await dramatiq.world.open(alice)
    await dramatiq.call("import_customers", user_id=alice.pk, gate="gate")
    queued = await dramatiq.state(alice, "queued")
    assert (queued["text"], queued["started_at"]) == ("Importing customers", None)
    worker = await dramatiq.start_worker()
    await dramatiq.until(alice, lambda rows: (rows[0]["state"], rows[0]["done"]) == ("running", 3))
    dramatiq.open("gate")
    worker.process.terminate()  # It waits for the running message, and then writes its last update.
    ended = await dramatiq.state(alice, "succeeded")
    assert (ended["title"], ended["text"]) == ("Importing customers", "4 customers imported")
    assert ended["attempt"] == 1
    await tab.until(lambda: states_in(tab) == ["succeeded"], "the end")
    assert list(tab.rows) == [ended["id"]]


@pytest.mark.parametrize("first", [False, True])
async def test_a_message_that_is_tried_again_has_not_failed(make_queue: Any, first: bool) -> None:
    """It does not matter where the middleware stands among the others."""
    dramatiq = await make_queue("tests.queues.dramatiq_tasks", WORKER, QUEUE_FIRST=first)
    alice = await dramatiq.world.user("alice")
    await dramatiq.world.start_web()
    tab = await dramatiq.world.open(alice)
    await dramatiq.start_worker()
    await dramatiq.call("ask_the_bank", user_id=alice.pk, gate="gate")
    await dramatiq.until(
        alice, lambda rows: [(row["state"], row["attempt"]) for row in rows] == [("running", 2)]
    )
    dramatiq.open("gate")
    ended = await dramatiq.state(alice, "succeeded")
    assert (ended["attempt"], ended["detail"]) == (2, "")
    assert all(row["level"] != "error" for row in tab.rows.values())


async def test_a_message_that_was_tried_often_enough_has_failed(dramatiq: Queue) -> None:
    """A message whose exception is expected is not retried, so it fails after one attempt."""
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
    await dramatiq.call("import_customers", user_id=alice.pk, gate="gate")
    await dramatiq.state(alice, "running")
    worker.kill_all()
    assert (await dramatiq.state(alice, "lost"))["silent"]


# -- A queue in memory, with a worker in this process ---------------------------------------------


class Notes(Middleware):
    """Notes what the user is told whenever a message was sent, and leaves no connection open."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def after_enqueue(self, broker: Broker, message: Any, delay: Any) -> None:
        if delay or not message.options.get("retries"):  # else the worker may have begun it already
            self.told.append((told()["state"], told()["attempt"]))

    def before_worker_thread_shutdown(self, broker: Broker, thread: Any) -> None:
        connections.close_all()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def own(transactional_db: None, settings: Any, notes: Notes) -> Iterator[StubBroker]:
    """A broker whose worker writes its reports itself."""
    settings.NOTIFY_THREADS = 0
    broker = StubBroker()
    broker.add_middleware(notes)  # whose after_enqueue() is called last
    broker.add_middleware(Tracking())
    yield broker
    broker.close()


def work_off(broker: StubBroker) -> None:
    """Run a worker until nothing is left to do."""
    worker = Worker(broker, worker_timeout=10, worker_threads=1)
    worker.start()
    try:
        broker.join("default", timeout=int(PATIENCE * 1000), fail_fast=False)
        worker.join()
    finally:
        worker.stop()


raiser = partial(tracked_raiser, tracked)


def test_a_message_is_queued_then_runs_then_has_succeeded(
    own: StubBroker, notes: Notes, user: Any
) -> None:
    states = []

    @actor(broker=own)
    @tracked("Importing", user="user_id", total=4)
    def work(user_id: Any, progress: Any) -> None:
        states.append(told()["state"])
        progress.advance(4)

    work.send(user.pk)
    work_off(own)
    assert (notes.told, states) == ([("queued", 1)], ["running"])
    assert (told()["state"], told()["done"], told()["attempt"]) == ("succeeded", 4, 1)


def test_a_message_that_is_sent_again_is_queued_for_another_attempt(
    own: StubBroker, notes: Notes, user: Any
) -> None:
    work = raiser(RuntimeError("no"), None)
    actor(work, broker=own, actor_name="work", min_backoff=1, max_backoff=1).send(user.pk)
    work_off(own)
    assert notes.told == [("queued", 1), ("queued", 2)]
    assert (told()["state"], told()["attempt"]) == ("succeeded", 2)
    assert TaskRecord.objects.get().detail == ""


@pytest.mark.parametrize("how", ["no retry is left", "it is expected", "nothing sends it again"])
def test_a_message_that_raises_and_is_not_sent_again_has_failed(
    own: StubBroker, user: Any, how: str
) -> None:
    options = {
        "no retry is left": {"max_retries": 0},
        "it is expected": {"throws": ZeroDivisionError},
        "nothing sends it again": {},
    }[how]
    if how == "nothing sends it again":
        own.middleware = [each for each in own.middleware if not isinstance(each, Retries)]
    actor(raiser(ZeroDivisionError("no")), broker=own, actor_name="work", **options).send(user.pk)
    work_off(own)
    assert (told()["state"], told()["attempt"]) == ("failed", 1)
    assert "ZeroDivisionError: no" in TaskRecord.objects.get().detail


class Skips(Middleware):
    """Skips every message."""

    def before_process_message(self, broker: Broker, message: Any) -> None:
        raise SkipMessage


@pytest.mark.parametrize(
    ("is_old", "text"), [(True, "It waited too long to be started."), (False, "Cancelled.")]
)
def test_a_message_that_is_skipped_is_cancelled(
    own: StubBroker, user: Any, is_old: bool, text: str
) -> None:
    """With the reason, if its age is the reason."""
    work = actor(raiser(), broker=own, actor_name="work", max_age=1000)
    message = work.message(user.pk)
    if is_old:
        message = message.copy(message_timestamp=message.message_timestamp - 10_000)
    else:
        own.add_middleware(Skips())
    own.enqueue(message)
    work_off(own)
    assert (told()["state"], Notification.objects.get().message) == ("cancelled", text)


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
    task_rows.ask_to_end(user.pk, [(row.pk, row.arrived or 0)])
    monkeypatch.setattr(attempts, "LATE_SECONDS", 0.0)  # as a minute later
    broker.enqueue(message)  # as the worker does then
    assert (told()["state"], told()["attempt"]) == ("cancelled", 1)
