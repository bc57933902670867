"""
Writes the rows of tasks, outside the tasks' own transactions, one change at a time.

A task's notification is published when it is recorded, and each change takes the mailbox's next
position, as a mark does. So readers get the current state of a task over every transport.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from datetime import timedelta
from typing import Any

from django.db import connections
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from notify import signals
from notify.conf import conf
from notify.db import database, in_testcase, tries_again
from notify.mailbox.change import locked
from notify.models import Mailbox, Notification, NotificationQuerySet, TaskPart, TaskRecord
from notify.protocol import Cursor, Level, Shown, TaskState
from notify.runtime.process import in_event_loop
from notify.tracking import attempts, silence
from notify.tracking.run import StoredTask, TaskRun, show, stored_name

LEVEL_OF = {
    TaskState.SUCCEEDED: Level.SUCCESS,
    TaskState.FAILED: Level.ERROR,
    TaskState.CANCELLED: Level.WARNING,
    TaskState.LOST: Level.WARNING,
}


def is_written_here() -> bool:
    """
    Returns whether the thread that reports must write the rows itself, even in its open transaction, as
    in a TestCase.
    """
    connection: Any = connections[database()]
    if not conf.THREADS or in_testcase(connection):
        return True
    # Two connections to SQLite in memory lock each other's tables without waiting. A coroutine cannot
    # write, so the writer's thread still writes its reports.
    return connection.vendor == "sqlite" and connection.is_in_memory_db() and not in_event_loop()


# -- Reports of the task itself ------------------------------------------------------------------


def save(run: TaskRun) -> TaskState:
    """
    Write the report to its row, in a separate transaction, and ring. Returns the state shown.

    A stale report changes nothing, and the run is marked as superseded. If the row to adopt does not
    exist (yet), nothing is written, and ``run.begins`` stays true.
    """
    using = database()
    if run.adopts and run.begins and not _adopt(run, using):
        return run.state
    if run.begins:
        Mailbox.objects.using(using).ensure([run.recipient_id])
    return _save(run, using)


@tries_again
def _save(run: TaskRun, using: str) -> TaskState:
    with run.lock:  # the task may change the values meanwhile
        report = copy(run)
        report.parts = set(run.parts)
    stored = _write(report, using)
    if stored is None:
        run.is_superseded = True
        return report.state
    with run.lock:
        if run.begins:
            run.attempt += stored.attempt - report.attempt
        if run.adopts and stored.state.is_final and not run.state.is_final:  # all parts counted
            run.state, run.ended_at, run.message = report.state, report.ended_at, report.message
        if run.adopts:
            run.done = report.done
        run.stored = stored
        run.parts -= report.parts
    return stored.state


def _write(run: TaskRun, using: str) -> StoredTask | None:
    """Write a report. Returns the stored state; None if the report is stale, or its row or user deleted."""
    with locked([run.recipient_id], durable=not is_written_here()) as change:
        mailbox = change.mailbox
        row, stored = _find(run, using) if mailbox else (None, None)
        if mailbox is None or row is None or not attempts.is_news(run, stored):
            return None
        is_new = row.pk is None
        attempt = attempts.attempt_of(run, stored)
        is_asked = attempts.is_asked_to_end(run, stored)
        if run.adopts:
            _count_parts(run, stored or StoredTask(), using)
        state = attempts.state_of(run, is_asked=is_asked)
        _fill(row, run, state, attempt, is_asked=is_asked)
        if is_new:
            mailbox.add(row)
        elif run.begins or state.is_final:  # only the start and the end make the row unseen again
            mailbox.renew(row)
        else:
            mailbox.place(row)
        row.save(using=using, force_insert=is_new, force_update=not is_new)
        record = TaskRecord(
            notification=row,
            recipient_id=run.recipient_id,
            state=state.value,
            attempt=attempt,
            cancel_asked=is_asked,
            detail=run.detail,
            job=run.job,
        )
        record.save(using=using, force_insert=stored is None, force_update=stored is not None)
    return StoredTask.read(row, record)


def _adopt(run: TaskRun, using: str) -> bool:
    """Take over the values of a row that another process wrote. Returns whether the row was found."""
    record = next(iter(_records(run.job, run.recipient_id)), None)
    if record is None:
        return False
    row = Notification.objects.using(using).filter(pk=record.pk).first()
    if row is None or (run.retries and TaskState(record.state).is_final):
        run.is_superseded = True
        return False
    stored = StoredTask.read(row, record)
    run.stored, run.recipient_id = stored, row.recipient_id
    run.attempt = stored.attempt + run.retries
    run.name = run.name or (row.message if stored.ended_at is None else row.title)
    run.key, run.category = row.collapse_key, row.category
    run.url, run.actions = run.url or row.url, run.actions or list(row.actions)
    run.total, run.cancellable = stored.total, stored.cancellable
    if not run.retries:  # a retry starts at zero
        run.done = stored.done
        run.started_at = stored.started_at or run.started_at
    return True


def _find(run: TaskRun, using: str) -> tuple[Notification | None, StoredTask | None]:
    """Returns the row of a run, which may be new, and the stored state of its task."""
    row = _row(run, Notification.objects.using(using).filter(recipient=run.recipient_id))
    if row is None or row.pk is None:
        return row, None
    record = TaskRecord.objects.using(using).filter(pk=row.pk).first()
    return row, None if record is None else StoredTask.read(row, record)


def _row(run: TaskRun, rows: NotificationQuerySet) -> Notification | None:
    """Returns the existing row of a run or an unsaved one; None if its row was deleted."""
    if run.stored.pk is not None:
        return rows.filter(pk=run.stored.pk).first()
    if run.job:
        known = [record.pk for record in _records(run.job, run.recipient_id)]
        row = rows.filter(pk__in=known).first()
        if row is not None:
            return row
    if run.key:
        alike = rows.published().unarchived().filter(collapse_key=run.key).order_by("position")
        # Compare keys in Python: a case-insensitive collation also returns "A" for "a".
        standing = [row for row in alike if row.collapse_key == run.key]
        if standing:
            return standing[-1]
    now = timezone.now()
    return Notification(recipient_id=run.recipient_id, collapse_key=run.key, created_at=now)


def _records(job: str, recipient_id: Any = None) -> list[TaskRecord]:
    """Returns the records of a job, the newest first: one for each user, or that of one user alone."""
    name = stored_name(job)
    known = TaskRecord.objects.using(database()).filter(job=name).order_by("-pk")
    if recipient_id is not None:
        known = known.filter(recipient=recipient_id)
    # Compare names in Python: a case-insensitive collation also returns "q:A" for "q:a".
    return [record for record in known if record.job == name]


def _count_parts(run: TaskRun, stored: StoredTask, using: str) -> None:
    """Count each finished part once. The last part ends the whole."""
    known = TaskPart.objects.using(using).filter(task_id=stored.pk)
    if run.parts:
        new = [TaskPart(task_id=stored.pk, job=stored_name(part)) for part in run.parts]
        known.bulk_create(new, ignore_conflicts=True)
        run.done = known.count()
        if run.total is not None and run.done >= run.total and not run.state.is_final:
            run.state, run.ended_at = TaskState.SUCCEEDED, timezone.now()
            run.message = run.message or _("Finished.")
    elif not run.retries:  # other processes may have counted parts
        run.done = stored.done
    if run.state.is_final:
        known.delete()


def _fill(
    row: Notification, run: TaskRun, state: TaskState, attempt: int, *, is_asked: bool
) -> None:
    # A user who has cancelled a task got what they asked for, which is no warning.
    is_wished = state is TaskState.CANCELLED and is_asked
    level = (Level.INFO if is_wished else LEVEL_OF.get(state, Level.INFO)).value
    row.level = run.level or level if state.is_final else level
    row.category = run.category
    # Until the task ends, its name is the content: a passing message must not become content.
    ended = run.title or run.name, run.message
    row.title, row.message = ended if state.is_final else ("", run.name)
    row.url, row.actions = run.url, list(run.actions)
    row.data, row.count, row.is_counted = None, 1, False
    row.group, row.image, row.has_toast, row.origin = "", "", True, ""
    if row.archived_at is None:  # a task that was retracted stays in no list
        row.expires_at = None
    row.updated_at = timezone.now()
    row.progress = run.shown(state, attempt)
    if run.begins:
        row.dismissed_at = None


def read_cancel_request(run: TaskRun) -> None:
    """Read whether the user has asked the task to end, even if the database cannot be written."""
    mine = TaskRecord.objects.using(database()).filter(pk=run.stored.pk, attempt=run.attempt)
    run.stored.cancel_asked = mine.filter(cancel_asked=True).exists()


def beat(run: TaskRun) -> bool:
    """
    Write a beat, which takes no position, and read whether the user has asked the task to end.

    Returns whether readers see a state other than the reported one, so that the row must be written again.
    """
    mine = TaskRecord.objects.using(database()).filter(pk=run.stored.pk, attempt=run.attempt)
    mine.update(beat_at=timezone.now())
    record = mine.first()
    if record is None:
        return False
    was_asked, run.stored.cancel_asked = run.stored.cancel_asked, record.cancel_asked
    return record.is_silent or record.state == TaskState.LOST or was_asked != record.cancel_asked


# -- Changes by others ---------------------------------------------------------------------------


def ask_to_end(
    recipient_id: Any, pairs: Iterable[Shown], *, epoch: str | None = None
) -> Cursor | None:
    """
    Ask the tasks of these notifications to end, and show them as cancelling at once.

    Only cancellable tasks that have not ended are asked. Asking twice is not an error; the queue of a job
    is asked only once, when the task's state changes.

    Args:
        pairs, epoch: as for :func:`notify.mailbox.marks.mark`.

    Returns the cursor at which the change shows; ``None`` without a mailbox.
    """
    arrived = dict(pairs)
    waiting: set[str] = set()
    asked: set[str] = set()

    def ask(row: Notification, record: TaskRecord) -> bool:
        stored = StoredTask.read(row, record)
        is_asked = stored.cancel_asked and stored.state is TaskState.CANCELLING
        if not (is_asked or stored.cancellable) or (row.arrived or 0) > arrived[row.pk]:
            return False
        if stored.job and stored.waits:
            waiting.add(stored.job)
        if is_asked:
            return False
        if stored.job:
            asked.add(stored.job)
        record.cancel_asked, record.state = True, TaskState.CANCELLING.value
        show(row, TaskState.CANCELLING, cancellable=False)
        return True

    cursor = _amend(recipient_id, Q(pk__in=arrived), ask, epoch=epoch)
    for job in waiting:  # no worker runs it yet, so no worker can end it
        run = TaskRun(recipient_id, "", job=job, adopts=True, state=TaskState.CANCELLED)
        run.change(message=_("Cancelled."), ended_at=timezone.now())
        save(run)
    for job in asked:
        signals.cancel_asked.send_robust(TaskRecord, recipient_id=recipient_id, job=job)
    return cursor


def is_awaited(job: str) -> bool:
    """Returns whether any user waits for a job of this name, and has not asked to cancel it."""
    return any(TaskState(each.state).is_live and not each.cancel_asked for each in _records(job))


def is_called_off(job: str, recipient_id: Any = None) -> bool:
    """Returns whether the user cancelled this job before it began, or before its next attempt."""
    record = next(iter(_records(job, recipient_id)), None)
    if record is None or not record.cancel_asked:
        return False
    if record.state == TaskState.CANCELLING:
        return True
    row = Notification.objects.using(database()).filter(pk=record.pk).first()
    return row is not None and StoredTask.read(row, record).was_called_off


def tend(recipient_id: Any) -> None:
    """Show which of a user's tasks have fallen silent or are lost."""
    lost = timezone.now() - timedelta(seconds=conf.PROGRESS_LOST_AFTER)

    def fall_silent(row: Notification, record: TaskRecord) -> bool:
        is_lost = record.state != TaskState.QUEUED and record.beat_at < lost
        if is_lost:
            record.state = TaskState.LOST.value
            row.level = LEVEL_OF[TaskState.LOST].value
        record.is_silent = True
        stored = StoredTask.read(row, record)
        show(row, stored.state, silent=True, cancellable=stored.cancellable and not is_lost)
        return True

    stale = silence.stale(recipient_id).values("pk")
    _amend(recipient_id, Q(pk__in=stale), fall_silent)


@tries_again
def _amend(
    recipient_id: Any,
    which: Q,
    amend: Callable[[Notification, TaskRecord], bool],
    *,
    epoch: str | None = None,
) -> Cursor | None:
    """Change the tasks that some rows show, under the mailbox's lock. The rows do not become unseen."""
    using = database()
    with locked([recipient_id], durable=not is_written_here()) as change:
        mailbox = change.mailbox
        if mailbox is None or epoch not in (None, mailbox.box.epoch):
            return None if mailbox is None else mailbox.box.cursor
        rows = Notification.objects.using(using).filter(which, recipient=recipient_id)
        records = TaskRecord.objects.using(using).in_bulk([row.pk for row in rows])
        for row in rows:
            record = records.get(row.pk)
            if record is not None and amend(row, record):
                record.save(using=using, force_update=True)
                mailbox.place(row)
                row.save(using=using, update_fields=["position", "progress", "level"])
    return mailbox.box.cursor
