"""How much is done: units, and steps that are worth some of them."""

from __future__ import annotations

import asyncio
import copy
import threading
from contextlib import suppress
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async

import notify
from notify.models import Notification
from notify.tracking import writer
from notify.tracking.counter import Amount, number
from tests.kit.patience import PATIENCE

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("count", "reached", "share"),
    [
        (Amount(), 0, 0),
        (Amount(done=3), 3, 0),
        (Amount(done=3, total=4), 3, 0.75),
        (Amount(done=5, total=4), 5, 1),
        (Amount(done=-1, total=4), -1, 0),
        (Amount(total=0), 0, 0),
        (Amount(done=1, total=4, steps=[Amount(done=5, total=10, weight=2)]), 2, 0.5),
        (Amount(total=4, steps=[Amount(done=5, weight=2)]), 0, 0),
    ],
)
def test_the_share_is_that_of_the_units_and_of_the_steps_under_way(count, reached, share):
    assert (count.reached, count.share) == (reached, share)


def test_a_step_is_worth_its_weight_when_it_has_ended(user):
    with notify.progress(user, "Importing", total=4) as p:
        with p.step("Reading", total=10) as step:
            step.advance(5)
            assert p._run.far == (0.125, 1)
            assert p._run.message == "Reading"
        assert (p.done, p._run.far) == (1, (0.25, 1))
        with p.step("Storing", weight=3, total=10) as step:
            for _ in step.track(range(10)):
                pass
            assert (step.done, step.total) == (10, 10)
        assert p.done == 4
    assert Notification.objects.get().progress["done"] == 1


def test_steps_may_be_nested_and_run_side_by_side(user):
    p = notify.progress(user, "Importing", total=2)
    with p.step() as outer, p.step() as beside:
        outer.total, beside.total = 2, 4
        with outer.step(total=10) as inner:
            inner.update(done=5, message="In the middle")
            beside.advance()
            assert p._run.share == pytest.approx((0.25 + 0.25) / 2)
    assert (p.done, p._run.message) == (2, "In the middle")
    p.succeed()


def test_an_update_changes_only_what_it_is_given(user):
    p = notify.progress(user, "Importing", total=2)
    with p.step("Reading", total=4) as step:
        step.update(done=1)
        assert (step.done, step.total, p._run.message) == (1, 4, "Reading")
        step.update(total=8)
        assert (step.done, step.total, p._run.message) == (1, 8, "Reading")
        step.update(message="Sorting")
        assert (step.done, step.total, p._run.message) == (1, 8, "Sorting")
    p.succeed()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_step_counts_for_the_step(user, copied):
    p = notify.progress(user, "Importing", total=2)
    with p.step(total=4) as step:
        copied(step).advance()
        assert (step.done, p._run.reached) == (1, 0.25)
    p.succeed()


def test_a_step_that_raises_is_not_done(user):
    p = notify.progress(user, "Importing", total=2)
    with suppress(ValueError), p.step(total=2) as step:
        step.advance()
        raise ValueError
    assert (p.done, p._run.steps) == (0, [])
    p.succeed()


def test_a_step_ends_where_the_user_cancels(user):
    p = notify.progress(user, "Importing", total=2, cancellable=True)
    p._run.stored.cancel_asked = True
    with pytest.raises(notify.Cancelled), p.step() as step:
        step.check()
    p.cancel()


def test_without_a_total_the_whole_has_no_end_in_sight(user):
    p = notify.progress(user, "Importing")
    with p.step(total=2) as step:
        step.advance()
        assert p._run.far == (0.5, None)
    p.succeed()


@pytest.mark.django_db(transaction=True)
async def test_steps_of_coroutines(user):
    p = notify.progress(user, "Importing", total=2)

    async def work():
        async with p.step(total=1) as step:
            step.advance()

    await asyncio.gather(work(), work())
    assert p.done == 2
    p.succeed()
    assert await sync_to_async(writer.flush)(PATIENCE)


async def pages():
    for page in range(3):
        yield page


@pytest.mark.django_db(transaction=True)
async def test_a_step_counts_what_a_coroutine_goes_through(user):
    p = notify.progress(user, "Importing", total=2)
    async with p.step(total=4) as step:
        assert [(page, step.done) async for page in step.atrack(pages())] == [
            (0, 0),
            (1, 1),
            (2, 2),
        ]
        assert (step.done, p._run.reached) == (3, 0.75)
    p.succeed()
    assert await sync_to_async(writer.flush)(PATIENCE)


def test_no_count_of_many_threads_is_lost(user):
    p = notify.progress(user, "Importing", total=8)

    def work():
        with p.step(total=1000) as step:
            for _ in range(1000):
                step.advance()
                p.advance(0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (p.done, p._run.steps) == (8, [])
    p.succeed()


def test_a_signal_handler_may_speak_while_its_thread_does(user):
    p = notify.progress(user, "Importing", total=2)

    class Interrupted(list):
        def append(self, step):
            super().append(step)
            p.update(message="Stopping")

    p._run.steps = Interrupted()
    thread = threading.Thread(target=p.step().__enter__, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert p._run.message == "Stopping"
    p.succeed()


def test_of_two_steps_that_are_alike_each_is_another(user):
    p = notify.progress(user, "Importing", total=2)
    one, two = p.step(total=4), p.step(total=4)
    with one:
        with two:
            pass
        one.advance()
        assert p._run.reached == 1.25
    assert p.done == 2
    p.succeed()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, 3),
        (2.5, 2.5),
        (4.0, 4),
        ("12", 12),
        (Decimal("1.5"), 1.5),
        (float("inf"), None),
        (float("nan"), None),
        (10**400, None),
        ("many", None),
        (None, None),
        ([], None),
    ],
)
def test_whatever_a_task_counts_with_can_be_shown(value, said):
    assert number(value) == said
    assert Amount(done=value).reached == (said or 0)
    assert 0 <= Amount(done=1, total=value).share <= 1
