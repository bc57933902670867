"""
The thread that writes the reports of tasks, so that no task waits for a database.

Tasks only change a ``TaskRun`` in memory. The writer checks all runs of the process a few times a
second, and writes changes: a new state at once, anything else every two seconds. It has its own
database connection, so its rows show while the task's transaction is open, and stay if that rolls
back. While the database is down or busy, reports wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import DataError, Error, connections

from notify import signals
from notify.db import database, is_contention
from notify.mailbox import marks
from notify.models import Notification
from notify.protocol import TaskState
from notify.runtime.process import PerProcess, at_exit
from notify.tracking import rows as task_rows
from notify.tracking import ticks
from notify.tracking.run import TaskRun, show

LOOK_SECONDS = 0.25  # between two checks of all runs
ROW_SECONDS = 2.0  # between two writes of a row, unless its state changes
BEAT_SECONDS = 15.0  # between two beats of a task that reports nothing
FLUSH_SECONDS = 2.0  # a process waits this long at exit for its last reports
LONGEST_PAUSE = 10.0  # seconds between two tries while the database is down
BUSY_MS = 100  # the thread waits this long for SQLite's write lock
MOST_LOOKS = 4  # for a row that another process has yet to write, over about eight seconds
MAX_RUNS = 10_000  # kept by a process at once, for example while the database is down


@dataclass(slots=True)
class Line:
    """The state of one run in the writer: its last report, and when it was written."""

    run: TaskRun
    written: tuple[Any, ...] | None = None  # the last written report
    written_at: float = 0.0
    looked_at: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    state: TaskState | None = None  # the last written state
    ticked: tuple[float, float | None] = (0, None)  # the last sent progress


@dataclass
class Writer:
    """The runs of this process, and the thread that writes them."""

    lines: dict[int, Line] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    is_asked: bool = False  # to check the runs now
    is_flushed: bool = False  # to write every due report at once
    is_idle: bool = True  # nothing is left to write, and no connection is open
    _thread: threading.Thread | None = None

    def schedule(self, run: TaskRun) -> None:
        """
        Have a new run, or a new state, written. Never raises.

        Unless ``is_written_here()``, it does not wait for a database.
        """
        run.is_superseded = False  # an earlier report was stale, but this one may not be
        if task_rows.is_written_here():
            self._write_here(run)
            return
        with self.changed:
            if id(run) not in self.lines and len(self.lines) >= MAX_RUNS:
                problem = (
                    f"This process already reports {MAX_RUNS} tasks; {run.name!r} is not shown."
                )
                _complain(run, RuntimeError(problem))
                return
            self.lines.setdefault(id(run), Line(run))
            self.is_asked, self.is_idle = True, False
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._work, name="notify-progress", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # too many threads; the next report tries again
                    _complain(run, error)
                    return
                self._thread = thread
            self.changed.notify_all()

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Wait up to ``timeout`` seconds for all reports to be written. Returns whether they were."""
        ends = time.monotonic() + timeout
        with self.changed:
            for line in tuple(self.lines.values()):
                # Retry now, as the database may be back, but keep waiting for rows of other processes.
                if not (line.run.begins and line.run.adopts):
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
            ticks.send([line.run for line in lines if _has_moved(line)])
            with self.changed:
                # Copy: a handle collected during the loop adds its run to the dict.
                for line in tuple(self.lines.values()):
                    if _is_over(line):
                        del self.lines[id(line.run)]
                is_idle = not self.lines
                if not is_idle:
                    self.changed.notify_all()
            if is_idle:
                connections.close_all()  # this thread serves no request, whose end would close them
                with self.changed:
                    self.is_idle = not self.lines
                    self.changed.notify_all()

    def _attend(self, line: Line, *, hurry: bool) -> None:
        """Write one run if it is due."""
        now = time.monotonic()
        run = line.run
        if now < line.not_before:
            return
        try:
            if line.state != run.state or (
                _is_due(line) and (hurry or now >= line.written_at + _pause(run))
            ):
                self._write(line, now)
            elif not run.begins and now >= line.looked_at + _patience(run):
                line.looked_at = now
                if task_rows.beat(run):
                    self._write(line, now)
        except DataError as error:  # the database would also reject it later
            run.is_superseded = True
            _complain(run, error)
        except Error as error:
            self._put_off(line, error)
        except Exception as error:  # keep the thread alive for the other tasks
            run.is_superseded = True
            _complain(run, error)

    def _write(self, line: Line, now: float) -> None:
        _give_up_soon()
        report = _report(line.run)
        state = task_rows.save(line.run)
        if line.run.adopts and line.run.begins and not line.run.is_superseded:
            self._look_again(line)
            return
        # If the run has changed since the report was made, it is due again. An adopted run, however,
        # also changes by reading its row, which must not make it due, so its report is made again.
        line.written = _report(line.run) if line.run.adopts else report
        line.state = state if state.is_final else report[0]  # only a row is ever CANCELLING
        line.written_at = line.looked_at = now
        line.ticked = line.run.far
        line.failures = 0

    def _look_again(self, line: Line) -> None:
        """Look again later for the row of a job: its process may be slow, or may not show the job."""
        line.failures += 1
        line.not_before = time.monotonic() + LOOK_SECONDS * 2**line.failures
        line.run.is_superseded = line.failures > MOST_LOOKS

    def _put_off(self, line: Line, error: Error) -> None:
        """Try again later. A busy database is normal; other errors are reported."""
        line.failures += 1
        is_busy = _is_busy(error)
        longest = ROW_SECONDS if is_busy else LONGEST_PAUSE
        line.not_before = time.monotonic() + min(LOOK_SECONDS * 2**line.failures, longest)
        if is_busy and line.run.cancellable:
            with suppress(Error):  # a locked database can still be read
                task_rows.read_cancel_request(line.run)
        if not is_busy:
            with suppress(Exception):
                connections[database()].close_if_unusable_or_obsolete()
            _complain(line.run, error)

    def _write_here(self, run: TaskRun) -> None:
        try:
            task_rows.save(run)
        except Exception as error:
            _complain(run, error)


def _complain(run: TaskRun, error: Exception) -> None:
    signals.progress_failed.send_robust(TaskRun, recipient_id=run.recipient_id, error=error)


def _report(run: TaskRun) -> tuple[Any, ...]:
    """Returns everything that readers can see of a run, the state first."""
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
    return not run.is_superseded and (line.written != _report(run) or bool(run.parts))


def _has_moved(line: Line) -> bool:
    """Returns whether a tick is due: after a hundredth of the total or, without a total, any change."""
    run = line.run
    if run.begins or run.is_superseded or not line.state is run.state is TaskState.RUNNING:
        return False
    (done, total), (before, known) = run.far, line.ticked
    if done == before or (total and total == known and abs(done - before) < total / 100):
        return False
    line.ticked = done, total
    return True


def _is_over(line: Line) -> bool:
    """Returns whether this process has nothing more to report. Another process may start a queued run."""
    if line.run.is_superseded or line.state is None:
        return line.run.is_superseded
    if line.state.is_final or _is_due(line):
        return line.state.is_final
    # Keep the whole a little longer, as this process may run its next part in a moment.
    is_left = line.run.is_left and time.monotonic() >= line.written_at + ROW_SECONDS
    return is_left or line.state is TaskState.QUEUED


def _pause(run: TaskRun) -> float:
    """Returns the seconds between two writes; few if parts are counted, as the next may be the last."""
    return LOOK_SECONDS if run.adopts else ROW_SECONDS


def _patience(run: TaskRun) -> float:
    """Returns the seconds between two beats of a run that reports nothing."""
    return ROW_SECONDS if run.cancellable else BEAT_SECONDS


def _give_up_soon() -> None:
    """
    Wait only briefly for SQLite's write lock, which is usually held by the task itself.

    A longer wait would last as long as the task's transaction. Without a wait, this thread would always
    find the database locked: a task that writes one transaction after another holds the interpreter
    between them, and only SQLite's own waiting catches such a gap.
    """
    connection = connections[database()]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")


def _is_busy(error: Error) -> bool:
    return is_contention(error) or "locked" in str(error)  # type: ignore[arg-type]


writer = PerProcess(Writer)


def schedule(run: TaskRun) -> None:
    writer().schedule(run)


def flush(timeout: float = FLUSH_SECONDS) -> bool:
    here = writer.peek()
    return here is None or here.flush(timeout)


def update(rows: Sequence[Notification]) -> None:
    """
    Give rows that a mark publishes the progress that this process has not written yet.

    Otherwise the bar of a tab without ticks would stay behind by up to ``ROW_SECONDS`` longer.
    """
    here = writer.peek()
    running = {row.pk: row for row in rows if row.progress is not None}
    if here is None or not running:
        return
    for line in tuple(here.lines.values()):
        run, row = line.run, running.get(line.run.stored.pk or 0)
        if row is None or row.progress is None or run.is_superseded:
            continue
        state, attempt = row.progress["state"], row.progress["attempt"]
        if state == run.state == TaskState.RUNNING and attempt == run.attempt:
            done, total = run.far
            show(row, run.state, done=done, total=total)


marks.before_ring.append(update)

at_exit(flush)
