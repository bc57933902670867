"""
The functions that adapters of task queues call; the contract is in ``notify.contrib``.

An adapter reports what its queue knows: that a job was queued or begun, and how it ended. The tracked
function reports its progress. Both write the same row, which is found by the job's name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.db import Error
from django.utils import timezone

from notify.runtime.errands import errands
from notify.tracking import rows as task_rows
from notify.tracking import wholes
from notify.tracking.decorator import Job, current_job, elsewhere
from notify.tracking.decorator import how as how
from notify.tracking.handle import Progress, begin

logger = logging.getLogger("notify")


def queued(
    job: str, function: Any, args: Any, kwargs: Mapping[str, Any], *, since: datetime | None = None
) -> None:
    """
    Report that a job was queued. It is shown as queued unless it has already begun.

    Args:
        since: the time at which it was queued, if it is reported later.
    """
    shown = how(function)
    if shown is None:
        return
    try:
        report = {"job": job, "made_at": since or timezone.now()}
        shown.begin(args, kwargs, queued=True, report=report)
    except Exception:
        # The function will raise the same error in the worker, where developers look for errors.
        logger.warning("Cannot show the job %s as queued.", job, exc_info=True)


def queued_whole(job: str, to: Any, name: Any, *, total: int, **options: Any) -> Progress:
    """Show several jobs as one task, which ends with the last job. Options as for ``progress()``."""
    return begin(to, name, queued=True, total=total, report={"job": job}, **options)


def begun(job: str, function: Any, *, attempt: int | None = None, whole: str = "") -> None:
    """
    Report that this context runs the job until :func:`over` is called.

    Args:
        attempt: the number of this attempt, from 1, if the queue counts attempts.
        whole: the task of which the job is a part. The job itself is then not shown.
    """
    shown = how(function)
    part_of = wholes.enter(whole) if whole else None
    if shown or part_of:
        current_job.set(Job(job, shown, attempt, part_of, outer=current_job.get()))


def current(job: str) -> Job | None:
    """Returns the job that this context runs, if it has this name."""
    found = current_job.get()
    return found if found is not None and found.id == job else None


def over(job: str) -> None:
    """Report that this context no longer runs the job."""
    found = current(job)
    if found is None:
        return
    current_job.set(found.outer)
    if found.whole:
        found.whole.leave()


def finished(job: str) -> None:
    """Report that a part has succeeded. Other jobs do not need it: a tracked function reports its return."""
    found = current(job)
    if found and found.whole:
        found.whole.count(job)


def failed(job: str, message: Any = None, *, detail: str = "") -> None:
    """Report that a job has failed and will not be tried again."""
    found = current(job)
    _handle(job).fail(message, detail=(found.detail if found else "") or detail)


def retried(job: str, message: Any = None) -> None:
    """Report that a job has failed and will be tried again. For a part, nothing is shown."""
    found = current(job)
    if found is None or not found.whole:
        _handle(job).retry(message)


def cancelled(job: str, message: Any = None) -> None:
    """Report that a job was taken out of the queue, or stopped by hand."""
    _handle(job).cancel(message)


def take_out(job: str, revoke: Callable[[], object]) -> None:
    """
    Revoke a job that its user has cancelled, in another thread. Does nothing while a call for this job is
    still running.

    Otherwise a queue that is down would keep the user waiting. If ``revoke`` fails, or too many jobs are
    being revoked already, the cancelled job still does not begin. Nothing is revoked if another user waits
    for a job of the same name.
    """
    try:
        if task_rows.is_awaited(job):
            return
    except Error:
        return

    def work() -> None:
        try:
            revoke()
        except Exception:
            logger.warning("The job %s could not be revoked.", job, exc_info=True)

    errands().submit(job, work)


def _handle(job: str) -> Progress:
    found = current(job)
    return found.handle() if found else elsewhere(job)
