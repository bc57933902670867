"""
The thread that writes what tasks say of themselves, so that no task waits for a database.

A task only changes a :class:`~notify.tracking.rows.Run` in memory. The writer looks at all runs of the process
a few times a second, and writes what has changed: at once where a state has, else every two seconds.
It has a database connection of its own, so what it writes shows while the task's transaction is open,
and stays when that rolls back. What cannot be written now is written later.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import DataError, Error, connections

from notify import signals
from notify.mailbox import statements as sql
from notify.models import database
from notify.protocol import State
from notify.runtime import executor as threads
from notify.tracking import rows as runs
from notify.tracking import ticks
from notify.tracking.rows import Run

LOOK_SECONDS = 0.25  # between two looks at what runs
ROW_SECONDS = 2.0  # between two writes of one row, but for a change of its state
BEAT_SECONDS = 15.0  # between two signs of life of a task that says nothing
FLUSH_SECONDS = 2.0  # that a process which ends waits for its last words
LONGEST_PAUSE = 10.0  # seconds between two tries while the database is away
BUSY_MS = 100  # that it waits for SQLite's one writer
MOST_LOOKS = 4  # for a row that another process is still to write, in some eight seconds
MAX_RUNS = 10_000  # of which one process keeps what could not be written


@dataclass(slots=True)
class Line:
    """What the writer knows of one run."""

    run: Run
    told: tuple[Any, ...] | None = None  # as it was written last
    written_at: float = 0.0
    looked_at: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    state: State | None = None  # as it was written last
    ticked: tuple[float, float | None] = (0, None)  # how far it is, as it was told last


@dataclass
class Writer:
    """The runs of this process, and the thread that writes them."""

    lines: dict[int, Line] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    is_asked: bool = False  # to look now
    is_flushed: bool = False  # and to write all that was said
    is_idle: bool = True  # nothing is left to be written, and no connection is open
    _thread: threading.Thread | None = None

    def tell(self, run: Run) -> None:
        """A run is new, or its state has changed. Never raises, never waits for a database."""
        run.is_superseded = False  # until its row says so again; what was refused may be taken now
        if runs.is_written_here():
            self._write_here(run)
            return
        with self.changed:
            if id(run) not in self.lines and len(self.lines) >= MAX_RUNS:
                _complain(run, RuntimeError(f"{MAX_RUNS} tasks wait; {run.name!r} is not written."))
                return
            self.lines.setdefault(id(run), Line(run))
            self.is_asked, self.is_idle = True, False
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._work, name="notify-progress", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # there are too many; the next word tries again
                    _complain(run, error)
                    return
                self._thread = thread
            self.changed.notify_all()

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Wait until all that was said is written, at most ``timeout`` seconds. Whether it is."""
        ends = time.monotonic() + timeout
        with self.changed:
            for line in tuple(self.lines.values()):
                # The database may be back; who waits for the row of another process waits on.
                if line.run.pk is not None or not line.run.adopts:
                    line.not_before = 0.0
            while any(_is_due(line) for line in tuple(self.lines.values())):
                left = ends - time.monotonic()
                if left <= 0 or self._thread is None or not self._thread.is_alive():
                    return False
                self.is_asked = self.is_flushed = True
                self.changed.notify_all()
                self.changed.wait(min(left, LOOK_SECONDS))
        return True

    # -- The thread ------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self.changed:
                if not self.is_asked:
                    self.changed.wait(LOOK_SECONDS if self.lines else None)
                hurry, self.is_asked, self.is_flushed = self.is_flushed, False, False
                lines = list(self.lines.values())
            for line in lines:
                self._attend(line, hurry=hurry)
            ticks.tell([line.run for line in lines if _has_moved(line)])
            with self.changed:
                # In the midst of that a handle may be collected, and tell of its run.
                for line in tuple(self.lines.values()):
                    if _is_over(line):
                        del self.lines[id(line.run)]
                is_idle = not self.lines
                if not is_idle:
                    self.changed.notify_all()
            if is_idle:
                connections.close_all()  # this thread's own: nobody else would close it
                with self.changed:
                    self.is_idle = not self.lines
                    self.changed.notify_all()

    def _attend(self, line: Line, *, hurry: bool) -> None:
        """Write one run if it is time to."""
        now = time.monotonic()
        run = line.run
        if now < line.not_before:
            return
        try:
            if line.state != run.state or (
                _is_due(line) and (hurry or now >= line.written_at + _pause(run))
            ):
                self._write(line, now)
            elif run.pk is not None and now >= line.looked_at + _patience(run):
                line.looked_at = now
                if runs.beat(run):
                    self._write(line, now)
        except DataError as error:  # it will not take that later either
            run.is_superseded = True
            _complain(run, error)
        except Error as error:
            self._put_off(line, error)
        except Exception as error:  # the thread must live: other tasks speak through it
            run.is_superseded = True
            _complain(run, error)

    def _write(self, line: Line, now: float) -> None:
        _give_up_soon()
        said = _said(line.run)
        state = runs.save(line.run)
        if line.run.adopts and line.run.pk is None and not line.run.is_superseded:
            self._look_again(line)
            return
        # It may have ended since it was looked at; whether it is asked to end is not its own state.
        # What it has learned from the row is no news.
        line.told = _said(line.run) if line.run.adopts else said
        line.state = state if state.is_final else said[0]
        line.written_at = line.looked_at = now
        line.ticked = line.run.far
        line.failures = 0

    def _look_again(self, line: Line) -> None:
        """Whoever began the job may be slower than we are; or nobody has shown it at all."""
        line.failures += 1
        line.not_before = time.monotonic() + LOOK_SECONDS * 2**line.failures
        line.run.is_superseded = line.failures > MOST_LOOKS

    def _put_off(self, line: Line, error: Error) -> None:
        """Later, then: a busy database is no news, a dead one is told once."""
        line.failures += 1
        is_busy = _is_busy(error)
        longest = ROW_SECONDS if is_busy else LONGEST_PAUSE
        line.not_before = time.monotonic() + min(LOOK_SECONDS * 2**line.failures, longest)
        if is_busy and line.run.cancellable:
            with suppress(Error):  # what cannot be written to can be read
                runs.hear(line.run)
        if not is_busy:
            with suppress(Exception):
                connections[database()].close_if_unusable_or_obsolete()
            _complain(line.run, error)

    def _write_here(self, run: Run) -> None:
        try:
            runs.save(run)
        except Exception as error:
            _complain(run, error)


def _complain(run: Run, error: Exception) -> None:
    signals.progress_failed.send_robust(Run, recipient=run.recipient, error=error)


def _said(run: Run) -> tuple[Any, ...]:
    """All that a reader can see of it; the state first."""
    return (
        run.state,
        run.far,
        run.message,
        run.url,
        tuple(map(str, run.actions)),
        run.attempt,
    )


def _is_due(line: Line) -> bool:
    run = line.run
    return not run.is_superseded and (line.told != _said(run) or bool(run.parts))


def _has_moved(line: Line) -> bool:
    """Whether it is worth a tick: a hundredth further, or at all where nobody knows the whole."""
    run = line.run
    if run.pk is None or run.is_superseded or not line.state is run.state is State.RUNNING:
        return False
    (done, total), (before, known) = run.far, line.ticked
    if done == before or (total and total == known and abs(done - before) < total / 100):
        return False
    line.ticked = done, total
    return True


def _is_over(line: Line) -> bool:
    """Whether this process has no more to say of it. What is queued may be started by another one."""
    if line.run.is_superseded or line.state is None:
        return line.run.is_superseded
    if line.state.is_final or _is_due(line):
        return line.state.is_final
    # Whoever has left it may be back for the next part in a moment.
    is_left = line.run.is_left and time.monotonic() >= line.written_at + ROW_SECONDS
    return is_left or line.state is State.QUEUED


def _pause(run: Run) -> float:
    """Seconds between two writes. Who counts what many processes finish may be the last of them."""
    return LOOK_SECONDS if run.adopts else ROW_SECONDS


def _patience(run: Run) -> float:
    """Seconds between two looks at a run that says nothing."""
    return ROW_SECONDS if run.cancellable else BEAT_SECONDS


def _give_up_soon() -> None:
    """
    SQLite has one writer, mostly the task itself: to wait long for it is to wait for its transaction.

    A task that writes one transaction after the other holds the interpreter in the pauses between them, so
    that this thread would always come when it is locked: SQLite's own waiting finds such a pause.
    """
    connection = connections[database()]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")


def _is_busy(error: Error) -> bool:
    return sql.is_contention(error) or "locked" in str(error)  # type: ignore[arg-type]


writer = Writer()


def tell(run: Run) -> None:
    writer.tell(run)


def flush(timeout: float = FLUSH_SECONDS) -> bool:
    return writer.flush(timeout)


def _forget() -> None:
    """A child has none of its parent's threads, and its parent's tasks are not its own."""
    global writer
    writer = Writer()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
threads.at_exit(flush)
