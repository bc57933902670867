"""The two halves of a task: its reports, and its stored row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from notify.models import MAX_JOB, Notification, TaskRecord
from notify.protocol import ShownTask, TaskState
from notify.tracking.counter import Amount
from notify.tracking.run import StoredTask, TaskRun, show, stored_name

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def notification(**shown) -> Notification:
    return Notification(pk=7, progress=shown)


def record(**values) -> TaskRecord:
    return TaskRecord(**{"notification_id": 7, "state": "running", **values})


def test_a_long_name_of_a_job_is_stored_as_its_beginning_and_a_hash():
    """A short name is stored as it is. A stored name is not changed again."""
    assert stored_name("q:1") == "q:1"
    fits, longer, other = (f"q:{'x' * 197}{end}" for end in ("1", "12", "13"))
    assert stored_name(fits) == fits
    names = {stored_name(longer), stored_name(other)}
    assert len(names) == 2
    for name in names:
        assert len(name) == MAX_JOB
        assert name.startswith("q:xxx")
        assert stored_name(name) == name
    assert TaskRun(1, "Importing", job=longer).job == stored_name(longer)


def test_what_is_shown_can_be_read_again():
    run = TaskRun(1, "Importing", done=3, total=10, cancellable=True, started_at=NOON)
    row = notification(**run.shown(TaskState.RUNNING, attempt=2))
    stored = StoredTask.read(row, record(attempt=2, job="q:1", cancel_asked=True))
    assert stored == StoredTask(
        7, TaskState.RUNNING, 2, "q:1", True, 3, 10, cancellable=True, started_at=NOON
    )


def test_a_notification_that_shows_no_task_is_read_as_the_record_has_it():
    """A plain send may have replaced the row's content."""
    stored = StoredTask.read(Notification(pk=7), record())
    assert stored == StoredTask(pk=7)


def test_all_that_is_shown_has_a_name():
    shown = TaskRun(1, "Importing").shown(TaskState.RUNNING, attempt=1)
    assert list(shown) == list(ShownTask.__annotations__)


def test_the_end_is_shown_once_it_is_final():
    run = TaskRun(1, "Importing", message="Page 3", ended_at=NOON)
    assert run.shown(TaskState.RUNNING, 1)["ended_at"] is None
    assert run.shown(TaskState.RUNNING, 1)["message"] == "Page 3"
    assert run.shown(TaskState.FAILED, 1)["ended_at"] == NOON.isoformat()
    assert run.shown(TaskState.FAILED, 1)["message"] == ""


@pytest.mark.parametrize(
    ("state", "offered"),
    [("queued", True), ("running", True), ("cancelling", False), ("succeeded", False)],
)
def test_cancelling_is_offered_while_it_can_be_asked_for(state, offered):
    run = TaskRun(1, "Importing", cancellable=True)
    assert run.shown(TaskState(state), 1)["cancellable"] is offered


def test_a_task_with_steps_is_shown_as_a_share():
    run = TaskRun(1, "Importing", done=1, total=4, has_steps=True)
    run.steps.append(Amount(done=1, total=2, weight=3))
    assert run.far == (0.625, 1)
    run.total = None
    assert run.far == (2.5, None)


def test_a_job_that_is_tried_again_shows_at_least_which_attempt_it_is():
    assert TaskRun(1, "Importing", job="q:1").message_of(2) == "Attempt 2"
    assert TaskRun(1, "Importing", job="q:1").message_of(1) == ""
    assert TaskRun(1, "Importing").message_of(2) == ""
    assert TaskRun(1, "Importing", job="q:1", message="Page 3").message_of(2) == "Page 3"


def test_what_waits_and_what_was_called_off_has_not_started():
    assert StoredTask(state=TaskState.QUEUED).waits
    assert StoredTask(state=TaskState.CANCELLING).waits
    assert not StoredTask(state=TaskState.CANCELLING, started_at=NOON).waits
    assert StoredTask(state=TaskState.CANCELLED).was_called_off
    assert not StoredTask(state=TaskState.CANCELLED, started_at=NOON).was_called_off


def test_a_run_begins_until_its_row_is_stored():
    run = TaskRun(1, "Importing")
    assert run.begins
    run.stored = StoredTask(pk=7)
    assert not run.begins


def test_values_that_belong_together_are_changed_under_the_lock():
    """Otherwise the writer could read one of them before, and one after the change."""
    run, seen = TaskRun(1, "Importing"), []

    class Lock:
        def __enter__(self):
            seen.append((run.state, run.message))

        def __exit__(self, *raised):
            seen.append((run.state, run.message))

    run.lock = Lock()
    run.change(state=TaskState.FAILED, message="It failed.")
    assert seen == [(TaskState.RUNNING, ""), (TaskState.FAILED, "It failed.")]


def test_a_change_leaves_the_rest_of_what_is_shown():
    row = notification(state="running", done=3, silent=False)
    show(row, TaskState.LOST, silent=True)
    assert row.progress == {"state": "lost", "done": 3, "silent": True}


def test_the_moment_it_was_made_can_be_compared_with_what_is_stored(settings):
    """Stored times are in UTC, even if the site itself uses no time zone."""
    settings.USE_TZ = False
    made = TaskRun(1, "Importing").made_at
    assert abs(made - datetime.now(UTC)) < timedelta(minutes=1)
    settings.USE_TZ = True
    assert timezone.is_aware(TaskRun(1, "Importing").made_at)
