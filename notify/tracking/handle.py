"""
Live progress of whatever runs: a context manager, a loop and a decorator.

    with notify.progress(user, "Importing customers", total=1200) as p:
        for row in rows:
            store(row)
            p.advance()

Progress is not transactional: it shows while the caller's transaction is open, and stays when that
rolls back. Nothing here waits for a database, but to look up a primary key that was given for a user;
and nothing raises because one is down.
"""

from __future__ import annotations

import traceback
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sized
from contextlib import suppress
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error
from django.utils import timezone
from django.utils.translation import gettext as _

from notify.exceptions import Cancelled, is_cancelled
from notify.models import MAX_MESSAGE, MAX_TITLE
from notify.protocol import State
from notify.sending import recipients
from notify.sending.content import Action, Letter
from notify.tracking import writer
from notify.tracking.counter import Count, Counter
from notify.tracking.rows import Run

MAX_DETAIL = 50_000  # characters of a traceback that are kept, the last ones

P = ParamSpec("P")
T = TypeVar("T")


class Progress(Counter):
    """
    What a task says of itself; made by :func:`progress`.

    It may be used from any thread. Every call only changes a value in memory.

    Attributes:
        done: how much is done, in units of your own.
        total: how much there is to do; ``None`` while nobody knows. May be set at any time.
    """

    __slots__ = ("__weakref__", "_finalizer", "_run")

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._run = run
        # A task that lets go of this without a word would run for ever in its user's eyes.
        self._finalizer = weakref.finalize(self, _abandon, run)
        self._finalizer.atexit = False
        if run.adopts:  # somebody else's
            self._finalizer.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if is_cancelled(error):
            self.cancel()
        elif isinstance(error, GeneratorExit):  # of track(): its loop was left, or broke
            self.cancel(_("Stopped."))
        elif error is not None:
            self.fail(detail="".join(traceback.format_exception(error)))
        else:
            self.succeed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    @property
    def state(self) -> str:
        """``queued``, ``running``, ``succeeded``, ``failed`` or ``cancelled``, as this process knows."""
        return self._run.state.value

    @property
    def is_cancelled(self) -> bool:
        """Whether the user has asked to end it."""
        return self._run.cancel_asked

    def check(self) -> None:
        if self.is_cancelled:
            raise Cancelled("The user has cancelled this task.")

    def say(self, message: Any) -> None:
        self._run.message = _shortened(message)
        if self._run.state is State.QUEUED:  # nobody looks at what waits
            writer.tell(self._run)

    def begin_step(self, count: Count) -> None:
        self._run.has_steps = True
        super().begin_step(count)

    def start(self) -> None:
        """It was queued, and runs now."""
        self._become(State.RUNNING)

    def retry(self, message: Any = None) -> None:
        """
        It went wrong and will be tried again: it waits to be started, as another attempt.

        Args:
            message: what is shown meanwhile.
        """
        run = self._run
        if run.state.is_final or run.state is State.QUEUED:
            return
        self._become(
            State.QUEUED,
            message=_shortened(message if message is not None else ""),
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
        End it well. What has ended stays as it is.

        Args:
            message: the result, as "1,200 customers imported".
            title: in place of the task's name, as "Import finished".
            level: in place of ``success``, as ``warning`` for a result with gaps.
            url, actions: as of :func:`notify.send`; without a url, that of the task.

        Raises:
            InvalidNotification: an unknown level, an unsafe url. A text over its limit is shortened.
        """
        run = self._run
        if run.state.is_final:
            return
        letter = _letter(
            _title(title) or run.name,
            level="success" if level is None else level,
            url=run.url if url is None else url,
            actions=actions,
        )
        self._end(
            State.SUCCEEDED,
            message if message is not None else _("Finished."),
            title=letter.title,
            level=letter.level,
            url=letter.url,
            actions=letter.actions,
            done=run.done if run.total is None else run.total,
        )

    def fail(self, message: Any = None, *, title: Any = None, detail: str = "") -> None:
        """
        End it badly. What has ended stays as it is.

        Args:
            message: for the user; without one, a sentence that gives nothing away.
            title: in place of the task's name, as "Import failed".
            detail: for the staff, in the admin, as a traceback.
        """
        if not self._run.state.is_final:
            self._end(
                State.FAILED,
                message if message is not None else _("It failed."),
                title=_title(title),
                detail=_clean(detail)[-MAX_DETAIL:],
            )

    def cancel(self, message: Any = None) -> None:
        """End it because somebody wanted so. What has ended stays as it is."""
        if not self._run.state.is_final:
            self._end(State.CANCELLED, message if message is not None else _("Cancelled."))

    def _end(self, state: State, message: Any, **said: Any) -> None:
        self._finalizer.detach()
        self._become(state, message=_shortened(message), ended_at=timezone.now(), **said)

    def _become(self, state: State, **said: Any) -> None:
        run = self._run
        if run.state.is_final or run.state is state:
            return
        if state is State.RUNNING:
            said |= {"started_at": timezone.now()}
        run.change(state=state, **said)
        writer.tell(run)


def progress(
    to: Any,
    name: Any,
    *,
    total: float | None = None,
    key: str = "",
    category: str = "",
    url: Any = "",
    cancellable: bool = False,
    queued: bool | datetime = False,
    job: str = "",
    attempt: int | None = None,
) -> Progress:
    """
    Show a user how far a task is, from now until it has ended, in one notification.

        with notify.progress(user, "Importing customers", total=1200) as p:
            for row in rows:
                store(row)
                p.advance()

    Leaving the block ends it well, an exception badly; the exception goes on, and the user reads a
    sentence that gives nothing away.

    Args:
        to: a user, the primary key of a user, or a request (its user; in an async view give
            ``await request.auser()``).
        name: what is done, at most 200 characters.
        total: how much there is to do, in units of your own; ``None`` while nobody knows.
        key: the same key takes the same notification: a retry, a task that is run each night, a
            task that was queued by another process.
        category: a word of yours to sort by, at most 50 characters.
        url: where a click leads; whatever :func:`django.shortcuts.resolve_url` takes.
        cancellable: offer the user to cancel it; the task then asks :meth:`Progress.check`.
        queued: it waits to be started, with :meth:`Progress.start`; or by a call with the same key
            in the process that runs it. Or since when it does, where that is told later.
        job: what a task queue calls it, as "celery:<id>": each attempt and each process that speaks of it
            takes the same notification.
        attempt: which one this is, where the queue counts them.

    Raises:
        InvalidNotification: a text over its limit, an unsafe url.
        InvalidRecipient: anonymous, unsaved, or the primary key of nobody.
        SynchronousOnlyOperation: the request's user is to be loaded, and an event loop runs.
        TypeError: ``to`` is several users, or no user at all.
    """
    letter = _letter(name, url=url, category=category, key=key)
    run = Run(
        recipient=_recipient(to),
        name=letter.title,
        key=letter.collapse_key,
        category=letter.category,
        url=letter.url,
        total=total,
        cancellable=cancellable,
        state=State.QUEUED if queued else State.RUNNING,
        started_at=None if queued else timezone.now(),
        job=job,
        attempt=attempt or 1,
        is_counted=attempt is not None,
        made_at=queued if isinstance(queued, datetime) else timezone.now(),
    )
    writer.tell(run)
    return Progress(run)


def track(
    things: Iterable[T], to: Any, name: Any, *, total: float | None = None, **options: Any
) -> Iterator[T]:
    """
    Go through things, and show a user how far it is.

        for row in notify.track(rows, user, "Importing customers"):
            store(row)

    Args:
        things: whatever can be gone through. A queryset is counted; what has a length needs no total.
            A loop that is left early, by ``break`` or by an exception, is shown as stopped: from here
            the two look alike. Where an error is to be shown as one, use :func:`progress`.
        to, name, total, options: as of :func:`progress`. With ``cancellable=True`` it ends, by
            :class:`~notify.exceptions.Cancelled`, before the next thing.
    """
    if total is None:
        total = _length(things)
    with progress(to, name, total=total, **options) as p:
        yield from p.track(things)


async def atrack(
    things: AsyncIterable[T], to: Any, name: Any, *, total: float | None = None, **options: Any
) -> AsyncIterator[T]:
    """
    :func:`track` for async code.

        async for row in notify.atrack(Customer.objects.all(), user, "Writing to customers"):
            await write(row)

    Args:
        things: whatever ``async for`` goes through. A queryset is counted.
        to, name, total, options: as of :func:`track`.
    """
    if total is None:
        count = getattr(things, "acount", None)
        total = int(await count()) if callable(count) else None
    async with progress(to, name, total=total, **options) as p:
        async for thing in p.atrack(things):
            yield thing


def _length(things: Any) -> float | None:
    count = getattr(things, "count", None)
    if callable(count) and hasattr(things, "iterator"):
        return int(count())  # a queryset, whose len() would load it
    return len(things) if isinstance(things, Sized) else None


def _letter(name: Any, **content: Any) -> Any:
    """The checked and rendered content; what is wrong with it raises here, in the caller."""
    empty = {"level": "info", "category": "", "url": "", "actions": (), "data": None, "key": ""}
    letter = Letter(message=name, title=name, expires=None, **empty | content).checked()
    return letter.render()


def _recipient(to: Any) -> Any:
    one = partial(recipients.one, to, verb="notify.progress()", several="Make one for each.")
    with suppress(Error, SynchronousOnlyOperation):
        return one()
    # The database is away, and the task is not to fail for it; or an event loop runs.
    try:
        return one(must_exist=False)
    except SynchronousOnlyOperation:
        raise SynchronousOnlyOperation(
            "The user of this request is not loaded, and an event loop runs, in which nothing may be asked of"
            " the database. Give notify.progress() the user: await request.auser()."
        ) from None


def _shortened(message: Any, limit: int = MAX_MESSAGE) -> str:
    """What a task says of itself is shown as far as it fits: no task fails for a long line."""
    text = _clean(f"{message}")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _title(title: Any) -> str:
    return "" if title is None else _shortened(title, MAX_TITLE).strip()


def _clean(text: str) -> str:
    """Without what no database takes."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _abandon(run: Run) -> None:
    if run.state is State.RUNNING:  # what is queued is left to whoever starts it
        message = _("It ended without a word.")
        run.change(state=State.FAILED, message=message, ended_at=timezone.now())
        writer.tell(run)
