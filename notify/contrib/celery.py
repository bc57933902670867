"""
Celery: show users their tasks from the moment they are queued until they end.

Needs ``django-notify-live[celery]``.

    from notify.contrib.celery import tracked

    @shared_task
    @tracked("Importing customers", user="user_id")
    def import_customers(user_id, path, progress):
        for row in progress.track(read(path)):
            store(row)

    import_customers.delay(user.pk, path)

This module connects to Celery's signals (https://docs.celeryq.dev/en/stable/userguide/signals.html) when
it is imported, in the process that calls a task and in the worker.
"""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Mapping
from inspect import unwrap
from typing import Any

from celery import current_app, signals
from celery.canvas import Signature, StampingVisitor
from celery.exceptions import Reject
from celery.result import AsyncResult
from django.utils.translation import gettext as _

from notify.signals import cancel_asked
from notify.tracking import jobs, writer
from notify.tracking.decorator import tracked

__all__ = ["send", "tracked"]

PREFIX = "celery:"
WHOLE = "celery-whole:"  # several tasks that are shown as one
HEADER = "notify_whole"


def send(tasks: Signature, to: Any, name: Any, **options: Any) -> AsyncResult[Any]:
    """
    Send a chain, a group or a chord, and show it to a user as one task, which counts its parts.

        send(group(resize.s(pk) for pk in pictures), user, "Resizing pictures", url="/album/")

    The shown task succeeds with the last of its jobs, and fails as soon as one of them fails for good.

    Args:
        tasks: any signature. Tasks that it creates while it runs are not counted.
        to, name, options: as for :func:`notify.progress`. With ``cancellable=True``, cancelling revokes
            the tasks that no worker has begun.

    Returns the result of ``tasks.apply_async()``.
    """
    tasks = tasks.clone()
    if hasattr(tasks, "tasks"):  # tasks from a generator would not be stamped
        tasks.tasks = list(tasks.tasks)
    job = f"{WHOLE}{uuid.uuid4()}"
    stamp = Stamp(job)
    tasks.stamp(visitor=stamp)
    shown = jobs.queued_whole(job, to, name, total=stamp.count, **options)
    try:
        return tasks.apply_async()
    except BaseException:
        shown.fail(_("It could not be sent."))
        raise


class Stamp(StampingVisitor):  # type: ignore[misc]  # Celery has no types
    """Stamps each task with the name of the whole, and counts the tasks."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.count = 0

    def on_signature(self, sig: Signature, **headers: Any) -> dict[str, Any]:
        self.count += 1
        return {HEADER: self.job}

    def on_errback(self, errback: Signature, **header: Any) -> dict[str, Any]:
        self.count -= 1  # it runs only if another task fails
        return {}


# -- In the process that calls a task --------------------------------------------------------------


def on_published(sender: str, headers: Mapping[str, Any], body: Any, **_: Any) -> None:
    if headers.get("retries") or HEADER in (headers.get("stamps") or {}):
        return  # the worker reports retries, and the whole is shown instead of its parts
    task = current_app.tasks.get(sender)
    if task is not None and isinstance(body, (tuple, list)):
        args, kwargs, *_rest = body
        jobs.queued(PREFIX + headers["id"], task.run, _with_self(task, args), kwargs)


# -- In the worker ---------------------------------------------------------------------------------


def on_begin(task_id: str, task: Any, **_: Any) -> None:
    request = task.request
    attempt = (request.retries or 0) + 1
    jobs.begun(PREFIX + task_id, task.run, attempt=attempt, whole=_whole(request))


def on_success(sender: Any, **_: Any) -> None:
    jobs.finished(PREFIX + sender.request.id)


def on_failure(task_id: str, sender: Any, exception: BaseException, einfo: Any, **_: Any) -> None:
    # If a worker was killed, its parent process sends this signal, and runs no job itself.
    if _is_shown(sender, sender.request):
        jobs.failed(_name(task_id, sender.request), detail=str(einfo or exception))


def on_retry(sender: Any, request: Any, reason: Any = None, **_rest: Any) -> None:
    if not _is_shown(sender, request):
        return
    if reason is None:  # the worker was shut down at once, so the task is not sent again
        jobs.failed(_name(request.id, request), _("It was interrupted."))
    elif not _whole(request):
        jobs.retried(PREFIX + request.id)


def on_revoked(sender: Any, request: Any, expired: bool = False, **_rest: Any) -> None:
    message = _("It waited too long to be started.") if expired else None
    if _is_shown(sender, request):
        jobs.cancelled(_name(request.id, request), message)


def on_end(
    task_id: str, task: Any, retval: Any = None, state: str | None = None, **_rest: Any
) -> None:
    job = PREFIX + task_id
    if state is None and task.request.is_eager and jobs.current(job):
        # The error goes to the caller, and Celery neither reports it nor tries the task again.
        jobs.failed(job, detail=traceback.format_exc())
    elif state == "IGNORED" and jobs.current(job):
        jobs.cancelled(job, _("Stopped."))
    elif isinstance(retval, Reject) and jobs.current(job):
        (jobs.retried if retval.requeue else jobs.failed)(job)
    jobs.over(job)


def on_shutdown(**_: Any) -> None:
    writer.flush()  # a prefork child exits without running atexit handlers


# -- When a user cancels ---------------------------------------------------------------------------


def on_cancel(job: str, **_: Any) -> None:
    if job.startswith((PREFIX, WHOLE)):
        jobs.take_out(job, lambda: _revoke(job))


def _revoke(job: str) -> None:
    if job.startswith(WHOLE):
        current_app.control.revoke_by_stamped_headers({HEADER: job})
    else:
        current_app.control.revoke(job.removeprefix(PREFIX))


def _whole(request: Any) -> str:
    """Returns the name of the whole that is stamped on a task. In eager mode a stamp is a list."""
    stamp = (getattr(request, "stamps", None) or {}).get(HEADER) or ""
    return stamp[0] if isinstance(stamp, list) else stamp


def _is_shown(task: Any, request: Any) -> bool:
    """Returns whether the task is shown, so that a report on it is worth a search for its row."""
    return bool(_whole(request) or jobs.how(task.run))


def _name(task_id: str, request: Any) -> str:
    """Returns the name of the job to report on, even if this process does not run it."""
    whole = _whole(request)
    return whole if whole and not jobs.current(PREFIX + task_id) else PREFIX + task_id


def _with_self(task: Any, args: Any) -> tuple[Any, ...]:
    """Returns the function's arguments. A bound task comes first, even if autoretry_for wraps it."""
    function = unwrap(task.run, stop=lambda each: hasattr(each, "__self__"))
    return (task, *args) if hasattr(function, "__self__") else tuple(args)


for signal, receiver in {
    signals.after_task_publish: on_published,
    signals.task_prerun: on_begin,
    signals.task_success: on_success,
    signals.task_failure: on_failure,
    signals.task_retry: on_retry,
    signals.task_revoked: on_revoked,
    signals.task_postrun: on_end,
    signals.worker_process_shutdown: on_shutdown,
    cancel_asked: on_cancel,
}.items():
    signal.connect(receiver, dispatch_uid="notify.celery")
