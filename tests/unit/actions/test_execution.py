"""A handler runs once, in one transaction with its notification."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from contextlib import suppress
from datetime import timedelta
from threading import Barrier, Event
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone, translation

import notify
from notify import db, inbox, log, signals
from notify.actions import execution
from notify.actions.execution import Acted
from notify.db import database
from notify.exceptions import ActionFailed, ActionGone
from notify.handlers import Outcome
from notify.mailbox import marks, retention, retraction
from notify.models import ActionRecord, Mailbox, Notification
from notify.protocol import Cursor, Mark
from tests.kit.deeds import RUN, handled, offer
from tests.kit.mailboxes import (
    Failing,
    assert_sound,
    contention,
    leave_waiting,
    mailbox_of,
    messages_of,
    rows_of,
)
from tests.kit.patience import PATIENCE
from tests.kit.sessions import concurrent, rolled_back, sessions

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]

SAFE = "This failed, and nothing was changed. You can try again."
GONE = "This can no longer be done."


class Deeds:
    """
    A handler whose effect is a notification to the user, which a rollback takes back.

    Attributes:
        calls: the arguments of each call, including those that were rolled back.
        then: called after the effect; it may raise, and its result is returned.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Notification, int]] = []
        self.then: Any = lambda user, order: f"Order {order} is back."

    def __call__(self, user: Any, notification: Notification, order: int) -> Any:
        self.calls.append((user, notification, order))
        Notification.objects.using(database()).create(
            recipient=user, message="effect", position=None
        )
        return self.then(user, order)

    @property
    def effects(self) -> int:
        return Notification.objects.using(database()).filter(message="effect").count()


@pytest.fixture
def deeds():
    deeds = Deeds()
    with handled(deeds):
        yield deeds


@pytest.fixture
def heard():
    """The signals that were sent, as pairs of a name and its arguments."""
    sent: list[tuple[str, dict[str, Any]]] = []
    receivers = {}
    for name in ("acted", "seen", "read", "action_failed"):

        def receive(name: str = name, **kwargs: Any) -> None:
            sent.append((name, kwargs))

        receivers[name] = lambda name=name, receive=receive, **kwargs: receive(name, **kwargs)
        getattr(signals, name).connect(receivers[name])
    yield sent
    for name, receiver in receivers.items():
        getattr(signals, name).disconnect(receiver)


def shown(row: Notification) -> tuple[int, int]:
    assert row.arrived is not None
    return row.pk, row.arrived


def act(user: Any, row: Notification, index: int = 1, **options: Any) -> Acted:
    return execution.run(user.pk, shown(row), index, **options)


def refused(user: Any, row: Notification, index: int = 1) -> str:
    with pytest.raises(ActionGone) as caught:
        act(user, row, index)
    return str(caught.value)


def failed(user: Any, row: Notification) -> ActionFailed:
    with pytest.raises(ActionFailed) as caught:
        act(user, row)
    return caught.value


def now(row: Notification) -> Notification:
    return Notification.objects.using(database()).get(pk=row.pk)


# -- What it does --------------------------------------------------------------------------------


def test_the_handler_gets_the_user_the_row_and_the_arguments(user, deeds, rings):
    row = offer(user)
    acted = act(user, row)
    assert acted.outcome == Outcome("Order 7 is back.")
    ((who, what, order),) = deeds.calls
    assert (who, what.pk, what.recipient, order) == (user, row.pk, user, 7)
    after = now(row)
    assert after.outcome == {
        "action": 1,
        "message": "Order 7 is back.",
        "level": "success",
        "url": "",
    }
    assert after.acted_at == after.seen_at == after.read_at
    assert after.acted_at is not None
    assert acted.cursor == mailbox_of(user).cursor
    assert (after.position, after.arrived) == (acted.cursor.position, row.arrived)
    assert rings[-1].notifications == [after]
    assert deeds.effects == 1


def test_its_signals_come_after_the_commit(user, deeds, heard):
    row = offer(user)
    marks.mark(user.pk, Mark.SEEN, [shown(row)])
    heard.clear()
    act(user, row)
    assert [name for name, _ in heard] == ["read", "acted"]
    assert heard[0][1]["notifications"] == [row]
    told = heard[1][1]
    assert (told["recipient_id"], told["notification"], told["using"]) == (
        user.pk,
        row,
        database(),
    )
    assert (told["action"], told["outcome"]) == ("Undo", Outcome("Order 7 is back."))
    assert told["notification"].outcome["action"] == 1


def test_a_second_click_gets_the_stored_outcome(user, deeds, heard):
    """So does another action of the same content, and an answer that was lost and is asked for again."""
    row = offer(user)
    first = act(user, row)
    sent = len(heard)
    assert act(user, row) == act(user, row, 2) == act(user, row, 99) == first
    assert len(deeds.calls) == deeds.effects == 1
    assert len(heard) == sent


def test_a_click_that_waited_for_another_gets_its_outcome(user, deeds, monkeypatch):
    """It has looked before the other had ended, so it looks again once it has the lock."""
    row = offer(user)
    first: list[Acted] = []
    click = before_run(lambda: first.append(act(user, row)))
    monkeypatch.setattr(execution._Act, "run", click)
    assert act(user, row) == first[0]
    assert len(deeds.calls) == 1


def before_run(happens: Any) -> Any:
    """The method that runs a handler, with something that happens once, just before its transaction."""
    run = execution._Act.run
    left = [happens]

    def wrapped(self: Any) -> Any:
        if left:
            left.pop()()
        return run(self)

    return wrapped


def test_new_content_can_be_answered_again(user, deeds):
    """The outcome goes with the content that it belongs to."""
    row = offer(user, key="order:7")
    act(user, row)
    renewed = offer(user, key="order:7")
    assert renewed.pk == row.pk
    after = now(row)
    assert (after.acted_at, after.outcome, after.read_at) == (None, None, None)
    assert refused(user, row) == GONE
    act(user, renewed)
    assert len(deeds.calls) == deeds.effects == 2
    assert_sound(user)


def test_an_archived_notification_can_still_be_answered(user, deeds):
    row = offer(user)
    inbox.mark_archived(user, [row])
    before = mailbox_of(user).counts
    act(user, row)
    assert now(row).archived_at is not None
    assert now(row).acted_at is not None
    assert deeds.effects == 1
    assert mailbox_of(user).counts.unread == before.unread == 0


def test_counts_and_positions_stay_right(user, deeds):
    offer(user, "another")
    row = offer(user)
    act(user, row)
    inbox.changes(user)  # publishes the effect
    assert_sound(user)
    inbox.mark_unread(user, [now(row)])
    act(user, row)
    assert now(row).read_at is None
    assert_sound(user)


# -- What it refuses -----------------------------------------------------------------------------


def test_others_and_what_is_unknown_get_the_same_answer(user, other_user, deeds):
    row, foreign = offer(user), offer(other_user)
    (waiting,) = leave_waiting(user, "waiting", actions=row.actions)
    waiting.arrived = 0
    unknown = Notification(pk=987_654, arrived=1)
    older = Notification(pk=row.pk, arrived=shown(row)[1] - 1)
    newer = Notification(pk=row.pk, arrived=shown(row)[1] + 1)
    answers = [refused(user, each) for each in (foreign, waiting, unknown, older, newer)]
    answers += [refused(user, row, 0), refused(user, row, 3)]  # a link, and no action
    assert set(answers) == {GONE}
    assert deeds.calls == []
    assert ActionRecord.objects.count() == 0


def test_a_user_without_a_mailbox_has_no_actions(user, deeds):
    with pytest.raises(ActionGone):
        execution.run(user.pk, (1, 1), 1)
    row = offer(user)
    key = user.pk
    Mailbox.objects.all().delete()
    with pytest.raises(ActionGone):
        execution.run(key, shown(row), 1)
    user.delete()
    with pytest.raises(ActionGone):
        execution.run(key, shown(row), 1)


def test_what_has_expired_is_gone(user, deeds, clock):
    row = offer(user, expires=timedelta(minutes=5))
    clock.forward(minutes=5)
    assert refused(user, row) == GONE


def test_what_was_retracted_is_gone(user, deeds):
    row = offer(user, key="order:7")
    notify.retract(user, "order:7")
    assert refused(user, row) == GONE
    assert deeds.calls == []


def test_in_another_epoch_nothing_is_run(user, deeds):
    """The caller compares the epochs, as it does for marks."""
    row = offer(user)
    cursor = mailbox_of(user).cursor
    assert act(user, row, epoch="0hqk3m2v00a1b2c3d") == Acted(cursor, None)
    assert deeds.calls == []
    assert act(user, row, epoch=cursor.epoch).cursor > cursor


def replace(user: Any, order: int) -> None:
    with sessions(1) as (other,):
        other.run(offer, user, "newer", key="order:7")


def retract(user: Any, order: int) -> None:
    with sessions(1) as (other,):
        other.run(retraction.retract, user.pk, "order:7")


def delete(user: Any, order: int) -> None:
    with sessions(1) as (other,):
        (row,) = rows_of(user)
        other.run(Notification.objects.filter(pk=row.pk).delete)


@concurrent
@pytest.mark.parametrize("meanwhile", [replace, retract, delete])
def test_what_goes_while_the_handler_runs_takes_its_work_back(meanwhile, user, deeds):
    row = offer(user, key="order:7")
    deeds.then = meanwhile
    assert refused(user, row) == GONE
    assert len(deeds.calls) == 1
    assert deeds.effects == 0
    assert all(row.acted_at is None for row in rows_of(user))


def test_a_handler_that_deletes_its_notification_has_no_place_for_its_outcome(user, deeds):
    row = offer(user)
    deeds.then = lambda user, order: Notification.objects.filter(pk=row.pk).delete() and None
    assert refused(user, row) == GONE
    assert now(row) == row
    assert deeds.effects == 0


def test_a_mailbox_or_record_that_goes_meanwhile_is_gone(user, deeds, monkeypatch):
    row = offer(user)
    for model in (ActionRecord, Mailbox):
        with monkeypatch.context() as patched:
            patched.setattr(execution._Act, "run", before_run(model.objects.all().delete))
            assert refused(user, row) == GONE
    assert deeds.effects == 0


# -- Failures ------------------------------------------------------------------------------------


def test_an_exception_takes_everything_back(user, deeds, heard, caplog):
    row = offer(user)
    before = mailbox_of(user).cursor

    def fail(user: Any, order: int) -> None:
        raise RuntimeError("the secret reason\x00")

    deeds.then = fail
    log._last.clear()
    with caplog.at_level(logging.ERROR, "notify"):
        failure = failed(user, row)
    assert str(failure) == SAFE
    assert isinstance(failure.__cause__, RuntimeError)
    assert deeds.effects == 0
    after = now(row)
    assert (after.acted_at, after.outcome, after.read_at) == (None, None, None)
    assert mailbox_of(user).cursor == before
    detail = ActionRecord.objects.get(pk=row.pk).detail
    assert "the secret reason" in detail
    assert "Traceback" in detail
    ((name, told),) = heard
    assert (name, told["action"], told["recipient_id"]) == ("action_failed", RUN, user.pk)
    assert told["error"] is failure.__cause__
    assert f"'{RUN}' failed for notification {row.pk} of user {user.pk}" in caplog.text
    assert "the secret reason" in caplog.text

    deeds.then = lambda user, order: None  # and the user tries again
    assert act(user, row).outcome == Outcome("Done.")
    assert ActionRecord.objects.get(pk=row.pk).detail == ""
    assert deeds.effects == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValidationError("Order 7 has been shipped."), "Order 7 has been shipped."),
        (ValidationError(["One.", "Two."]), "One. Two."),
        (PermissionDenied("secret"), "You are not allowed to do this."),
    ],
)
def test_a_refusal_is_no_fault(error, words, user, deeds, heard):
    """A ValidationError has a text that is meant for users."""
    row = offer(user)

    def refuse(user: Any, order: int) -> None:
        raise error

    deeds.then = refuse
    assert str(failed(user, row)) == words
    assert deeds.effects == 0
    assert heard == []
    assert ActionRecord.objects.get(pk=row.pk).detail == ""


def test_a_result_that_cannot_be_stored_is_a_failure(user, deeds):
    row = offer(user)
    deeds.then = lambda user, order: 7
    assert str(failed(user, row)) == SAFE
    assert deeds.effects == 0


def test_a_handler_that_went_missing_is_a_failure(user, deeds):
    with handled(deeds):
        row = offer(user)
    with handled(deeds, "tests.other"):
        from notify import handlers

        del handlers._handlers[RUN]
        failure = failed(user, row)
    assert f"No handler has the name '{RUN}'" in str(failure.__cause__)
    assert "until such notifications have expired" in str(failure.__cause__)


def test_an_error_of_the_database_that_the_handler_catches_is_a_failure(user, deeds):
    """The transaction cannot go on, so the work of the handler is lost and must not be shown as done."""
    row = offer(user)

    def clash(user: Any, order: int) -> None:
        with suppress(IntegrityError):
            ActionRecord.objects.create(notification_id=row.pk)

    deeds.then = clash
    assert str(failed(user, row)) == SAFE
    assert deeds.effects == 0


def test_a_deadlock_is_tried_again(user, deeds):
    """The database has rolled back what the handler did."""
    row = offer(user)
    deeds.then = Failing(lambda user, order: "Back.", 2, contention())
    assert act(user, row).outcome == Outcome("Back.")
    assert len(deeds.calls) == 3
    assert deeds.effects == 1


def test_a_database_that_is_down_is_no_failure_of_the_handler(user, deeds, monkeypatch):
    row = offer(user)
    error = OperationalError("the server is gone")
    monkeypatch.setattr(execution._Act, "_lock", Failing(lambda self: None, 1, error))
    with pytest.raises(OperationalError):
        act(user, row)
    assert deeds.calls == []


# -- The handler ---------------------------------------------------------------------------------


def test_a_coroutine_function_runs_in_the_same_transaction(user):
    async def undo(user: Any, notification: Notification, order: int) -> str:
        await Notification.objects.using(database()).acreate(recipient=user, message="effect")
        await notify.asend(user, "sent")
        if fails:
            raise RuntimeError
        return f"{order}"

    with handled(undo):
        row, fails = offer(user), True
        failed(user, row)
        assert Notification.objects.count() == 1
        fails = False
        assert act(user, row).outcome == Outcome("7")
    assert sorted(messages_of(user)) == ["Done", "effect", "sent"]


def test_it_may_send_and_wait_for_the_commit(user, other_user, deeds):
    """Its own sends are delivered after the commit, and an error in a hook takes nothing back."""
    row = offer(user)
    done: list[str] = []

    def send(user: Any, order: int) -> str:
        with rolled_back():  # after which Django has another list of hooks
            transaction.on_commit(lambda: done.append("never"), using=database())
        notify.send(user, "to the same user")
        notify.send(other_user, "to another")
        transaction.on_commit(lambda: done.append("committed"), using=database())
        transaction.on_commit(lambda: 1 / 0, using=database())
        assert not done
        return "Sent."

    deeds.then = send
    assert act(user, row).outcome == Outcome("Sent.")
    assert done == ["committed"]
    assert "to the same user" in messages_of(user)
    assert messages_of(other_user) == ["to another"]
    assert_sound(user)


def test_it_may_replace_its_own_notification(user, deeds):
    row = offer(user, key="order:7")
    deeds.then = lambda user, order: notify.send(user, "Order 7 is back", key="order:7") and None
    act(user, row)
    after = now(row)
    assert (after.message, after.acted_at) == ("Order 7 is back", None)
    assert_sound(user)


def test_it_cannot_change_the_stored_arguments(user):
    def undo(user: Any, notification: Notification, orders: list[int]) -> None:
        orders.append(8)
        notification.message = "changed"

    with handled(undo):
        action = notify.Action("Undo", run=RUN, args={"orders": [7]})
        row = notify.send(user, "Hello", actions=[action])
        execution.run(user.pk, shown(row), 0)
    after = now(row)
    assert after.actions[0]["args"] == {"orders": [7]}
    assert after.message == "Hello"


def german(user: Any) -> str:
    return "de"


def test_it_runs_in_the_language_of_the_user(user, deeds, settings):
    settings.NOTIFY_LANGUAGE = f"{__name__}.german"
    row = offer(user)
    deeds.then = lambda user, order: translation.gettext("Yes")
    outcome = act(user, row).outcome
    assert outcome == Outcome("Ja")
    assert translation.get_language() == settings.LANGUAGE_CODE


def test_a_connection_that_commits_by_hand_emits_nothing(user, deeds, heard, monkeypatch):
    row = offer(user)
    monkeypatch.setattr(execution, "commits_by_hand", lambda connection: True)
    act(user, row)
    assert heard == []


def test_records_go_with_their_notifications(user, deeds):
    """After them, because a handler holds its record while it waits for the mailbox."""
    row, other = offer(user), offer(user)
    act(user, row)
    act(user, other)
    Notification.objects.filter(pk=row.pk).delete()
    retention.run()
    assert list(ActionRecord.objects.values_list("pk", flat=True)) == [other.pk]


# -- At once -------------------------------------------------------------------------------------


@pytest.fixture
def deadlocks(monkeypatch):
    """The deadlocks that databases have ended. They would be tried again, and so go unnoticed."""
    ended: list[Exception] = []
    is_deadlock = db.is_deadlock

    def count(error: Any) -> bool:
        found = is_deadlock(error)
        if found:
            ended.append(error)
        return found

    monkeypatch.setattr(db, "is_deadlock", count)
    monkeypatch.setattr(execution, "is_deadlock", count)
    return ended


def together(barrier: Barrier, work: Any, *args: Any) -> Any:
    barrier.wait(PATIENCE)
    return work(*args)


@pytest.mark.parametrize("others", [1, 3])
def test_clicks_at_once_run_it_once(others, user, deeds, deadlocks):
    for _ in range(5):
        deeds.calls.clear()
        row = offer(user)
        barrier = Barrier(others + 1)
        with sessions(others + 1) as tabs:
            acts: list[Future[Acted]] = [
                tab.start(together, barrier, act, user, row, 1 + number % 2)
                for number, tab in enumerate(tabs)
            ]
            outcomes = {acted.result(PATIENCE).outcome for acted in acts}
        assert len(outcomes) == 1
        assert len(deeds.calls) == 1
        assert now(row).outcome["message"] in {outcome.message for outcome in outcomes if outcome}
    assert deeds.effects == 5
    assert deadlocks == []


@concurrent
def test_nobody_waits_for_a_slow_handler(user, deeds, deadlocks):
    """Sends, marks and reads of the same user go on, and a second click waits for the first."""
    row = offer(user, key="order:7")
    running, go_on = Event(), Event()

    def wait(user: Any, order: int) -> str:
        notify.send(user, "from the handler")
        running.set()
        assert go_on.wait(PATIENCE)
        return "Slow."

    deeds.then = wait
    with sessions(3) as (first, second, other):
        acting = first.start(act, user, row)
        assert running.wait(PATIENCE)
        again = second.start(act, user, row)
        try:
            other.run(notify.send, user, "meanwhile")
            other.run(notify.send, user, "with a key", key="other")
            other.run(marks.mark, user.pk, Mark.READ, [shown(row)])
            other.run(inbox.mark_unread, user, [row])
            other.run(inbox.changes, user)
            other.run(retention.run)
            assert not acting.done()
            assert not again.done()
        finally:
            go_on.set()
        assert acting.result(PATIENCE).outcome == Outcome("Slow.")
        assert again.result(PATIENCE).outcome == Outcome("Slow.")
    inbox.changes(user)
    assert len(deeds.calls) == deeds.effects == 1
    assert_sound(user)
    assert deadlocks == []


@concurrent
def test_changes_at_the_same_moment_do_not_deadlock(user, deeds, deadlocks):
    deeds.then = lambda user, order: notify.send(user, "from the handler") and None
    for number in range(10):
        row = offer(user, key=f"order:{number}")
        barrier = Barrier(4)
        with sessions(4) as (one, two, three, four):
            acting = one.start(together, barrier, act, user, row)
            works = [
                two.start(together, barrier, marks.mark, user.pk, Mark.READ, [shown(row)]),
                three.start(together, barrier, notify.send, user, "meanwhile"),
                four.start(together, barrier, marks.mark, user.pk, Mark.DISMISSED, [shown(row)]),
            ]
            for work in [acting, *works]:
                work.result(PATIENCE)
    inbox.changes(user)
    assert deeds.effects == len(deeds.calls) == 10
    assert_sound(user)
    assert deadlocks == []


def test_the_cursor_of_the_answer_shows_the_outcome(user, deeds):
    """A tab that reads from its old cursor gets the row with its outcome by the cursor of the answer."""
    row = offer(user)
    before = mailbox_of(user).cursor
    cursor = act(user, row).cursor
    page = inbox.changes(user, before)
    assert isinstance(page.cursor, Cursor)
    assert page.cursor >= cursor
    (changed,) = [each for each in page.notifications if each.pk == row.pk]
    assert changed.outcome["message"] == "Order 7 is back."
    assert changed.acted_at <= timezone.now()
