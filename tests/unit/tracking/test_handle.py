"""The public calls of progress: what a task says, and how it ends whatever happens."""

from __future__ import annotations

import asyncio
import copy
import gc
import threading
from contextlib import suppress

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import SynchronousOnlyOperation
from django.db import OperationalError
from django.utils.functional import SimpleLazyObject

import notify
from notify.exceptions import Cancelled, InvalidNotification, InvalidRecipient
from notify.models import Notification, Progress
from notify.sending import recipients
from notify.tracking import rows as runs
from notify.tracking import writer
from notify.tracking.handle import _length
from notify.tracking.rows import Run
from tests.kit.patience import PATIENCE

pytestmark = [pytest.mark.users, pytest.mark.django_db]


@pytest.fixture
def told(monkeypatch) -> list[tuple]:
    """Each state that was told, as it was then."""
    said: list[tuple] = []
    tell = writer.tell

    def note(run: Run) -> None:
        said.append((run.state.value, run.done, run.message))
        tell(run)

    monkeypatch.setattr(writer, "tell", note)
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
    assert "ZeroDivisionError" in Progress.objects.get().detail
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
        p.succeed("Never mind")
        p.cancel()
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


def test_what_a_queued_task_says_is_shown(user):
    p = notify.progress(user, "Exporting", queued=True)
    p.update(message="Two are before it")
    assert row().progress["message"] == "Two are before it"


def test_what_is_queued_here_may_be_started_elsewhere(user):
    """By a worker, which knows the key; the page that has queued it is long done."""
    notify.progress(user, "Exporting", key="export:7", queued=True)
    gc.collect()
    assert row().progress["state"] == "queued"
    with notify.progress(user, "Exporting", key="export:7"):
        assert (row().progress["state"], row().progress["attempt"]) == ("running", 1)
    with notify.progress(user, "Exporting", key="export:7"):
        assert row().progress["attempt"] == 2


def test_what_is_cancelled_before_it_starts_hears_of_it(user):
    notify.progress(user, "Exporting", key="export:7", queued=True, cancellable=True)
    runs.ask_to_end(user.pk, [(row().pk, row().arrived)])
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
            p._run.cancel_asked = True
            assert p.is_cancelled
            p.check()

    with pytest.raises(notify.Cancelled):
        work()
    assert (row().message, Progress.objects.get().state) == ("Cancelled.", "cancelled")


def test_a_task_that_lets_go_without_a_word_has_failed(user):
    notify.progress(user, "Exporting")
    gc.collect()
    assert (row().level, Progress.objects.get().state) == ("error", "failed")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_handle_is_the_handle(user, copied):
    """Else the one that is let go would end the task of the other."""
    p = notify.progress(user, "Exporting")
    assert copied(p) is p
    p.succeed()


async def test_an_async_block_is_the_same(settings, monkeypatch, user):
    said = []
    monkeypatch.setattr(writer, "tell", lambda run: said.append(run.state.value))
    async with notify.progress(user, "Exporting") as p:
        p.advance()
    assert said == ["running", "succeeded"]


async def test_a_coroutine_may_name_the_user_by_its_key(monkeypatch, user):
    said = []
    monkeypatch.setattr(writer, "tell", lambda run: said.append(run.recipient))
    async with notify.progress(user.pk, "Exporting"):
        pass
    assert said == [user.pk, user.pk]


async def test_a_coroutine_is_told_how_to_name_the_user_of_a_request(monkeypatch, user, rf):
    monkeypatch.setattr(writer, "tell", lambda run: None)
    request = rf.get("/")
    request.user = SimpleLazyObject(lambda: get_user_model().objects.get(pk=user.pk))
    with pytest.raises(SynchronousOnlyOperation, match=r"Give .* await request\.auser\(\)"):
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


# -- track ---------------------------------------------------------------------------------------


def test_track_counts_what_it_goes_through(user, told):
    assert list(notify.track([1, 2, 3], user, "Importing")) == [1, 2, 3]
    assert told == [("running", 0, ""), ("succeeded", 3, "Finished.")]
    assert row().progress["total"] == 3


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


# -- tracked -------------------------------------------------------------------------------------


def test_a_function_is_tracked_and_given_its_progress(user):
    @notify.tracked("Importing", user="user_id")
    def work(user_id, rows, progress):
        """Imports."""
        return sum(progress.track(rows))

    assert work(user.pk, [1, 2]) == 3
    assert work.__doc__ == "Imports."
    assert (row().progress["done"], row().progress["state"]) == (2, "succeeded")


def test_whoever_is_told_may_be_reckoned(user):
    @notify.tracked("Importing", user=lambda order: order["owner"])
    def work(order):
        return order["id"]

    assert work({"id": 7, "owner": user}) == 7
    assert row().recipient == user


def test_the_parameter_that_says_who_is_told_may_have_a_default(user):
    @notify.tracked("Importing", user="user_id")
    def work(path, user_id=user.pk):
        return path

    assert work("customers.csv") == "customers.csv"
    assert row().recipient_id == user.pk


async def test_an_async_function_is_tracked(monkeypatch, user):
    said = []
    monkeypatch.setattr(writer, "tell", lambda run: said.append(run.state.value))

    @notify.tracked("Importing")
    async def work(user):
        return 7

    assert await work(user) == 7
    assert said == ["running", "succeeded"]


def test_a_cancelled_function_returns_nothing(user):
    @notify.tracked("Importing", cancellable=True)
    def work(user, progress):
        progress._run.cancel_asked = True
        progress.check()

    assert work(user) is None
    assert Progress.objects.get().state == "cancelled"


def test_a_caller_need_not_know_where_the_progress_stands(user, other_user):
    @notify.tracked("Importing")
    def work(progress, user, colleague, *paths):
        return progress.state, colleague, paths

    assert work(user, other_user) == ("running", other_user, ())
    assert row().recipient_id == user.pk
    assert work(user, other_user, "a", "b")[2] == ("a", "b")
    assert work(user=user, colleague=other_user)[0] == "running"
    assert set(Notification.objects.values_list("recipient", flat=True)) == {user.pk}


def test_a_function_with_any_number_of_arguments_is_given_them_as_they_are(user):
    @notify.tracked("Importing")
    def work(user, *paths):
        return paths

    @notify.tracked("Importing")
    def count(user, *paths, progress):
        return progress.state, paths

    assert work(user, "a", "b") == ("a", "b")
    assert count(user, "a", "b") == ("running", ("a", "b"))


async def test_a_group_of_coroutines_may_be_cancelled(monkeypatch, user):
    """Which raises a group of what they raise."""
    said = []
    monkeypatch.setattr(writer, "tell", lambda run: said.append(run.state.value))

    @notify.tracked("Importing", cancellable=True)
    async def work(user, progress):
        async def check():
            progress.check()

        progress._run.cancel_asked = True
        async with asyncio.TaskGroup() as group:
            group.create_task(check())
            group.create_task(check())

    assert await work(user) is None
    assert said == ["running", "cancelled"]


def test_a_failure_in_a_group_with_one_that_was_cancelled_is_a_failure(user):
    group = ExceptionGroup("", [Cancelled(), ValueError("no")])
    with pytest.raises(ExceptionGroup), notify.progress(user, "Importing"):
        raise group
    assert Progress.objects.get().state == "failed"


def test_a_function_without_that_parameter_is_refused_when_it_is_made():
    with pytest.raises(TypeError, match="no parameter 'user'"):

        @notify.tracked("Importing")
        def work(owner):
            pass


def test_a_function_that_yields_is_refused_when_it_is_made():
    """It would be shown as finished before it begins."""

    def work(user):
        yield 1

    async def awork(user):
        yield 1

    for function in (work, awork):
        with pytest.raises(TypeError, match=r"work\(\) yields"):
            notify.tracked("Importing")(function)


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
    assert await sync_to_async(writer.flush)(PATIENCE)
    mine = Notification.objects.filter(title__in=["Writing", "Counting"])
    rows = [row async for row in mine.order_by("pk")]
    assert [(row.progress["done"], row.progress["total"]) for row in rows] == [(1, 1), (3, None)]


@pytest.mark.django_db(transaction=True)
async def test_a_loop_of_a_coroutine_ends_where_the_user_cancels(user):
    p = notify.progress(user.pk, "Counting", cancellable=True)
    p._run.cancel_asked = True
    with pytest.raises(notify.Cancelled):
        [number async for number in p.atrack(numbers())]
    p.cancel()
    assert await sync_to_async(writer.flush)(PATIENCE)


def test_what_no_database_takes_is_left_out_of_a_traceback(user):
    p = notify.progress(user, "Importing")
    p.fail(detail="x" * 60_000 + "bad row: \x00 \udc80")
    detail = Progress.objects.get().detail
    assert detail.endswith("bad row:  ?")
    assert len(detail) == 50_000
