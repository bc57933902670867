"""The public API of progress: what a task reports, and how it ends in every case."""

from __future__ import annotations

import copy
import gc
import threading
from contextlib import suppress

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import SynchronousOnlyOperation
from django.db import OperationalError, connections
from django.utils.functional import SimpleLazyObject

import notify
from notify.exceptions import Cancelled, InvalidNotification, InvalidRecipient
from notify.models import Notification, TaskRecord
from notify.sending import recipients
from notify.tracking import rows as task_rows
from notify.tracking import writer
from notify.tracking.handle import Progress, _length, begin
from notify.tracking.run import TaskRun
from tests.kit.patience import PATIENCE

pytestmark = [pytest.mark.users, pytest.mark.django_db]


@pytest.fixture
def told(monkeypatch) -> list[tuple]:
    """Each reported state, as it was at that moment."""
    said: list[tuple] = []
    schedule = writer.schedule

    def note(run: TaskRun) -> None:
        said.append((run.state.value, run.done, run.message))
        schedule(run)

    monkeypatch.setattr(writer, "schedule", note)
    return said


def row() -> Notification:
    return Notification.objects.get()


def test_leaving_the_block_succeeds(user, told):
    with notify.progress(user, "Importing customers", total=3) as p:
        assert (p.state, p.done, p.total) == ("running", 0, 3)
        p.advance()
        p.advance(2)
        assert p.done == 3
    assert told == [("running", 0, ""), ("succeeded", 3, "Finished.")]
    assert (row().title, row().message, row().level) == (
        "Importing customers",
        "Finished.",
        "success",
    )


def test_an_exception_fails_it_goes_on_and_is_shown_to_the_staff_only(user):
    with pytest.raises(ZeroDivisionError), notify.progress(user, "Importing customers"):
        1 / 0  # noqa: B018
    assert (row().level, row().message) == ("error", "It failed.")
    assert "ZeroDivisionError" in TaskRecord.objects.get().detail
    assert "ZeroDivisionError" not in row().encode()


def test_the_result_may_have_words_a_link_and_buttons(user):
    with notify.progress(user, "Exporting") as p:
        p.succeed(
            "12 rows", url="/exports/7/", actions=[notify.Action("Download", "/exports/7.csv")]
        )
    assert (row().message, row().url) == ("12 rows", "/exports/7/")
    assert row().actions == [{"label": "Download", "url": "/exports/7.csv"}]


def test_the_end_may_have_a_title_and_a_level_of_its_own(user):
    with notify.progress(user, "Importing", url="/imports/") as p:
        p.succeed("20 rows could not be read.", title="Import finished", level="warning")
    assert (row().title, row().level, row().url) == ("Import finished", "warning", "/imports/")
    with notify.progress(user, "Importing", key="again") as p:
        p.fail("No rows.", title="Import failed")
    assert Notification.objects.get(collapse_key="again").title == "Import failed"


def test_what_has_ended_stays_as_it_is(user, told):
    with notify.progress(user, "Exporting") as p:
        p.fail("The disk is full.")
        p.fail("The disk is still full.")
        p.succeed("Never mind")
        p.cancel()
        p.retry()
        p.start()
    assert [state for state, *_ in told] == ["running", "failed"]
    assert row().message == "The disk is full."


def test_a_queued_task_says_so_until_it_starts(user, told):
    p = notify.progress(user, "Exporting", queued=True)
    assert row().progress["state"] == "queued"
    assert row().progress["started_at"] is None
    p.start()
    assert row().progress["started_at"] is not None
    p.succeed()
    assert [state for state, *_ in told] == ["queued", "running", "succeeded"]


def test_a_task_that_runs_is_not_started_again(user, told):
    p = notify.progress(user, "Exporting")
    began = row().progress["started_at"]
    p.start()
    assert [state for state, *_ in told] == ["running"]
    assert row().progress["started_at"] == began
    p.succeed()


def test_a_task_that_is_tried_again_is_queued_and_begins_at_zero(user, told):
    p = notify.progress(user, "Exporting", total=3)
    p.advance(2)
    p.retry("The disk is full.")
    p.retry("It is queued already.")
    shown = row().progress
    assert (shown["state"], shown["attempt"], shown["done"]) == ("queued", 2, 0)
    assert (shown["started_at"], shown["message"]) == (None, "The disk is full.")
    p.start()
    p.succeed()
    assert [state for state, *_ in told] == ["running", "queued", "running", "succeeded"]
    assert row().progress["attempt"] == 2


def test_what_a_queued_task_says_is_shown(user):
    p = notify.progress(user, "Exporting", queued=True)
    p.update(message="Two are before it")
    assert row().progress["message"] == "Two are before it"


def test_what_is_queued_here_may_be_started_elsewhere(user):
    """A worker knows the key, and the page that queued it has long been served."""
    notify.progress(user, "Exporting", key="export:7", queued=True)
    gc.collect()
    assert row().progress["state"] == "queued"
    with notify.progress(user, "Exporting", key="export:7"):
        assert (row().progress["state"], row().progress["attempt"]) == ("running", 1)
    with notify.progress(user, "Exporting", key="export:7"):
        assert row().progress["attempt"] == 2


def test_what_is_cancelled_before_it_starts_hears_of_it(user):
    notify.progress(user, "Exporting", key="export:7", queued=True, cancellable=True)
    task_rows.ask_to_end(user.pk, [(row().pk, row().arrived)])
    assert row().progress["state"] == "cancelling"

    def work() -> None:
        with notify.progress(user, "Exporting", key="export:7", cancellable=True) as p:
            p.check()

    with pytest.raises(notify.Cancelled):
        work()
    assert row().progress["state"] == "cancelled"


def test_update_says_how_far_it_is(user):
    with notify.progress(user, "Exporting") as p:
        p.update(done=5, total=10, message="Row 5")
        p.total = 20
        assert (p.done, p.total, p._run.message) == (5, 20, "Row 5")


def test_a_message_of_any_length_or_kind_fails_no_task(user):
    with notify.progress(user, "Exporting") as p:
        p.update(message="x" * 5000 + "\x00\ud800")
        p.succeed("y\x00" * 5000)
    assert len(row().message) == 2000


def test_a_task_that_the_user_cancels_ends_as_cancelled(user):
    def work() -> None:
        with notify.progress(user, "Exporting", cancellable=True) as p:
            p.check()
            p._run.stored.cancel_asked = True
            assert p.is_cancelled
            p.check()

    with pytest.raises(notify.Cancelled):
        work()
    assert (row().message, TaskRecord.objects.get().state) == ("Cancelled.", "cancelled")


def test_a_task_that_lets_go_without_a_word_has_failed(user):
    notify.progress(user, "Exporting")
    gc.collect()
    assert (row().level, TaskRecord.objects.get().state) == ("error", "failed")


def test_dropping_a_handle_for_the_task_of_another_process_does_not_end_the_task(user):
    p = begin(user, "Exporting", report={"job": "q:1"})
    other = Progress(TaskRun(None, "", job="q:1", adopts=True))
    del other
    gc.collect()
    assert row().progress["state"] == "running"
    p.succeed()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_handle_is_the_handle(user, copied):
    """Otherwise the collection of one copy would end the task of the other."""
    p = notify.progress(user, "Exporting")
    assert copied(p) is p
    p.succeed()


async def test_an_async_block_is_the_same(settings, monkeypatch, user):
    said = []
    monkeypatch.setattr(writer, "schedule", lambda run: said.append(run.state.value))
    async with notify.progress(user, "Exporting") as p:
        p.advance()
    assert said == ["running", "succeeded"]


async def test_a_coroutine_may_name_the_user_by_its_key(monkeypatch, user):
    said = []
    monkeypatch.setattr(writer, "schedule", lambda run: said.append(run.recipient_id))
    async with notify.progress(user.pk, "Exporting"):
        pass
    assert said == [user.pk, user.pk]


async def test_a_coroutine_is_told_how_to_name_the_user_of_a_request(monkeypatch, user, rf):
    monkeypatch.setattr(writer, "schedule", lambda run: None)
    request = rf.get("/")
    request.user = SimpleLazyObject(lambda: get_user_model().objects.get(pk=user.pk))
    with pytest.raises(SynchronousOnlyOperation, match=r"Pass .* await request\.auser\(\)"):
        notify.progress(request, "Exporting")


def test_the_error_names_what_was_called(user):
    with pytest.raises(TypeError, match=r"notify\.progress\(\) takes one recipient, not list"):
        notify.progress([user], "Exporting")


@pytest.mark.parametrize("end", ["succeed", "fail"])
def test_a_title_that_is_too_long_is_shortened_as_the_work_is_done(user, end):
    with notify.progress(user, "Exporting") as p:
        getattr(p, end)("Done.", title="x" * 201)
    assert row().title == "x" * 199 + "…"


@pytest.mark.parametrize("end", ["succeed", "fail"])
@pytest.mark.parametrize("title", ["", " \n"])
def test_in_place_of_a_title_without_a_word_stands_the_name(user, end, title):
    with notify.progress(user, "Exporting") as p:
        getattr(p, end)("Done.", title=title)
    assert (row().title, row().message) == ("Exporting", "Done.")


def test_a_task_starts_although_the_database_is_away(monkeypatch, user):
    def away(keys):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(recipients, "_existing", away)
    with notify.progress(user.pk, "Exporting"):
        pass
    assert row().recipient == user


def test_threads_lose_no_step(user):
    with notify.progress(user, "Exporting") as p:
        threads = [
            threading.Thread(target=lambda: [p.advance() for _ in range(1000)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert p.done == 4000


def test_a_failure_in_a_group_with_one_that_was_cancelled_is_a_failure(user):
    group = ExceptionGroup("", [Cancelled(), ValueError("no")])
    with pytest.raises(ExceptionGroup), notify.progress(user, "Importing"):
        raise group
    assert TaskRecord.objects.get().state == "failed"


# -- track ---------------------------------------------------------------------------------------


def test_track_counts_what_it_goes_through(user, told):
    assert list(notify.track([1, 2, 3], user, "Importing")) == [1, 2, 3]
    assert told == [("running", 0, ""), ("succeeded", 3, "Finished.")]
    assert row().progress["total"] == 3


def test_a_total_that_is_given_is_shown(user):
    assert list(notify.track([1, 2], user, "Importing", total=40)) == [1, 2]
    assert row().progress["total"] == 40


def test_a_total_is_asked_of_what_knows_it(user):
    assert _length([1, 2]) == 2
    assert _length(iter([1, 2])) is None
    assert _length("abc".count) is None
    assert _length(get_user_model().objects.all()) == 1


@pytest.mark.parametrize("leave", ["break", "error"])
def test_a_loop_that_is_left_is_shown_as_stopped(user, leave):
    def loop() -> None:
        for thing in notify.track([1, 2, 3], user, "Importing"):
            if thing == 2:
                if leave == "break":
                    break
                raise ZeroDivisionError

    with suppress(ZeroDivisionError):
        loop()
    gc.collect()
    assert (row().message, row().progress["done"]) == ("Stopped.", 1)


# -- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"name": ""}, InvalidNotification),
        ({"name": "x" * 201}, InvalidNotification),
        ({"name": "Importing", "url": "javascript:alert(1)"}, InvalidNotification),
        ({"name": "Importing", "key": "k" * 101}, InvalidNotification),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_stored(user, arguments, error):
    with pytest.raises(error):
        notify.progress(user, **arguments)
    assert not Notification.objects.exists()


def test_nobody_has_no_progress(db):
    from django.contrib.auth.models import AnonymousUser

    with pytest.raises(InvalidRecipient):
        notify.progress(AnonymousUser(), "Importing")


async def numbers():
    for number in range(3):
        yield number


@pytest.mark.django_db(transaction=True)
async def test_a_loop_of_a_coroutine_is_shown_and_a_queryset_counted(user):
    seen = [
        each.pk async for each in notify.atrack(get_user_model().objects.all(), user, "Writing")
    ]
    assert seen == [user.pk]
    assert [number async for number in notify.atrack(numbers(), user, "Counting")] == [0, 1, 2]
    known = notify.atrack(numbers(), user, "Knowing", total=3)
    assert [number async for number in known] == [0, 1, 2]
    assert await sync_to_async(writer.flush)(PATIENCE)
    rows = {row.title: row.progress async for row in Notification.objects.all()}
    assert {title: (shown["done"], shown["total"]) for title, shown in rows.items()} == {
        "Writing": (1, 1),
        "Counting": (3, None),
        "Knowing": (3, 3),
    }
    await sync_to_async(connections.close_all)()  # of the thread in which the queries have run


@pytest.mark.django_db(transaction=True)
async def test_a_loop_of_a_coroutine_ends_where_the_user_cancels(user):
    p = notify.progress(user.pk, "Counting", cancellable=True)
    p._run.stored.cancel_asked = True
    with pytest.raises(notify.Cancelled):
        [number async for number in p.atrack(numbers())]
    p.cancel()
    assert await sync_to_async(writer.flush)(PATIENCE)


def test_what_no_database_takes_is_left_out_of_a_traceback(user):
    p = notify.progress(user, "Importing")
    p.fail(detail="x" * 60_000 + "bad row: \x00 \udc80")
    detail = TaskRecord.objects.get().detail
    assert detail.endswith("bad row:  ?")
    assert len(detail) == 50_000
