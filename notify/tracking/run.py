"""
The two halves of a task: its report, in memory, and its stored state.

``Notification.progress`` holds the part that readers see, ``TaskRecord`` the bookkeeping. This
module reads both into a :class:`StoredTask`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock
from typing import Any, cast

from django.utils import timezone
from django.utils.translation import gettext as _

from notify.encoding import timestamp
from notify.models import MAX_JOB, Notification, TaskRecord
from notify.protocol import ShownTask, TaskState
from notify.tracking.counter import Amount, number


@dataclass(slots=True)
class StoredTask:
    """
    The stored state of a task. The defaults mean that the task is not stored yet.

    Attributes:
        pk: the primary key of the notification and of its record.
        job: the name under which a task queue knows the task.
        cancel_asked: whether the user has asked the task to end.
        done, total, cancellable, started_at, ended_at: as shown to the user.
    """

    pk: int | None = None
    state: TaskState = TaskState.RUNNING
    attempt: int = 1
    job: str = ""
    cancel_asked: bool = False
    done: float = 0
    total: float | None = None
    cancellable: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @classmethod
    def read(cls, row: Notification, record: TaskRecord) -> StoredTask:
        shown = cast("ShownTask", row.progress or {})  # empty if a plain send took the row
        return cls(
            pk=row.pk,
            state=TaskState(record.state),
            attempt=record.attempt,
            job=record.job,
            cancel_asked=record.cancel_asked,
            done=shown.get("done") or 0,
            total=shown.get("total"),
            cancellable=bool(shown.get("cancellable")),
            started_at=_moment(shown.get("started_at")),
            ended_at=_moment(shown.get("ended_at")),
        )

    @property
    def waits(self) -> bool:
        """True if the task was queued, possibly by another process, and has not started."""
        return self.state in (TaskState.QUEUED, TaskState.CANCELLING) and self.started_at is None

    @property
    def was_called_off(self) -> bool:
        """True if the task was cancelled before it began."""
        return self.state is TaskState.CANCELLED and self.started_at is None


@dataclass(slots=True, eq=False)
class TaskRun(Amount):
    """
    The report of one attempt of a task. It may change at any time, from any thread.

    Attributes:
        recipient_id: primary key of the user.
        name: the activity, such as "Importing customers".
        message: the current activity, or the result.
        title, level: replace the task's name and the level of its state once it has ended.
        attempt: the number of the run under its key or job, from 1.
        retries: the number of retries reported so far.
        is_counted: whether the queue has given the number of the attempt.
        job: the name in its task queue, such as "celery:<id>". All processes that report under this
            name write one row.
        adopts: this run reports on a job that another process began, and knows only its name.
        parts: the finished jobs of this task that are not counted yet.
        made_at: the time at which it was begun or queued.
        is_left: after this report is written, this process has nothing more to report on the task.
        is_superseded: nothing more of this report is written: a later one has taken the row, or it failed.
        stored: the stored state when the row was last read or written.
        lock: hold it while changing or reading several values that belong together.
    """

    recipient_id: Any
    name: str
    key: str = ""
    category: str = ""
    state: TaskState = TaskState.RUNNING
    message: str = ""
    title: str = ""
    level: str = ""
    url: str = ""
    actions: list[dict[str, Any]] = field(default_factory=list)
    cancellable: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    detail: str = ""

    attempt: int = 1
    retries: int = 0
    is_counted: bool = False
    job: str = ""
    adopts: bool = False
    parts: set[str] = field(default_factory=set)
    made_at: datetime = field(default_factory=timezone.now)

    is_left: bool = False
    is_superseded: bool = False
    stored: StoredTask = field(default_factory=StoredTask)
    # Reentrant: while a thread holds it, the garbage collector may finalize the handle, which takes it.
    lock: Any = field(default_factory=RLock, repr=False)

    def __post_init__(self) -> None:
        self.job = stored_name(self.job)
        if timezone.is_naive(self.made_at):  # it is compared with aware datetimes
            self.made_at = timezone.make_aware(self.made_at, timezone.get_default_timezone())

    @property
    def begins(self) -> bool:
        """True while nothing of this run is stored."""
        return self.stored.pk is None

    def change(self, **values: Any) -> None:
        """Change several values at once, under the lock."""
        with self.lock:
            for name, value in values.items():
                setattr(self, name, value)

    @property
    def far(self) -> tuple[float, float | None]:
        """The done amount and the total, as shown to the user. With steps, the total is 1."""
        total = number(self.total)
        if self.has_steps and total:
            return round(self.share, 3), 1
        return self.reached, total

    def message_of(self, attempt: int) -> str:
        """Returns the current message, or the number of the attempt if a retried job has no message."""
        if self.message or not self.job or attempt == 1:
            return self.message
        return _("Attempt %(number)d") % {"number": attempt}

    def shown(self, state: TaskState, attempt: int) -> ShownTask:
        """Returns the progress that the notification shows."""
        done, total = self.far
        return {
            "state": state.value,
            "done": done,
            "total": total,
            "message": "" if state.is_final else self.message_of(attempt),
            "attempt": attempt,
            "cancellable": self.cancellable and state in (TaskState.QUEUED, TaskState.RUNNING),
            "silent": False,
            "started_at": timestamp(self.started_at),
            "ended_at": timestamp(self.ended_at if state.is_final else None),
        }


def stored_name(job: str) -> str:
    """Returns the name under which a job is stored. The end of a long name is replaced by a hash."""
    if len(job) <= MAX_JOB:
        return job
    digest = hashlib.sha256(job.encode(errors="surrogatepass")).hexdigest()
    return job[: MAX_JOB - len(digest)] + digest


def show(row: Notification, state: TaskState, **changes: Any) -> None:
    """Change the progress that a notification shows."""
    row.progress = {**(row.progress or {}), "state": state.value, **changes}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
