"""
Huey: tasks that their users see, from the queue to the end. Needs ``django-notify-live[huey]``.

    from notify.contrib.huey import tracked

    @db_task()
    @tracked("Importing customers", user="user_id")
    def import_customers(user_id, path, progress):
        for row in progress.track(read(path)):
            store(row)

    import_customers(user.pk, path)

It goes by Huey's signals (https://huey.readthedocs.io/en/latest/signals.html). With
``huey.contrib.djhuey`` this module connects them when it is imported, in the process that calls as in the
consumer. Any other Huey is given to :func:`connect`.
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
from notify.tracking import decorator as jobs
from notify.tracking.decorator import tracked

__all__ = ["connect", "tracked"]

PREFIX = "huey:"
LONG_AGO = datetime.fromtimestamp(0, UTC)

_known: list[Huey] = []


def connect(huey: Huey) -> None:
    """
    Show the tracked tasks of a Huey, in this process. To do so twice is no error.

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
            # The scheduler enqueues it again when it is due; what was cancelled by then stays so.
            jobs.queued(name, function, args, kwargs, since=LONG_AGO if task.eta else None)
            return
        case S.SIGNAL_SCHEDULED:
            return
        case S.SIGNAL_EXECUTING:
            jobs.begun(name, function)
            return
        case S.SIGNAL_RETRYING:
            jobs.retried(name)
        case S.SIGNAL_REVOKED:
            jobs.cancelled(name)
        case S.SIGNAL_EXPIRED:
            jobs.cancelled(name, _("It waited too long to be started."))
        case S.SIGNAL_INTERRUPTED:  # and nobody tries it again
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
        for huey in _known:
            name = job.removeprefix(PREFIX)
            jobs.take_out(job, partial(huey.revoke_by_id, name, revoke_once=True))


def _function(task: Any) -> Any:
    """What a task runs. Huey keeps that in its class, but nowhere else than in a closure."""
    execute = type(task).execute
    names = execute.__code__.co_freevars
    found = dict(zip(names, execute.__closure__ or (), strict=True)).get("func")
    return found.cell_contents if found else None


cancel_asked.connect(on_cancel, dispatch_uid="notify.huey")
if apps.is_installed("huey.contrib.djhuey"):
    from huey.contrib.djhuey import HUEY

    connect(HUEY)
