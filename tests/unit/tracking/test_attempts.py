"""Which report is newer: a report of a process beside the stored row, one line for each case."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notify.protocol import TaskState
from notify.tracking import attempts
from notify.tracking.run import StoredTask, TaskRun

QUEUED, RUNNING, CANCELLING = TaskState.QUEUED, TaskState.RUNNING, TaskState.CANCELLING
SUCCEEDED, FAILED, CANCELLED = TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED
LOST = TaskState.LOST

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEFORE, LATER = NOON - timedelta(minutes=1), NOON + timedelta(minutes=1)


def first(state: TaskState = RUNNING, **values) -> TaskRun:
    """A report of a run without a row."""
    return TaskRun(1, "Importing", state=state, made_at=NOON, **values)


def later(state: TaskState = RUNNING, **values) -> TaskRun:
    """A report of a run that has a row."""
    return first(state, stored=StoredTask(pk=7), **values)


def stored(state: TaskState, **values) -> StoredTask:
    return StoredTask(pk=7, state=state, **values)


BEGUN = {"started_at": NOON}
JOB = {"job": "q:1"}
COUNTED = {"job": "q:1", "is_counted": True}


@pytest.mark.parametrize(
    ("run", "known", "expected"),
    [
        # The first report of a run.
        (first(), None, True),
        (first(QUEUED), None, True),
        (first(), stored(RUNNING, **BEGUN), True),  # with the same key: another attempt
        (first(), stored(FAILED, **BEGUN), True),
        (first(QUEUED), stored(SUCCEEDED, **BEGUN), True),  # the run of the next day
        (first(QUEUED), stored(RUNNING, **BEGUN), False),
        (first(QUEUED), stored(CANCELLING, **BEGUN), False),
        # Of a job: "queued", reported late by its caller.
        (first(QUEUED, **JOB), stored(RUNNING, **BEGUN, **JOB), False),
        (first(QUEUED, **JOB), stored(SUCCEEDED, ended_at=NOON, **JOB), False),
        (first(QUEUED, **JOB), stored(SUCCEEDED, ended_at=BEFORE, **JOB), True),  # queued again
        (first(QUEUED, **JOB), stored(SUCCEEDED, ended_at=LATER, **JOB), False),
        (first(QUEUED, job="q:2"), stored(SUCCEEDED, ended_at=NOON, **JOB), True),
        # Its worker waits for the next attempt, and nothing of the first could be written.
        (first(QUEUED, attempt=2, retries=1, **JOB), stored(QUEUED, **JOB), True),
        (first(QUEUED, attempt=2, retries=1, **JOB), stored(RUNNING, **BEGUN, **JOB), False),
        (first(QUEUED, attempt=2, retries=1, **COUNTED), stored(RUNNING, **BEGUN, **JOB), True),
        (first(QUEUED, attempt=2, **COUNTED), stored(RUNNING, **BEGUN, **JOB), False),
        # An attempt that could be written only after the next one began.
        (first(**COUNTED), stored(RUNNING, attempt=2, started_at=LATER, **JOB), False),
        (first(**COUNTED), stored(RUNNING, attempt=2, started_at=BEFORE, **JOB), True),
        (first(**JOB), stored(RUNNING, attempt=2, started_at=LATER, **JOB), True),  # not counted
        (first(attempt=2, **COUNTED), stored(RUNNING, attempt=2, started_at=LATER, **JOB), True),
        # Further reports of a run.
        (later(), None, False),  # its bookkeeping was deleted
        (later(), stored(RUNNING), True),
        (later(SUCCEEDED), stored(RUNNING), True),
        (later(SUCCEEDED), stored(CANCELLING), True),
        (later(), stored(LOST), True),
        (later(), stored(SUCCEEDED), False),
        (later(FAILED), stored(CANCELLED), False),
        (later(FAILED), stored(RUNNING, attempt=2), False),
        (later(attempt=2), stored(FAILED, attempt=1), True),
        (later(QUEUED), stored(QUEUED), True),
        (later(QUEUED), stored(RUNNING), False),
        (later(QUEUED, attempt=2), stored(RUNNING, attempt=1), True),
        (later(QUEUED, attempt=2), stored(RUNNING, attempt=2), False),
    ],
)
def test_a_report_is_news_or_stale(run, known, expected):
    assert attempts.is_news(run, known) is expected


@pytest.mark.parametrize(
    ("run", "known", "expected"),
    [
        (first(), None, 1),
        (first(), stored(QUEUED), 1),  # it starts a queued run
        (first(), stored(CANCELLING), 1),
        (first(), stored(CANCELLING, **BEGUN), 2),
        (first(), stored(SUCCEEDED, **BEGUN), 2),
        (first(retries=1, attempt=2, **JOB), stored(QUEUED, **JOB), 2),
        (first(attempt=3, **COUNTED), stored(QUEUED, **JOB), 3),
        (first(attempt=1, **COUNTED), stored(FAILED, attempt=4, **BEGUN, **JOB), 5),
        (later(attempt=2), stored(RUNNING, attempt=1), 2),
        # It was cancelled after its worker had checked.
        (first(**JOB), stored(CANCELLED, cancel_asked=True, **JOB), 1),
        (first(**JOB), stored(CANCELLED, cancel_asked=True, **BEGUN, **JOB), 2),
        (first(job="q:2"), stored(CANCELLED, cancel_asked=True, **JOB), 2),
    ],
)
def test_a_report_is_of_an_attempt(run, known, expected):
    assert attempts.attempt_of(run, known) == expected


@pytest.mark.parametrize(
    ("run", "known", "expected"),
    [
        (first(), None, False),
        (later(), stored(RUNNING), False),
        (later(), stored(CANCELLING, cancel_asked=True), True),
        (first(), stored(CANCELLING, cancel_asked=True), True),  # while it was queued
        (first(), stored(CANCELLED, cancel_asked=True, **BEGUN), False),  # an earlier attempt
        (first(**JOB), stored(CANCELLED, cancel_asked=True, **JOB), True),
    ],
)
def test_only_the_attempt_that_was_asked_to_end_ends(run, known, expected):
    assert attempts.is_asked_to_end(run, known) is expected


@pytest.mark.parametrize(
    ("run", "is_asked", "expected"),
    [
        (first(cancellable=True), True, CANCELLING),
        (first(cancellable=True), False, RUNNING),
        (first(), True, RUNNING),
        (first(QUEUED, cancellable=True), True, QUEUED),
        (first(SUCCEEDED, cancellable=True), True, SUCCEEDED),
    ],
)
def test_a_running_task_that_is_asked_to_end_is_cancelling(run, is_asked, expected):
    assert attempts.state_of(run, is_asked=is_asked) is expected


def test_the_rules_are_pure():
    """They use no database, so each case is one line above."""
    tree = ast.parse(Path(attempts.__file__).read_text())
    imported = {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    assert imported == {
        "__future__",
        "datetime",
        "typing",
        "notify.protocol",
        "notify.tracking.run",
    }
