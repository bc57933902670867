"""
Celery: tasks that their users see, from the queue to the end. Needs ``django-notify-live[celery]``.

    from notify.contrib.celery import tracked

    @shared_task
    @tracked("Importing customers", user="user_id")
    def import_customers(user_id, path, progress):
        for row in progress.track(read(path)):
            store(row)

    import_customers.delay(user.pk, path)

It goes by Celery's signals (https://docs.celeryq.dev/en/stable/userguide/signals.html), which this
module connects when it is imported, in the process that calls as in the worker.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from inspect import unwrap
from typing import Any

from celery import Celery, current_app, signals
from celery.canvas import Signature, StampingVisitor
from celery.exceptions import Reject
from celery.result import AsyncResult
from django.utils.translation import gettext as _

from notify.signals import cancel_asked
from notify.tracking import decorator as jobs
from notify.tracking import writer
from notify.tracking.decorator import tracked
from notify.tracking.handle import progress

__all__ = ["send", "tracked"]

PREFIX = "celery:"
WHOLE = "celery-whole:"  # several tasks that are shown as one
HEADER = "notify_whole"


def send(
    tasks: Signature, to: Any, name: Any, *, message: Any = None, **options: Any
) -> AsyncResult[Any]:
    """
    Send a chain, a group or a chord, and show it to a user as one: so many of its tasks are done.

        send(group(resize.s(pk) for pk in pictures), user, "Resizing pictures", url="/album/")

    It ends well with its last task, and badly with the first that fails for good.

    Args:
        tasks: any signature; those of it that are still made while it runs are not counted.
        to, name, options: as of :func:`notify.progress`. With ``cancellable=True`` what no worker has
            begun is revoked.

    Returns what ``tasks.apply_async()`` does.
    """
    tasks = tasks.clone()
    if hasattr(tasks, "tasks"):  # of a generator none is stamped before it is made
        tasks.tasks = list(tasks.tasks)
    job = f"{WHOLE}{uuid.uuid4()}"
    stamp = Stamp(job)
    tasks.stamp(visitor=stamp)
    shown = progress(to, name, job=job, queued=True, total=stamp.count, **options)
    try:
        return tasks.apply_async()
    except BaseException:
        shown.fail(_("It could not be sent."))
        raise


class Stamp(StampingVisitor):  # type: ignore[misc]  # Celery has no types
    """Writes the name of the whole on each task, and counts them."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.count = 0

    def on_signature(self, sig: Signature, **headers: Any) -> dict[str, Any]:
        self.count += 1
        return {HEADER: self.job}

    def on_errback(self, errback: Signature, **header: Any) -> dict[str, Any]:
        self.count -= 1  # one that runs only where all others need not
        return {}


# -- Where a task is called ------------------------------------------------------------------------


def on_published(sender: str, headers: Mapping[str, Any], body: Any, **_: Any) -> None:
    if headers.get("retries") or HEADER in (headers.get("stamps") or {}):
        return  # told by the worker that sends it again, or shown with the whole
    task = current_app.tasks.get(sender)
    if task is not None and isinstance(body, (tuple, list)):
        args, kwargs, *_rest = body
        jobs.queued(PREFIX + headers["id"], task.run, _with_self(task, args), kwargs)


# -- Where it runs ---------------------------------------------------------------------------------


def on_begin(task_id: str, task: Any, **_: Any) -> None:
    request = task.request
    attempt = (request.retries or 0) + 1
    jobs.begun(PREFIX + task_id, task.run, attempt=attempt, whole=_whole(request))


def on_success(sender: Any, **_: Any) -> None:
    jobs.finished(PREFIX + sender.request.id)


def on_failure(task_id: str, sender: Any, exception: BaseException, einfo: Any, **_: Any) -> None:
    # Of a worker that was killed it comes from its parent, which runs no job.
    if _is_shown(sender, sender.request):
        jobs.failed(_name(task_id, sender.request), detail=str(einfo or exception))


def on_retry(sender: Any, request: Any, reason: Any = None, **_rest: Any) -> None:
    if not _is_shown(sender, request):
        return
    if reason is None:  # a worker that was shut down at once; nobody sends it again
        jobs.failed(_name(request.id, request), _("It was interrupted."))
    elif not _whole(request):
        jobs.retried(PREFIX + request.id)


def on_revoked(sender: Any, request: Any, expired: bool = False, **_rest: Any) -> None:
    message = _("It waited too long to be started.") if expired else None
    if _is_shown(sender, request):
        jobs.cancelled(_name(request.id, request), message)


def on_end(task_id: str, retval: Any = None, state: str | None = None, **_rest: Any) -> None:
    job = PREFIX + task_id
    if state == "IGNORED" and jobs.current(job):
        jobs.cancelled(job, _("Stopped."))
    elif isinstance(retval, Reject) and jobs.current(job):
        (jobs.retried if retval.requeue else jobs.failed)(job)
    jobs.over(job)


def on_shutdown(**_: Any) -> None:
    writer.flush()  # a child of prefork ends without atexit


# -- Where a user cancels --------------------------------------------------------------------------


def on_cancel(job: str, **_: Any) -> None:
    if job.startswith((PREFIX, WHOLE)):
        jobs.take_out(job, lambda: _revoke(job))


def _revoke(job: str) -> None:
    app: Celery = current_app._get_current_object()
    if job.startswith(WHOLE):
        app.control.revoke_by_stamped_headers({HEADER: job})
    else:
        app.control.revoke(job.removeprefix(PREFIX))


def _whole(request: Any) -> str:
    """What a task is a part of, as its sender has stamped it; in eager mode a stamp is a list."""
    stamp = (getattr(request, "stamps", None) or {}).get(HEADER) or ""
    return stamp[0] if isinstance(stamp, list) else stamp


def _is_shown(task: Any, request: Any) -> bool:
    """So that no row is looked for of all the others."""
    return bool(_whole(request) or jobs.how(task.run))


def _name(task_id: str, request: Any) -> str:
    """The job to speak of where this process may not run it."""
    whole = _whole(request)
    return whole if whole and not jobs.current(PREFIX + task_id) else PREFIX + task_id


def _with_self(task: Any, args: Any) -> tuple[Any, ...]:
    """The arguments of the function, to which a bound task gives itself; autoretry_for wraps that."""
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
