"""
RQ: show users their jobs from the moment they are queued until they end.

Needs ``django-notify-live[rq]``.

    from notify.contrib.rq import Job, tracked

    @tracked("Importing customers", user="user_id")
    def import_customers(user_id, path, progress):
        for row in progress.track(read(path)):
            store(row)

    Queue(connection=redis, job_class=Job).enqueue(import_customers, user.pk, path)

RQ has no signals. The function itself reports its beginning and its end; :class:`Job` reports the rest,
if the queue and the worker use it as their job class (https://python-rq.org/docs/jobs/).
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

from notify.tracking import decorator, jobs, writer

__all__ = ["Job", "tracked"]

P = ParamSpec("P")
T = TypeVar("T")

PREFIX = "rq:"
# The function may be unable to report these.
REPORTED = (JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED)


def tracked(
    name: Any, *, user: str | Callable[..., Any] = "user", **options: Any
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Like :func:`notify.tracked`, for jobs and their retries. Put it below RQ's ``@job``."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        shown: Any = decorator.tracked(name, user=user, **options)(_raising_retries(function))

        @wraps(shown)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            job = get_current_job()
            if job is None or jobs.current(PREFIX + job.id):
                return shown(*args, **kwargs)
            if jobs.how(job.func) is not jobs.how(shown):  # the job's function calls this function
                return shown(*args, **kwargs)
            return _attempt(job, lambda: shown(*args, **kwargs))

        return cast("Callable[P, T]", run)

    return decorate


class Job(rq.job.Job):
    """
    A job class that reports what the function cannot: that the job was queued, taken out, stopped or killed.

        queue = Queue(connection=redis, job_class=Job)
        Worker([queue], connection=redis, job_class=Job).work()

    With django-rq, set ``RQ = {"JOB_CLASS": "notify.contrib.rq.Job"}``. Untracked functions are not
    affected.
    """

    is_reported = False  # whether the function has reported the end of this attempt

    @classmethod
    def create(
        cls, func: Any, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any
    ) -> Job:
        job = cast("Job", super().create(func, args, kwargs, *rest, **options))
        if not isinstance(func, str):  # this process may be unable to import it
            given = (*_self(func), *(args or ()))
            jobs.queued(PREFIX + job.id, func, given, kwargs or {})
        return job

    def retry(self, queue: Any, pipeline: Any) -> None:
        if self._may_be_shown():
            jobs.retried(PREFIX + self.id)
            writer.flush()  # before another process begins the job
        super().retry(queue, pipeline)

    def set_status(self, status: JobStatus, pipeline: Any = None) -> None:
        was = self.get_status(refresh=False)
        super().set_status(status, pipeline)
        name = PREFIX + self.id
        if status not in REPORTED or not self._may_be_shown():
            return
        if status == JobStatus.FAILED:
            jobs.failed(name, detail="RQ reported this failure; the function could not.")
        elif status == JobStatus.STOPPED:
            jobs.cancelled(name, _("Stopped."))
        elif status == JobStatus.CANCELED and was != JobStatus.STARTED:  # a started job runs on
            jobs.cancelled(name)

    def _may_be_shown(self) -> bool:
        """Returns whether the function could be a tracked one that has not yet reported its end."""
        try:
            module, _dot, name = (self.func_name or "").rpartition(".")
        except DeserializationError:
            return False
        loaded = sys.modules.get(module)  # an RQ worker imports the module only in its work horse
        return not self.is_reported and (
            loaded is None or jobs.how(getattr(loaded, name, None)) is not None
        )


class Again(Exception):
    """Raised if the function has returned a Retry, which is not a result."""

    def __init__(self, retry: Retry) -> None:
        super().__init__("The job asked to be tried again.")
        self.retry = retry


def _raising_retries(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function to raise ``Again`` when it returns a Retry, as a return would end the job."""

    def check(result: Any) -> Any:
        if isinstance(result, Retry) and get_current_job():
            raise Again(result)
        return result

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        return check(function(*args, **kwargs))

    @wraps(function)
    async def arun(*args: Any, **kwargs: Any) -> Any:
        return check(await function(*args, **kwargs))

    return arun if iscoroutinefunction(function) else run


def _attempt(job: rq.job.Job, call: Callable[[], Any]) -> Any:
    """Run the function of a job, and report its end as RQ will judge it."""
    name = PREFIX + job.id
    jobs.begun(name, job.func)
    try:
        result = call()
        return asyncio.run(result) if iscoroutine(result) else result
    except Again as again:
        _report(job, (job.number_of_retries or 0) < again.retry.max)
        return again.retry
    except BaseException:
        _report(job, job.should_retry)
        raise
    finally:
        jobs.over(name)
        writer.flush()  # a work horse exits without running atexit handlers


def _report(job: rq.job.Job, may_be_tried_again: bool) -> None:
    # With Queue(is_async=False), RQ does not try again.
    tries_again = may_be_tried_again and job.worker_name != "sync"
    (jobs.retried if tries_again else jobs.failed)(PREFIX + job.id)
    if isinstance(job, Job):
        job.is_reported = True


def _self(function: Any) -> tuple[Any, ...]:
    return (function.__self__,) if hasattr(function, "__self__") else ()
