"""The writer thread: it never delays tasks, and always writes their last state."""

from __future__ import annotations

import gc
import threading
import time

import pytest
from django.db import DataError, OperationalError, connection, connections, transaction
from django.utils import timezone

import notify
from notify import signals
from notify.models import Notification, TaskRecord
from notify.protocol import TaskState
from notify.tracking import rows as task_rows
from notify.tracking import writer
from notify.tracking.run import TaskRun
from tests.kit.fakes import errors_of, start_thread
from tests.kit.patience import PATIENCE

pytestmark = [pytest.mark.database, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def own_writer(monkeypatch):
    """
    A writer for this test only, which has written everything and closed its connection before the
    next test.
    """
    mine = writer.Writer()
    monkeypatch.setattr(writer.writer, "_value", mine)
    yield mine
    for line in list(mine.lines.values()):
        line.run.is_superseded = True
    with mine.changed:
        mine.is_asked = True
        mine.changed.notify_all()
        assert mine.changed.wait_for(lambda: mine.is_idle, PATIENCE)


@pytest.fixture
def complaints():
    with errors_of(signals.progress_failed) as errors:
        yield errors


@pytest.fixture
def run(user) -> TaskRun:
    return TaskRun(user.pk, "Importing customers", total=1200, started_at=timezone.now())


def end(run: TaskRun, state: TaskState = TaskState.SUCCEEDED) -> None:
    run.state = state
    writer.schedule(run)


def word_of_another() -> TaskRun:
    """A report about the end of a job that another process began."""
    said = {"state": TaskState.FAILED, "message": "It failed.", "ended_at": timezone.now()}
    return TaskRun(None, "", job="q:1", adopts=True, **said)


def state() -> str:
    return TaskRecord.objects.get().state


def test_what_is_told_is_written_by_another_thread(run, monkeypatch):
    threads = []
    save = task_rows.save
    monkeypatch.setattr(
        task_rows, "save", lambda run: threads.append(threading.current_thread().name) or save(run)
    )
    writer.schedule(run)
    assert writer.flush(PATIENCE)
    assert (state(), threads) == ("running", ["notify-progress"])


@pytest.mark.only_if(connection.vendor != "sqlite")
def test_it_shows_while_the_transaction_of_the_task_is_open_and_stays_when_that_rolls_back(run):
    seen = []
    with transaction.atomic():
        Notification.objects.count()
        writer.schedule(run)
        assert writer.flush(PATIENCE)
        start_thread(lambda: seen.append(TaskRecord.objects.count())).join(PATIENCE)
        transaction.set_rollback(True)
    assert seen == [1]
    assert state() == "running"


@pytest.mark.only_if(connection.vendor == "sqlite")
def test_on_sqlite_it_waits_for_the_transaction_of_the_task_and_keeps_nobody_waiting(
    run, complaints
):
    with transaction.atomic():
        Notification.objects.update(count=1)  # begins to write
        writer.schedule(run)
        assert not writer.flush(0.5)
    end(run)
    assert writer.flush(PATIENCE)
    assert state() == "succeeded"
    assert complaints == [], "a busy database is not logged"


def test_the_last_word_is_written_whatever_was_said_before(run):
    for done in range(100):
        run.done = done
        writer.schedule(run)
    end(run)
    assert writer.flush(PATIENCE)
    assert Notification.objects.get().progress["done"] == 99
    assert state() == "succeeded"


def test_a_database_that_is_away_is_told_and_tried_again(run, complaints, monkeypatch):
    save, away = task_rows.save, [True]

    def fail(run):
        if away:
            raise OperationalError("server closed the connection")
        return save(run)

    monkeypatch.setattr(task_rows, "save", fail)
    writer.schedule(run)
    assert not writer.flush(0.3)
    assert complaints
    end(run)
    away.clear()
    assert writer.flush(PATIENCE)
    assert state() == "succeeded"


def test_a_process_that_ends_tries_once_more_whatever_it_has_put_off(own_writer, run):
    """The database may have come back, and there will be no later chance."""
    writer.schedule(run)
    assert writer.flush(10)
    own_writer.lines[id(run)].not_before = time.monotonic() + 600
    end(run)
    assert writer.flush(10)
    assert state() == "succeeded"


def test_one_task_that_cannot_be_written_stops_no_other(run, user, complaints, monkeypatch):
    save = task_rows.save

    def fail(one):
        if one.name == "Bad":
            raise ValueError("not JSON")
        return save(one)

    monkeypatch.setattr(task_rows, "save", fail)
    writer.schedule(TaskRun(user.pk, "Bad"))
    writer.schedule(run)
    assert writer.flush(PATIENCE)
    assert [str(error) for error in complaints] == ["not JSON"]
    assert state() == "running"


def test_a_word_of_a_job_waits_for_the_row_that_another_process_is_still_to_write(
    run, own_writer, monkeypatch
):
    looked = threading.Event()
    adopt = task_rows._adopt
    monkeypatch.setattr(task_rows, "_adopt", lambda *args: (adopt(*args), looked.set())[0])
    run.job, run.state = "q:1", TaskState.QUEUED
    writer.schedule(word_of_another())
    assert looked.wait(PATIENCE)
    task_rows.save(run)
    assert writer.flush(PATIENCE)
    assert state() == "failed"


def test_a_word_of_a_job_that_nobody_shows_is_forgotten(own_writer, monkeypatch):
    monkeypatch.setattr(writer, "MOST_LOOKS", 0)
    writer.schedule(word_of_another())
    with own_writer.changed:
        assert own_writer.changed.wait_for(lambda: own_writer.is_idle, PATIENCE)
    assert own_writer.lines == {}


def test_a_silent_run_gives_signs_of_life(run, own_writer, monkeypatch):
    beaten = threading.Event()
    monkeypatch.setattr(writer, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(task_rows, "beat", lambda run: beaten.set())
    writer.schedule(run)
    assert beaten.wait(PATIENCE)


def test_a_run_that_readers_see_as_lost_is_written_again_at_its_next_beat(
    own_writer, run, monkeypatch
):
    """It says nothing new, but it lives."""
    monkeypatch.setattr(writer, "BEAT_SECONDS", 0.0)
    line = writer.Line(run)
    own_writer._attend(line, hurry=False)
    TaskRecord.objects.update(state=TaskState.LOST)
    own_writer._attend(line, hurry=False)
    assert state() == "running"


def test_what_is_queued_is_written_and_let_go(run, own_writer):
    """Another process may start it, so this process reports no more about it."""
    run.state = TaskState.QUEUED
    writer.schedule(run)
    assert writer.flush(PATIENCE)
    with own_writer.changed:
        assert own_writer.changed.wait_for(lambda: own_writer.is_idle, PATIENCE)
    assert (state(), own_writer.lines) == ("queued", {})


def test_more_runs_than_can_be_kept_are_refused_with_a_word(run, user, complaints, monkeypatch):
    monkeypatch.setattr(writer, "MAX_RUNS", 1)
    monkeypatch.setattr(task_rows, "save", lambda run: TaskState.RUNNING)
    writer.schedule(run)
    writer.schedule(TaskRun(user.pk, "Another"))
    assert "'Another' is not" in str(complaints[0])


def test_in_a_testcase_it_is_written_at_once_by_the_thread_that_says_it(run, settings):
    settings.NOTIFY_THREADS = 0
    with transaction.atomic():
        writer.schedule(run)
        assert state() == "running"
        transaction.set_rollback(True)
    assert not TaskRecord.objects.exists()


def test_a_thread_that_writes_its_reports_itself_goes_on_when_the_database_is_away(
    run, settings, complaints, monkeypatch
):
    settings.NOTIFY_THREADS = 0

    def fail(run: TaskRun) -> TaskState:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(task_rows, "save", fail)
    writer.schedule(run)
    assert [str(error) for error in complaints] == ["server closed the connection"]


@pytest.fixture
def ticked(monkeypatch):
    told: list[list[float]] = []
    monkeypatch.setattr(writer.ticks, "send", lambda runs: told.append([run.done for run in runs]))
    return told


@pytest.mark.parametrize(
    ("total", "done", "is_told"),
    [(1200, 12, True), (1200, 11, False), (None, 1, True), (None, 0, False)],
)
def test_a_hundredth_is_worth_a_tick(own_writer, run, ticked, total, done, is_told):
    """Without a total, any progress is. The row is not written for it."""
    run.total = total
    line = writer.Line(run)
    assert not writer._has_moved(line), "it is not reported yet"
    own_writer._attend(line, hurry=False)
    assert not writer._has_moved(line), "the row has reported it"
    before = Notification.objects.get().position
    run.done = done
    own_writer._attend(line, hurry=False)
    assert writer._has_moved(line) is is_told
    assert not writer._has_moved(line), "it has been reported"
    assert Notification.objects.get().position == before


def test_what_has_ended_or_waits_ticks_no_more(own_writer, run):
    line = writer.Line(run)
    own_writer._attend(line, hurry=False)
    run.done, run.state = 600, TaskState.SUCCEEDED
    assert not writer._has_moved(line)


def test_a_task_that_may_be_cancelled_hears_so_while_nothing_can_be_written(
    own_writer, run, monkeypatch
):
    """On SQLite, the task itself may occupy the only writer, with one transaction after the other."""
    run.cancellable = True
    line = writer.Line(run)
    own_writer._attend(line, hurry=False)
    TaskRecord.objects.update(cancel_asked=True)

    def locked(run: TaskRun) -> TaskState:
        raise OperationalError("database is locked")

    monkeypatch.setattr(task_rows, "save", locked)
    for failures in range(1, 8):
        run.done, line.not_before = failures, 0
        own_writer._attend(line, hurry=True)
    assert run.stored.cancel_asked
    assert line.not_before - time.monotonic() <= writer.ROW_SECONDS


def test_what_the_database_will_never_take_is_told_once_and_let_go(
    own_writer, run, complaints, monkeypatch
):
    def refuse(run: TaskRun) -> TaskState:
        raise DataError("a text with a NUL")

    monkeypatch.setattr(task_rows, "save", refuse)
    line = writer.Line(run)
    own_writer._attend(line, hurry=True)
    assert [type(error) for error in complaints] == [DataError]
    assert run.is_superseded


def test_the_end_is_waited_for_although_what_was_said_before_was_refused(
    own_writer, run, monkeypatch
):
    save, gate = task_rows.save, threading.Event()

    def refuse(run: TaskRun) -> TaskState:
        raise DataError("a character that the column does not know")

    monkeypatch.setattr(task_rows, "save", refuse)
    writer.schedule(run)
    with own_writer.changed:
        assert own_writer.changed.wait_for(lambda: own_writer.is_idle, 10)
    monkeypatch.setattr(task_rows, "save", lambda run: (gate.wait(10), save(run))[1])
    end(run)
    assert not writer.flush(0)
    gate.set()
    assert writer.flush(10)
    assert state() == "succeeded"


def test_where_no_thread_can_be_started_the_task_goes_on(own_writer, run, complaints, monkeypatch):
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        writer.schedule(run)
    assert "can't start" in str(complaints[0])
    end(run)
    assert writer.flush(PATIENCE), "the next report has found one"
    assert state() == "succeeded"


def test_the_beginning_of_one_task_writes_no_other(own_writer, run, user):
    writer.schedule(run)
    assert writer.flush(PATIENCE)
    before = Notification.objects.get().position
    run.done = 1
    other = TaskRun(user.pk, "Another", started_at=timezone.now())
    writer.schedule(other)
    with own_writer.changed:
        line = own_writer.lines[id(other)]
        assert own_writer.changed.wait_for(lambda: line.state, PATIENCE)
    assert Notification.objects.get(pk=run.stored.pk).position == before


def test_a_retry_is_not_torn_by_a_writing_under_way(run, monkeypatch):
    """The writer read it before the task failed, and commits after that."""
    write = task_rows._write

    def slow(report: TaskRun, using: str):
        run.change(state=TaskState.QUEUED, attempt=2, retries=1, started_at=None)
        return write(report, using)

    run.job = "q:1"
    with monkeypatch.context() as patch:
        patch.setattr(task_rows, "_write", slow)
        task_rows.save(run)
    assert run.attempt == 2
    assert task_rows.save(run) is TaskState.QUEUED
    told = Notification.objects.get().progress
    assert (told["state"], told["attempt"]) == ("queued", 2)


@pytest.fixture
def in_memory(monkeypatch):
    kind = type(connections["default"])
    monkeypatch.setattr(kind, "vendor", "sqlite")
    monkeypatch.setattr(kind, "is_in_memory_db", lambda self: True, raising=False)


def test_a_handle_that_is_collected_while_its_run_is_read_holds_nobody_up(user, monkeypatch):
    """The garbage collector may run in any thread, including the one that writes."""
    copy = task_rows.copy
    cycle = [notify.progress(user, "Exporting")]
    cycle.append(cycle)
    assert writer.flush(10)
    run = cycle[0]._run
    monkeypatch.setattr(task_rows, "copy", lambda run: (gc.collect(), copy(run))[1])
    run.message = "Almost"
    del cycle
    assert writer.flush(10)
    assert (run.state, state()) == (TaskState.FAILED, "failed")


def test_a_handle_that_is_collected_while_the_runs_are_gone_through_ends_no_thread(
    user, own_writer, monkeypatch
):
    is_over, told = writer._is_over, []
    other = notify.progress(user, "Exporting")
    assert writer.flush(10)

    def collect(line: writer.Line) -> bool:
        if not told:  # as the finalizer of a handle does
            told.append(TaskRun(user.pk, "Importing"))
            writer.schedule(told[0])
        return is_over(line)

    monkeypatch.setattr(writer, "_is_over", collect)
    thread = own_writer._thread
    other.succeed()
    with own_writer.changed:
        assert own_writer.changed.wait_for(lambda: told, 10)
    assert writer.flush(10)
    assert own_writer._thread is thread
    assert TaskRecord.objects.filter(state="running").count() == 1


def test_in_a_database_in_memory_whoever_speaks_writes(in_memory):
    """Most projects' tests use one, where a thread would lock the tables."""
    assert task_rows.is_written_here()


async def test_a_coroutine_leaves_it_to_the_thread(in_memory):
    assert not task_rows.is_written_here()


def pragma(text: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {text}")
        value: int = cursor.fetchone()[0]
        return value


@pytest.mark.only_if(connection.vendor == "sqlite")  # SQLite can be made to report a full disk
def test_what_a_full_disk_does_not_take_is_written_when_there_is_room(own_writer, run, complaints):
    line = writer.Line(run)
    own_writer._attend(line, hurry=False)
    room = (pragma("freelist_count") + 10) * pragma("page_size")
    pragma(f"max_page_count = {pragma('page_count')}")
    try:
        run.change(state=TaskState.FAILED, message="It failed.", detail="x" * room)
        own_writer._attend(line, hurry=True)
    finally:
        pragma(f"max_page_count = {2**30}")
    assert [str(error) for error in complaints] == ["database or disk is full"]
    assert (state(), line.failures) == ("running", 1)
    line.not_before = 0
    own_writer._attend(line, hurry=True)
    assert (state(), len(complaints)) == ("failed", 1)


# -- Marks of a running task ---------------------------------------------------------------------


def test_a_mark_publishes_the_newest_progress_of_this_process(run, user, rings):
    """The row has it with the next write, so the mark itself writes nothing of the task."""
    writer.schedule(run)
    assert writer.flush()
    run.done = 420
    (row,) = notify.inbox.page(user).notifications
    notify.inbox.mark_seen(user, [row])
    (published,) = rings[-1].rows
    assert (published.seen_at is not None, published.progress["done"]) == (True, 420)
    assert published.progress["total"] == 1200
    end(run)


@pytest.mark.parametrize("changes", [{"attempt": 2}, {"state": TaskState.SUCCEEDED}])
def test_a_mark_publishes_no_progress_of_another_attempt_or_state(run, user, changes):
    writer.schedule(run)
    assert writer.flush()
    (row,) = notify.inbox.page(user).notifications
    run.done = 420
    run.change(**changes)
    writer.update([row])
    assert row.progress["done"] == 0
    end(run)


def test_a_mark_of_other_notifications_is_not_slowed_by_tasks(run, user, rings):
    writer.schedule(run)
    assert writer.flush()
    notify.inbox.mark_seen(user, [notify.send(user, "one")])
    assert [row.progress for row in rings[-1].rows] == [None]
    end(run)


def test_a_mark_takes_nothing_from_a_run_that_is_superseded(run, user):
    writer.schedule(run)
    assert writer.flush()
    (row,) = notify.inbox.page(user).notifications
    run.done = 420
    run.is_superseded = True
    writer.update([row])
    assert row.progress["done"] == 0
