"""
The rows of tasks that run: written apart from any transaction of the task, one change at a time.

A task's notification is published as soon as it is recorded, and each change of it takes the next
position of its mailbox, as a mark does. So a reader finds a task where it stands, on every transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import RLock
from typing import Any

from django.db import connections, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from notify import signals
from notify.conf import conf
from notify.db import in_testcase, try_again
from notify.doorbell import Ring
from notify.mailbox import outbox
from notify.models import (
    MAX_JOB,
    Mailbox,
    Notification,
    NotificationQuerySet,
    Progress,
    ProgressPart,
    database,
    timestamp,
)
from notify.protocol import Cursor, Level, Pair, State
from notify.tracking.counter import Count, number

LEVELS = {
    State.SUCCEEDED: Level.SUCCESS,
    State.FAILED: Level.ERROR,
    State.CANCELLED: Level.WARNING,
    State.LOST: Level.WARNING,
}


LATE_SECONDS = 10.0  # that a process may be late with saying what it has done


@dataclass(slots=True, eq=False)
class Run(Count):
    """
    One attempt of a task: what it says of itself, and which row says it.

    The task writes the upper half at any time, and whoever saves it reads that and writes the lower.

    Attributes:
        recipient: primary key of the user.
        name: what is done, as "Importing customers".
        message: what is being done just now, or how it ended.
        title, level: of the end, where they are not the task's name and that of its state.
        pk: of the notification, once there is one.
        attempt: counts the runs under one key or job, from 1.
        retries: how often it was to be tried again, so far.
        is_counted: the queue has said which attempt it is.
        is_superseded: a later attempt, or an end that somebody else wrote, has taken the row.
        job: what a task queue calls it, as "celery:<id>". It has one row, whichever process speaks.
        adopts: it speaks of a job that another process began, and of which it knows no more than the name.
        parts: jobs of which this one consists and which have finished, until they are counted.
        has_steps: it is shown as a share, as its units are worth no more than that.
        made_at: when it was begun, or queued.
        lock: held by whoever changes several of these that belong together, and by whoever reads them.
        is_left: this process says no more of it, once what it said is written.
    """

    recipient: Any
    name: str
    key: str = ""
    category: str = ""
    state: State = State.RUNNING
    message: str = ""
    title: str = ""
    level: str = ""
    url: str = ""
    actions: list[dict[str, str]] = field(default_factory=list)
    cancellable: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    detail: str = ""

    pk: int | None = None
    attempt: int = 1
    retries: int = 0
    is_counted: bool = False
    cancel_asked: bool = False
    is_superseded: bool = False

    job: str = ""
    adopts: bool = False
    parts: set[str] = field(default_factory=set)
    has_steps: bool = False
    is_left: bool = False
    made_at: datetime = field(default_factory=timezone.now)
    # Who holds it may collect the run's handle, which says its last word then, in the same thread.
    lock: Any = field(default_factory=RLock, repr=False)

    def __post_init__(self) -> None:
        self.job = self.job[:MAX_JOB]

    def change(self, **said: Any) -> None:
        """Change several values that belong together."""
        with self.lock:
            for name, value in said.items():
                setattr(self, name, value)

    @property
    def far(self) -> tuple[float, float | None]:
        """What is done and the total, as they are shown."""
        total = number(self.total)
        if self.has_steps and total:
            return round(self.share, 3), 1
        return self.reached, total

    def saying(self, attempt: int) -> str:
        """What is being done just now; of a job that is tried again at least that."""
        if self.message or not self.job or attempt == 1:
            return self.message
        return _("Attempt %(number)d") % {"number": attempt}

    def shown(self, state: State, attempt: int) -> dict[str, Any]:
        """The part of its notification that tells how far it is."""
        done, total = self.far
        return {
            "state": state.value,
            "done": done,
            "total": total,
            "message": "" if state.is_final else self.saying(attempt),
            "attempt": attempt,
            "cancellable": self.cancellable and state in (State.QUEUED, State.RUNNING),
            "silent": False,
            "started_at": timestamp(self.started_at),
            "ended_at": timestamp(self.ended_at if state.is_final else None),
        }


def is_written_here() -> bool:
    """Whether whoever speaks also writes, in a transaction that may be open: as in a TestCase."""
    connection = connections[database()]
    return not conf.THREADS or in_testcase(connection) or _is_of_a_test(connection)


def _is_of_a_test(connection: Any) -> bool:
    """
    Whether it is SQLite in memory: two connections to that lock each other's tables, and neither
    waits. A coroutine cannot write, so its words are left to the thread all the same.
    """
    if connection.vendor != "sqlite" or not connection.is_in_memory_db():
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


def save(run: Run) -> State:
    """
    Bring the row up to date, in a transaction of its own, and ring. Returns the state that it tells.

    A run that was superseded is left as it is, and says so. One that adopts a row which is not there,
    or not yet, still has no ``pk``.
    """
    using = database()
    if run.adopts and run.pk is None and not _adopt(run, using):
        return run.state
    if run.pk is None:
        Mailbox.objects.using(using).ensure([run.recipient])
    ring, state = try_again(lambda: _save(run, using))
    if ring is not None:
        outbox.announce([ring], using)
    return state


def _save(run: Run, using: str) -> tuple[Ring | None, State]:
    with run.lock:  # what it says is of one moment; the task goes on
        said = copy(run)
    said.parts = set(run.parts)
    written = _write(said, using)
    if written is None:
        run.is_superseded = True
        return None, said.state
    ring, row, state, attempt, asked = written
    with run.lock:
        if run.pk is None:
            run.attempt += attempt - said.attempt
        if run.adopts and state.is_final and not run.state.is_final:  # its last part was counted
            run.state, run.ended_at, run.message = said.state, said.ended_at, said.message
        if run.adopts:
            run.done = said.done
    run.pk, run.cancel_asked = row.pk, asked
    run.parts -= said.parts
    return ring, state


def _write(run: Run, using: str) -> tuple[Ring, Notification, State, int, bool] | None:
    """Write what a run says. Returns also its row, state and attempt, and whether it is to end."""
    rows = Notification.objects.using(using).filter(recipient=run.recipient)
    with transaction.atomic(using=using, durable=not is_written_here()):
        box = next(iter(Mailbox.objects.using(using).lock([run.recipient])), None)
        if box is None:  # its user was deleted meanwhile
            return None
        row, is_new = _row(run, rows)
        progress = None
        if row is not None and not is_new:
            progress = Progress.objects.using(using).filter(pk=row.pk).first()
        begins = run.pk is None
        starts = begins and progress is not None and row is not None and _waits(row)
        if begins and run.job and run.state is State.RUNNING and progress and row:
            # It may have been called off since its worker has looked.
            starts |= progress.job == run.job and progress.cancel_asked and _was_called_off(row)
        if row is None or not _may_speak(run, row, progress, begins=begins, starts=starts):
            return None
        attempt = run.attempt
        if begins:
            known = progress.attempt + (not starts) if progress else 1
            attempt = max(attempt, known if run.is_counted else known + run.retries)
        _count(run, row, using)
        state = run.state
        asked = bool(progress and progress.cancel_asked and (starts or not begins))
        if asked and state is State.RUNNING and run.cancellable:
            state = State.CANCELLING
        before, arrives = box.cursor, begins or state.is_final
        box.head += 1
        row.position = box.head
        if arrives:
            row.arrived = box.head
            if row.archived_at is None:
                box.unseen += is_new or row.seen_at is not None
                box.unread += is_new or row.read_at is not None
            row.seen_at = row.read_at = None
            if begins:
                row.dismissed_at = None
        _fill(row, run, state, attempt)
        row.save(using=using, force_insert=is_new, force_update=not is_new)
        box.save(using=using, update_fields=["head", "unseen", "unread"])
        Progress(
            notification=row,
            recipient_id=run.recipient,
            state=state.value,
            attempt=attempt,
            cancel_asked=asked,
            detail=run.detail,
            job=run.job,
        ).save(using=using, force_insert=progress is None, force_update=progress is not None)
        ring = Ring(run.recipient, before, box.cursor, box.counts, [row])
    return ring, row, state, attempt, asked


def _adopt(run: Run, using: str) -> bool:
    """Learn from its row what somebody else began; False where there is none."""
    progress = Progress.objects.using(using).filter(job=run.job).order_by("pk").last()
    if progress is None:
        return False
    row = Notification.objects.using(using).filter(pk=progress.pk).first()
    if row is None or (run.retries and State(progress.state).is_final):
        run.is_superseded = True
        return False
    told = row.progress or {}
    run.pk, run.recipient = row.pk, row.recipient_id
    run.attempt = progress.attempt + run.retries
    run.name = run.name or (row.message if told.get("ended_at") is None else row.title)
    run.key, run.category = row.collapse_key, row.category
    run.url, run.actions = run.url or row.url, run.actions or list(row.actions)
    run.total, run.cancellable = told.get("total"), bool(told.get("cancellable"))
    if not run.retries:  # which starts from nothing
        began = told.get("started_at")
        run.done = told.get("done") or 0
        run.started_at = datetime.fromisoformat(began) if began else run.started_at
    return True


def _row(run: Run, rows: NotificationQuerySet) -> tuple[Notification | None, bool]:
    """The row of a run, and whether it is a new one. None: it had one, which is gone."""
    if run.pk is not None:
        return rows.filter(pk=run.pk).first(), False
    if run.job:
        known = Progress.objects.using(rows.db).filter(recipient=run.recipient, job=run.job)
        row = rows.filter(pk__in=list(known.values_list("pk", flat=True))).first()
        if row is not None:
            return row, False
    if run.key:
        alike = rows.published().unarchived().filter(collapse_key=run.key).order_by("position")
        # Compared here: a database's collation may find "A" for "a".
        standing = [row for row in alike if row.collapse_key == run.key]
        if standing:
            return standing[-1], False
    now = timezone.now()
    return Notification(recipient_id=run.recipient, collapse_key=run.key, created_at=now), True


def _may_speak(
    run: Run, row: Notification, progress: Progress | None, *, begins: bool, starts: bool
) -> bool:
    """Whether its words are news: not those of an attempt that is over, nor "queued" of what has begun."""
    if begins:
        if progress is not None and _was_overtaken(run, row, progress):
            return False
        if run.state is not State.QUEUED or progress is None:
            return True
        if run.job and progress.job == run.job:
            if _has_ended_before(row, run.made_at):
                return True  # the same job was queued once more
            # It may have begun and failed before anything of that could be written.
            is_next = run.attempt > progress.attempt if run.is_counted else starts
            return is_next and run.retries > 0
        return progress.state not in (State.RUNNING, State.CANCELLING)
    if progress is None or progress.attempt > run.attempt:
        return False
    if progress.attempt < run.attempt:
        return True
    # Who waits for the next attempt may be late: another process has begun it.
    has_begun = run.state is State.QUEUED and progress.state != State.QUEUED
    return not has_begun and not State(progress.state).is_final


def _was_overtaken(run: Run, row: Notification, progress: Progress) -> bool:
    """Whether a later attempt of the job began after it, although that could be written before."""
    if not (run.job and run.job == progress.job and run.is_counted):
        return False
    began, made = (row.progress or {}).get("started_at"), timestamp(run.made_at)
    if run.attempt >= progress.attempt or not began or not made:
        return False
    return datetime.fromisoformat(made) < datetime.fromisoformat(began)


def _has_ended_before(row: Notification, moment: datetime) -> bool:
    """Well before: a quick task may have ended when its caller comes to say that it was queued."""
    ended = (row.progress or {}).get("ended_at")
    late = timestamp(moment - timedelta(seconds=LATE_SECONDS))
    if not ended or not late:
        return False
    return datetime.fromisoformat(ended) < datetime.fromisoformat(late)


def _count(run: Run, row: Notification, using: str) -> None:
    """Count the parts that have finished, each once; the last one ends the whole."""
    if not run.adopts or row.pk is None:
        return
    known = ProgressPart.objects.using(using).filter(progress_id=row.pk)
    if run.parts:
        new = [ProgressPart(progress_id=row.pk, job=part[:MAX_JOB]) for part in run.parts]
        known.bulk_create(new, ignore_conflicts=True)
        run.done = known.count()
        if run.total is not None and run.done >= run.total and not run.state.is_final:
            run.state, run.ended_at = State.SUCCEEDED, timezone.now()
            run.message = run.message or _("Finished.")
    elif not run.retries:  # other processes have counted meanwhile
        run.done = (row.progress or {}).get("done") or 0
    if run.state.is_final:
        known.delete()


def _waits(row: Notification) -> bool:
    """Whether it was queued, perhaps by another process, and has not started."""
    told = row.progress or {}
    return told.get("state") in (State.QUEUED, State.CANCELLING) and not told.get("started_at")


def _was_called_off(row: Notification) -> bool:
    """Whether it was cancelled before it began."""
    told = row.progress or {}
    return told.get("state") == State.CANCELLED and not told.get("started_at")


def _fill(row: Notification, run: Run, state: State, attempt: int) -> None:
    level = LEVELS.get(state, Level.INFO).value
    row.level = run.level or level if state.is_final else level
    row.category = run.category
    # Until it ends its content is its name: what it says in passing is no news.
    ended = run.title or run.name, run.message
    row.title, row.message = ended if state.is_final else ("", run.name)
    row.url, row.actions = run.url, list(run.actions)
    row.data, row.expires_at = None, None
    row.updated_at = timezone.now()
    row.progress = run.shown(state, attempt)


def hear(run: Run) -> None:
    """Whether its user has asked it to end: a read, where nothing can be written."""
    mine = Progress.objects.using(database()).filter(pk=run.pk, attempt=run.attempt)
    run.cancel_asked = mine.filter(cancel_asked=True).exists()


def beat(run: Run) -> bool:
    """
    A sign of life between two changes, which no reader need hear of. Brings back whether to end.

    Returns whether its readers know better than to think that it runs as it said.
    """
    mine = Progress.objects.using(database()).filter(pk=run.pk, attempt=run.attempt)
    mine.update(beat_at=timezone.now())
    progress = mine.first()
    if progress is None:
        return False
    asked, run.cancel_asked = run.cancel_asked, progress.cancel_asked
    return progress.is_silent or progress.state == State.LOST or asked != run.cancel_asked


# -- What others say of a run --------------------------------------------------------------------


def ask_to_end(recipient: Any, pairs: Iterable[Pair], *, epoch: str | None = None) -> Cursor | None:
    """
    Cancel: ask the tasks behind these notifications to end, and show that at once.

    Only what is cancellable and has not ended is asked. To ask twice is no error.

    Args:
        pairs, epoch: as of :func:`notify.mailbox.marks.mark`.

    Returns the cursor at which it shows; ``None`` without a mailbox.
    """
    shown = dict(pairs)
    waiting: dict[str, bool] = {}

    def ask(row: Notification, progress: Progress) -> bool:
        told = row.progress or {}
        is_asked = progress.cancel_asked and progress.state == State.CANCELLING
        if not (is_asked or told.get("cancellable")) or (row.arrived or 0) > shown[row.pk]:
            return False
        if progress.job:
            waiting[progress.job] = _waits(row)
        if is_asked:
            return False
        progress.cancel_asked = True
        progress.state = State.CANCELLING.value
        row.progress = told | {"state": progress.state, "cancellable": False}
        return True

    cursor = _change(recipient, Q(pk__in=shown), ask, epoch=epoch)
    for job, is_waiting in waiting.items():
        if is_waiting:  # no worker has it, so none can end it
            save(_called_off(job))
        signals.cancel_asked.send_robust(Progress, recipient=recipient, job=job)
    return cursor


def _called_off(job: str) -> Run:
    """What ends a job that another process began; nothing where it has ended, or was never seen."""
    return Run(
        recipient=None,
        name="",
        job=job,
        adopts=True,
        state=State.CANCELLED,
        message=_("Cancelled."),
        ended_at=timezone.now(),
    )


def is_called_off(job: str) -> bool:
    """Whether its user has cancelled this job before it began, or before it began again."""
    known = Progress.objects.using(database()).filter(job=job[:MAX_JOB])
    progress = known.order_by("pk").last()
    if progress is None or not progress.cancel_asked:
        return False
    if progress.state == State.CANCELLING:
        return True
    row = Notification.objects.using(database()).filter(pk=progress.pk).first()
    return row is not None and _was_called_off(row)


def tend(recipient: Any) -> None:
    """Tell a user of tasks of his that say nothing any more."""
    lost = timezone.now() - timedelta(seconds=conf.PROGRESS_LOST_AFTER)

    def tell(row: Notification, progress: Progress) -> bool:
        told = row.progress or {}
        is_lost = progress.state != State.QUEUED and progress.beat_at < lost
        if is_lost:
            progress.state = State.LOST.value
            row.level = LEVELS[State.LOST].value
        progress.is_silent = True
        row.progress = told | {
            "silent": True,
            "cancellable": told.get("cancellable") and not is_lost,
        }
        row.progress["state"] = progress.state
        return True

    stale = Progress.objects.filter(recipient=recipient).stale()
    _change(recipient, Q(pk__in=stale.values("pk")), tell)


def _change(
    recipient: Any,
    which: Q,
    change: Callable[[Notification, Progress], bool],
    *,
    epoch: str | None = None,
) -> Cursor | None:
    """Change what some rows say of their tasks, under the mailbox's lock; they are no news."""
    using = database()

    def work() -> tuple[Cursor | None, Ring | None]:
        with transaction.atomic(using=using, durable=not is_written_here()):
            box = next(iter(Mailbox.objects.using(using).lock([recipient])), None)
            if box is None or epoch not in (None, box.epoch):
                return None if box is None else box.cursor, None
            before = box.cursor
            rows = Notification.objects.using(using).filter(which, recipient=recipient)
            known = Progress.objects.using(using).in_bulk([row.pk for row in rows])
            changed = []
            for row in rows:
                progress = known.get(row.pk)
                if progress is None or not change(row, progress):
                    continue
                progress.save(using=using, force_update=True)
                box.head += 1
                row.position = box.head
                row.save(using=using, update_fields=["position", "progress", "level"])
                changed.append(row)
            box.save(using=using, update_fields=["head"])
        ring = Ring(recipient, before, box.cursor, box.counts, changed) if changed else None
        return box.cursor, ring

    cursor, ring = try_again(work)
    if ring is not None:
        outbox.announce([ring], using)
    return cursor
