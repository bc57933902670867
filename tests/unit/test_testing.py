from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import TestCase, override_settings

import notify
from notify import doorbell
from notify.asgi import notify_asgi
from notify.exceptions import ActionGone, AsyncContext
from notify.live.hub import Hub
from notify.protocol import CloseCode
from notify.testing import (
    aact,
    aassert_not_notified,
    aassert_notified,
    act,
    asent,
    assert_not_notified,
    assert_notified,
    asweep,
    close_connections,
    flush,
    lose_rings,
    sent,
    sweep,
)
from tests.kit.deeds import handled, offer
from tests.kit.fakes import Tab, settle, until
from tests.kit.patience import PATIENCE

pytestmark = [pytest.mark.django_db, pytest.mark.users]


def test_what_was_sent_is_listed_oldest_first(user, other_user):
    one, two, three = notify.send(user, "1"), notify.send(other_user, "2"), notify.send(user, "3")
    assert sent() == [one, two, three]
    assert sent(user) == sent(user.pk) == [one, three]
    assert sent(other_user) == [two]


def test_a_notification_that_fits_is_found(user):
    """The newest one matches, by a part of its message and by other values as a whole."""
    first = notify.send(user, "Your export is ready", level="success", url="/exports/7/")
    second = notify.send(user, "Your export is ready", level="success", url="/exports/8/")
    assert assert_notified(user) == second
    assert assert_notified(user, "export is") == second
    assert assert_notified(user, "export", level="success", url="/exports/7/") == first
    assert_not_notified(user, "import")
    assert_not_notified(user, "export", level="error")


def test_the_async_twins(user, other_user):
    async def use() -> None:
        row = await notify.asend(user, "Your export is ready", level="success")
        assert await asent() == await asent(user) == [row]
        assert await aassert_notified(user, "export", level="success") == row
        await aassert_not_notified(other_user)
        with pytest.raises(AssertionError, match="was sent success: 'Your export is ready'"):
            await aassert_not_notified(user)
        with pytest.raises(AssertionError, match="was sent no notification"):
            await aassert_notified(other_user)

    async_to_sync(use)()  # async_to_sync awaits them in this thread, on this connection


@pytest.mark.parametrize("call", [sent, assert_notified, assert_not_notified])
async def test_where_an_event_loop_runs_the_twin_is_named(call):
    with pytest.raises(AsyncContext, match=rf"await notify\.testing\.a{call.__name__}\("):
        call(1)


def test_key_and_expires_go_by_the_names_of_send(user):
    row = notify.send(user, "Hello", key="k", expires=timedelta(days=1))
    assert isinstance(row.expires_at, datetime)
    assert assert_notified(user, key="k", expires=row.expires_at) == row
    assert_not_notified(user, key="other")
    assert_not_notified(user, expires=None)


def test_a_failure_says_what_was_sent_instead(user, other_user):
    with pytest.raises(AssertionError) as caught:
        assert_notified(user, "ready", level="success")
    assert str(caught.value) == f"{user} was sent no notification."
    notify.error(user, "It failed", url="/x/")
    with pytest.raises(AssertionError) as caught:
        assert_notified(user, "ready", level="success")
    assert str(caught.value) == (
        f"No notification to {user} has level='success' and a message that contains 'ready'. Sent:"
        "\n  error: 'It failed' (url='/x/')"
    )
    with pytest.raises(AssertionError, match="has a message that contains 'ready'"):
        assert_notified(user, "ready")
    with pytest.raises(AssertionError, match=r"was sent error: 'It failed' \(url='/x/'\)"):
        assert_not_notified(user, "failed")
    with pytest.raises(AssertionError, match="was sent no notification"):
        assert_notified(other_user)


def test_a_misspelt_field_is_no_quiet_success(user):
    notify.send(user, "Hello")
    with pytest.raises(AttributeError, match="lebel"):
        assert_not_notified(user, lebel="info")


def make_carol(self: Any) -> None:
    """Create a user of any user model."""
    model = get_user_model()
    self.user = model(**{model.USERNAME_FIELD: "carol@example.com"})
    if model._meta.pk.name == "code":
        self.user.pk = "carol"
    self.user.save()


# -- Losing rings --------------------------------------------------------------------------------


def test_all_rings_are_lost_and_no_notification(user, rings):
    with lose_rings():
        row = notify.send(user, "Hello")
    assert rings == []
    assert row.position == 1
    assert notify.inbox.counts(user) == (1, 1)
    notify.send(user, "rung again")
    assert len(rings) == 1


def test_one_decorator_may_be_used_again(user, rings):
    """Each test of a decorated class uses it."""
    losing = lose_rings()
    for _ in range(2):
        with losing:
            notify.send(user, "lost")
        assert rings == []
    notify.send(user, "rung again")
    assert len(rings) == 1


def test_the_rings_of_all_recipients_are_lost(user, other_user, rings):
    """A send to two users is one call of the doorbell."""
    with lose_rings():
        notify.send_many([user, other_user], "Hello")
    assert rings == []


def test_it_may_be_nested_and_ends_when_the_test_fails(user, rings):
    before = doorbell.ring
    losing = lose_rings()
    with pytest.raises(ZeroDivisionError), losing, losing, lose_rings():
        raise ZeroDivisionError
    assert doorbell.ring == before


@lose_rings()
def test_it_decorates_a_function(user, rings):
    notify.send(user, "Hello")
    assert rings == []


async def test_it_decorates_a_coroutine_function():
    """It is active until the coroutine has ended, not only until it is created."""
    before = doorbell.ring

    @lose_rings()
    async def body():
        await settle()
        return doorbell.ring

    assert await body() != before
    assert doorbell.ring == before


@lose_rings()
class DecoratedTestCase(TestCase):
    def test_it_decorates_a_test_case(self) -> None:
        before = doorbell.ring
        with lose_rings():
            assert doorbell.ring != before
        assert doorbell.ring == before
        assert before.__module__ == "notify.testing"


# -- A hub ---------------------------------------------------------------------------------------


@pytest.fixture
async def hub(quiet):
    return Hub.here()


@pytest.fixture
def open_tab(hub):
    return partial(Tab.open, hub)


async def test_what_was_not_rung_comes_by_a_sweep(open_tab, user, other_user):
    tab, other = await open_tab(user), await open_tab(other_user)
    with lose_rings():
        await notify.asend(user, "Hello")
    await settle()
    assert tab.shown == []
    assert await asweep() == 1
    await until(lambda: tab.shown == ["Hello"])
    assert other.shown == []
    assert await asweep() == 0


async def test_connections_are_closed_with_the_code_to_come_back(open_tab, hub, user, other_user):
    tabs = [await open_tab(user), await open_tab(user)]
    other = await open_tab(other_user)
    assert close_connections(user) == 2
    await until(lambda: all(tab.wire.code == CloseCode.GOING_AWAY for tab in tabs))
    assert other.wire.code is None
    for tab in tabs:
        await hub.leave(tab.connection)
    assert close_connections() == 1
    await until(lambda: other.wire.code == CloseCode.GOING_AWAY)


async def test_a_server_in_another_thread_is_reached(open_tab, user):
    """A live server runs in a thread: a synchronous test calls, and the hub's event loop executes it."""
    tab = await open_tab(user)
    with lose_rings():
        await notify.asend(user, "Hello")
    assert await asyncio.to_thread(sweep) == 1
    await until(lambda: tab.shown == ["Hello"])
    assert await asyncio.to_thread(close_connections, user.pk) == 1
    await until(lambda: tab.wire.code == CloseCode.GOING_AWAY)


async def test_the_wrong_sweep_says_which_is_right(hub):
    with pytest.raises(RuntimeError, match=r"await notify\.testing\.asweep"):
        sweep()


def test_a_hub_that_an_earlier_test_left_behind_is_not_asked(user, settings):
    """Its loop does not run any more, so it would never answer."""
    settings.CHANNEL_LAYERS = {}

    async def leave_one() -> Hub:
        return Hub.here()

    loop = asyncio.new_event_loop()
    left = loop.run_until_complete(leave_one())
    assert (sweep(), close_connections()) == (0, 0)
    loop.run_until_complete(Hub.close_here())
    loop.close()
    assert left.loop is loop


@pytest.mark.django_db(transaction=True)
def test_what_tasks_have_said_is_waited_for(user):
    with notify.progress(user, "Importing"):
        pass
    assert flush()
    assert_notified(user, "Finished.", title="Importing")


def test_without_a_hub_there_is_nothing_to_do(user):
    notify.send(user, "Hello")
    assert (sweep(), close_connections(), close_connections(user)) == (0, 0, 0)


# -- A plain TestCase ----------------------------------------------------------------------------


async def wrapped(scope: Any, receive: Any, send: Any) -> None:
    """The project's own application."""


@override_settings(NOTIFY_THREADS=0, CHANNEL_LAYERS={}, NOTIFY_SWEEP_INTERVAL=3600)
class SocketTestCase(TestCase):
    """Shows how a project tests that its pages work without rings."""

    setUp = make_carol

    async def open(self) -> WebsocketCommunicator:
        cookie = f"sessionid={self.async_client.cookies['sessionid'].value}"
        headers = [
            (b"cookie", cookie.encode()),
            (b"host", b"testserver"),
            (b"origin", b"http://testserver"),
        ]
        tab = WebsocketCommunicator(notify_asgi(wrapped), "/notify/ws/", headers)
        await tab.connect()
        assert (await tab.receive_json_from(PATIENCE))["type"] == "welcome"
        return tab

    async def test_a_sweep_repairs_in_the_transaction_of_the_test(self) -> None:
        await self.async_client.aforce_login(self.user)
        tab = await self.open()
        with lose_rings():
            await notify.asend(self.user, "Hello")
        assert await tab.receive_nothing()
        assert await asweep() == 1
        changes = await tab.receive_json_from(PATIENCE)
        assert [row["message"] for row in changes["notifications"]] == ["Hello"]
        await tab.disconnect()

    async def test_a_tab_that_is_sent_away_comes_back(self) -> None:
        await self.async_client.aforce_login(self.user)
        tab = await self.open()
        assert close_connections(self.user) == 1
        closed = {"type": "websocket.close", "code": 4000, "reason": "going_away"}
        assert await tab.receive_output(PATIENCE) == closed
        await tab.disconnect()
        tab = await self.open()
        await tab.disconnect()


class PlainTestCase(TestCase):
    """Shows how a project tests without pytest."""

    setUp = make_carol

    def test_a_send_is_published_at_once(self) -> None:
        """The transaction of the test case does not count."""
        assert notify.send(self.user, "Hello").position == 1
        assert notify.inbox.counts(self.user) == (1, 1)
        assert_notified(self.user, "Hello", level="info")

    def test_a_send_in_a_transaction_is_published_by_its_callbacks(self) -> None:
        with self.captureOnCommitCallbacks(execute=True) as callbacks, transaction.atomic():
            notify.send(self.user, "Your export is ready", level="success")
            assert notify.inbox.counts(self.user) == (0, 0)
        assert len(callbacks) == 1
        assert notify.inbox.counts(self.user) == (1, 1)
        assert_notified(self.user, "export is ready", level="success")

    def test_what_waits_was_sent_too(self) -> None:
        """A test that forgets the callbacks still sees the sent notifications."""
        with transaction.atomic():
            notify.send(self.user, "Hello")
        assert_notified(self.user, "Hello", position=None)

    def test_a_rollback_sends_nothing(self) -> None:
        with transaction.atomic():
            notify.send(self.user, "Hello")
            transaction.set_rollback(True)
        assert_not_notified(self.user)
        assert sent() == []


# -- Actions -------------------------------------------------------------------------------------


def undo(user: Any, notification: Any, order: int) -> str:
    if order == 8:
        raise LookupError("no order 8")
    return f"Order {order} is back."


@pytest.mark.parametrize("action", ["Undo", 1])
def test_an_action_is_taken_by_its_label_or_index(action, user):
    with handled(undo):
        row = offer(user)
        outcome = act(user.pk, row, action)
        assert outcome == notify.Outcome("Order 7 is back.")
        assert act(user, row, "Delete") == outcome
    row.refresh_from_db()
    assert row.acted_at is not None


def test_an_exception_of_the_handler_is_raised(user):
    with handled(undo), pytest.raises(LookupError, match="no order 8"):
        act(user, offer(user), "Delete")


def test_an_action_that_is_not_there_is_named(user, other_user):
    with handled(undo):
        row = offer(user)
    for wrong in ("Open", "undo", 0, 7):
        with pytest.raises(AssertionError, match="It has: 'Undo', 'Delete'"):
            act(user, row, wrong)
    with pytest.raises(AssertionError, match="It has: none"):
        act(user, notify.send(user, "plain"), "Undo")
    with pytest.raises(ActionGone):
        act(other_user, row, "Undo")


def test_content_that_was_replaced_is_gone(user):
    with handled(undo):
        row = offer(user, key="k")
        offer(user, key="k")
        with pytest.raises(ActionGone):
            act(user, row, "Undo")


@pytest.mark.django_db(transaction=True)
def test_an_action_of_a_row_that_was_sent_in_a_transaction(user):
    """It has no position when send() returns, and stands for the present content of its row."""
    with handled(undo):
        with transaction.atomic():
            row = offer(user)
        assert row.arrived is None
        assert async_to_sync(aact)(user, row, "Undo").message == "Order 7 is back."
