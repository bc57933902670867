"""Functions whose runs are shown, by themselves and as jobs of a queue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from notify import signals
from notify.encoding import timestamp
from notify.models import Notification, TaskRecord
from notify.tracking import jobs
from notify.tracking import rows as task_rows
from notify.tracking.run import TaskRun
from tests.kit.patience import PATIENCE
from tests.unit.tracking.work import run, told, work

pytestmark = [pytest.mark.users, pytest.mark.django_db, pytest.mark.usefixtures("no_job")]


def killed_worker(user) -> jobs.Job:
    """Run a job in a process that dies during it, so that its end is never reported."""
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
    assert TaskRecord.objects.get().job == "q:1"


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
    """A queue may have named jobs. The job runs then, because the new run was not cancelled."""
    jobs.queued("q:1", work, [user.pk], {})
    row = Notification.objects.get()
    task_rows.ask_to_end(user.pk, [(row.pk, row.arrived)])
    long_ago = timezone.now() - timedelta(minutes=1)
    ended = told() | {"ended_at": timestamp(long_ago)}
    Notification.objects.update(progress=ended)
    jobs.queued("q:1", work, [user.pk], {})
    assert (told()["state"], told()["attempt"]) == ("queued", 2)
    assert run(user) == "done"
    assert (told()["state"], told()["attempt"]) == ("succeeded", 2)


def test_that_it_was_queued_may_be_told_long_after_its_end(user):
    """A long transaction commits late, while the queue has run the job at once."""
    run(user)
    ended, queued = (timezone.now() - timedelta(minutes=minutes) for minutes in (1, 2))
    Notification.objects.update(progress=told() | {"ended_at": timestamp(ended)})
    jobs.queued("q:1", work, [user.pk], {}, since=queued)
    assert told()["state"] == "succeeded"


def test_a_job_that_was_to_end_when_its_worker_died_is_ended_by_the_next(user):
    killed = killed_worker(user)  # the queue repeats it, because it was not acknowledged
    row = Notification.objects.get()
    task_rows.ask_to_end(user.pk, [(row.pk, row.arrived)])
    assert told()["state"] == "cancelling"
    assert run(user) is None
    assert told()["state"] == "cancelled"
    assert killed.progress.state == "running", "it has reported nothing more"


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
    """Its process waits for the mailbox, while the next attempt runs and ends in another process."""
    jobs.queued("q:1", work, [user.pk], {})
    now = timezone.now()
    late = TaskRun(user.pk, "Importing", job="q:1", is_counted=True, started_at=now)
    jobs.begun("q:1", work, attempt=2)
    assert work(user.pk) == "done"
    jobs.over("q:1")
    task_rows.save(late)
    assert late.is_superseded
    assert (told()["state"], told()["attempt"]) == ("succeeded", 2)


def test_another_process_may_end_a_job_of_which_it_knows_the_name(user):
    jobs.queued("q:1", work, [user.pk], {})
    jobs.failed("q:1", "Its worker has died.", detail="killed")
    row = Notification.objects.get()
    assert (row.title, row.message, row.level) == ("Importing", "Its worker has died.", "error")
    assert TaskRecord.objects.get().detail == "killed"
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
        task_rows.ask_to_end(user.pk, [(row.pk, row.arrived)])
    finally:
        signals.cancel_asked.disconnect(dispatch_uid="here")
    assert (told()["state"], asked) == ("cancelled", ["q:1"])
    assert run(user) is None
    assert told()["state"] == "cancelled"


def test_jobs_may_be_nested(user):
    jobs.begun("q:1", work)
    jobs.begun("q:2", work)
    jobs.over("q:2")
    assert jobs.current("q:1")
    jobs.over("q:1")
    assert jobs.current("q:1") is None


def report_on_part(job: str, report: Callable[[str], None]) -> None:
    jobs.begun(job, work, whole="q-whole:1")
    report(job)
    jobs.over(job)


def test_of_a_whole_only_the_parts_that_have_succeeded_are_counted(user):
    jobs.queued_whole("q-whole:1", user, "All", total=2)
    assert (told()["state"], told()["total"]) == ("queued", 2)
    report_on_part("q:1", jobs.finished)
    assert (told()["state"], told()["done"]) == ("running", 1)
    report_on_part("q:2", jobs.retried)
    assert (told()["state"], told()["done"], told()["attempt"]) == ("running", 1, 1)
    report_on_part("q:2", jobs.finished)
    assert (told()["state"], told()["done"]) == ("succeeded", 2)


def test_that_a_job_has_succeeded_is_no_news_unless_it_is_a_part(user):
    jobs.queued("q:1", work, [user.pk], {})
    jobs.begun("q:1", work)
    jobs.finished("q:1")
    jobs.over("q:1")
    jobs.finished("q:1")
    assert (told()["state"], told()["done"]) == ("queued", 0)


def test_a_queue_that_hangs_keeps_no_user_waiting_who_cancels():
    gate, revoked = threading.Event(), threading.Event()
    jobs.take_out("q:1", lambda: gate.wait(PATIENCE) and revoked.set())
    assert not revoked.is_set()
    gate.set()
    assert revoked.wait(PATIENCE)


def test_a_job_that_another_user_awaits_is_not_taken_out(user, other_user):
    """A queue knows one job of that name. The one who cancelled it has it called off when it begins."""
    revoked = threading.Event()
    for each in (user, other_user):
        jobs.queued("q:1", work, [each.pk], {})
    row = Notification.objects.get(recipient=user)
    task_rows.ask_to_end(user.pk, [(row.pk, row.arrived)])
    jobs.take_out("q:1", revoked.set)
    assert "notify-errands" not in [thread.name for thread in threading.enumerate()]
    assert not revoked.is_set()
    row = Notification.objects.get(recipient=other_user)
    task_rows.ask_to_end(other_user.pk, [(row.pk, row.arrived)])
    jobs.take_out("q:1", revoked.set)
    assert revoked.wait(PATIENCE)


def test_a_job_is_not_taken_out_while_the_database_is_down(monkeypatch):
    """It is unknown if another user waits for it. A cancelled job does not begin in any case."""
    revoked = []

    def die(job):
        raise OperationalError("dead")

    monkeypatch.setattr(task_rows, "is_awaited", die)
    jobs.take_out("q:1", lambda: revoked.append(1))
    assert revoked == []


def test_a_job_is_revoked_once_at_a_time():
    gate, revoked, over = threading.Event(), [], threading.Event()
    for number in range(200):
        jobs.take_out("q:1", lambda n=number: revoked.append(n) or gate.wait(PATIENCE))
    jobs.take_out("q:2", over.set)
    assert over.wait(PATIENCE)
    assert revoked == [0]
    gate.set()


def test_a_queue_that_is_down_is_logged_when_a_job_cannot_be_revoked(caplog):
    def revoke() -> None:
        raise ConnectionError("the broker is down")

    jobs.take_out("q:1", revoke)
    for thread in threading.enumerate():
        if thread.name == "notify-errands":
            thread.join(PATIENCE)
    assert "The job q:1 could not be revoked." in caplog.text
    assert "the broker is down" in caplog.text
