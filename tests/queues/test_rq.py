"""RQ, with workers that fork for each job."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from rq import Queue as RedisQueue
from rq import Retry, SimpleWorker, get_current_job
from rq.job import Job as PlainJob
from rq.job import JobStatus

from notify.contrib.rq import Job, tracked
from notify.models import Notification, TaskRecord
from notify.tracking import jobs
from tests.queues.conftest import Queue, states_in

WORKER = {"command": ["tests.queues.rq_worker"], "ready": "Listening on"}


@pytest.fixture
async def rq(make_queue: Any) -> Queue:
    queue: Queue = await make_queue("tests.queues.rq_tasks", WORKER)
    return queue


async def test_a_job_is_shown_from_the_queue_to_its_end_in_one_toast(rq: Queue) -> None:
    """The last update comes from a work horse, which ends as soon as its job is done."""
    alice = await rq.world.user("alice")
    await rq.world.start_web()
    tab = await rq.world.open(alice)
    await rq.call("import_customers", user_id=alice.pk, gate="gate")
    queued = await rq.state(alice, "queued")
    assert (queued["text"], queued["started_at"]) == ("Importing customers", None)
    await rq.start_worker()
    await rq.until(alice, lambda rows: (rows[0]["state"], rows[0]["done"]) == ("running", 3))
    rq.open("gate")
    ended = await rq.state(alice, "succeeded")
    assert (ended["title"], ended["text"]) == ("Importing customers", "4 customers imported")
    assert ended["attempt"] == 1
    await tab.until(lambda: states_in(tab) == ["succeeded"], "the end")
    assert list(tab.rows) == [ended["id"]]


@pytest.mark.parametrize(("how", "retries"), [("raise", 2), ("return", 0), ("kill", 1)])
async def test_a_job_that_is_tried_again_has_not_failed(rq: Queue, how: str, retries: int) -> None:
    alice = await rq.world.user("alice")
    await rq.world.start_web()
    tab = await rq.world.open(alice)
    await rq.start_worker()
    await rq.call("ask_the_bank", user_id=alice.pk, how=how, gate="gate", retries=retries)
    await rq.until(
        alice, lambda rows: [(r["state"], r["attempt"]) for r in rows] == [("running", 2)]
    )
    rq.open("gate")
    ended = await rq.state(alice, "succeeded")
    assert (ended["attempt"], ended["detail"]) == (2, "")
    assert all(row["level"] != "error" for row in tab.rows.values())


@pytest.mark.parametrize("plain", [False, True])
async def test_a_job_that_was_tried_often_enough_has_failed(rq: Queue, plain: bool) -> None:
    """The function reports it by itself if neither the queue nor the worker has the job class."""
    alice = await rq.world.user("alice")
    await rq.start_worker(*["plain"] * plain)
    await rq.call("divide", user_id=alice.pk, by=0, retries=1, plain=plain)
    failed = await rq.state(alice, "failed")
    assert (failed["level"], failed["text"], failed["attempt"]) == ("error", "It failed.", 2)
    assert "ZeroDivisionError" in failed["detail"]
    assert "divide" in failed["detail"]


async def test_a_job_that_asks_too_often_for_another_try_has_failed(rq: Queue) -> None:
    alice = await rq.world.user("alice")
    await rq.start_worker()
    await rq.call("give_up", user_id=alice.pk)
    assert (await rq.state(alice, "failed"))["attempt"] == 2


async def test_a_queued_job_that_its_user_cancels_never_begins(rq: Queue) -> None:
    alice = await rq.world.user("alice")
    await rq.call("count", user_id=alice.pk)
    await rq.state(alice, "queued")
    await rq.cancel(alice)
    assert (await rq.state(alice, "cancelled"))["text"] == "Cancelled."
    await rq.start_worker()
    await rq.call("send_letters", user_id=alice.pk)
    assert await rq.noted() == "sent"
    await rq.until(alice, lambda rows: [row["state"] for row in rows] == ["cancelled", "succeeded"])


async def test_a_running_job_that_its_user_cancels_ends(rq: Queue) -> None:
    alice = await rq.world.user("alice")
    await rq.start_worker()
    await rq.call("count", user_id=alice.pk)
    assert await rq.noted() == "counting"
    await rq.state(alice, "running")
    await rq.cancel(alice)
    assert (await rq.state(alice, "cancelled"))["text"] == "Cancelled."


async def test_a_job_that_somebody_takes_out_or_stops_is_cancelled(rq: Queue) -> None:
    alice, bob = await rq.world.user("alice"), await rq.world.user("bob")
    await rq.start_worker()
    running = await rq.call("import_customers", user_id=alice.pk, gate="gate")
    await rq.state(alice, "running")
    waiting = await rq.call("count", user_id=bob.pk)
    await rq.state(bob, "queued")
    await rq.ask("cancel", job=waiting)
    assert (await rq.state(bob, "cancelled"))["text"] == "Cancelled."
    await rq.ask("stop", job=running)
    assert (await rq.state(alice, "cancelled"))["text"] == "Stopped."


async def test_a_job_whose_work_horse_was_killed_has_failed(rq: Queue) -> None:
    alice = await rq.world.user("alice")
    await rq.start_worker()
    await rq.call("die", user_id=alice.pk)
    failed = await rq.state(alice, "failed")
    assert (failed["text"], failed["level"]) == ("It failed.", "error")


async def test_a_job_whose_worker_was_killed_has_failed_when_another_cleans_up(rq: Queue) -> None:
    alice = await rq.world.user("alice")
    worker = await rq.start_worker()
    await rq.call("import_customers", user_id=alice.pk, gate="gate")
    await rq.state(alice, "running")
    worker.kill_all()
    await rq.ask("clean")
    await rq.state(alice, "failed")


async def test_a_job_is_shown_where_it_runs_at_once_and_nobody_tries_it_again(rq: Queue) -> None:
    alice = await rq.world.user("alice")
    await rq.call("divide", user_id=alice.pk, by=0, retries=1, now=True)
    assert (await rq.state(alice, "failed"))["attempt"] == 1


def test_of_a_function_that_is_not_tracked_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(jobs, "failed", lambda *args, **options: said.append(args))
    Job.create(len, connection=Mock()).set_status(JobStatus.FAILED, Mock())
    assert said == []
    Job.create("shop.jobs.unknown", connection=Mock()).set_status(JobStatus.FAILED, Mock())
    assert len(said) == 1


# -- In this process, as a worker that does not fork ----------------------------------------------

# The result of each call of work(): it is raised if it is an exception, else returned.
ways: list[Any] = []


def take_way() -> Any:
    way = ways.pop(0)
    if isinstance(way, Exception):
        raise way
    return way


@tracked("Working", user="user_id", cancellable=True)
def work(user_id: Any) -> Any:
    return take_way()


@tracked("Working", user="user_id")
async def work_in_coroutine(user_id: Any) -> Any:
    return take_way()


@tracked("Importing", user="user_id")
def work_by_itself(user_id: Any, depth: int = 1) -> None:
    if depth:
        work_by_itself(user_id, depth - 1)


@tracked("Working", user="user_id")
def cancel_and_go_on(user_id: Any) -> None:
    job = get_current_job()
    assert job
    Job.fetch(job.id, connection=job.connection).cancel()
    ways.append(told())


def call_work(user_id: Any) -> None:
    work(user_id)


class Robot:
    """Has a method that is a job."""

    @tracked("Working", user=lambda robot, user_id: user_id)
    def work(self, user_id: Any) -> None:
        pass


@pytest.fixture
def own(db: None, redis_server: Any) -> Iterator[RedisQueue]:
    """A queue whose jobs this process runs."""
    ways.clear()
    with redis.Redis.from_url(redis_server.url) as connection:
        connection.flushall()
        yield RedisQueue(connection=connection, job_class=Job)


def take(own: RedisQueue) -> Job:
    job, _ = own.dequeue_any([own], None, connection=own.connection, job_class=own.job_class)
    return job


def worker_of(own: RedisQueue) -> SimpleWorker:
    return SimpleWorker([own], connection=own.connection, job_class=own.job_class)


def run_next(own: RedisQueue) -> None:
    worker_of(own).execute_job(take(own), own)


def row() -> Notification:
    return Notification.objects.get()


def told() -> tuple[str, int]:
    """The only job, as its user sees it: state and attempt."""
    shown = row().progress or {}
    return shown["state"], shown["attempt"]


@pytest.mark.parametrize("function", [work, Robot().work])
def test_a_job_is_queued_then_has_succeeded(own: RedisQueue, user: Any, function: Any) -> None:
    ways.append(None)
    own.enqueue(function, user.pk)
    assert told() == ("queued", 1)
    run_next(own)
    assert told() == ("succeeded", 1)


@pytest.mark.parametrize("way", [RuntimeError("no"), Retry(max=1)], ids=["raise", "return"])
def test_a_job_is_queued_for_another_attempt_while_it_may_be_tried_again(
    own: RedisQueue, user: Any, way: Any
) -> None:
    ways.extend([way, None])
    own.enqueue(work, user.pk, retry=Retry(max=1) if isinstance(way, Exception) else None)
    run_next(own)
    assert told() == ("queued", 2)
    run_next(own)
    assert told() == ("succeeded", 2)


@pytest.mark.parametrize("job_class", [Job, PlainJob])
@pytest.mark.parametrize(
    ("each", "detail"),
    [([RuntimeError("no")], "RuntimeError: no"), ([Retry(max=1)] * 2, "Again")],
    ids=["raise", "return"],
)
def test_a_job_that_may_not_be_tried_again_has_failed(
    own: RedisQueue, user: Any, job_class: type[PlainJob], each: list[Any], detail: str
) -> None:
    """The function knows that by itself, where the queue has another job class."""
    own.job_class = job_class
    ways.extend(each)
    own.enqueue(work, user.pk)
    for _ in each:
        run_next(own)
    assert told() == ("failed", len(each))
    assert detail in TaskRecord.objects.get().detail


@pytest.mark.django_db(transaction=True)
def test_a_coroutine_may_be_a_job_and_ask_for_another_attempt(own: RedisQueue, user: Any) -> None:
    ways.extend([Retry(max=1), None])
    own.enqueue(work_in_coroutine, user.pk)
    run_next(own)
    assert told() == ("queued", 2)
    run_next(own)
    assert told() == ("succeeded", 2)


@pytest.mark.parametrize("each", [RuntimeError("no"), Retry(max=1)], ids=["raise", "return"])
def test_where_a_job_runs_at_once_it_is_not_tried_again(
    own: RedisQueue, user: Any, each: Any
) -> None:
    ways.append(each)
    at_once = RedisQueue(connection=own.connection, job_class=Job, is_async=False)
    at_once.enqueue(work, user.pk, retry=Retry(max=1))
    assert told() == ("failed", 1)


def test_a_tracked_function_that_is_not_the_function_of_the_job_is_shown_by_itself(
    own: RedisQueue, user: Any
) -> None:
    """Called by another function, by itself, or outside of any job."""
    ways.extend([None, None])
    work(user.pk)
    own.enqueue(call_work, user.pk)
    own.enqueue(work_by_itself, user.pk)
    run_next(own)
    run_next(own)
    found = list(TaskRecord.objects.values_list("job", "state"))
    assert [state for _, state in found] == ["succeeded"] * 4
    assert [job for job, _ in found].count("") == 3


@pytest.mark.parametrize("retries", [0, 1])
def test_a_job_whose_work_horse_was_killed_is_reported_by_the_worker(
    own: RedisQueue, user: Any, retries: int
) -> None:
    own.enqueue(work, user.pk, retry=Retry(max=1) if retries else None)
    worker, job = worker_of(own), take(own)
    worker.prepare_execution(job)
    worker.handle_job_failure(job, own, exc_string="killed")
    assert told() == (("queued", 2) if retries else ("failed", 1))


def test_a_job_that_is_taken_out_of_the_queue_is_cancelled(own: RedisQueue, user: Any) -> None:
    own.enqueue(work, user.pk).cancel()
    assert (told(), row().message) == (("cancelled", 1), "Cancelled.")


def test_a_job_that_is_stopped_is_cancelled(own: RedisQueue, user: Any) -> None:
    own.enqueue(work, user.pk).set_status(JobStatus.STOPPED)
    assert (told(), row().message) == (("cancelled", 1), "Stopped.")


def test_a_job_that_is_taken_out_while_it_runs_goes_on(own: RedisQueue, user: Any) -> None:
    own.enqueue(cancel_and_go_on, user.pk)
    run_next(own)
    assert ways == [("running", 1)]
    assert told() == ("succeeded", 1)


def test_a_job_that_cannot_be_read_fails_without_a_report(own: RedisQueue, user: Any) -> None:
    job = own.enqueue(work, user.pk)
    own.connection.hset(job.key, "data", zlib.compress(b"no pickle"))
    Job.fetch(job.id, connection=own.connection).set_status(JobStatus.FAILED)
    assert told() == ("queued", 1)
