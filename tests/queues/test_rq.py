"""RQ, with workers that fork for each job."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from rq.job import JobStatus

from notify.contrib.rq import Job
from notify.tracking import decorator as jobs
from tests.faults.clients import Client
from tests.queues.conftest import Queue

WORKER = {"command": ["tests.queues.rq_worker"], "ready": "Listening on"}


@pytest.fixture
async def rq(make_queue: Any) -> Queue:
    queue: Queue = await make_queue("tests.queues.rq_tasks", WORKER)
    return queue


def states(tab: Client) -> list[str]:
    return [row["progress"]["state"] for row in tab.rows.values()]


async def test_a_job_is_shown_from_the_queue_to_its_end_in_one_toast(rq: Queue) -> None:
    """The last word comes from a work horse, which ends as soon as its job has."""
    alice = await rq.world.user("alice")
    await rq.world.start_web()
    tab = await rq.world.open(alice)
    await rq.call("import_customers", user_id=alice.pk, door="door")
    queued = await rq.state(alice, "queued")
    assert (queued["text"], queued["started_at"]) == ("Importing customers", None)
    await rq.start_worker()
    await rq.until(alice, lambda rows: (rows[0]["state"], rows[0]["done"]) == ("running", 3))
    rq.open("door")
    ended = await rq.state(alice, "succeeded")
    assert (ended["title"], ended["text"]) == ("Importing customers", "4 customers imported")
    assert ended["attempt"] == 1
    await tab.until(lambda: states(tab) == ["succeeded"], "the end")
    assert list(tab.rows) == [ended["id"]]


@pytest.mark.parametrize(("how", "retries"), [("raise", 2), ("return", 0), ("kill", 1)])
async def test_a_job_that_is_tried_again_has_not_failed(rq: Queue, how: str, retries: int) -> None:
    alice = await rq.world.user("alice")
    await rq.world.start_web()
    tab = await rq.world.open(alice)
    await rq.start_worker()
    await rq.call("ask_the_bank", user_id=alice.pk, how=how, door="door", retries=retries)
    await rq.until(
        alice, lambda rows: [(r["state"], r["attempt"]) for r in rows] == [("running", 2)]
    )
    rq.open("door")
    ended = await rq.state(alice, "succeeded")
    assert (ended["attempt"], ended["detail"]) == (2, "")
    assert all(row["level"] != "error" for row in tab.rows.values())


@pytest.mark.parametrize("plain", [False, True])
async def test_a_job_that_was_tried_often_enough_has_failed(rq: Queue, plain: bool) -> None:
    """The function knows that by itself, where neither queue nor worker has the job class."""
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
    running = await rq.call("import_customers", user_id=alice.pk, door="door")
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
    await rq.call("import_customers", user_id=alice.pk, door="door")
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
