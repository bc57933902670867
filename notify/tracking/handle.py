"""
Shows the live progress of any code, through a context manager or a loop.

    with notify.progress(user, "Importing customers", total=1200) as p:
        for row in rows:
            store(row)
            p.advance()

Progress is not transactional: it shows while the caller's transaction is open, and stays if that rolls
back. Except for the lookup of a user by primary key, which may wait, and the count of a queryset by
``track()``, no call waits for a database, or raises an error because it is down.
"""

from __future__ import annotations

import traceback
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sized
from contextlib import suppress
from functools import partial
from typing import Any, Self, TypeVar, Unpack

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error
from django.utils import timezone
from django.utils.translation import gettext as _

from notify.exceptions import Cancelled, is_cancelled
from notify.models import MAX_TITLE, Notification
from notify.protocol import TaskState
from notify.sending import recipients
from notify.sending.actions import Action
from notify.sending.calls import CommonOptions
from notify.sending.content import Content
from notify.sending.values import shortened, storable
from notify.tracking import writer
from notify.tracking.counter import StepCounter
from notify.tracking.run import TaskRun

MAX_DETAIL = 50_000  # the number of characters kept from the end of a traceback

T = TypeVar("T")


class TaskOptions(CommonOptions, total=False):
    """The keyword arguments of :func:`progress`."""

    total: float | None
    cancellable: bool
    queued: bool


class Progress(StepCounter):
    """
    The handle by which a task reports, from any thread; created by :func:`progress`.

    Attributes:
        done: the amount done, in your own units.
        total: the amount to do; ``None`` while unknown. May be set at any time.
    """

    __slots__ = ("__weakref__", "_finalizer", "_run")

    def __init__(self, run: TaskRun) -> None:
        super().__init__(run)
        self._run = run
        # Without this, a task that drops its handle before its end would be shown as running forever.
        self._finalizer = weakref.finalize(self, _abandon, run)
        self._finalizer.atexit = False
        if run.adopts:  # another process ends the task
            self._finalizer.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if is_cancelled(error):
            self.cancel()
        elif isinstance(error, GeneratorExit):  # the loop over track() was left early
            self.cancel(_("Stopped."))
        elif error is not None:
            self.fail(detail="".join(traceback.format_exception(error)))
        else:
            self.succeed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: Any) -> None:
        self.__exit__(*raised)

    @property
    def state(self) -> str:
        """``queued``, ``running``, ``succeeded``, ``failed`` or ``cancelled``, as known in this process."""
        return self._run.state.value

    @property
    def is_cancelled(self) -> bool:
        """True once the user has asked to cancel the task."""
        return self._run.stored.cancel_asked

    def check(self) -> None:
        if self.is_cancelled:
            raise Cancelled("The user has cancelled this task.")

    def say(self, message: Any) -> None:
        self._run.message = shortened(message)
        if self._run.state is TaskState.QUEUED:  # the writer does not look at queued runs
            writer.schedule(self._run)

    def start(self) -> None:
        """Start a queued task."""
        self._become(TaskState.RUNNING)

    def retry(self, message: Any = None) -> None:
        """
        Show that the task failed and will be tried again. It is queued, as another attempt.

        Args:
            message: shown until the task starts again.
        """
        run = self._run
        if run.state.is_final or run.state is TaskState.QUEUED:
            return
        self._become(
            TaskState.QUEUED,
            message=shortened(message),
            done=0,
            started_at=None,
            attempt=run.attempt + 1,
            retries=run.retries + 1,
        )

    def succeed(
        self,
        message: Any = None,
        *,
        title: Any = None,
        level: str | int | None = None,
        url: Any = None,
        actions: Iterable[Action | Mapping[str, Any]] = (),
    ) -> None:
        """
        End the task as succeeded. Does nothing if it has ended.

        Args:
            message: the result, such as "1,200 customers imported".
            title: replaces the task's name, for example with "Import finished".
            level: replaces ``success``, for example with ``warning`` if some rows were skipped.
            url, actions: as for :func:`notify.send`; the default url is that of the task.

        Raises:
            InvalidNotification: unknown level, unsafe url or invalid action. A long message or title is cut.
        """
        run = self._run
        if run.state.is_final:
            return
        content = _content(
            shortened(title, MAX_TITLE).strip() or run.name,
            level="success" if level is None else level,
            url=run.url if url is None else url,
            actions=actions,
        )
        self._end(
            TaskState.SUCCEEDED,
            message if message is not None else _("Finished."),
            title=content.title,
            level=content.level,
            url=content.url,
            actions=content.actions,
            done=run.done if run.total is None else run.total,
        )

    def fail(self, message: Any = None, *, title: Any = None, detail: str = "") -> None:
        """
        End the task as failed. Does nothing if it has ended.

        Args:
            message: shown to the user; by default a sentence that reveals no details.
            title: replaces the task's name, for example with "Import failed".
            detail: shown to staff in the admin, such as a traceback.
        """
        if not self._run.state.is_final:
            self._end(
                TaskState.FAILED,
                message if message is not None else _("It failed."),
                title=shortened(title, MAX_TITLE).strip(),
                detail=storable(detail)[-MAX_DETAIL:],
            )

    def cancel(self, message: Any = None) -> None:
        """End the task as cancelled. Does nothing if it has ended."""
        if not self._run.state.is_final:
            self._end(TaskState.CANCELLED, message if message is not None else _("Cancelled."))

    def _end(self, state: TaskState, message: Any, **values: Any) -> None:
        self._finalizer.detach()
        self._become(state, message=shortened(message), ended_at=timezone.now(), **values)

    def _become(self, state: TaskState, **values: Any) -> None:
        run = self._run
        if run.state.is_final or run.state is state:
            return
        if state is TaskState.RUNNING:
            values |= {"started_at": timezone.now()}
        run.change(state=state, **values)
        writer.schedule(run)


def progress(
    to: Any,
    name: Any,
    *,
    total: float | None = None,
    key: str = "",
    category: str = "",
    url: Any = "",
    cancellable: bool = False,
    queued: bool = False,
) -> Progress:
    """
    Show a user the progress of a task until it ends, in one notification.

        with notify.progress(user, "Importing customers", total=1200) as p:
            for row in rows:
                store(row)
                p.advance()

    When the block is left, the task has succeeded. If the block raises, the task has failed: the
    exception propagates, and the user sees a sentence that reveals no details.

    Args:
        to: a user, the primary key of a user, or a request (its user; in an async view, pass
            ``await request.auser()``).
        name: the activity, such as "Importing customers", at most 200 characters.
        total: the amount to do, in your own units; ``None`` while unknown.
        key: tasks with the same key use the same notification: a retry, a nightly task, or a task
            that another process has queued.
        category, url: as for :func:`notify.send`.
        cancellable: let the user cancel the task, which must then call :meth:`Progress.check`.
        queued: show the task as queued until :meth:`Progress.start` is called, or ``progress()`` with
            the same key in the process that runs it.

    Raises:
        InvalidNotification: a text is over its limit, or the url is unsafe.
        InvalidRecipient: the user is anonymous, unsaved or does not exist.
        SynchronousOnlyOperation: the request's user is not loaded, and an event loop is running.
        TypeError: ``to`` is several users, or not a user.
    """
    content = CommonOptions(key=key, category=category, url=url)
    return begin(to, name, total=total, cancellable=cancellable, queued=queued, **content)


def begin(
    to: Any,
    name: Any,
    *,
    total: float | None = None,
    cancellable: bool = False,
    queued: bool = False,
    report: Mapping[str, Any] | None = None,
    **options: Unpack[CommonOptions],
) -> Progress:
    """Like :func:`progress`. ``report`` has what a queue knows of a job, as fields of ``TaskRun``."""
    content = _content(name, **options)
    run = TaskRun(
        recipient_id=_recipient_id(to),
        name=content.title,
        key=content.collapse_key,
        category=content.category,
        url=content.url,
        total=total,
        cancellable=cancellable,
        state=TaskState.QUEUED if queued else TaskState.RUNNING,
        started_at=None if queued else timezone.now(),
        **(report or {}),
    )
    writer.schedule(run)
    return Progress(run)


def track(things: Iterable[T], to: Any, name: Any, **options: Unpack[TaskOptions]) -> Iterator[T]:
    """
    Iterate over ``things``, and show a user the progress of the loop.

        for row in notify.track(rows, user, "Importing customers"):
            store(row)

    A loop left early, by ``break`` or an exception, is shown as stopped, because a generator cannot
    tell the two apart. To show an exception as a failure, use :func:`progress`.

    Args:
        things: any iterable. A queryset is counted; an iterable with a length needs no ``total``.
        to, name, options: as for :func:`progress`. With ``cancellable=True``, it raises
            :class:`~notify.exceptions.Cancelled` before the next item once the user has cancelled.
    """
    if options.get("total") is None:
        options["total"] = _length(things)
    with progress(to, name, **options) as p:
        yield from p.track(things)


async def atrack(
    things: AsyncIterable[T], to: Any, name: Any, **options: Unpack[TaskOptions]
) -> AsyncIterator[T]:
    """
    Like :func:`track`, for async iterables. A queryset is counted.

        async for row in notify.atrack(Customer.objects.all(), user, "Writing to customers"):
            await write(row)
    """
    count = getattr(things, "acount", None)
    if options.get("total") is None and callable(count):
        options["total"] = int(await count())
    async with progress(to, name, **options) as p:
        async for thing in p.atrack(things):
            yield thing


def _length(things: Any) -> float | None:
    count = getattr(things, "count", None)
    if callable(count) and hasattr(things, "iterator"):
        return int(count())  # a queryset, whose len() would load it
    return len(things) if isinstance(things, Sized) else None


def _content(name: Any, **content: Any) -> Notification:
    """Check and render the content here, so that errors in it are raised in the caller."""
    return Content(message=name, title=name, **content).checked().render()


def _recipient_id(to: Any) -> Any:
    one = partial(recipients.one, to, verb="notify.progress()", several="Call it for each user.")
    with suppress(Error, SynchronousOnlyOperation):
        return one()
    # The database is down, which must not make the task fail, or an event loop forbids the query.
    try:
        return one(must_exist=False)
    except SynchronousOnlyOperation:
        raise SynchronousOnlyOperation(
            "The user of this request is not loaded, and no query is allowed while an event loop runs."
            " Pass the user to notify.progress(): await request.auser()."
        ) from None


def _abandon(run: TaskRun) -> None:
    if run.state is TaskState.RUNNING:  # another process may start a queued task
        message = _("It stopped unexpectedly.")
        run.change(state=TaskState.FAILED, message=message, ended_at=timezone.now())
        writer.schedule(run)
