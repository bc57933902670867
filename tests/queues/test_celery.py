"""Celery, with Redis as its broker and workers that fork."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import Mock, call

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery import Celery, chain, group
from celery.exceptions import Ignore, Reject, Retry
from celery.signals import worker_process_shutdown
from celery.worker.request import Request
from celery.worker.state import revoked
from kombu.exceptions import OperationalError
from kombu.simple import SimpleQueue

from notify.contrib import celery as contrib
from notify.models import Notification, TaskRecord
from notify.signals import cancel_asked
from notify.tracking import jobs, wholes, writer
from notify.tracking import rows as task_rows
from tests.queues.conftest import Queue, states_in, told, tracked_raiser

WORKER = {
    "command": ["celery", "-A", "tests.queues.celery_app", "worker", "-l", "INFO", "-c", "2"],
    "ready": " ready.",
}


@pytest.fixture
async def celery(make_queue: Any) -> Queue:
    queue: Queue = await make_queue("tests.queues.celery_tasks", WORKER)
    return queue


async def test_a_task_is_shown_from_the_queue_to_its_end_in_one_toast(celery: Queue) -> None:
    alice = await celery.world.user("alice")
    await celery.world.start_web()
    tab = await celery.world.open(alice)
    await celery.call("import_customers", user_id=alice.pk, gate="gate")
    queued = await celery.state(alice, "queued")
    assert (queued["text"], queued["started_at"]) == ("Importing customers", None)
    await celery.start_worker()
    running = await celery.until(alice, lambda rows: rows[0]["done"] == 3)
    assert (running[0]["state"], running[0]["total"]) == ("running", 4)
    celery.open("gate")
    ended = await celery.state(alice, "succeeded")
    assert (ended["title"], ended["text"]) == ("Importing customers", "4 customers imported")
    assert ended["attempt"] == 1
    await tab.until(lambda: states_in(tab) == ["succeeded"], "the end")
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
    await celery.call("ask_the_bank", user_id=alice.pk, gate="gate")
    assert [await celery.noted(), await celery.noted()] == ["asked 0", "asked 1"]
    await celery.until(
        alice, lambda rows: [(r["state"], r["attempt"]) for r in rows] == [("running", 2)]
    )
    celery.open("gate")
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
    assert (cancelled["text"], cancelled["level"]) == ("Cancelled.", "info")
    # It did not run when the task was revoked, so it never received the revocation.
    await celery.start_worker()
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
    await celery.call("import_customers", user_id=alice.pk, gate="gate")
    await celery.state(alice, "running")
    bob = await celery.world.user("bob")
    task = await celery.call("count", user_id=bob.pk)
    await celery.state(bob, "queued")
    await celery.ask("revoke", task=task)
    celery.open("gate")
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
    soon = {"NOTIFY_PROGRESS_LOST_AFTER": 2}
    celery = await make_queue(
        "tests.queues.celery_tasks", WORKER, **soon, NOTIFY_SWEEP_INTERVAL=0.5
    )
    alice = await celery.world.user("alice")
    await celery.world.start_web()
    tab = await celery.world.open(alice)
    worker = await celery.start_worker()
    await celery.call("import_customers", user_id=alice.pk, gate="gate")
    await celery.state(alice, "running")
    worker.kill_all()
    lost = await celery.state(alice, "lost")
    await tab.until(lambda: states_in(tab) == ["lost"], "that it is lost")
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
    celery.open("gate")
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


# -- A queue in memory, whose tasks this process runs ---------------------------------------------


@pytest.fixture
def own(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """The app of a project, without a worker."""
    app = Celery("own", broker="memory://", set_as_current=False)
    app.conf.task_default_queue = "own"
    monkeypatch.setattr(contrib, "current_app", app)
    monkeypatch.setattr(wholes, "_wholes", {})
    yield app
    with queue_of(app) as queue:
        queue.clear()
    app.close()


@contextmanager
def queue_of(app: Celery) -> Iterator[SimpleQueue]:
    with app.connection_for_read() as connection, closing(connection.SimpleQueue("own")) as queue:
        yield queue


def take(app: Celery) -> Request | None:
    """Take the next task out of the queue, as a worker does. Returns None if none is left."""
    with queue_of(app) as queue:
        try:
            message = queue.get_nowait()
        except queue.Empty:
            return None
        message.ack()
        return Request(message, app=app, hostname="own")


def run_next(app: Celery) -> None:
    request = take(app)
    assert request
    request.execute()


raiser = partial(tracked_raiser, contrib.tracked, cancellable=True)


def row() -> Notification:
    return Notification.objects.get()


def test_a_task_is_queued_then_runs_then_has_succeeded(own: Celery, user: Any) -> None:
    states = []

    @own.task(bind=True, shared=False)
    @contrib.tracked("Importing", user="user_id", total=4)
    def work(self: Any, user_id: Any, progress: Any) -> None:
        states.append(told()["state"])
        progress.advance(4)

    work.delay(user.pk)
    states.append(told()["state"])
    run_next(own)
    assert states == ["queued", "running"]
    assert (told()["state"], told()["done"], told()["attempt"]) == ("succeeded", 4, 1)


@pytest.mark.parametrize("how", ["by itself", "by its options", "by a rejection"])
def test_a_task_that_is_sent_again_is_queued_for_another_attempt(
    own: Celery, user: Any, how: str
) -> None:
    @own.task(
        bind=True,
        shared=False,
        autoretry_for=[ZeroDivisionError],
        retry_backoff=False,
        default_retry_delay=0,
    )
    @contrib.tracked("Working", user="user_id")
    def work(self: Any, user_id: Any) -> None:
        if told()["attempt"] == 1:
            raise {
                "by itself": lambda: self.retry(exc=RuntimeError("no")),
                "by its options": lambda: ZeroDivisionError("no"),
                "by a rejection": lambda: Reject("no", requeue=True),
            }[how]()

    work.delay(user.pk)
    run_next(own)
    assert (told()["state"], told()["attempt"]) == ("queued", 2)
    if how == "by a rejection":  # which its broker sends again
        own.tasks[work.name].apply_async((user.pk,), task_id=TaskRecord.objects.get().job[7:])
    run_next(own)
    assert (told()["state"], told()["attempt"]) == ("succeeded", 2)


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (RuntimeError("no"), "failed", "It failed."),
        (Reject("no", requeue=False), "failed", "It failed."),
        (Ignore(), "cancelled", "Stopped."),
    ],
)
def test_a_task_that_is_not_sent_again_has_ended(
    own: Celery, user: Any, error: Exception, state: str, message: str
) -> None:
    own.task(raiser(error), shared=False).delay(user.pk)
    run_next(own)
    assert (told()["state"], row().message) == (state, message)
    assert ("RuntimeError: no" in TaskRecord.objects.get().detail) is (type(error) is RuntimeError)


@pytest.mark.parametrize("how", ["by itself", "by its options", "by an error", "by an exit"])
@pytest.mark.parametrize("is_part", [False, True])
def test_an_error_that_reaches_the_caller_of_a_task_that_runs_at_once_has_ended_it(
    own: Celery, user: Any, how: str, is_part: bool
) -> None:
    """
    With ``task_eager_propagates`` Celery reports no failure, and does not try the task again.

    On the whole, if the task is a part.
    """
    own.conf.task_always_eager = own.conf.task_eager_propagates = True
    again = [ZeroDivisionError] if how == "by its options" else ()

    @own.task(bind=True, shared=False, autoretry_for=again, retry_backoff=False)
    @contrib.tracked("Working", user="user_id")
    def work(self: Any, user_id: Any) -> None:
        if how == "by itself":
            raise self.retry(exc=RuntimeError("no"))
        raise SystemExit("no") if how == "by an exit" else ZeroDivisionError("no")

    call = partial(contrib.send, group([work.si(user.pk)]), user, "All")
    with pytest.raises((Retry, ZeroDivisionError, SystemExit)):
        call() if is_part else work.delay(user.pk)
    assert (told()["state"], told()["attempt"]) == ("failed", 1)
    assert row().title == ("All" if is_part else "Working")
    assert "no" in TaskRecord.objects.get().detail


def expire(request: Request) -> None:
    request._expires = datetime(2000, 1, 1, tzinfo=UTC)
    request.execute()


def revoke(request: Request) -> None:
    revoked.add(request.id)
    request.execute()


def lose(request: Request) -> None:
    """As the parent of a child that was killed."""
    try:
        raise WorkerLostError("killed")
    except WorkerLostError:
        request.on_failure(ExceptionInfo())


def interrupt(request: Request) -> None:
    """As a worker that is shut down at once."""
    request.time_start = 1
    request.cancel(Mock())


@pytest.mark.parametrize(
    ("end", "state", "message"),
    [
        (expire, "cancelled", "It waited too long to be started."),
        (revoke, "cancelled", "Cancelled."),
        (lose, "failed", "It failed."),
        (interrupt, "failed", "It was interrupted."),
    ],
)
@pytest.mark.parametrize("is_part", [False, True])
def test_a_worker_that_does_not_run_a_task_to_its_end_reports_the_reason(
    own: Celery,
    user: Any,
    end: Callable[[Request], None],
    state: str,
    message: str,
    is_part: bool,
) -> None:
    """On the whole, if the task is a part."""
    task = own.task(raiser(), shared=False)
    if is_part:
        contrib.send(group([task.si(user.pk)]), user, "All")
    else:
        task.delay(user.pk)
    request = take(own)
    assert request
    end(request)
    assert (told()["state"], row().title, row().message) == (
        state,
        "All" if is_part else "Working",
        message,
    )


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_task_that_cannot_be_read_where_it_is_sent_is_not_shown(
    own: Celery, user: Any, caplog: pytest.LogCaptureFixture, protocol: int
) -> None:
    """It is not known to that process, or sent by the first protocol of Celery."""
    own.conf.task_protocol = protocol
    if protocol == 1:
        own.task(raiser(), shared=False).delay(user.pk)
    else:
        own.send_task("unknown", [user.pk])
    assert not Notification.objects.exists()
    assert caplog.text == ""


def test_parts_are_counted_as_they_succeed_and_not_where_they_are_tried_again(
    own: Celery, user: Any
) -> None:
    """A task for errors does not count, as it runs only if another fails."""
    options = {"autoretry_for": [ZeroDivisionError], "retry_backoff": False, "shared": False}
    work = own.task(default_retry_delay=0, **options)(raiser(ZeroDivisionError("no"), None, None))
    tidy = own.task(shared=False)(plain)
    contrib.send(chain(work.si(user.pk), work.si(user.pk).on_error(tidy.s())), user, "All")
    assert (told()["state"], told()["total"]) == ("queued", 2)
    states = []
    for _ in range(3):
        run_next(own)
        states.append((told()["state"], told()["done"]))
    assert states == [("running", 0), ("running", 1), ("succeeded", 2)]


def test_the_tasks_of_a_group_may_come_from_a_generator(own: Celery, user: Any) -> None:
    work = own.task(raiser(None, ValueError("no")), shared=False)
    contrib.send(group(work.si(user.pk) for _ in range(2)), user, "All")
    assert told()["total"] == 2
    run_next(own)
    run_next(own)
    assert (told()["state"], told()["done"], row().title) == ("failed", 1, "All")
    assert "ValueError: no" in TaskRecord.objects.get().detail


def test_a_whole_that_cannot_be_sent_has_failed(own: Celery, user: Any) -> None:
    def refuse(**given: Any) -> None:
        raise OperationalError("the broker is down")

    work = own.task(raiser(), shared=False)
    work.apply_async = lambda *args, **options: refuse()
    with pytest.raises(OperationalError):
        contrib.send(work.si(user.pk), user, "All")
    assert (told()["state"], row().message) == ("failed", "It could not be sent.")


def test_an_argument_that_would_be_ignored_is_refused(own: Celery, user: Any) -> None:
    work = own.task(raiser(), shared=False)
    with pytest.raises(TypeError, match="message"):
        contrib.send(work.si(user.pk), user, "All", message="Resizing")


def test_a_task_that_its_user_cancels_is_revoked(
    own: Celery, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a whole, all its tasks; the job of another queue is not."""
    control = Mock()
    monkeypatch.setattr(own, "control", control, raising=False)
    monkeypatch.setattr(jobs, "take_out", lambda job, revoke: revoke())
    cancel_asked.send(None, recipient_id=user.pk, job="other:1")
    assert control.mock_calls == []
    task = own.task(raiser(), shared=False)
    result = task.delay(user.pk)
    task_rows.ask_to_end(user.pk, [(row().pk, row().arrived or 0)])
    assert control.mock_calls == [call.revoke(result.id)]
    Notification.objects.all().delete()
    contrib.send(chain(task.si(user.pk), task.si(user.pk)), user, "All", cancellable=True)
    task_rows.ask_to_end(user.pk, [(row().pk, row().arrived or 0)])
    whole = TaskRecord.objects.latest("pk").job
    assert control.mock_calls[1:] == [call.revoke_by_stamped_headers({"notify_whole": whole})]


def test_a_child_of_a_worker_waits_for_its_last_reports_when_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flush = Mock()
    monkeypatch.setattr(writer, "flush", flush)
    worker_process_shutdown.send(None, pid=1, exitcode=0)
    flush.assert_called_once_with()
