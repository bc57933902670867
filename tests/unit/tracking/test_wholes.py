"""Several jobs as one task: each part counts once, and the last part ends the whole."""

from __future__ import annotations

import pytest

import notify
from notify.models import Notification, TaskRecord
from notify.tracking import jobs, wholes
from notify.tracking import rows as task_rows
from notify.tracking.run import TaskRun
from tests.unit.tracking.work import told, work

pytestmark = [pytest.mark.users, pytest.mark.django_db, pytest.mark.usefixtures("no_job")]


def part(name: str, *, fails: bool = False) -> None:
    jobs.begun(name, work, whole="q-whole:1")
    if fails:
        jobs.failed(name)
    else:
        jobs.finished(name)
    jobs.over(name)


def tell_whole() -> None:
    """Write the whole, as the writer does."""
    whole = wholes._wholes["q-whole:1"]
    task_rows.save(whole.run)


@pytest.fixture
def whole(user):
    return jobs.queued_whole("q-whole:1", user, "All", total=2, cancellable=True)


def test_parts_are_counted_once_and_the_last_ends_the_whole(user, whole):
    part("q:1")
    part("q:1")
    assert (told()["state"], told()["done"]) == ("running", 1)
    part("q:2")
    assert (told()["state"], told()["done"]) == ("succeeded", 2)
    assert not TaskRecord.objects.get().parts.exists()
    part("q:3")
    assert told()["done"] == 2


def test_a_part_that_fails_fails_the_whole(user, whole):
    part("q:1")
    part("q:2", fails=True)
    assert (told()["state"], told()["done"]) == ("failed", 1)


def test_a_function_that_is_a_part_is_not_shown_by_itself_and_may_be_cancelled(user, whole):
    jobs.begun("q:1", work, whole="q-whole:1")
    assert work(user.pk) == "done"
    assert Notification.objects.count() == 1
    jobs.over("q:1")
    row = Notification.objects.get()
    task_rows.ask_to_end(user.pk, [(row.pk, row.arrived)])
    jobs.begun("q:2", work, whole="q-whole:1")
    assert work(user.pk) is None
    jobs.over("q:2")


def test_a_part_that_ends_because_the_user_cancels_cancels_the_whole(user, whole):
    @notify.tracked("Painting", user="user_id")
    def paint(user_id, progress):
        row = Notification.objects.get()
        task_rows.ask_to_end(user_id, [(row.pk, row.arrived)])
        tell_whole()  # it hears of it
        progress.check()

    jobs.begun("q:1", paint, whole="q-whole:1")
    assert paint(user.pk) is None
    jobs.over("q:1")
    assert told()["state"] == "cancelled"


def test_a_part_that_says_that_it_has_failed_fails_the_whole(user, whole):
    @notify.tracked("Painting", user="user_id")
    def paint(user_id, progress):
        progress.fail("The paint is dry.", detail="0 litres")

    jobs.begun("q:1", paint, whole="q-whole:1")
    paint(user.pk)
    jobs.over("q:1")
    row = Notification.objects.get()
    assert (told()["state"], row.title, row.message) == ("failed", "All", "The paint is dry.")
    assert TaskRecord.objects.get().detail == "0 litres"


def test_a_whole_whose_parts_were_cancelled_was_cancelled(user, whole):
    """This also holds if no part is waiting any more, so that none can be removed from the queue."""
    part("q:1")
    row = Notification.objects.get()
    task_rows.ask_to_end(user.pk, [(row.pk, row.arrived)])
    jobs.begun("q:2", work, whole="q-whole:1")
    tell_whole()  # it receives the cancellation
    assert work(user.pk) is None
    jobs.finished("q:2")
    jobs.over("q:2")
    tell_whole()
    assert (told()["state"], told()["done"]) == ("cancelled", 1)
    assert not TaskRecord.objects.get().parts.exists()


def test_a_part_that_is_tried_again_is_no_news(user, whole):
    jobs.begun("q:1", work, whole="q-whole:1")
    jobs.retried("q:1")
    jobs.over("q:1")
    tell_whole()
    assert (told()["state"], told()["attempt"]) == ("running", 1)


def test_what_another_process_has_counted_stays(user, whole):
    Notification.objects.update(progress=told() | {"total": 5})
    part("q:1")
    here = wholes._wholes.pop("q-whole:1")
    other = TaskRun(None, "", job="q-whole:1", adopts=True, parts={"q:9"})
    task_rows.save(other)
    here.run.message = "Page 3"
    task_rows.save(here.run)
    assert told()["done"] == 2


def test_a_process_remembers_so_many_wholes(monkeypatch):
    monkeypatch.setattr(wholes, "MOST_WHOLES", 2)
    for number in range(4):
        jobs.begun(f"q:{number}", work, whole=f"q-whole:{number}")
        jobs.over(f"q:{number}")
    assert list(wholes._wholes) == ["q-whole:2", "q-whole:3"]
