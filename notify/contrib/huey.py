"""
Huey: show users their tasks from the moment they are queued until they end.

Needs ``django-notify-live[huey]``.

    from notify.contrib.huey import tracked

    @db_task()
    @tracked("Importing customers", user="user_id")
    def import_customers(user_id, path, progress):
        for row in progress.track(read(path)):
            store(row)

    import_customers(user.pk, path)

It uses Huey's signals (https://huey.readthedocs.io/en/latest/signals.html). With
``huey.contrib.djhuey``, this module connects to them when it is imported, in the process that calls a
task and in the consumer. Pass any other Huey to :func:`connect`.
"""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.apps import apps
from django.utils.translation import gettext as _
from huey import Huey
from huey import signals as S

from notify.signals import cancel_asked
from notify.tracking import jobs, writer
from notify.tracking.decorator import tracked

__all__ = ["connect", "tracked"]

PREFIX = "huey:"
LONG_AGO = datetime.fromtimestamp(0, UTC)

_known: list[Huey] = []


def connect(huey: Huey) -> None:
    """
    Show the tracked tasks of a Huey instance, in this process. Calling it twice is safe.

        huey = RedisHuey("shop")
        connect(huey)
    """
    if huey not in _known:
        _known.append(huey)
        huey.signal()(on_signal)


def on_signal(signal: str, task: Any, error: BaseException | None = None) -> None:
    function = _function(task)
    if jobs.how(function) is None:
        return
    name = PREFIX + task.id
    job = jobs.current(name)
    match signal:
        case S.SIGNAL_ENQUEUED:
            args, kwargs = task.data
            # The scheduler enqueues a due task again, which must not revive a cancelled task.
            jobs.queued(name, function, args, kwargs, since=LONG_AGO if task.eta else None)
            return
        case S.SIGNAL_EXECUTING:
            jobs.begun(name, function)
            return
        case S.SIGNAL_RETRYING:
            jobs.retried(name)
            # Huey does not number attempts, so the row counts them: write it before another worker
            # can begin the next attempt.
            writer.flush()
        case S.SIGNAL_REVOKED:
            jobs.cancelled(name)
        case S.SIGNAL_EXPIRED:
            jobs.cancelled(name, _("It waited too long to be started."))
        case S.SIGNAL_INTERRUPTED:  # the task is not tried again
            jobs.failed(name, _("It was interrupted."))
        case S.SIGNAL_CANCELED if not task.retries or (job and not job.progress):
            jobs.cancelled(name, _("Stopped."))
        case S.SIGNAL_ERROR | S.SIGNAL_TIMEOUT | S.SIGNAL_LOCKED | S.SIGNAL_RATE_LIMITED:
            if task.retries:
                return  # SIGNAL_RETRYING follows
            jobs.failed(name, detail=traceback.format_exc())
        case S.SIGNAL_CANCELED:
            return
    jobs.over(name)


def on_cancel(job: str, **_: Any) -> None:
    if job.startswith(PREFIX):
        jobs.take_out(job, partial(_revoke, job.removeprefix(PREFIX)))


def _revoke(task_id: str) -> None:
    for huey in _known:
        huey.revoke_by_id(task_id, revoke_once=True)


def _function(task: Any) -> Any:
    """Returns the function of a task, which Huey keeps only in a closure of the task's class."""
    execute = type(task).execute
    names = execute.__code__.co_freevars
    found = dict(zip(names, execute.__closure__ or (), strict=True)).get("func")
    return found.cell_contents if found else None


cancel_asked.connect(on_cancel, dispatch_uid="notify.huey")
if apps.is_installed("huey.contrib.djhuey"):
    from huey.contrib.djhuey import HUEY

    connect(HUEY)
