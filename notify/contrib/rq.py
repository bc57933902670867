"""
RQ: jobs that their users see, from the queue to the end. Needs ``django-notify-live[rq]``.

    from notify.contrib.rq import Job, tracked

    @tracked("Importing customers", user="user_id")
    def import_customers(user_id, path, progress):
        for row in progress.track(read(path)):
            store(row)

    Queue(connection=redis, job_class=Job).enqueue(import_customers, user.pk, path)

RQ has no signals. So the function itself says that it is begun and how it ended, and :class:`Job` says
the rest, where the queue and the worker are given it (https://python-rq.org/docs/jobs/).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import wraps
from inspect import iscoroutine, iscoroutinefunction
from typing import Any, ParamSpec, TypeVar, cast

import rq.job
from django.utils.translation import gettext as _
from rq import Retry, get_current_job
from rq.exceptions import DeserializationError
from rq.job import JobStatus

from notify.tracking import decorator as jobs
from notify.tracking import writer

__all__ = ["Job", "tracked"]

P = ParamSpec("P")
T = TypeVar("T")

PREFIX = "rq:"
TOLD = (JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED)  # where the function may not


def tracked(
    name: Any, *, user: str | Callable[..., Any] = "user", **options: Any
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """
    Show a user each run of a function, as :func:`notify.tracked` does, and as a job with its retries.

        @tracked("Importing customers", user="user_id")
        def import_customers(user_id, path, progress):
            for row in progress.track(read(path)):
                store(row)

    Below RQ's own ``@job``, where there is one.

    Args:
        name, user, options: as of :func:`notify.tracked`.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        shown: Any = jobs.tracked(name, user=user, **options)(_telling(function))

        @wraps(shown)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            job = get_current_job()
            if job is None or jobs.current(PREFIX + job.id):
                return shown(*args, **kwargs)
            if jobs.how(job.func) is not jobs.how(shown):  # that one calls this one
                return shown(*args, **kwargs)
            return _attempt(job, lambda: shown(*args, **kwargs))

        return cast("Callable[P, T]", run)

    return decorate


class Job(rq.job.Job):
    """
    A job that says what its function cannot: that it waits, was taken out, stopped or killed.

        queue = Queue(connection=redis, job_class=Job)
        Worker([queue], connection=redis, job_class=Job).work()

    With django-rq it is the setting ``RQ = {"JOB_CLASS": "notify.contrib.rq.Job"}``. It changes nothing
    for functions that are not tracked.
    """

    is_told = False  # by its function, how this attempt ended

    @classmethod
    def create(
        cls, func: Any, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any
    ) -> Job:
        job = cast("Job", super().create(func, args, kwargs, *rest, **options))
        if not isinstance(func, str):  # whoever names it may not have it
            given = (*_self(func), *(args or ()))
            jobs.queued(PREFIX + job.id, func, given, kwargs or {})
        return job

    def retry(self, queue: Any, pipeline: Any) -> None:
        if self._may_be_shown():
            jobs.retried(PREFIX + self.id)
            writer.flush()  # before another process begins it
        super().retry(queue, pipeline)

    def set_status(self, status: JobStatus, pipeline: Any = None) -> None:
        was = self.get_status(refresh=False)
        super().set_status(status, pipeline)
        name = PREFIX + self.id
        if status not in TOLD or not self._may_be_shown():
            return
        if status == JobStatus.FAILED:
            jobs.failed(name, detail="RQ says that it failed; the function could not.")
        elif status == JobStatus.STOPPED:
            jobs.cancelled(name, _("Stopped."))
        elif status == JobStatus.CANCELED and was != JobStatus.STARTED:  # else it runs on
            jobs.cancelled(name)

    def _may_be_shown(self) -> bool:
        """Whether its function may be tracked, as far as this process has it, and has said nothing."""
        try:
            module, _dot, name = (self.func_name or "").rpartition(".")
        except DeserializationError:
            return False
        loaded = sys.modules.get(module)  # a worker imports it in the work horse only
        return not self.is_told and (
            loaded is None or jobs.how(getattr(loaded, name, None)) is not None
        )


class Again(Exception):
    """The function has returned a Retry, which is no result."""

    def __init__(self, retry: Retry) -> None:
        super().__init__("It asked to be tried again.")
        self.retry = retry


def _telling(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which raises the Retry that it returns: what has returned has ended."""

    def tell(result: Any) -> Any:
        if isinstance(result, Retry) and get_current_job():
            raise Again(result)
        return result

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        return tell(function(*args, **kwargs))

    @wraps(function)
    async def arun(*args: Any, **kwargs: Any) -> Any:
        return tell(await function(*args, **kwargs))

    return arun if iscoroutinefunction(function) else run


def _attempt(job: rq.job.Job, call: Callable[[], Any]) -> Any:
    """Run the function of a job, and say how it ended as RQ will judge it."""
    name = PREFIX + job.id
    jobs.begun(name, job.func)
    try:
        result = call()
        return asyncio.run(result) if iscoroutine(result) else result
    except Again as again:
        _tell(job, tries_again=(job.number_of_retries or 0) < again.retry.max)
        return again.retry
    except BaseException:
        # With Queue(is_async=False) nobody tries again.
        _tell(job, tries_again=job.should_retry and job.worker_name != "sync")
        raise
    finally:
        jobs.over(name)
        writer.flush()  # a work horse ends without atexit


def _tell(job: rq.job.Job, *, tries_again: bool) -> None:
    (jobs.retried if tries_again else jobs.failed)(PREFIX + job.id)
    if isinstance(job, Job):
        job.is_told = True


def _self(function: Any) -> tuple[Any, ...]:
    return (function.__self__,) if hasattr(function, "__self__") else ()
