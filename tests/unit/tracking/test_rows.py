"""The rows of running tasks: one notification for the whole life, written outside the task's transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

import notify
from notify import inbox, signals
from notify.inbox import upkeep
from notify.mailbox import marks
from notify.models import Mailbox, Notification, TaskPart, TaskRecord
from notify.protocol import Mark, TaskState
from notify.tracking import rows as task_rows
from notify.tracking.run import TaskRun
from tests.kit.mailboxes import assert_sound, mailbox_of
from tests.kit.search import search

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def run(user) -> TaskRun:
    return TaskRun(user.pk, "Importing customers", total=1200, started_at=timezone.now())


def shown(run: TaskRun) -> dict:
    """The notification as a reader receives it."""
    (row,) = [
        row for row in inbox.snapshot(run.recipient_id).notifications if row.pk == run.stored.pk
    ]
    return json.loads(row.encode())


def test_a_run_is_a_notification_that_tells_how_far_it_is(run, rings):
    assert task_rows.save(run) is TaskState.RUNNING
    row = shown(run)
    assert (row["title"], row["message"], row["level"]) == ("", "Importing customers", "info")
    assert row["progress"] == {
        "state": "running",
        "done": 0,
        "total": 1200,
        "message": "",
        "attempt": 1,
        "cancellable": False,
        "silent": False,
        "started_at": row["progress"]["started_at"],
        "ended_at": None,
    }
    assert inbox.counts(run.recipient_id) == (1, 1)
    assert [ring.cursor for ring in rings] == [mailbox_of(run.recipient_id).cursor]
    assert_sound(run.recipient_id)


def test_other_notifications_tell_of_no_progress(user):
    notify.send(user, "Ready")
    (row,) = inbox.snapshot(user).notifications
    assert "progress" not in json.loads(row.encode())


def test_each_change_takes_a_position_and_the_same_row(run):
    task_rows.save(run)
    first = shown(run)
    run.done, run.message = 420, "Row 420"
    task_rows.save(run)
    row = shown(run)
    assert (row["title"], row["message"]) == ("", "Importing customers")
    assert (row["progress"]["done"], row["progress"]["message"]) == (420, "Row 420")
    assert row["position"] > first["position"]
    assert row["arrived"] == first["arrived"], "it does not arrive again"
    assert Notification.objects.count() == 1
    assert_sound(run.recipient_id)


def test_the_end_arrives_anew_and_stays_hidden_where_it_was_hidden(run):
    task_rows.save(run)
    first = shown(run)
    pair = (first["id"], first["arrived"])
    marks.mark(run.recipient_id, Mark.READ, [pair])
    marks.mark(run.recipient_id, Mark.DISMISSED, [pair])
    run.state, run.message = TaskState.SUCCEEDED, "1,200 customers imported"
    task_rows.save(run)
    row = shown(run)
    assert row["level"] == "success"
    assert row["arrived"] > first["arrived"]
    assert (row["read_at"], row["seen_at"]) == (None, None)
    assert row["dismissed_at"] is not None
    assert inbox.counts(run.recipient_id) == (1, 1)
    assert_sound(run.recipient_id)


@pytest.mark.parametrize("state", [TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED])
def test_an_end_is_final(run, state):
    task_rows.save(run)
    run.state = state
    task_rows.save(run)
    run.state = TaskState.RUNNING
    task_rows.save(run)
    assert shown(run)["progress"]["state"] == state
    assert run.is_superseded


def test_what_was_lost_may_come_back(run):
    task_rows.save(run)
    TaskRecord.objects.update(state=TaskState.LOST)
    run.done = 7
    task_rows.save(run)
    assert (shown(run)["progress"]["done"], TaskRecord.objects.get().state) == (7, "running")


def test_a_retry_is_another_attempt_on_the_same_row(run, user):
    run.key = "import:7"
    task_rows.save(run)
    run.state = TaskState.FAILED
    task_rows.save(run)
    marks.mark(user.pk, Mark.DISMISSED, [(run.stored.pk, shown(run)["arrived"])])
    retry = TaskRun(user.pk, "Importing customers", key="import:7")
    task_rows.save(retry)
    assert (retry.stored.pk, retry.attempt) == (run.stored.pk, 2)
    row = shown(retry)
    assert (row["progress"]["state"], row["progress"]["attempt"], row["level"]) == (
        "running",
        2,
        "info",
    )
    assert row["dismissed_at"] is None
    assert inbox.counts(user) == (1, 1)
    assert_sound(user.pk)


def test_an_attempt_that_failed_before_it_was_written_counts(user):
    def quick(**options) -> TaskRun:
        run = TaskRun(user.pk, "Asking", job="q:1", **options)
        task_rows.save(run)
        return run

    quick(state=TaskState.QUEUED)
    quick(state=TaskState.QUEUED, attempt=2, retries=1)
    assert quick().attempt == 2
    assert quick(state=TaskState.QUEUED, attempt=2, retries=1).is_superseded
    assert TaskRecord.objects.get().state == "running"


def test_an_attempt_that_was_overtaken_says_nothing_more(run, user):
    run.key = "import:7"
    task_rows.save(run)
    task_rows.save(TaskRun(user.pk, "Importing customers", key="import:7"))
    run.state = TaskState.FAILED
    task_rows.save(run)
    assert run.is_superseded
    (row,) = inbox.snapshot(user).notifications
    assert row.progress["state"] == "running"


def test_keys_are_compared_as_they_are_written(run, user):
    run.key = "import:a"
    task_rows.save(run)
    other = TaskRun(user.pk, "Importing customers", key="import:A")
    task_rows.save(other)
    assert other.stored.pk != run.stored.pk


def test_a_run_whose_row_was_deleted_is_silent(run):
    task_rows.save(run)
    Notification.objects.all().delete()
    run.done = 5
    task_rows.save(run)
    assert run.is_superseded
    assert not Notification.objects.exists()


def test_a_run_whose_user_was_deleted_leaves_nothing(run, user):
    task_rows.save(run)
    user.delete()
    run.state = TaskState.SUCCEEDED
    task_rows.save(run)
    assert run.is_superseded
    assert not Mailbox.objects.exists()
    assert not Notification.objects.exists()


def test_an_archived_run_goes_on_without_being_counted(run, user):
    task_rows.save(run)
    inbox.mark_archived(user)
    run.state = TaskState.SUCCEEDED
    task_rows.save(run)
    assert inbox.counts(user) == (0, 0)
    assert_sound(user.pk)


def test_who_asks_to_end_a_run_is_heard_and_shown(run):
    run.cancellable = True
    task_rows.save(run)
    assert not run.stored.cancel_asked
    TaskRecord.objects.update(cancel_asked=True)
    assert task_rows.save(run) is TaskState.CANCELLING
    assert (run.stored.cancel_asked, shown(run)["progress"]["state"]) == (True, "cancelling")
    run.state = TaskState.CANCELLED
    task_rows.save(run)
    assert shown(run)["progress"]["state"] == "cancelled"


def test_a_beat_moves_no_position_and_brings_the_wish_to_end(run):
    task_rows.save(run)
    cursor = mailbox_of(run.recipient_id).cursor
    TaskRecord.objects.update(beat_at=timezone.now() - timedelta(hours=1), cancel_asked=True)
    task_rows.beat(run)
    assert run.stored.cancel_asked
    assert TaskRecord.objects.get().beat_at > timezone.now() - timedelta(minutes=1)
    assert mailbox_of(run.recipient_id).cursor == cursor


def test_progress_has_a_mailbox_where_there_was_none(run):
    assert not Mailbox.objects.exists()
    task_rows.save(run)
    assert mailbox_of(run.recipient_id).head == 1


def test_a_later_send_with_the_same_key_is_no_progress(run, user):
    run.key = "import:7"
    task_rows.save(run)
    with transaction.atomic():
        notify.send(user, "Imported by hand", key="import:7")
    (row,) = inbox.snapshot(user).notifications
    assert (row.pk, row.progress) == (run.stored.pk, None)


# -- Reports of others about a run ---------------------------------------------------------------


def ask(run: TaskRun, **options):
    return task_rows.ask_to_end(
        run.recipient_id, [(run.stored.pk, shown(run)["arrived"])], **options
    )


def test_to_ask_a_run_to_end_shows_at_once_and_is_heard_by_the_next_beat(run, rings):
    run.cancellable = True
    task_rows.save(run)
    cursor = ask(run)
    assert cursor == mailbox_of(run.recipient_id).cursor == rings[-1].cursor
    progress = shown(run)["progress"]
    assert (progress["state"], progress["cancellable"]) == ("cancelling", False)
    assert task_rows.beat(run)
    assert run.stored.cancel_asked
    assert not task_rows.beat(run), "it was reported"
    assert_sound(run.recipient_id)


def test_only_what_can_be_cancelled_is_asked_to_end(run, user, other_user):
    task_rows.save(run)
    before = mailbox_of(user.pk).cursor
    ask(run)
    run.cancellable = True
    task_rows.save(run)
    task_rows.ask_to_end(other_user.pk, [(run.stored.pk, 10**6)])
    ask(run, epoch="0" * 17)
    task_rows.ask_to_end(user.pk, [(run.stored.pk, shown(run)["arrived"] - 1)])
    assert shown(run)["progress"]["state"] == "running"
    assert mailbox_of(user.pk).cursor.position == before.position + 1
    assert not TaskRecord.objects.get().cancel_asked


def silence(seconds: float) -> None:
    TaskRecord.objects.update(beat_at=timezone.now() - timedelta(seconds=seconds))


def test_a_run_that_says_nothing_is_told_as_silent_then_as_lost_and_may_come_back(run, user):
    task_rows.save(run)
    silence(59)
    inbox.changes(user, mailbox_of(user.pk).cursor)
    assert shown(run)["progress"]["silent"] is False
    silence(61)
    (row,) = inbox.changes(user, mailbox_of(user.pk).cursor).notifications
    assert (row.progress["silent"], row.progress["state"]) == (True, "running")
    assert not upkeep.look(user.pk).needs_work, "it is reported once"
    silence(301)
    (row,) = inbox.changes(user, mailbox_of(user.pk).cursor).notifications
    assert (row.progress["state"], row.level) == ("lost", "warning")
    assert not upkeep.look(user.pk).needs_work
    assert task_rows.beat(run)
    task_rows.save(run)
    progress = shown(run)["progress"]
    assert (progress["state"], progress["silent"], shown(run)["level"]) == (
        "running",
        False,
        "info",
    )
    assert_sound(user.pk)


def test_a_run_that_waits_to_be_started_is_silent_but_never_lost(run, user):
    run.state = TaskState.QUEUED
    task_rows.save(run)
    silence(10**6)
    task_rows.tend(user.pk)
    progress = shown(run)["progress"]
    assert (progress["state"], progress["silent"]) == ("queued", True)
    assert not upkeep.look(user.pk).needs_work


def test_what_has_ended_is_neither_silent_nor_lost(run, user):
    run.state = TaskState.SUCCEEDED
    task_rows.save(run)
    silence(10**6)
    assert not upkeep.look(user.pk).needs_work


def test_that_it_is_queued_again_is_no_news_while_it_runs(user):
    first = TaskRun(user.pk, "Importing", key="import", started_at=timezone.now())
    task_rows.save(first)
    again = TaskRun(user.pk, "Importing", key="import", state=TaskState.QUEUED)
    task_rows.save(again)
    assert again.is_superseded
    assert shown(first)["progress"]["state"] == "running"
    again.state, again.is_superseded = TaskState.RUNNING, False
    task_rows.save(again)
    assert shown(again)["progress"]["attempt"] == 2


def test_a_task_that_takes_over_a_row_is_not_counted(run, user):
    """The number of earlier sends says nothing about the task."""
    for _ in range(2):
        notify.send(user, "Hello", key="import:7", count=True)
    run.key = "import:7"
    task_rows.save(run)
    row = Notification.objects.get()
    assert (row.count, row.is_counted) == (1, False)


def test_what_is_sent_under_the_key_of_a_task_takes_its_place(run, user):
    run.key = "import:7"
    task_rows.save(run)
    notify.send(user, "The import was stopped", key="import:7", level="error")
    run.done = 5
    task_rows.save(run)
    assert run.is_superseded
    assert not TaskRecord.objects.exists()
    row = Notification.objects.get()
    assert (row.message, row.level, row.progress) == ("The import was stopped", "error", None)
    assert_sound(user.pk)


def test_a_task_that_takes_the_place_of_a_notification_does_not_expire(run, user):
    notify.send(user, "Soon", key="import:7", expires=timedelta(days=1), data={"a": 1})
    run.key = "import:7"
    task_rows.save(run)
    row = Notification.objects.get()
    assert (row.expires_at, row.data, row.message) == (None, None, "Importing customers")


# -- Jobs of a queue, on which several processes report -------------------------------------------


@pytest.fixture
def job(run) -> TaskRun:
    """A job, as the process reports it that runs it."""
    run.change(job="q:1", url="/imports/7/", done=3)
    task_rows.save(run)
    return run


@pytest.fixture
def waiting_job(run) -> TaskRun:
    """A job that waits in its queue."""
    run.change(job="q:1", state=TaskState.QUEUED, started_at=None, cancellable=True)
    task_rows.save(run)
    return run


@pytest.fixture
def revoked() -> Iterator[list[str]]:
    """The jobs that queues were asked to take out."""
    names: list[str] = []

    def note(job, **kwargs):
        names.append(job)

    signals.cancel_asked.connect(note)
    yield names
    signals.cancel_asked.disconnect(note)


def another(**values) -> TaskRun:
    """The report of a process that knows only the name of the job."""
    return TaskRun(None, "", job="q:1", adopts=True, **values)


def test_a_process_that_knows_only_the_name_of_a_job_may_end_it(job):
    """The reports of the job stay."""
    began = shown(job)["progress"]["started_at"]
    task_rows.save(another(state=TaskState.FAILED, message="It failed.", detail="killed"))
    row = shown(job)
    assert (row["title"], row["message"], row["level"]) == (
        "Importing customers",
        "It failed.",
        "error",
    )
    assert (row["progress"]["done"], row["progress"]["total"]) == (3, 1200)
    assert (row["progress"]["started_at"], row["url"]) == (began, "/imports/7/")
    assert TaskRecord.objects.get().detail == "killed"
    assert_sound(job.recipient_id)


def test_a_process_that_knows_only_the_name_of_a_job_may_try_it_again(job):
    task_rows.save(another(state=TaskState.QUEUED, retries=1))
    progress = shown(job)["progress"]
    assert (progress["state"], progress["attempt"]) == ("queued", 2)
    assert (progress["done"], progress["started_at"]) == (0, None)


def test_a_job_that_has_ended_is_not_tried_again(job):
    job.state = TaskState.SUCCEEDED
    task_rows.save(job)
    late = another(state=TaskState.QUEUED, retries=1)
    task_rows.save(late)
    assert late.is_superseded
    assert shown(job)["progress"]["state"] == "succeeded"


def test_a_job_whose_notification_was_deleted_is_reported_on_no_more(job):
    Notification.objects.all().delete()
    late = another(state=TaskState.FAILED)
    task_rows.save(late)
    assert late.is_superseded
    assert not Notification.objects.exists()


def test_of_a_job_whose_row_is_not_written_yet_nothing_is_written(db):
    early = another(state=TaskState.FAILED)
    assert task_rows.save(early) is TaskState.FAILED
    assert early.begins
    assert not early.is_superseded, "the row may still come"
    assert not Notification.objects.exists()


def test_the_parts_of_a_whole_are_counted_once_whichever_process_ran_them(job):
    job.total = 3
    task_rows.save(job)
    one, two = another(parts={"q:2", "q:3"}), another(parts={"q:3"})
    task_rows.save(one)
    task_rows.save(two)
    assert shown(job)["progress"]["done"] == one.done == two.done == 2
    assert (one.parts, two.parts) == (set(), set())
    two.parts.add("q:4")
    assert task_rows.save(two) is TaskState.SUCCEEDED
    row = shown(job)
    assert (row["message"], row["progress"]["done"]) == ("Finished.", 3)
    assert (two.state, two.message) == (TaskState.SUCCEEDED, "Finished."), "it is over here too"
    assert not TaskPart.objects.exists()


def test_a_report_without_parts_keeps_the_count_of_other_processes(job):
    job.total = 3
    task_rows.save(job)
    one = another(parts={"q:2"})
    task_rows.save(one)
    task_rows.save(another(parts={"q:3"}))
    one.message = "Page 3"
    task_rows.save(one)
    progress = shown(job)["progress"]
    assert (progress["done"], progress["message"], one.done) == (2, "Page 3", 2)


def test_a_job_that_waits_is_cancelled_as_soon_as_it_is_asked_to_end(waiting_job, revoked):
    """No worker has it that could end it."""
    ask(waiting_job)
    row = shown(waiting_job)
    assert (row["progress"]["state"], row["message"]) == ("cancelled", "Cancelled.")
    assert revoked == ["q:1"]
    assert task_rows.is_called_off("q:1")
    assert_sound(waiting_job.recipient_id)


def job_of(user, name: str = "q:1", **values) -> TaskRun:
    """A job of a user that waits in its queue."""
    values = {"state": TaskState.QUEUED, "cancellable": True, **values}
    run = TaskRun(user.pk, "Importing customers", job=name, **values)
    task_rows.save(run)
    return run


def test_to_cancel_a_job_ends_no_job_of_another_user(user, other_user, revoked):
    """Their jobs may have one name, which the project has chosen."""
    mine, theirs = job_of(user), job_of(other_user)
    ask(mine)
    assert shown(mine)["progress"]["state"] == "cancelled"
    assert shown(theirs)["progress"]["state"] == "queued"
    assert task_rows.is_called_off("q:1", user.pk)
    assert not task_rows.is_called_off("q:1", other_user.pk)


def test_a_job_is_awaited_until_each_of_its_users_has_cancelled_it(user, other_user, revoked):
    """A queue knows one job of that name, so it must not be taken out for one of them."""
    assert not task_rows.is_awaited("q:1")
    mine, theirs = job_of(user), job_of(other_user)
    ask(mine)
    assert task_rows.is_awaited("q:1")
    ask(theirs)
    assert not task_rows.is_awaited("q:1")


def test_a_report_that_names_no_user_is_of_the_newest_job_of_that_name(user, other_user):
    older, newer = job_of(user), job_of(other_user)
    task_rows.save(another(state=TaskState.FAILED, message="It failed."))
    states = [shown(run)["progress"]["state"] for run in (older, newer)]
    assert states == ["queued", "failed"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"q:{'x' * 300}1", f"q:{'x' * 300}2"),
        ("q:import", "q:Import"),
    ],
    ids=["long", "case"],
)
def test_jobs_whose_names_are_alike_are_different_jobs(user, one, other, revoked):
    """Names are compared whole, and as they are written, whatever the collation."""
    first, second = job_of(user, one), job_of(user, other)
    assert first.stored.pk != second.stored.pk
    ask(first)
    assert shown(second)["progress"]["state"] == "queued"
    assert task_rows.is_called_off(one)
    assert not task_rows.is_called_off(other)


def test_parts_with_long_names_are_counted_each(job):
    task_rows.save(another(parts={f"q:{'x' * 300}{number}" for number in range(3)}))
    assert shown(job)["progress"]["done"] == 3


@pytest.mark.parametrize(("is_asked", "level"), [(True, "info"), (False, "warning")])
def test_what_the_user_wanted_to_end_ends_without_a_warning(job, is_asked, level):
    """A task that was cancelled by anyone else is a warning: it waited too long, or a worker was stopped."""
    TaskRecord.objects.update(cancel_asked=is_asked)
    job.change(state=TaskState.CANCELLED, ended_at=timezone.now())
    task_rows.save(job)
    assert (shown(job)["level"], shown(job)["progress"]["state"]) == (level, "cancelled")


def test_to_ask_a_running_job_again_changes_nothing_and_asks_its_queue_only_once(job, revoked):
    """A cancelled job does not begin, even if its queue was down. Each call of a queue takes a thread."""
    job.cancellable = True
    task_rows.save(job)
    ask(job)
    before = mailbox_of(job.recipient_id).cursor
    for _ in range(200):
        ask(job)
    assert revoked == ["q:1"]
    assert mailbox_of(job.recipient_id).cursor == before
    assert shown(job)["progress"]["state"] == "cancelling"


def test_a_waiting_job_that_could_not_be_ended_is_ended_by_the_next_request(
    waiting_job, revoked, monkeypatch
):
    """The database failed between the two transactions, and the client sent its command again."""
    with monkeypatch.context() as broken:
        broken.setattr(task_rows, "save", lambda run: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ask(waiting_job)
    assert shown(waiting_job)["progress"]["state"] == "cancelling"
    ask(waiting_job)
    assert shown(waiting_job)["progress"]["state"] == "cancelled"


def test_only_a_job_that_was_cancelled_before_it_began_is_called_off(job):
    assert not task_rows.is_called_off("q:unknown")
    assert not task_rows.is_called_off("q:1")
    job.cancellable = True
    task_rows.save(job)
    ask(job)
    assert task_rows.is_called_off("q:1"), "it may be the next attempt that looks"
    job.change(state=TaskState.CANCELLED, ended_at=timezone.now())
    task_rows.save(job)
    assert not task_rows.is_called_off("q:1"), "it had begun; the queue may have it again"


def test_the_wish_to_end_is_read_for_the_attempt_that_it_was_meant_for(job):
    TaskRecord.objects.update(cancel_asked=True)
    task_rows.read_cancel_request(job)
    assert job.stored.cancel_asked
    TaskRecord.objects.update(attempt=2)
    task_rows.read_cancel_request(job)
    assert not job.stored.cancel_asked


def test_a_beat_of_a_run_whose_row_another_notification_has_taken_writes_nothing(run, user):
    run.key = "import:7"
    task_rows.save(run)
    notify.send(user, "The import was stopped", key="import:7")
    assert not task_rows.beat(run)
    assert not TaskRecord.objects.exists()
    assert Notification.objects.get().progress is None


# -- Any order -----------------------------------------------------------------------------------

ENDS = [TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED]
RANK = {TaskState.QUEUED: 0, TaskState.RUNNING: 1, **dict.fromkeys(ENDS, 2)}


@search(60)
@given(st.data())
def test_late_and_repeated_words_of_many_processes_end_in_the_right_state(user, data):
    """Each process writes its own state at any time: early, late or twice."""
    job = f"q:{uuid.uuid4()}"
    attempts = data.draw(st.integers(1, 3), "attempts")
    spoken: list[TaskRun] = []
    heard: list[tuple[int, int]] = []

    def save(run: TaskRun) -> None:
        if run.is_superseded:  # as the writer does
            return
        task_rows.save(run)
        told = Notification.objects.filter(task__job=job).get().progress
        heard.append((told["attempt"], RANK[TaskState(told["state"])]))

    def perhaps_save() -> None:
        for run in data.draw(st.lists(st.sampled_from(spoken), max_size=3)):
            save(run)

    spoken.append(TaskRun(user.pk, "Importing", job=job, state=TaskState.QUEUED))
    perhaps_save()
    for number in range(1, attempts + 1):
        run = TaskRun(user.pk, "Importing", job=job, total=10, started_at=timezone.now())
        run.attempt, run.is_counted = number, True
        spoken.append(run)
        perhaps_save()
        run.done = number
        perhaps_save()
        if number < attempts:
            run.state, run.started_at, run.done = TaskState.QUEUED, None, 0
            run.attempt, run.retries = run.attempt + 1, run.retries + 1
        else:
            run.state = data.draw(st.sampled_from(ENDS), "end")
            run.ended_at = timezone.now()
        perhaps_save()
    for run in data.draw(st.permutations(spoken)) * 2:
        save(run)

    row = Notification.objects.filter(task__job=job).get()
    assert (row.progress["state"], row.progress["attempt"]) == (spoken[-1].state, attempts)
    assert row.progress["done"] == attempts
    assert heard == sorted(heard), "it never goes back"
    assert_sound(user.pk)


def test_a_task_takes_the_toast_of_an_earlier_notification_with_its_key(user):
    """The row may have been sent without a toast, with an image and in a group."""
    notify.send(user, "Old", key="k", toast=False, image="/i.png", group="g")
    task_rows.save(TaskRun(user.pk, "Import", key="k", started_at=timezone.now()))
    (row,) = Notification.objects.all()
    assert (row.message, row.has_toast, row.image, row.group) == ("Import", True, "", "")
