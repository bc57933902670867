"""
Functions whose runs are shown, also where a task queue runs them.

A queue's integration, in :mod:`notify.contrib`, says what it knows: a job was queued, is begun, and
how it ended. The function says how far it is. Both speak of one row, which the job's name leads to.
Nothing here raises because of what notify does, for an integration is called in the middle of a worker.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from typing import Any, ParamSpec, TypeVar, cast

from asgiref.sync import sync_to_async
from django.db import Error
from django.utils import timezone

from notify.exceptions import InvalidRecipient, is_cancelled
from notify.protocol import State
from notify.tracking import rows as runs
from notify.tracking import writer
from notify.tracking.handle import Progress, progress
from notify.tracking.rows import Run

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("notify")


@dataclass(slots=True)
class Job:
    """
    One run of a function by a task queue, which judges whether an exception is its end.

    Attributes:
        id: as "celery:<id>"; the same for each attempt.
        function: how it is shown; None for one that is only a part.
        attempt: which one this is, from 1; None where the queue does not count them.
        whole: what it is a part of.
        outer: the job that this context ran before.
        progress: there once the function has begun.
        detail: the traceback of what it raised.
    """

    id: str
    function: Tracked | None
    attempt: int | None = None
    whole: Whole | None = None
    outer: Job | None = None
    progress: Progress | None = None
    detail: str = ""


@dataclass(slots=True)
class Whole:
    """Several jobs that are shown as one task, as far as this process runs them."""

    run: Run
    active: int = 0


class Untold(Progress):
    """What a function is given whose user is gone: it counts for nobody."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Run(None, "untold", adopts=True))

    def _become(self, state: State, **said: Any) -> None:
        self._run.change(state=state, **said)


class Part(Untold):
    """What a function is given that is shown as a part only: it may be cancelled, and fails the whole."""

    __slots__ = ("_whole",)

    def __init__(self, whole: Whole) -> None:
        super().__init__()
        self._whole = whole

    @property
    def is_cancelled(self) -> bool:
        return self._whole.run.cancel_asked

    def _become(self, state: State, **said: Any) -> None:
        super()._become(state, **said)
        whole = Progress(self._whole.run)
        if state is State.CANCELLED:
            whole.cancel(self._run.message)
        elif state is State.FAILED:
            whole.fail(self._run.message, detail=self._run.detail)


_current: ContextVar[Job | None] = ContextVar("notify_job", default=None)

MOST_WHOLES = 100  # that a process remembers
_wholes: dict[str, Whole] = {}


class Tracked:
    """How the runs of a function are shown: what :func:`tracked` was given."""

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
        self.given = self.asked.replace(parameters=others)  # by whoever calls it
        if isinstance(user, str) and user not in self.asked.parameters:
            raise TypeError(
                f"{function.__qualname__}() has no parameter {user!r}. Name the one that holds the user:"
                f" @notify.tracked({name!r}, user=…)"
            )
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__}() yields, so it has done nothing yet when it returns. Use"
                " notify.progress() inside it, or notify.track() around it."
            )

    def begin(self, args: Any, kwargs: Mapping[str, Any], **options: Any) -> Progress:
        """
        Show a run with these arguments, from now on; options as of :func:`notify.progress`.

        A user may be gone by the time that his task runs, which is no reason for it not to.
        """
        if callable(self.user):
            to = self.user(*args, **kwargs)
        else:
            named = {name: kwargs[name] for name in kwargs if name != "progress"}
            bound = self.given.bind_partial(*args, **named)
            bound.apply_defaults()
            to = bound.arguments.get(self.user)
        own = {
            name: value(*args, **kwargs) if callable(value) else value
            for name, value in {"name": self.name, **self.options}.items()
        }
        try:
            return progress(to, **own, **options)
        except InvalidRecipient as error:
            logger.warning("%s is shown to nobody: %s", own["name"], error)
            return Untold()

    @contextmanager
    def run(self, args: Any, kwargs: dict[str, Any]) -> Iterator[Any]:
        """Show what happens inside: this function with these arguments. Gives the positional ones."""
        job = _current.get()
        if job is None or job.function is not self or job.progress is not None:
            with self.begin(args, kwargs) as own:
                yield self._give(own, args, kwargs)
            return
        if job.whole:
            p: Progress = Part(job.whole)
        else:
            p = self.begin(args, kwargs, job=job.id, attempt=job.attempt)
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

    def is_called_off(self) -> bool:
        """Whether its user has cancelled this job while it was queued."""
        job = _current.get()
        if job is None or job.function is not self or not self.options.get("cancellable"):
            return False
        try:
            is_so = runs.is_called_off(job.whole.run.job if job.whole else job.id)
        except Error:
            return False
        if is_so:
            cancelled(job.id)
        return is_so

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
    Show a user each run of a function, sync or async, as :func:`notify.progress` does.

        @notify.tracked("Importing customers", user="user_id")
        def import_customers(user_id, path, progress):
            for row in progress.track(read(path)):
                store(row)

    A function with a parameter ``progress`` is given its :class:`~notify.tracking.handle.Progress`. One that the
    user has cancelled returns ``None``. One whose user is gone, or nobody, runs all the same. For tasks of
    a queue take the ``tracked`` of its module in :mod:`notify.contrib`: they are shown from the moment when
    they are queued, and a task that is tried again has not failed.

    Args:
        name, options: as of :func:`notify.progress`; or callables that are given the arguments, as
            ``key=lambda user_id, path: f"import:{path}"``.
        user: the parameter that says who is told, or a callable that is given the arguments.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        shown = Tracked(function, name, user, options)

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            if shown.is_called_off():
                return None
            with _until_cancelled(), shown.run(args, kwargs) as given:
                return function(*given, **kwargs)

        @wraps(function)
        async def arun(*args: P.args, **kwargs: P.kwargs) -> Any:
            if await sync_to_async(shown.is_called_off)():
                return None
            with _until_cancelled(), shown.run(args, kwargs) as given:
                return await cast("Any", function)(*given, **kwargs)

        wrapper: Any = arun if iscoroutinefunction(function) else run
        wrapper.notify_tracked = shown
        if shown.wants_progress:  # task queues check what a caller gives against this
            wrapper.__signature__ = shown.given
        return cast("Callable[P, T]", wrapper)

    return decorate


@contextmanager
def _until_cancelled() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if not is_cancelled(error):
            raise


# -- What a queue says -----------------------------------------------------------------------------


def how(function: Any) -> Tracked | None:
    """How a function is shown; ``None`` where it is not."""
    found = getattr(function, "notify_tracked", None)
    return found if isinstance(found, Tracked) else None


def queued(
    job: str, function: Any, args: Any, kwargs: Mapping[str, Any], *, since: datetime | None = None
) -> None:
    """
    A job was queued, and is shown as such unless it has begun already.

    Args:
        since: when it was, where that is told later.
    """
    shown = how(function)
    if shown is None:
        return
    try:
        shown.begin(args, kwargs, job=job, queued=since or True)
    except Exception:
        # The function itself will raise it, where its owner looks for it.
        logger.warning("The job %s is not shown as queued.", job, exc_info=True)


def begun(job: str, function: Any, *, attempt: int | None = None, whole: str = "") -> None:
    """
    This context runs the job from now on, until :func:`over`.

    Args:
        attempt: which one this is, from 1, where the queue counts them.
        whole: what it is a part of; itself it is not shown, then.
    """
    shown = how(function)
    part_of = _enter(whole) if whole else None
    if shown or part_of:
        _current.set(Job(job, shown, attempt, part_of, outer=_current.get()))


def _enter(name: str) -> Whole:
    whole = _wholes.get(name)
    if whole is None:
        whole = Whole(Run(None, "", job=name, adopts=True, started_at=timezone.now()))
        while len(_wholes) >= MOST_WHOLES:
            _wholes.pop(next(iter(_wholes)))
        _wholes[name] = whole
    whole.active += 1
    whole.run.is_left = False
    writer.tell(whole.run)  # its row may be there by now
    return whole


def current(job: str) -> Job | None:
    """The job that this context runs, if it is this one."""
    found = _current.get()
    return found if found is not None and found.id == job else None


def over(job: str) -> None:
    """This context runs the job no more."""
    found = current(job)
    if found is None:
        return
    _current.set(found.outer)
    if found.whole:
        found.whole.active -= 1
        found.whole.run.is_left = found.whole.active <= 0


def elsewhere(job: str) -> Progress:
    """A handle for a job that another process began; what is not known is not told."""
    return Progress(Run(None, "", job=job, adopts=True))


def finished(job: str) -> None:
    """It has ended well, which only the whole need be told: the function itself has said so."""
    found = current(job)
    if found and found.whole:
        found.whole.run.parts.add(job)


def failed(job: str, message: Any = None, *, detail: str = "") -> None:
    """It has failed, and will not be tried again."""
    _handle(job).fail(message, detail=_detail(job) or detail)


def retried(job: str, message: Any = None) -> None:
    """It has failed, and will be tried again; of a part that is no news."""
    found = current(job)
    if found is None or not found.whole:
        _handle(job).retry(message)


def cancelled(job: str, message: Any = None) -> None:
    """It was taken out of the queue, or ended by hand."""
    _handle(job).cancel(message)


def take_out(job: str, revoke: Callable[[], object]) -> None:
    """
    Have a queue let go of a job that its user has cancelled, in a thread of its own.

    A queue that is away would keep the user waiting; a cancelled job does not begin anyway.
    """

    def work() -> None:
        try:
            revoke()
        except Exception:
            logger.warning("The job %s could not be revoked.", job, exc_info=True)

    threading.Thread(target=work, name="notify-revoke", daemon=True).start()


def _handle(job: str) -> Progress:
    found = current(job)
    if found and found.whole:
        return Progress(found.whole.run)
    return found.progress if found and found.progress else elsewhere(job)


def _detail(job: str) -> str:
    found = current(job)
    return found.detail if found else ""
