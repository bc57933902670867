"""Functions whose runs are shown, by themselves and as jobs of a queue."""

from __future__ import annotations

import gc
from copy import copy
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

import notify
from notify import signals
from notify.models import Notification, Progress, timestamp
from notify.tracking import decorator as jobs
from notify.tracking import rows as runs
from notify.tracking.rows import Run

pytestmark = [pytest.mark.users, pytest.mark.django_db]


@notify.tracked("Importing", user="user_id", cancellable=True)
def work(user_id, fails=False, progress=None):
    progress.advance(3)
    if fails:
        raise ValueError("no")
    progress.check()
    return "done"


@pytest.fixture(autouse=True)
def no_job(db):
    """What one test leaves open is not the next one's; a handle that is thrown away says so here."""
    jobs._current.set(None)
    yield
    jobs._current.set(None)
    gc.collect()


def told() -> dict:
    return Notification.objects.get().progress


def run(user, **arguments):
    jobs.begun("q:1", work)
    try:
        return work(user.pk, **arguments)
    finally:
        jobs.over("q:1")


def killed_worker(user) -> jobs.Job:
    """What runs a job whose process dies in the midst of it: nobody has said how it ended."""
    jobs.begun("q:1", work)
    with pytest.raises(ValueError, match="no"):
        work(user.pk, fails=True)
    killed = jobs.current("q:1")
    assert killed
    jobs.over("q:1")
    return killed


def test_a_job_is_one_row_from_the_queue_to_its_end(user):
    jobs.queued("q:1", work, [user.pk], {})
    assert (told()["state"], told()["started_at"]) == ("queued", None)
    assert run(user) == "done"
    assert (told()["state"], told()["attempt"]) == ("succeeded", 1)
    assert Progress.objects.get().job == "q:1"


@pytest.mark.parametrize("is_job", [True, False])
def test_a_task_runs_although_its_user_is_gone(user, is_job, caplog):
    gone = copy(user)
    user.delete()
    assert (run(gone) if is_job else work(gone.pk)) == "done"
    with pytest.raises(ValueError, match="no"):
        run(gone, fails=True) if is_job else work(gone.pk, fails=True)
    jobs.queued("q:1", work, [gone.pk], {})
    assert "Importing is shown to nobody: No user has the primary key" in caplog.text
    assert not Notification.objects.exists()


def test_a_job_may_have_a_name_longer_than_is_kept(user):
    name = "q:" + "x" * 300
    jobs.queued(name, work, [user.pk], {})
    jobs.failed(name)
    assert told()["state"] == "failed"


def test_that_it_was_queued_is_no_news_once_it_has_begun(user):
    run(user)
    jobs.queued("q:1", work, [user.pk], {})
    assert (told()["state"], told()["attempt"]) == ("succeeded", 1)


def test_the_same_job_may_be_queued_again_after_it_was_cancelled(user):
    """As by a queue whose jobs have names; it runs then, and nobody has cancelled that."""
    jobs.queued("q:1", work, [user.pk], {})
    row = Notification.objects.get()
    runs.ask_to_end(user.pk, [(row.pk, row.arrived)])
    long_ago = timezone.now() - timedelta(minutes=1)
    ended = told() | {"ended_at": timestamp(long_ago)}
    Notification.objects.update(progress=ended)
    jobs.queued("q:1", work, [user.pk], {})
    assert (told()["state"], told()["attempt"]) == ("queued", 2)
    assert run(user) == "done"
    assert (told()["state"], told()["attempt"]) == ("succeeded", 2)


def test_that_it_was_queued_may_be_told_long_after_its_end(user):
    """As at the commit of a long transaction, where the queue has it at once."""
    run(user)
    ended, queued = (timezone.now() - timedelta(minutes=minutes) for minutes in (1, 2))
    Notification.objects.update(progress=told() | {"ended_at": timestamp(ended)})
    jobs.queued("q:1", work, [user.pk], {}, since=queued)
    assert told()["state"] == "succeeded"


def test_a_job_that_was_to_end_when_its_worker_died_is_ended_by_the_next(user):
    killed = killed_worker(user)  # and it comes again, as nobody has acknowledged it
    row = Notification.objects.get()
    runs.ask_to_end(user.pk, [(row.pk, row.arrived)])
    assert told()["state"] == "cancelling"
    assert run(user) is None
    assert told()["state"] == "cancelled"
    assert killed.progress.state == "running", "it has said nothing more"


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
    assert "ValueError: no" in Progress.objects.get().detail


def test_a_late_word_of_an_attempt_that_is_over_changes_nothing(user):
    jobs.begun("q:1", work)
    with pytest.raises(ValueError, match="no"):
        work(user.pk, fails=True)
    first = jobs.current("q:1")
    jobs.over("q:1")
    jobs.begun("q:1", work, attempt=2)
    with pytest.raises(ValueError, match="no"):
        work(user.pk, fails=True)
    first.progress.retry()
    assert (told()["state"], told()["attempt"]) == ("running", 2)


def test_an_attempt_that_is_written_after_the_next_one_says_nothing(user):
    """As where its process waits for the mailbox while the next attempt runs and ends in another."""
    jobs.queued("q:1", work, [user.pk], {})
    now = timezone.now()
    late = Run(user.pk, "Importing", job="q:1", is_counted=True, started_at=now)
    jobs.begun("q:1", work, attempt=2)
    assert work(user.pk) == "done"
    jobs.over("q:1")
    runs.save(late)
    assert late.is_superseded
    assert (told()["state"], told()["attempt"]) == ("succeeded", 2)


def test_another_process_may_end_a_job_of_which_it_knows_the_name(user):
    jobs.queued("q:1", work, [user.pk], {})
    jobs.failed("q:1", "Its worker has died.", detail="killed")
    row = Notification.objects.get()
    assert (row.title, row.message, row.level) == ("Importing", "Its worker has died.", "error")
    assert Progress.objects.get().detail == "killed"
    jobs.cancelled("q:1")
    assert told()["state"] == "failed"


def test_another_process_may_say_that_a_job_is_tried_again(user):
    killed = killed_worker(user)
    jobs.retried("q:1")
    assert killed.progress.state == "running"
    again = told()
    assert (again["state"], again["attempt"]) == ("queued", 2)
    assert (again["done"], again["started_at"], again["cancellable"]) == (0, None, True)
    assert run(user) == "done"
    assert (told()["state"], told()["attempt"]) == ("succeeded", 2)


def test_what_has_ended_waits_for_no_other_try(user):
    run(user)
    jobs.retried("q:1")
    assert (told()["state"], told()["attempt"]) == ("succeeded", 1)


def test_nothing_is_told_of_a_job_that_nobody_has_seen(user):
    jobs.failed("q:none")
    jobs.queued("q:none", len, [], {})
    jobs.begun("q:none", len)
    jobs.over("q:none")
    assert not Notification.objects.exists()


def test_what_is_wrong_with_a_call_does_not_disturb_the_queue(user, caplog):
    jobs.queued("q:1", work, [None], {})
    assert "q:1" in caplog.text
    assert not Notification.objects.exists()


def test_a_job_that_was_cancelled_in_the_queue_is_cancelled_at_once_and_never_begins(
    user, django_capture_on_commit_callbacks
):
    jobs.queued("q:1", work, [user.pk], {})
    row = Notification.objects.get()
    asked = []
    signals.cancel_asked.connect(
        lambda job, **_: asked.append(job), weak=False, dispatch_uid="here"
    )
    try:
        runs.ask_to_end(user.pk, [(row.pk, row.arrived)])
    finally:
        signals.cancel_asked.disconnect(dispatch_uid="here")
    assert (told()["state"], asked) == ("cancelled", ["q:1"])
    assert run(user) is None
    assert told()["state"] == "cancelled"


def test_a_job_that_is_cancelled_in_the_moment_when_it_begins_hears_of_it(user, monkeypatch):
    """Its worker has looked already, and has not said yet that it begins."""
    look = runs.is_called_off

    def look_too_soon(job: str) -> bool:
        seen = look(job)
        row = Notification.objects.get()
        runs.ask_to_end(user.pk, [(row.pk, row.arrived)])
        assert told()["state"] == "cancelled"
        return seen

    monkeypatch.setattr(runs, "is_called_off", look_too_soon)
    jobs.queued("q:1", work, [user.pk], {})
    assert run(user) is None
    assert (told()["state"], told()["attempt"], told()["done"]) == ("cancelled", 1, 3)


def test_a_dead_database_keeps_no_job_from_beginning(user, monkeypatch):
    def die(job):
        raise OperationalError("dead")

    monkeypatch.setattr(runs, "is_called_off", die)
    assert run(user) == "done"


def test_a_tracked_function_that_a_job_calls_is_shown_by_itself(user):
    @notify.tracked("Outer", user="user_id")
    def outer(user_id):
        work(user_id)

    jobs.begun("q:1", outer)
    outer(user.pk)
    jobs.over("q:1")
    assert sorted(Progress.objects.values_list("job", flat=True)) == ["", "q:1"]


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


def test_jobs_may_be_nested(user):
    jobs.begun("q:1", work)
    jobs.begun("q:2", work)
    jobs.over("q:2")
    assert jobs.current("q:1")
    jobs.over("q:1")
    assert jobs.current("q:1") is None


def part(name: str, *, fails: bool = False) -> None:
    jobs.begun(name, work, whole="q-whole:1")
    if fails:
        jobs.failed(name)
    else:
        jobs.finished(name)
    jobs.over(name)
    tell_whole()


def tell_whole() -> None:
    """As the writer does."""
    whole = jobs._wholes["q-whole:1"]
    runs.save(whole.run)


@pytest.fixture
def whole(user):
    jobs._wholes.clear()
    return notify.progress(user, "All", job="q-whole:1", queued=True, total=2, cancellable=True)


def test_parts_are_counted_once_and_the_last_ends_the_whole(user, whole):
    part("q:1")
    part("q:1")
    assert (told()["state"], told()["done"]) == ("running", 1)
    part("q:2")
    assert (told()["state"], told()["done"]) == ("succeeded", 2)
    assert not Progress.objects.get().parts.exists()
    part("q:3")
    assert told()["done"] == 2


def test_a_part_that_fails_fails_the_whole(user, whole):
    part("q:1")
    part("q:2", fails=True)
    assert (told()["state"], told()["done"]) == ("failed", 1)


def test_a_function_that_is_a_part_is_not_shown_by_itself_and_may_be_cancelled(user, whole):
    jobs.begun("q:1", work, whole="q-whole:1")
    assert work(user.pk) == "done"
    assert Notification.objects.count() == 1
    jobs.over("q:1")
    row = Notification.objects.get()
    runs.ask_to_end(user.pk, [(row.pk, row.arrived)])
    jobs.begun("q:2", work, whole="q-whole:1")
    assert work(user.pk) is None
    jobs.over("q:2")


def test_a_whole_whose_parts_were_cancelled_was_cancelled(user, whole):
    """Also where no part waits any more, so that none can be taken out."""
    part("q:1")
    row = Notification.objects.get()
    runs.ask_to_end(user.pk, [(row.pk, row.arrived)])
    jobs.begun("q:2", work, whole="q-whole:1")
    tell_whole()  # it hears of it
    assert work(user.pk) is None
    jobs.finished("q:2")
    jobs.over("q:2")
    tell_whole()
    assert (told()["state"], told()["done"]) == ("cancelled", 1)
    assert not Progress.objects.get().parts.exists()


def test_a_part_that_is_tried_again_is_no_news(user, whole):
    jobs.begun("q:1", work, whole="q-whole:1")
    jobs.retried("q:1")
    jobs.over("q:1")
    tell_whole()
    assert (told()["state"], told()["attempt"]) == ("running", 1)


def test_what_another_process_has_counted_stays(user, whole):
    Notification.objects.update(progress=told() | {"total": 5})
    part("q:1")
    here = jobs._wholes.pop("q-whole:1")
    other = Run(None, "", job="q-whole:1", adopts=True, parts={"q:9"})
    runs.save(other)
    here.run.message = "Page 3"
    runs.save(here.run)
    assert told()["done"] == 2


def test_a_process_remembers_so_many_wholes(monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WHOLES", 2)
    jobs._wholes.clear()
    for number in range(4):
        jobs.begun(f"q:{number}", work, whole=f"q-whole:{number}")
        jobs.over(f"q:{number}")
    assert list(jobs._wholes) == ["q-whole:2", "q-whole:3"]
