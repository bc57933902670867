"""
Pure functions that decide whether a report on a task is newer than the stored state.

Processes may write their reports early, late or twice. Reports are ordered by attempt, then by state:
"queued" is stale once the attempt has begun, and any report is stale once the attempt has ended. Only
a lost task may come back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from notify.protocol import TaskState

if TYPE_CHECKING:
    from notify.tracking.run import StoredTask, TaskRun

# A process may report a queued job this late; the job may have run and ended by then.
LATE_SECONDS = 10.0


def starts(run: TaskRun, stored: StoredTask | None) -> bool:
    """Returns whether this report begins the stored attempt rather than another."""
    if stored is None or not run.begins:
        return False
    # The user may have cancelled the job after its worker checked.
    is_late = stored.cancel_asked and stored.was_called_off and _is_same_job(run, stored)
    return stored.waits or (is_late and run.state is TaskState.RUNNING)


def attempt_of(run: TaskRun, stored: StoredTask | None) -> int:
    """Returns the number of the reported attempt. Until the run is stored, the row may give a higher one."""
    if not run.begins:
        return run.attempt
    known = 1 if stored is None else stored.attempt + (not starts(run, stored))
    return max(run.attempt, known if run.is_counted else known + run.retries)


def is_asked_to_end(run: TaskRun, stored: StoredTask | None) -> bool:
    """Returns whether the user has asked this attempt, not an earlier one, to end."""
    return bool(stored and stored.cancel_asked and (starts(run, stored) or not run.begins))


def state_of(run: TaskRun, *, is_asked: bool) -> TaskState:
    """Returns the state to store: CANCELLING for a running task that was asked to end."""
    if is_asked and run.cancellable and run.state is TaskState.RUNNING:
        return TaskState.CANCELLING
    return run.state


def is_news(run: TaskRun, stored: StoredTask | None) -> bool:
    """
    Returns whether this report is newer than the row.

    Reports of an earlier attempt, or "queued" for a job that has started, are stale.
    """
    if run.begins:
        return stored is None or _begins_anew(run, stored)
    if stored is None or stored.attempt > run.attempt:
        return False
    if stored.attempt < run.attempt:
        return True
    # "Queued" for the next attempt may be written after another process has begun that attempt.
    has_begun = run.state is TaskState.QUEUED and stored.state is not TaskState.QUEUED
    return not has_begun and not stored.state.is_final


def _begins_anew(run: TaskRun, stored: StoredTask) -> bool:
    if _was_overtaken(run, stored):
        return False
    if run.state is not TaskState.QUEUED:
        return True
    if not _is_same_job(run, stored):
        return stored.state not in (TaskState.RUNNING, TaskState.CANCELLING)
    if _ended_long_before(run, stored):
        return True  # the same job was queued again
    # The attempt may have begun and failed before any report of it was written.
    is_next = run.attempt > stored.attempt if run.is_counted else starts(run, stored)
    return is_next and run.retries > 0


def _was_overtaken(run: TaskRun, stored: StoredTask) -> bool:
    """Returns whether a later attempt was written first, although it began after this one."""
    return (
        run.is_counted
        and _is_same_job(run, stored)
        and run.attempt < stored.attempt
        and stored.started_at is not None
        and run.made_at < stored.started_at
    )


def _ended_long_before(run: TaskRun, stored: StoredTask) -> bool:
    """Returns whether the stored attempt had ended well before this report was made."""
    late = timedelta(seconds=LATE_SECONDS)
    return stored.ended_at is not None and stored.ended_at < run.made_at - late


def _is_same_job(run: TaskRun, stored: StoredTask) -> bool:
    return bool(run.job) and run.job == stored.job
