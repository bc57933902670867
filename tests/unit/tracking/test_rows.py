"""The rows of tasks that run: one notification for the whole life, written apart from the task."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import notify
from notify.inbox import reader as inbox
from notify.mailbox import marks
from notify.models import Mailbox, Notification, Progress
from notify.protocol import Mark, State
from notify.tracking import rows as runs
from notify.tracking.rows import Run
from tests.kit.mailboxes import assert_sound, mailbox_of

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def run(user) -> Run:
    return Run(user.pk, "Importing customers", total=1200, started_at=timezone.now())


def shown(run: Run) -> dict:
    """The notification as a reader gets it."""
    (row,) = [row for row in inbox.snapshot(run.recipient).notifications if row.pk == run.pk]
    return json.loads(row.encode())


def test_a_run_is_a_notification_that_tells_how_far_it_is(run, rings):
    assert runs.save(run) is State.RUNNING
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
    assert inbox.counts(run.recipient) == (1, 1)
    assert [ring.cursor for ring in rings] == [mailbox_of(run.recipient).cursor]
    assert_sound(run.recipient)


def test_other_notifications_tell_of_no_progress(user):
    notify.send(user, "Ready")
    (row,) = inbox.snapshot(user).notifications
    assert "progress" not in json.loads(row.encode())


def test_each_change_takes_a_position_and_the_same_row(run):
    runs.save(run)
    first = shown(run)
    run.done, run.message = 420, "Row 420"
    runs.save(run)
    row = shown(run)
    assert (row["title"], row["message"]) == ("", "Importing customers")
    assert (row["progress"]["done"], row["progress"]["message"]) == (420, "Row 420")
    assert row["position"] > first["position"]
    assert row["arrived"] == first["arrived"], "nobody is told anew"
    assert Notification.objects.count() == 1
    assert_sound(run.recipient)


def test_the_end_arrives_anew_and_stays_hidden_where_it_was_hidden(run):
    runs.save(run)
    first = shown(run)
    pair = (first["id"], first["arrived"])
    marks.mark(run.recipient, Mark.READ, [pair])
    marks.mark(run.recipient, Mark.DISMISSED, [pair])
    run.state, run.message = State.SUCCEEDED, "1,200 customers imported"
    runs.save(run)
    row = shown(run)
    assert row["level"] == "success"
    assert row["arrived"] > first["arrived"]
    assert (row["read_at"], row["seen_at"]) == (None, None)
    assert row["dismissed_at"] is not None
    assert inbox.counts(run.recipient) == (1, 1)
    assert_sound(run.recipient)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_an_end_is_final(run, state):
    runs.save(run)
    run.state = state
    runs.save(run)
    run.state = State.RUNNING
    runs.save(run)
    assert shown(run)["progress"]["state"] == state
    assert run.is_superseded


def test_what_was_lost_may_come_back(run):
    runs.save(run)
    Progress.objects.update(state=State.LOST)
    run.done = 7
    runs.save(run)
    assert (shown(run)["progress"]["done"], Progress.objects.get().state) == (7, "running")


def test_a_retry_is_another_attempt_on_the_same_row(run, user):
    run.key = "import:7"
    runs.save(run)
    run.state = State.FAILED
    runs.save(run)
    marks.mark(user.pk, Mark.DISMISSED, [(run.pk, shown(run)["arrived"])])
    retry = Run(user.pk, "Importing customers", key="import:7")
    runs.save(retry)
    assert (retry.pk, retry.attempt) == (run.pk, 2)
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
    def quick(**options) -> Run:
        run = Run(user.pk, "Asking", job="q:1", **options)
        runs.save(run)
        return run

    quick(state=State.QUEUED)
    quick(state=State.QUEUED, attempt=2, retries=1)
    assert quick().attempt == 2
    assert quick(state=State.QUEUED, attempt=2, retries=1).is_superseded
    assert Progress.objects.get().state == "running"


def test_an_attempt_that_was_overtaken_says_nothing_more(run, user):
    run.key = "import:7"
    runs.save(run)
    runs.save(Run(user.pk, "Importing customers", key="import:7"))
    run.state = State.FAILED
    runs.save(run)
    assert run.is_superseded
    (row,) = inbox.snapshot(user).notifications
    assert row.progress["state"] == "running"


def test_keys_are_compared_as_they_are_written(run, user):
    run.key = "import:a"
    runs.save(run)
    other = Run(user.pk, "Importing customers", key="import:A")
    runs.save(other)
    assert other.pk != run.pk


def test_a_run_whose_row_was_deleted_is_silent(run):
    runs.save(run)
    Notification.objects.all().delete()
    run.done = 5
    runs.save(run)
    assert run.is_superseded
    assert not Notification.objects.exists()


def test_a_run_whose_user_was_deleted_leaves_nothing(run, user):
    runs.save(run)
    user.delete()
    run.state = State.SUCCEEDED
    runs.save(run)
    assert run.is_superseded
    assert not Mailbox.objects.exists()
    assert not Notification.objects.exists()


def test_an_archived_run_goes_on_without_being_counted(run, user):
    runs.save(run)
    inbox.mark_archived(user)
    run.state = State.SUCCEEDED
    runs.save(run)
    assert inbox.counts(user) == (0, 0)
    assert_sound(user.pk)


def test_who_asks_to_end_a_run_is_heard_and_shown(run):
    run.cancellable = True
    runs.save(run)
    assert not run.cancel_asked
    Progress.objects.update(cancel_asked=True)
    assert runs.save(run) is State.CANCELLING
    assert (run.cancel_asked, shown(run)["progress"]["state"]) == (True, "cancelling")
    run.state = State.CANCELLED
    runs.save(run)
    assert shown(run)["progress"]["state"] == "cancelled"


def test_a_beat_moves_no_position_and_brings_the_wish_to_end(run):
    runs.save(run)
    cursor = mailbox_of(run.recipient).cursor
    Progress.objects.update(beat_at=timezone.now() - timedelta(hours=1), cancel_asked=True)
    runs.beat(run)
    assert run.cancel_asked
    assert Progress.objects.get().beat_at > timezone.now() - timedelta(minutes=1)
    assert mailbox_of(run.recipient).cursor == cursor


def test_progress_has_a_mailbox_where_there_was_none(run):
    assert not Mailbox.objects.exists()
    runs.save(run)
    assert mailbox_of(run.recipient).head == 1


def test_a_later_send_with_the_same_key_is_no_progress(run, user):
    run.key = "import:7"
    runs.save(run)
    with transaction.atomic():
        notify.send(user, "Imported by hand", key="import:7")
    (row,) = inbox.snapshot(user).notifications
    assert (row.pk, row.progress) == (run.pk, None)


# -- What others say of a run --------------------------------------------------------------------


def ask(run: Run, **options):
    return runs.ask_to_end(run.recipient, [(run.pk, shown(run)["arrived"])], **options)


def test_to_ask_a_run_to_end_shows_at_once_and_is_heard_by_the_next_beat(run, rings):
    run.cancellable = True
    runs.save(run)
    cursor = ask(run)
    assert cursor == mailbox_of(run.recipient).cursor == rings[-1].cursor
    progress = shown(run)["progress"]
    assert (progress["state"], progress["cancellable"]) == ("cancelling", False)
    assert runs.beat(run)
    assert run.cancel_asked
    assert not runs.beat(run), "it was told"
    assert_sound(run.recipient)


def test_only_what_can_be_cancelled_is_asked_to_end(run, user, other_user):
    runs.save(run)
    before = mailbox_of(user.pk).cursor
    ask(run)
    run.cancellable = True
    runs.save(run)
    runs.ask_to_end(other_user.pk, [(run.pk, 10**6)])
    ask(run, epoch="0" * 17)
    runs.ask_to_end(user.pk, [(run.pk, shown(run)["arrived"] - 1)])
    assert shown(run)["progress"]["state"] == "running"
    assert mailbox_of(user.pk).cursor.position == before.position + 1
    assert not Progress.objects.get().cancel_asked


def silence(seconds: float) -> None:
    Progress.objects.update(beat_at=timezone.now() - timedelta(seconds=seconds))


def test_a_run_that_says_nothing_is_told_as_silent_then_as_lost_and_may_come_back(run, user):
    runs.save(run)
    silence(59)
    inbox.changes(user, mailbox_of(user.pk).cursor)
    assert shown(run)["progress"]["silent"] is False
    silence(61)
    (row,) = inbox.changes(user, mailbox_of(user.pk).cursor).notifications
    assert (row.progress["silent"], row.progress["state"]) == (True, "running")
    assert not inbox.look(user.pk).needs_work, "it is told once"
    silence(301)
    (row,) = inbox.changes(user, mailbox_of(user.pk).cursor).notifications
    assert (row.progress["state"], row.level) == ("lost", "warning")
    assert not inbox.look(user.pk).needs_work
    assert runs.beat(run)
    runs.save(run)
    progress = shown(run)["progress"]
    assert (progress["state"], progress["silent"], shown(run)["level"]) == (
        "running",
        False,
        "info",
    )
    assert_sound(user.pk)


def test_a_run_that_waits_to_be_started_is_silent_but_never_lost(run, user):
    run.state = State.QUEUED
    runs.save(run)
    silence(10**6)
    runs.tend(user.pk)
    progress = shown(run)["progress"]
    assert (progress["state"], progress["silent"]) == ("queued", True)
    assert not inbox.look(user.pk).needs_work


def test_what_has_ended_is_neither_silent_nor_lost(run, user):
    run.state = State.SUCCEEDED
    runs.save(run)
    silence(10**6)
    assert not inbox.look(user.pk).needs_work


def test_that_it_is_queued_again_is_no_news_while_it_runs(user):
    first = Run(user.pk, "Importing", key="import", started_at=timezone.now())
    runs.save(first)
    again = Run(user.pk, "Importing", key="import", state=State.QUEUED)
    runs.save(again)
    assert again.is_superseded
    assert shown(first)["progress"]["state"] == "running"
    again.state, again.is_superseded = State.RUNNING, False
    runs.save(again)
    assert shown(again)["progress"]["attempt"] == 2


def test_what_is_sent_under_the_key_of_a_task_takes_its_place(run, user):
    run.key = "import:7"
    runs.save(run)
    notify.send(user, "The import was stopped", key="import:7", level="error")
    run.done = 5
    runs.save(run)
    assert run.is_superseded
    assert not Progress.objects.exists()
    row = Notification.objects.get()
    assert (row.message, row.level, row.progress) == ("The import was stopped", "error", None)
    assert_sound(user.pk)


def test_a_task_that_takes_the_place_of_a_notification_does_not_expire(run, user):
    notify.send(user, "Soon", key="import:7", expires=timedelta(days=1), data={"a": 1})
    run.key = "import:7"
    runs.save(run)
    row = Notification.objects.get()
    assert (row.expires_at, row.data, row.message) == (None, None, "Importing customers")


# -- Any order -----------------------------------------------------------------------------------

ENDS = [State.SUCCEEDED, State.FAILED, State.CANCELLED]
RANK = {State.QUEUED: 0, State.RUNNING: 1, **dict.fromkeys(ENDS, 2)}


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_late_and_repeated_words_of_many_processes_end_in_the_right_state(user, data):
    """Each process writes what is so in it, whenever it comes to that: early, late or twice."""
    job = f"q:{uuid.uuid4()}"
    attempts = data.draw(st.integers(1, 3), "attempts")
    spoken: list[Run] = []
    heard: list[tuple[int, int]] = []

    def save(run: Run) -> None:
        if run.is_superseded:  # as the writer does
            return
        runs.save(run)
        told = Notification.objects.filter(run__job=job).get().progress
        heard.append((told["attempt"], RANK[State(told["state"])]))

    def perhaps_save() -> None:
        for run in data.draw(st.lists(st.sampled_from(spoken), max_size=3)):
            save(run)

    spoken.append(Run(user.pk, "Importing", job=job, state=State.QUEUED))
    perhaps_save()
    for number in range(1, attempts + 1):
        run = Run(user.pk, "Importing", job=job, total=10, started_at=timezone.now())
        run.attempt, run.is_counted = number, True
        spoken.append(run)
        perhaps_save()
        run.done = number
        perhaps_save()
        if number < attempts:
            run.state, run.started_at, run.done = State.QUEUED, None, 0
            run.attempt, run.retries = run.attempt + 1, run.retries + 1
        else:
            run.state = data.draw(st.sampled_from(ENDS), "end")
            run.ended_at = timezone.now()
        perhaps_save()
    for run in data.draw(st.permutations(spoken)) * 2:
        save(run)

    row = Notification.objects.filter(run__job=job).get()
    assert (row.progress["state"], row.progress["attempt"]) == (spoken[-1].state, attempts)
    assert row.progress["done"] == attempts
    assert heard == sorted(heard), "it never goes back"
    assert_sound(user.pk)
