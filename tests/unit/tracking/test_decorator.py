"""Functions whose runs are shown, by themselves and as jobs of a queue."""

from __future__ import annotations

import asyncio
from copy import copy
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connections

import notify
from notify.models import Notification, TaskRecord
from notify.tracking import jobs, writer
from notify.tracking import rows as task_rows
from tests.kit.patience import PATIENCE
from tests.unit.tracking.work import run, told, work

pytestmark = [pytest.mark.users, pytest.mark.django_db, pytest.mark.usefixtures("no_job")]


def row() -> Notification:
    return Notification.objects.get()


def test_a_function_is_tracked_and_given_its_progress(user):
    @notify.tracked("Importing", user="user_id")
    def work(user_id, rows, progress):
        """Imports."""
        return sum(progress.track(rows))

    assert work(user.pk, [1, 2]) == 3
    assert work.__doc__ == "Imports."
    assert (row().progress["done"], row().progress["state"]) == (2, "succeeded")


def test_whoever_is_told_may_be_reckoned(user):
    @notify.tracked("Importing", user=lambda order: order["owner"])
    def work(order):
        return order["id"]

    assert work({"id": 7, "owner": user}) == 7
    assert row().recipient == user


def test_the_parameter_that_says_who_is_told_may_have_a_default(user):
    @notify.tracked("Importing", user="user_id")
    def work(path, user_id=user.pk):
        return path

    assert work("customers.csv") == "customers.csv"
    assert row().recipient_id == user.pk


async def test_an_async_function_is_tracked(monkeypatch, user):
    said = []
    monkeypatch.setattr(writer, "schedule", lambda run: said.append(run.state.value))

    @notify.tracked("Importing")
    async def work(user):
        return 7

    assert await work(user) == 7
    assert said == ["running", "succeeded"]


def test_a_cancelled_function_returns_nothing(user):
    @notify.tracked("Importing", cancellable=True)
    def work(user, progress):
        progress._run.stored.cancel_asked = True
        progress.check()

    assert work(user) is None
    assert TaskRecord.objects.get().state == "cancelled"


def test_a_caller_need_not_know_where_the_progress_stands(user, other_user):
    @notify.tracked("Importing")
    def work(progress, user, colleague, *paths):
        return progress.state, colleague, paths

    assert work(user, other_user) == ("running", other_user, ())
    assert row().recipient_id == user.pk
    assert work(user, other_user, "a", "b")[2] == ("a", "b")
    assert work(user=user, colleague=other_user)[0] == "running"
    assert set(Notification.objects.values_list("recipient", flat=True)) == {user.pk}


def test_a_function_with_any_number_of_arguments_is_given_them_as_they_are(user):
    @notify.tracked("Importing")
    def work(user, *paths):
        return paths

    @notify.tracked("Importing")
    def count(user, *paths, progress):
        return progress.state, paths

    assert work(user, "a", "b") == ("a", "b")
    assert count(user, "a", "b") == ("running", ("a", "b"))


async def test_a_group_of_coroutines_may_be_cancelled(monkeypatch, user):
    """Which raises a group of what they raise."""
    said = []
    monkeypatch.setattr(writer, "schedule", lambda run: said.append(run.state.value))

    @notify.tracked("Importing", cancellable=True)
    async def work(user, progress):
        async def check():
            progress.check()

        progress._run.stored.cancel_asked = True
        async with asyncio.TaskGroup() as group:
            group.create_task(check())
            group.create_task(check())

    assert await work(user) is None
    assert said == ["running", "cancelled"]


def test_a_function_without_that_parameter_is_refused_when_it_is_made():
    with pytest.raises(TypeError, match="no parameter 'user'"):

        @notify.tracked("Importing")
        def work(owner):
            pass


def test_a_function_that_yields_is_refused_when_it_is_made():
    """It would be shown as finished before it begins."""

    def work(user):
        yield 1

    async def awork(user):
        yield 1

    for function in (work, awork):
        with pytest.raises(TypeError, match=r"work\(\) is a generator"):
            notify.tracked("Importing")(function)


# -- As a job of a queue -------------------------------------------------------------------------


def test_an_exception_is_no_end_before_the_queue_says_so(user):
    jobs.begun("q:1", work)
    with pytest.raises(ValueError, match="no"):
        work(user.pk, fails=True)
    assert told()["state"] == "running"
    jobs.retried("q:1")
    assert (told()["state"], told()["attempt"], told()["done"]) == ("queued", 2, 0)
    assert told()["message"] == "Attempt 2"
    jobs.over("q:1")
    jobs.begun("q:1", work, attempt=2)
    with pytest.raises(ValueError, match="no"):
        work(user.pk, fails=True)
    jobs.failed("q:1")
    assert (told()["state"], told()["attempt"]) == ("failed", 2)
    assert "ValueError: no" in TaskRecord.objects.get().detail


@pytest.mark.parametrize("is_job", [True, False])
def test_a_task_runs_although_its_user_is_gone(user, is_job, caplog):
    gone = copy(user)
    user.delete()
    assert (run(gone) if is_job else work(gone.pk)) == "done"
    with pytest.raises(ValueError, match="no"):
        run(gone, fails=True) if is_job else work(gone.pk, fails=True)
    jobs.queued("q:1", work, [gone.pk], {})
    assert "The task Importing is not shown: No user has the primary key" in caplog.text
    assert not Notification.objects.exists()


def test_a_job_that_fails_before_its_function_is_called_has_failed(user):
    """As where the queue cannot read the arguments."""
    jobs.queued("q:1", work, [user.pk], {})
    jobs.begun("q:1", work)
    jobs.failed("q:1", "It could not be read.")
    jobs.over("q:1")
    assert (told()["state"], row().message) == ("failed", "It could not be read.")


def test_a_function_that_is_a_part_reports_on_the_whole(user):
    jobs.queued_whole("q-whole:1", user, "All", total=2)
    jobs.begun("q:1", work, whole="q-whole:1")
    with pytest.raises(ValueError, match="no"):
        work(user.pk, fails=True)
    jobs.failed("q:1")
    jobs.over("q:1")
    assert (told()["state"], row().title) == ("failed", "All")
    assert "ValueError: no" in TaskRecord.objects.get().detail


def queue_and_cancel(function, user):
    jobs.queued("q:1", function, [user.pk], {})
    assert writer.flush(PATIENCE)
    task_rows.ask_to_end(user.pk, [(row().pk, row().arrived)])


def test_a_function_that_was_cancelled_in_the_queue_is_not_called(user):
    called = []

    @notify.tracked("Importing", user="user_id", cancellable=True)
    def function(user_id):
        called.append(user_id)

    queue_and_cancel(function, user)
    jobs.begun("q:1", function)
    assert function(user.pk) is None
    jobs.over("q:1")
    assert (told()["state"], called) == ("cancelled", [])


@pytest.mark.django_db(transaction=True)
async def test_a_coroutine_that_was_cancelled_in_the_queue_is_not_called(user):
    called = []

    @notify.tracked("Importing", user="user_id", cancellable=True)
    async def function(user_id):
        called.append(user_id)

    await sync_to_async(queue_and_cancel)(function, user)
    jobs.begun("q:1", function)
    assert await function(user.pk) is None
    jobs.over("q:1")
    assert await sync_to_async(writer.flush)(PATIENCE)
    assert ((await sync_to_async(told)())["state"], called) == ("cancelled", [])
    await sync_to_async(connections.close_all)()  # of the thread in which all this has run


def test_a_tracked_function_that_a_job_calls_is_shown_by_itself(user):
    @notify.tracked("Outer", user="user_id")
    def outer(user_id):
        work(user_id)

    jobs.begun("q:1", outer)
    outer(user.pk)
    jobs.over("q:1")
    assert sorted(TaskRecord.objects.values_list("job", flat=True)) == ["", "q:1"]


def test_what_is_shown_may_come_from_the_arguments(user):
    @notify.tracked(
        lambda user_id, path: f"Reading {path}",
        user=lambda user_id, path: user_id,
        key=lambda user_id, path: f"read:{path}",
        url="/files/",
    )
    def read(user_id, path):
        return path

    assert read(user.pk, path="a.csv") == "a.csv"
    row = Notification.objects.get()
    assert (row.title, row.collapse_key, row.url) == ("Reading a.csv", "read:a.csv", "/files/")


def test_a_job_that_is_cancelled_in_the_moment_when_it_begins_hears_of_it(user, monkeypatch):
    """Its worker has already checked, and has not yet reported the start."""
    look = task_rows.is_called_off

    def look_too_soon(job: str, recipient_id: Any) -> bool:
        seen = look(job, recipient_id)
        row = Notification.objects.get()
        task_rows.ask_to_end(user.pk, [(row.pk, row.arrived)])
        assert told()["state"] == "cancelled"
        return seen

    monkeypatch.setattr(task_rows, "is_called_off", look_too_soon)
    jobs.queued("q:1", work, [user.pk], {})
    assert run(user) is None
    assert (told()["state"], told()["attempt"], told()["done"]) == ("cancelled", 1, 3)


def test_a_dead_database_keeps_no_job_from_beginning(user, monkeypatch):
    def die(*args):
        raise OperationalError("dead")

    monkeypatch.setattr(task_rows, "is_called_off", die)
    assert run(user) == "done"


def test_a_job_is_called_off_for_the_user_who_cancelled_it(user, other_user):
    """The jobs of two users may have one name. The one of the other user runs."""
    for each in (user, other_user):
        jobs.queued("q:1", work, [each.pk], {})
    row = Notification.objects.get(recipient=user)
    task_rows.ask_to_end(user.pk, [(row.pk, row.arrived)])
    assert run(user) is None
    assert run(other_user) == "done"
    mine, theirs = (
        Notification.objects.get(recipient=each).progress for each in (user, other_user)
    )
    assert (mine["state"], mine["started_at"]) == ("cancelled", None), "it has not begun"
    assert (theirs["state"], theirs["attempt"]) == ("succeeded", 1)


def test_a_job_for_nobody_is_not_called_off(caplog):
    """It runs without being shown."""
    jobs.begun("q:1", work)
    assert work(2**63) == "done"
    jobs.over("q:1")
    assert not Notification.objects.exists()
