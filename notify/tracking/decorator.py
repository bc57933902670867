"""
``notify.tracked`` shows the runs of functions, even if a task queue runs them.

An exception does not end a job, because the queue may try again; the adapter reports whether it will. A
return ends the job, because the queue cannot undo it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from typing import Any, ParamSpec, TypeVar, cast

from asgiref.sync import sync_to_async
from django.db import Error

from notify.exceptions import InvalidRecipient, is_cancelled
from notify.sending import recipients
from notify.tracking import rows as task_rows
from notify.tracking.handle import Progress, begin
from notify.tracking.run import TaskRun
from notify.tracking.wholes import PartProgress, UnshownProgress, Whole

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("notify")


@dataclass(slots=True)
class Job:
    """
    One attempt of a job, as its worker knows it. The queue decides whether an exception ends the job.

    Attributes:
        id: the queue's prefix and id, such as "celery:<id>"; the same for each attempt.
        function: the tracked function; None if the function is shown only as a part.
        attempt: the number of this attempt, from 1; None if the queue does not count attempts.
        whole: the task of which this job is a part.
        outer: the job that this context ran before.
        recipient_id: primary key of the user, once it is known.
        progress: the handle, once the function has begun.
        detail: the traceback of the exception that the function raised.
    """

    id: str
    function: Tracked | None
    attempt: int | None = None
    whole: Whole | None = None
    outer: Job | None = None
    recipient_id: Any = None
    progress: Progress | None = None
    detail: str = ""

    def handle(self) -> Progress:
        """Returns the handle for reports on this job; for a part, that of its whole."""
        if self.whole:
            return Progress(self.whole.run)
        return self.progress or elsewhere(self.id, self.recipient_id)


def elsewhere(job: str, recipient_id: Any = None) -> Progress:
    """
    Returns a handle for a job that another process began. If the job is not shown, nothing is written.

    Args:
        recipient_id: primary key of the user, if known. Otherwise, if jobs of several users have this
            name, the handle reports on the newest.
    """
    return Progress(TaskRun(recipient_id, "", job=job, adopts=True))


current_job: ContextVar[Job | None] = ContextVar("notify_job", default=None)


class Tracked:
    """How the runs of a function are shown: the arguments of :func:`tracked`."""

    def __init__(
        self, function: Callable[..., Any], name: Any, user: str | Callable[..., Any], options: Any
    ) -> None:
        self.asked = signature(function)
        self.name = name
        self.user = user
        self.options: dict[str, Any] = options
        parameters = self.asked.parameters.values()
        self.wants_progress = "progress" in self.asked.parameters
        names = [p.name for p in parameters if p.kind <= p.POSITIONAL_OR_KEYWORD]
        self.place = names.index("progress") if "progress" in names else None
        others = [p for p in parameters if p.name != "progress"]
        self.given = self.asked.replace(parameters=others)  # as callers see it
        if isinstance(user, str) and user not in self.asked.parameters:
            raise TypeError(
                f"{function.__qualname__}() has no parameter {user!r}. Name the parameter that holds"
                f" the user: @notify.tracked({name!r}, user=…)"
            )
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__}() is a generator: it has done nothing yet when it returns. Use"
                " notify.progress() inside it, or notify.track() around it."
            )

    def begin(self, args: Any, kwargs: Mapping[str, Any], **more: Any) -> Progress:
        """
        Begin to show a run with these arguments; ``more`` is passed to :func:`handle.begin`.

        If the user no longer exists by the time the task runs, it runs anyway and is not shown.
        """
        own = {
            name: value(*args, **kwargs) if callable(value) else value
            for name, value in {"name": self.name, **self.options}.items()
        }
        try:
            return begin(self._user_of(args, kwargs), **{**own, **more})
        except InvalidRecipient as error:
            logger.warning("The task %s is not shown: %s", own["name"], error)
            return UnshownProgress()

    def _user_of(self, args: Any, kwargs: Mapping[str, Any]) -> Any:
        if callable(self.user):
            return self.user(*args, **kwargs)
        named = {name: kwargs[name] for name in kwargs if name != "progress"}
        bound = self.given.bind_partial(*args, **named)
        bound.apply_defaults()
        return bound.arguments.get(self.user)

    def _recipient_id(self, args: Any, kwargs: Mapping[str, Any]) -> Any:
        return recipients.one(
            self._user_of(args, kwargs),
            verb="notify.tracked()",
            several="Call it for each user.",
            must_exist=False,
        )

    @contextmanager
    def run(self, args: Any, kwargs: dict[str, Any]) -> Iterator[Any]:
        """Show the block, which must call the function. Yields the positional arguments for the call."""
        job = self._job()
        if job is None or job.progress is not None:
            with self.begin(args, kwargs) as own:
                yield self._give(own, args, kwargs)
            return
        p = PartProgress(job.whole) if job.whole else self._begin_job(job, args, kwargs)
        job.progress = p
        try:
            yield self._give(p, args, kwargs)
        except BaseException as error:
            if is_cancelled(error):
                p.cancel()
                raise
            job.detail = "".join(traceback.format_exception(error))
            raise
        p.succeed()

    def is_called_off(self, args: Any, kwargs: Mapping[str, Any]) -> bool:
        """Returns whether the user of these arguments cancelled this job while it was queued."""
        job = self._job()
        if job is None or not self.options.get("cancellable"):
            return False
        try:
            if job.whole:
                is_so = task_rows.is_called_off(job.whole.run.job)
            else:
                job.recipient_id = self._recipient_id(args, kwargs)
                is_so = task_rows.is_called_off(job.id, job.recipient_id)
        except (Error, InvalidRecipient):
            return False
        if is_so:
            job.handle().cancel()
        return is_so

    def _job(self) -> Job | None:
        """Returns the job that this context runs, if the job runs this function."""
        job = current_job.get()
        return job if job is not None and job.function is self else None

    def _begin_job(self, job: Job, args: Any, kwargs: Mapping[str, Any]) -> Progress:
        counted = {"attempt": job.attempt or 1, "is_counted": job.attempt is not None}
        return self.begin(args, kwargs, report={"job": job.id, **counted})

    def _give(self, p: Progress, args: Any, kwargs: dict[str, Any]) -> Any:
        if self.place is not None and len(args) > self.place:
            return *args[: self.place], p, *args[self.place :]
        if self.wants_progress:
            kwargs["progress"] = p
        return args


def tracked(
    name: Any, *, user: str | Callable[..., Any] = "user", **options: Any
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """
    Show a user each run of a sync or async function, as :func:`notify.progress` does.

        @notify.tracked("Importing customers", user="user_id")
        def import_customers(user_id, path, progress):
            for row in progress.track(read(path)):
                store(row)

    If the function has a parameter ``progress``, it receives its :class:`~notify.tracking.Progress`. A
    cancelled run returns ``None``. If the user no longer exists or is anonymous, the function still runs,
    but is not shown. For tasks of a queue, use ``tracked`` from the queue's module in
    :mod:`notify.contrib`: it shows tasks as soon as they are queued, and does not show a task that will be
    tried again as failed.

    Args:
        name, options: as for :func:`notify.progress`. Each may be a callable, which is called with the
            arguments of the function, such as ``key=lambda user_id, path: f"import:{path}"``.
        user: the name of the parameter that holds the user, or such a callable.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        shown = Tracked(function, name, user, options)

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            if shown.is_called_off(args, kwargs):
                return None
            with _until_cancelled(), shown.run(args, kwargs) as given:
                return function(*given, **kwargs)

        @wraps(function)
        async def arun(*args: P.args, **kwargs: P.kwargs) -> Any:
            if await sync_to_async(shown.is_called_off)(args, kwargs):
                return None
            with _until_cancelled(), shown.run(args, kwargs) as given:
                return await cast("Any", function)(*given, **kwargs)

        wrapper: Any = arun if iscoroutinefunction(function) else run
        wrapper.notify_tracked = shown
        if shown.wants_progress:  # task queues check a caller's arguments against the signature
            wrapper.__signature__ = shown.given
        return cast("Callable[P, T]", wrapper)

    return decorate


def how(function: Any) -> Tracked | None:
    """Returns the :class:`Tracked` of a function; ``None`` if it is not tracked."""
    found = getattr(function, "notify_tracked", None)
    return found if isinstance(found, Tracked) else None


@contextmanager
def _until_cancelled() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if not is_cancelled(error):
            raise
