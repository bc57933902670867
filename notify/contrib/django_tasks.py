"""
Django Tasks: show users their tasks from the moment they are queued until they end.

    from django.tasks import task  # before Django 6: from django_tasks import task
    from notify.contrib.django_tasks import tracked

    @task
    @tracked("Importing customers", user="user_id")
    def import_customers(user_id, path, progress):
        for row in progress.track(read(path)):
            store(row)

    import_customers.enqueue(user.pk, path)

This module connects to the framework's signals (https://docs.djangoproject.com/en/stable/ref/tasks/) when
it is imported, in the process that enqueues and in the worker. All backends send them, both those of
Django and those of its backport (https://pypi.org/project/django-tasks/).
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any

from django.db import transaction
from django.utils import timezone

from notify.tracking import jobs
from notify.tracking.decorator import tracked

__all__ = ["tracked"]

PREFIX = "tasks:"


def on_enqueued(task_result: Any, **_: Any) -> None:
    task = task_result.task
    if jobs.how(task.func) is None:
        return
    # The worker adds the context as the first argument.
    args = [None, *task_result.args] if task.takes_context else task_result.args
    report = partial(
        jobs.queued,
        PREFIX + task_result.id,
        task.func,
        args,
        task_result.kwargs,
        since=timezone.now(),  # the task may end long before the commit
    )
    try:
        # In a database queue, the task does not exist until the transaction has committed.
        transaction.on_commit(report)
    except Exception:  # no connection, or a coroutine; the task is in its queue anyway
        report()


def on_started(task_result: Any, **_: Any) -> None:
    jobs.begun(PREFIX + task_result.id, task_result.task.func, attempt=task_result.attempts or 1)


def on_finished(task_result: Any, **_: Any) -> None:
    job = PREFIX + task_result.id
    if task_result.status == "FAILED" and jobs.how(task_result.task.func):
        jobs.failed(job, detail="".join(error.traceback for error in task_result.errors[-1:]))
    jobs.over(job)


for name in ("django.tasks.signals", "django_tasks.signals"):
    with suppress(ImportError):
        signals = import_module(name)
        signals.task_enqueued.connect(on_enqueued, dispatch_uid="notify")
        signals.task_started.connect(on_started, dispatch_uid="notify")
        signals.task_finished.connect(on_finished, dispatch_uid="notify")
