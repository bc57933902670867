"""The hub between rings and connections. Most invariants of a push server are tested here."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import weakref
from contextvars import ContextVar, copy_context
from functools import partial

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

import notify
from notify import doorbell, inbox, installation, signals
from notify.auth import session as auth
from notify.auth.session import Visitor
from notify.live import hub as hub_module
from notify.live import limits, membership
from notify.live.hub import Hub
from notify.live.room import Room
from notify.live.source import MAILBOXES
from notify.mailbox import integrity
from notify.models import Mailbox, Notification
from notify.protocol import CloseCode, Cursor, new_epoch
from notify.runtime import background, executor
from notify.runtime.executor import in_executor
from notify.tracking import ticks
from notify.tracking.run import StoredTask, TaskRun
from tests.kit.fakes import (
    Tab,
    Wire,
    at,
    document,
    errors_of,
    in_thread,
    settle,
    start_thread,
    until,
)
from tests.kit.mailboxes import age
from tests.kit.patience import PATIENCE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quiet")]
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
async def hub(quiet):
    return Hub.here()


@pytest.fixture
async def far_hub(layer, hub):
    """A hub that its process does not ring directly, as if the sender were in another process."""
    doorbell.hubs.discard(hub)
    await until(lambda: hub.membership.channel)
    return hub


@pytest.fixture
def open_tab(hub):
    """Returns a function that opens a tab of a user and waits for its welcome."""
    return partial(Tab.open, hub)


def in_database(function):
    """Run a query from the test's own loop."""
    return sync_to_async(function)()


# -- Delivery ------------------------------------------------------------------------------------


async def test_every_tab_of_the_user_shows_it_and_nobody_elses(open_tab, user, other_user):
    tabs = [await open_tab(user) for _ in range(3)]
    stranger = await open_tab(other_user)
    await notify.asend(user, "Hello")
    await until(lambda: all(tab.shown == ["Hello"] for tab in tabs))
    await settle()
    assert stranger.shown == []
    assert stranger.wire.types == ["welcome"]


async def test_a_tab_that_opens_later_finds_it(open_tab, user):
    await notify.asend(user, "Hello")
    assert (await open_tab(user)).shown == ["Hello"]


async def test_a_tab_that_comes_back_gets_what_it_missed(open_tab, hub, user):
    tab = await open_tab(user)
    await notify.asend(user, "one")
    await until(lambda: tab.shown == ["one"])
    await hub.leave(tab.connection)
    await notify.asend(user, "two")
    again = await open_tab(user, since=tab.cursor)
    assert again.shown == ["two"]
    assert again.resets == 0


async def test_more_than_a_page_arrives_complete(open_tab, user, monkeypatch):
    monkeypatch.setattr("notify.inbox.reader.PAGE_SIZE", 10)
    first = await open_tab(user)
    await notify.asend(user, "0")
    await until(lambda: first.cursor)
    since = first.cursor
    await sync_to_async(lambda: [notify.send(user, str(n)) for n in range(1, 45)])()
    late = await open_tab(user, since=since)
    expected = [str(n) for n in range(1, 45)]
    await until(lambda: late.shown == expected)
    assert late.gaps == 0
    await until(lambda: first.shown == ["0", *expected])


async def test_a_transaction_of_more_than_a_hundred_rows_arrives_by_a_read(open_tab, user):
    """Invariant 10: its ring has no document."""
    tab = await open_tab(user)
    await notify.asend(user, "first")

    def send_many():
        from django.db import transaction

        with transaction.atomic():
            for n in range(120):
                notify.send(user, str(n))

    await sync_to_async(send_many)()
    await until(lambda: tab.shown == ["first", *map(str, range(120))])


async def test_a_user_without_a_mailbox_gets_a_welcome_and_then_the_first(open_tab, user):
    tab = await open_tab(user)
    assert tab.cursor is None
    await notify.asend(user, "Hello")
    await until(lambda: tab.shown == ["Hello"])
    await settle()
    assert tab.gaps == 0


async def test_a_restored_database_starts_the_tabs_over(open_tab, hub, user):
    """A cursor beyond the head shows that positions are being assigned again, so all tabs start over."""
    await notify.asend(user, "one")
    await in_database(lambda: age(user))
    tab = await open_tab(user)
    await notify.asend(user, "two")
    await until(lambda: tab.shown == ["one", "two"])

    def restore():
        two = Notification.objects.get(message="two")
        Mailbox.objects.update(head=two.position - 1)
        two.delete()

    await in_database(restore)
    await hub.leave(tab.connection)
    again = await open_tab(user, since=tab.cursor)
    assert again.resets == 1
    assert again.shown == ["one"]
    assert again.cursor > tab.cursor
    await notify.asend(user, "three")
    await until(lambda: again.shown == ["one", "three"])


async def test_a_room_above_its_mailboxs_epoch_does_not_stay_deaf(open_tab, hub, user):
    """An epoch that no clock can have created was repaired: the tabs come back, and get a new welcome."""
    await notify.asend(user, "one")
    await in_database(lambda: Mailbox.objects.update(epoch="v" * 17))
    tab = await open_tab(user)
    await in_database(lambda: list(integrity.check(fix=True)))
    await hub.sweep.once()
    await until(lambda: tab.wire.code)
    assert tab.wire.code == CloseCode.GOING_AWAY
    await hub.leave(tab.connection)
    again = await open_tab(user, since=tab.cursor)
    await notify.asend(user, "two")
    await until(lambda: again.shown == ["one", "two"])


# -- Invariant 1: one hub for each running loop --------------------------------------------------


async def test_invariant_1_a_loop_has_one_hub(hub):
    assert Hub.here() is hub


async def test_invariant_1_two_loops_in_one_process_have_two_hubs(open_tab, hub, user):
    """Some servers run one loop in each of several threads. A send reaches the tabs of both loops."""
    near = await open_tab(user)
    found = {}
    ready = threading.Event()

    async def other_loop():
        other = found["hub"] = Hub.here()
        tab = found["tab"] = Tab(other, user)
        await other.connect(tab.connection, None)
        await until(lambda: tab.wire.frames)
        ready.set()
        await until(lambda: tab.shown)
        await Hub.close_here()

    thread = start_thread(lambda: asyncio.run(other_loop()))
    await until(ready.is_set)
    assert found["hub"] is not hub
    assert found["hub"].loop is not hub.loop
    await notify.asend(user, "Hello")
    await until(lambda: near.shown and not thread.is_alive())
    assert near.shown == found["tab"].shown == ["Hello"]


@forks
async def test_invariant_1_a_child_process_makes_a_hub_of_its_own(hub):
    """The parent's hub is not rung there, because its loop does not run in the child."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:

            async def check():
                assert doorbell.hubs == set()
                own = Hub.here()
                assert own is not hub
                assert own.loop is asyncio.get_running_loop()
                assert doorbell.hubs == {own}
                await Hub.close_here()
                return 42

            code = asyncio.run(check())
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    assert Hub.here() is hub
    assert hub in doorbell.hubs


async def test_a_hub_whose_loop_was_closed_is_forgotten(user):
    """This includes a loop that was closed without close_here()."""

    async def begin():
        hub = Hub.here()
        for task in hub._tasks:
            task.cancel()
        return hub

    hub = in_thread(lambda: asyncio.run(begin()))
    assert hub in doorbell.hubs
    await notify.asend(user, "Hello")
    assert hub not in doorbell.hubs
    gone = weakref.ref(hub.loop)
    del hub
    gc.collect()
    assert gone() is None


async def test_a_hub_keeps_nothing_of_the_request_that_has_made_it(layer):
    """Its tasks outlive that request, and serve users with another language, trace and thread."""
    current: ContextVar[object] = ContextVar("current")

    class Request:
        pass

    async def handle() -> weakref.ref[Request]:
        request = Request()
        current.set(request)
        hub = Hub.here()
        await until(lambda: hub.membership and hub.membership.channel)
        return weakref.ref(request)

    request = await asyncio.ensure_future(handle())
    try:
        await settle()
        gc.collect()
        assert request() is None
    finally:
        await Hub.close_here()


async def test_what_a_hub_runs_has_no_variables_but_those_it_is_given(hub):
    current: ContextVar[str] = ContextVar("current", default="none")

    async def see() -> str:
        return current.get()

    current.set("of the request")
    assert await hub.spawn(see()) == "none"
    assert await hub.spawn(see(), copy_context()) == "of the request"


async def test_hubs_whose_loops_were_closed_are_forgotten_when_another_is_made():
    """
    This matters in processes that send nothing, such as a test suite or one with a thread for each
    task.
    """

    async def begin():
        hub = Hub.here()
        for task in hub._tasks:
            task.cancel()

    for _ in range(3):
        in_thread(lambda: asyncio.run(begin()) or True)
    alive = Hub.here()
    closed = [loop for loop in Hub._hubs if loop.is_closed()]
    assert closed == []
    assert doorbell.hubs == {alive}
    await Hub.close_here()


async def test_what_is_given_to_a_busy_loop_is_bounded(quiet, user, other_user, monkeypatch):
    """Dropped sends are found by a read of each room."""
    monkeypatch.setattr(hub_module, "MAX_HANDED", 3)
    hub = Hub.here()
    tabs = [Tab(hub, user), Tab(hub, other_user)]
    for tab in tabs:
        await hub.connect(tab.connection, None)
        await until(lambda tab=tab: tab.wire.frames)

    def send():
        notify.send(other_user, "first")
        for n in range(20):
            notify.send(user, str(n))
        return True

    assert in_thread(send)  # the loop is blocked meanwhile
    assert len(hub._handed) == 3
    await until(lambda: tabs[1].shown == ["first"])
    await until(lambda: tabs[0].shown == [str(n) for n in range(20)])
    await Hub.close_here()


# -- Invariant 3: join, then read, then welcome --------------------------------------------------


async def test_invariant_3_the_group_is_joined_before_the_rows_are_read(
    far_hub, layer, user, monkeypatch
):
    members = []
    read = inbox.changes
    group = doorbell.group_of(str(user.pk))

    def spy(*args):
        members.append(layer.members(group))
        return read(*args)

    monkeypatch.setattr(inbox, "changes", spy)
    tab = Tab(far_hub, user)
    await far_hub.connect(tab.connection, None)
    assert members[0] == 1


@pytest.mark.parametrize("moment", ["before the read", "after the read"])
@pytest.mark.parametrize("known", [False, True], ids=["new tab", "tab with a cursor"])
@pytest.mark.parametrize("through", ["hand", "layer"])
async def test_invariant_3_a_ring_during_the_handshake_is_shown_once(
    moment, known, through, user, request, monkeypatch
):
    """Between join and read, the page includes it. Between read and welcome, it is held."""
    if through == "layer":
        request.getfixturevalue("layer")
    await notify.asend(user, "earlier")
    since = (await inbox.achanges(user)).cursor if known else None
    hub = Hub.here()
    if through == "layer":
        doorbell.hubs.discard(hub)
        await until(lambda: hub.membership.channel)
    read = inbox.changes
    sent = []

    def interrupted(*args):
        if moment == "after the read":
            page = read(*args)
        if not sent:
            sent.append(1)
            notify.send(user, "meanwhile")
            notify.send(user, "and again")
            background.flush(PATIENCE)
        return page if moment == "after the read" else read(*args)

    monkeypatch.setattr(inbox, "changes", interrupted)
    tab = Tab(hub, user)
    tab.cursor = since
    await hub.connect(tab.connection, since)
    expected = ["meanwhile", "and again"] if known else ["earlier", "meanwhile", "and again"]
    await until(lambda: tab.shown == expected)
    await settle()
    assert tab.shown == expected
    assert tab.gaps == 0
    assert tab.wire.types[0] == "welcome"
    await Hub.close_here()


async def test_a_late_tab_does_not_lower_its_room(open_tab, hub, user):
    """Only the read that makes a room sets its cursor. A welcome above it starts a repair."""
    first = await open_tab(user)
    await notify.asend(user, "one")
    await until(lambda: first.shown == ["one"])
    doorbell.hubs.discard(hub)
    await notify.asend(user, "two")  # this ring is lost
    second = await open_tab(user)
    assert second.shown == ["one", "two"]
    await until(lambda: first.shown == ["one", "two"])


async def test_a_tab_welcomed_below_its_room_is_served_the_rest(open_tab, hub, user, monkeypatch):
    """Its read began before a ring that the room has applied."""
    first = await open_tab(user)
    await notify.asend(user, "one")
    await until(lambda: first.shown)
    read = inbox.changes
    stale = await inbox.achanges(user)
    await notify.asend(user, "two")
    await until(lambda: first.shown == ["one", "two"])
    pages = [stale]
    monkeypatch.setattr(inbox, "changes", lambda *args: pages.pop() if pages else read(*args))
    late = await open_tab(user)
    await until(lambda: late.shown == ["one", "two"])


async def test_invariant_3_a_join_that_ends_before_the_read_begins_needs_no_other(
    far_hub, layer, user, monkeypatch, settings
):
    """In a storm, the threads are busy for longer than a handshake waits for its join."""
    settings.NOTIFY_THREADS = 1
    monkeypatch.setattr(executor.workers, "_value", None)
    monkeypatch.setattr(membership, "LAYER_PATIENCE", 0.01)
    await notify.asend(user, "earlier")
    joinable, free = asyncio.Event(), threading.Event()
    add = layer.group_add

    async def slow_add(group, channel):
        if group == doorbell.group_of(str(user.pk)):
            await joinable.wait()
        await add(group, channel)

    layer.group_add = slow_add
    reads = []
    read = inbox.changes
    monkeypatch.setattr(inbox, "changes", lambda *args: reads.append(1) or read(*args))
    busy = asyncio.ensure_future(in_executor(free.wait, PATIENCE))
    tab = Tab(far_hub, user)
    arriving = asyncio.ensure_future(far_hub.connect(tab.connection, None))
    await until(lambda: layer.count("group_add", "notify") and far_hub.rooms)
    await asyncio.sleep(0.05)  # The handshake no longer waits for the join, but for a thread.
    joinable.set()
    await until(lambda: far_hub.rooms[MAILBOXES.name(user.pk)].is_joined)
    free.set()
    await asyncio.gather(busy, arriving)
    await until(lambda: tab.shown == ["earlier"])
    await settle()
    assert len(reads) == 1


async def test_invariant_3_a_join_that_ends_after_the_read_began_reads_again(
    far_hub, layer, user, monkeypatch
):
    """A commit between the read and the join rang in none of this hub's groups."""
    monkeypatch.setattr(membership, "LAYER_PATIENCE", 0.01)
    monkeypatch.setattr(membership, "LAYER_TIMEOUT", PATIENCE)
    await notify.asend(user, "earlier")
    joinable = asyncio.Event()
    add = layer.group_add

    async def slow_add(group, channel):
        if group == doorbell.group_of(str(user.pk)):
            await joinable.wait()
        await add(group, channel)

    layer.group_add = slow_add
    read = inbox.changes
    interrupted = []

    def changes(*args):
        page = read(*args)
        if not interrupted:
            interrupted.append(1)
            notify.send(user, "meanwhile")
            assert background.flush(PATIENCE)
            far_hub.loop.call_soon_threadsafe(joinable.set)
            deadline = time.monotonic() + PATIENCE
            while not layer.members(doorbell.group_of(str(user.pk))):
                assert time.monotonic() < deadline, "The group was not joined."
                time.sleep(0.001)
        return page

    monkeypatch.setattr(inbox, "changes", changes)
    tab = Tab(far_hub, user)
    await far_hub.connect(tab.connection, None)
    await until(lambda: tab.shown == ["earlier", "meanwhile"])


# -- Invariant 4: joins and leaves ---------------------------------------------------------------


async def test_many_tabs_are_one_membership(far_hub, layer, open_tab, user):
    """There is one ring too, and each tab gets the same text."""
    tabs = [await open_tab(user) for _ in range(5)]
    group = doorbell.group_of(str(user.pk))
    assert layer.count("group_add", group) == 1
    await notify.asend(user, "Hello")
    await until(lambda: all(tab.shown == ["Hello"] for tab in tabs))
    assert layer.count("group_send", group) == 1
    for tab in tabs[:-1]:
        await far_hub.leave(tab.connection)
    assert layer.members(group) == 1
    await far_hub.leave(tabs[-1].connection)
    assert layer.members(group) == 0
    assert far_hub.rooms == {}


async def test_invariant_4_comings_and_goings_end_in_what_is_true(far_hub, layer, open_tab, user):
    """Tabs come and go at once, on a layer that takes time for each call."""

    async def slowly(name, group, call=layer._call):
        await asyncio.sleep(0)
        await call(name, group)
        await asyncio.sleep(0.001)

    layer._call = slowly
    group = doorbell.group_of(str(user.pk))

    async def come_and_go():
        tab = await open_tab(user)
        await far_hub.leave(tab.connection)

    for _ in range(3):
        await asyncio.gather(*(come_and_go() for _ in range(6)))
    assert layer.members(group) == 0
    assert far_hub.rooms == {}
    tabs = await asyncio.gather(open_tab(user), come_and_go(), open_tab(user), come_and_go())
    assert layer.members(group) == 1
    await notify.asend(user, "Hello")
    await until(lambda: tabs[0].shown == tabs[2].shown == ["Hello"])


async def test_invariant_4_a_tab_that_leaves_while_its_group_is_being_joined(far_hub, layer, user):
    """The leave waits for the join. Otherwise the join would come last, and last forever."""
    gate = asyncio.Event()
    add = layer.group_add

    async def slow_add(group, channel):
        await gate.wait()
        await add(group, channel)

    layer.group_add = slow_add
    tab = Tab(far_hub, user)
    arriving = far_hub.spawn(far_hub.connect(tab.connection, None))
    await until(lambda: far_hub.rooms and next(iter(far_hub.rooms.values())).group_lock.locked())
    arriving.cancel()
    leaving = far_hub.spawn(far_hub.leave(tab.connection))
    await settle()
    assert not leaving.done()
    gate.set()
    await leaving
    assert layer.members(doorbell.group_of(str(user.pk))) == 0
    assert far_hub.rooms == {}


async def test_a_room_that_is_not_the_one_of_its_name_takes_nothing_with_it(hub, open_tab, user):
    await open_tab(user)
    (room,) = hub.rooms.values()
    await hub._close(Room(MAILBOXES, user.pk, hub.spawn, hub.turns))
    assert hub.rooms == {room.name: room}


async def test_leaving_twice_is_leaving_once(open_tab, hub, user):
    tab, other = await open_tab(user), await open_tab(user)
    await hub.leave(tab.connection)
    await hub.leave(tab.connection)
    assert list(hub.connections()) == [other.connection]


async def test_invariant_4_a_tab_that_comes_while_its_group_is_being_left_keeps_the_room(
    far_hub, layer, open_tab, user
):
    tab = await open_tab(user)
    (room,) = far_hub.rooms.values()
    gate, reached = asyncio.Event(), asyncio.Event()
    discard = layer.group_discard

    async def slow_discard(group, channel):
        reached.set()
        await gate.wait()
        await discard(group, channel)

    layer.group_discard = slow_discard
    leaving = far_hub.spawn(far_hub.leave(tab.connection))
    await reached.wait()
    late = Tab(far_hub, user)
    arriving = far_hub.spawn(far_hub.connect(late.connection, None))
    await until(lambda: room.connections)
    gate.set()
    await leaving
    await arriving
    assert far_hub.rooms == {room.name: room}
    await notify.asend(user, "Hello")
    await until(lambda: late.shown == ["Hello"])


async def test_a_room_whose_client_comes_back_is_kept_for_a_moment(
    far_hub, layer, user, monkeypatch
):
    """A long poll leaves with each answer, and would otherwise join its group for each question."""
    monkeypatch.setattr(hub_module, "LINGER", 3600)
    group = doorbell.group_of(str(user.pk))
    lingering = []
    for _ in range(2):
        tab = await Tab.open(far_hub, user)
        tab.connection.comes_back = True
        await far_hub.leave(tab.connection)
        (room,) = far_hub.rooms.values()
        lingering.append(room.lingering)
    assert layer.count("group_add", group) == 1
    await until(lambda: lingering[0].cancelled())
    assert not lingering[1].done()
    monkeypatch.setattr(hub_module, "LINGER", 0)
    tab = await Tab.open(far_hub, user)
    tab.connection.comes_back = True
    await far_hub.leave(tab.connection)
    await until(lambda: far_hub.rooms == {})
    assert layer.members(group) == 0


# -- Visits --------------------------------------------------------------------------------------


class Sender:
    """A transport."""


async def test_a_visit_is_welcomed_and_ends_with_its_block(hub, user):
    wire = Wire()
    async with hub.visit(Visitor(user.pk, ""), wire, None, Sender) as connection:
        await until(lambda: wire.types == ["welcome"])
        assert list(hub.connections()) == [connection]
    assert hub.rooms == {}


async def test_a_visit_that_fails_leaves_its_room_too(hub, user):
    async def visit():
        async with hub.visit(Visitor(user.pk, ""), Wire(), None, Sender) as connection:
            await until(lambda: connection.sent)
            raise ZeroDivisionError

    await notify.asend(user, "Hello")
    with pytest.raises(ZeroDivisionError):
        await visit()
    assert hub.rooms == {}


async def test_a_visit_whose_welcome_cannot_be_read_is_sent_away(hub, user, monkeypatch):
    """The client comes back, perhaps to a process that reaches the database."""
    monkeypatch.setattr(inbox, "changes", lambda *args: 1 / 0)
    wire = Wire()
    with errors_of(signals.connect_failed) as errors:
        async with hub.visit(Visitor(user.pk, ""), wire, None, Sender):
            await until(lambda: wire.code)
    assert wire.code == CloseCode.GOING_AWAY
    assert [type(error) for error in errors] == [ZeroDivisionError]


async def test_a_visit_that_begins_during_the_drain_is_sent_away(hub, user):
    """It was signed in before the drain began, so the drain did not find it among the connections."""
    assert not Hub.is_draining_here()
    hub.is_draining = True
    assert Hub.is_draining_here()
    wire = Wire()
    async with hub.visit(Visitor(user.pk, ""), wire, None, Sender):
        await until(lambda: wire.code)
        assert hub.rooms == {}
    assert wire.code == CloseCode.GOING_AWAY
    assert wire.frames == []


async def test_to_ask_whether_a_loop_drains_makes_no_hub(quiet):
    assert not Hub.is_draining_here()
    assert Hub.everywhere() == []


# -- Layers out of order -------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["raise", "hang"])
async def test_a_handshake_neither_fails_nor_hangs_for_the_layers_sake(
    settings, user, fault, monkeypatch
):
    """It is served from the rows. The membership follows when the layer is back."""
    monkeypatch.setattr(doorbell, "RING_TIMEOUT", 0.1)
    monkeypatch.setattr(membership, "LAYER_TIMEOUT", 0.1)
    monkeypatch.setattr(membership, "LAYER_PATIENCE", 0.05)
    monkeypatch.setattr(membership, "CANARY_INTERVAL", 0.1)
    monkeypatch.setattr(membership.random, "uniform", lambda low, high: low)
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "tests.kit.fakes.Layer", "CONFIG": {"fault": fault}}
    }
    layer = get_channel_layer()
    await notify.asend(user, "before")
    hub = Hub.here()
    tabs = [Tab(hub, user) for _ in range(3)]
    for tab in tabs:
        await asyncio.wait_for(hub.connect(tab.connection, None), PATIENCE)
    await until(lambda: all(tab.shown == ["before"] for tab in tabs))
    layer.fault = None
    doorbell.hubs.discard(hub)
    await until(lambda: layer.members(doorbell.group_of(str(user.pk))))
    await notify.asend(user, "after")
    await until(lambda: all(tab.shown == ["before", "after"] for tab in tabs))
    layer.fault = fault
    for tab in tabs:
        await asyncio.wait_for(hub.leave(tab.connection), PATIENCE)
    await asyncio.wait_for(Hub.close_here(), PATIENCE)
    assert background.flush(PATIENCE)


@pytest.mark.parametrize("backend", ["tests.kit.fakes.UnmakeableLayer", "no.such.Layer"])
async def test_a_layer_that_cannot_be_made_is_no_layer(settings, backend, user):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend}}
    hub = Hub.here()
    tab = Tab(hub, user)
    await hub.connect(tab.connection, None)
    await notify.asend(user, "Hello")
    await until(lambda: tab.shown == ["Hello"])
    await Hub.close_here()


async def test_with_the_layer_in_memory_the_document_goes_by_hand(settings, user):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    hub = Hub.here()
    assert hub.membership is None
    tab = Tab(hub, user)
    await hub.connect(tab.connection, None)
    await notify.asend(user, "Hello")
    await until(lambda: tab.shown == ["Hello"])
    await Hub.close_here()


async def test_invariant_2_a_garbage_ring_disturbs_nobody(far_hub, layer, open_tab, user):
    """Rings of another version and incomplete rings are ignored. The next valid one arrives."""
    tab = await open_tab(user)
    await notify.asend(user, "one")
    await until(lambda: tab.shown == ["one"])
    far, near = str(at(10**6, new_epoch())), str(tab.cursor)
    for rings in (
        None,
        7,
        [None],
        [["1"]],
        [[str(user.pk), near, far, 1, 1, 5]],
        [[str(user.pk), near, far, 1, 1, ["row"]]],
        [[str(user.pk), near, far, "1", 1, "{}"]],
        [[str(user.pk), "x", "y", 1, 1, ""]],
    ):
        layer.inject(doorbell.message(doorbell.RING, rings=rings))
    layer.inject(doorbell.message(doorbell.KICK))
    layer.inject(doorbell.message(doorbell.TICK, ticks=[[str(user.pk), 7]]))
    await notify.asend(user, "two")
    await until(lambda: tab.shown == ["one", "two"])


async def test_messages_of_another_site_reach_no_tab(
    far_hub, layer, open_tab, user, settings, monkeypatch
):
    """A copy of the site has the same users, epochs and positions. Its own changes stay its own."""
    tab = await open_tab(user)
    await notify.asend(user, "one")
    await until(lambda: tab.shown == ["one"])
    cursor = await sync_to_async(lambda: Mailbox.objects.get().cursor)()
    following = cursor._replace(position=cursor.position + 1)
    forged = document(5, 6)._replace(since=cursor, cursor=following, head=following.position)

    def foreign():
        name = str(user.pk)
        yield doorbell.message(doorbell.RING, rings=[doorbell.pack(name, forged)])
        yield doorbell.message(doorbell.TICK, ticks=[[name, '{"type":"tick","ticks":[]}']])
        yield doorbell.message(doorbell.KICK, recipient=name, session=None)

    with errors_of(signals.ring_ignored) as errors:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(installation, "database_id", lambda: "the copy")
            messages = list(foreign())
        settings.SECRET_KEY, own = "another", settings.SECRET_KEY
        messages += foreign()
        settings.SECRET_KEY = own
        for message in messages:
            layer.inject(message)
        await until(lambda: len(errors) == 6)
    await notify.asend(user, "two")
    await until(lambda: tab.shown == ["one", "two"])
    assert tab.wire.code is None
    assert "tick" not in tab.wire.types


async def test_a_ring_over_another_address_of_the_database_makes_the_room_read(
    far_hub, layer, open_tab, user, monkeypatch
):
    """The sender may be a worker of this site, so its news must not wait for the sweep."""
    tab = await open_tab(user)
    await notify.asend(user, "one")
    await until(lambda: tab.shown == ["one"])

    async def lose(group, message):
        """A worker's ring goes another way."""

    layer.group_send = lose
    await notify.asend(user, "two")
    nobody = doorbell.pack("0", document(5, 6))
    ring = doorbell.pack(str(user.pk), document(5, 6))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(installation, "database_id", lambda: "by another name")
        message = doorbell.message(doorbell.RING, rings=[nobody, ring])
    layer.inject(message)
    await until(lambda: tab.shown == ["one", "two"])


async def test_invariant_14_a_group_may_be_shared_with_a_consumer_of_ones_own(
    far_hub, layer, open_tab, user, caplog
):
    """The hub ignores the messages of others, and a consumer can handle the type of the ring."""
    tab = await open_tab(user)
    group = doorbell.group_of(str(user.pk))
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    await layer.group_send(group, {"type": "chat.message", "text": "hi"})
    assert (await layer.receive(channel))["type"] == "chat.message"
    await notify.asend(user, "Hello")
    await until(lambda: tab.shown == ["Hello"])
    assert (await layer.receive(channel))["type"].replace(".", "_") == "notify_ring"
    assert caplog.text == ""


async def test_what_was_given_by_hand_is_not_taken_again_from_the_layer(
    layer, hub, open_tab, user, monkeypatch
):
    """The hub of the sending process receives its own ring from the layer, and has it already."""
    tab = await open_tab(user)
    rings = []
    ring = hub.ring
    monkeypatch.setattr(hub, "ring", lambda rung: rings.append(1) or ring(rung))
    await notify.asend(user, "Hello")
    await until(lambda: tab.shown == ["Hello"])
    assert background.flush(PATIENCE)
    assert await hub.membership.canary_comes_back()  # it was sent after the ring
    assert rings == [1]


async def test_many_recipients_are_rung_through_the_common_group(
    far_hub, layer, open_tab, user, make_user, monkeypatch
):
    monkeypatch.setattr("notify.doorbell.COMMON_RING_FROM", 2)
    tab = await open_tab(user)
    others = [await sync_to_async(make_user)(f"user{n}") for n in range(3)]
    await notify.asend_many([user, *others], "Hello")
    await until(lambda: tab.shown == ["Hello"])
    assert layer.count("group_send", "notify.user") == 0


# -- Invariant 9: back-pressure ------------------------------------------------------------------


async def test_invariant_9_a_slow_tab_beside_a_fast_one(open_tab, user, monkeypatch):
    """The fast one misses nothing. The slow one overflows, stays open, and is complete in the end."""
    monkeypatch.setattr("notify.live.room.COALESCE", 0)
    monkeypatch.setattr(limits, "QUEUE_MAX_FRAMES", 4)
    fast, slow = await open_tab(user), await open_tab(user)
    slow.wire.hold()
    texts = [str(n) for n in range(60)]
    for text in texts:
        await notify.asend(user, text)
        assert len(slow.connection._queue) <= 4
    await until(lambda: fast.shown == texts)
    assert slow.shown == []
    slow.wire.flow()
    await until(lambda: slow.shown == texts)
    assert slow.wire.code is None
    assert slow.gaps == 0
    assert slow.cursor == fast.cursor


async def test_invariant_9_a_send_that_always_suspends_closes_nobody(open_tab, user, monkeypatch):
    """As with granian's send, bursts overflow its queue, but it is complete in the end."""
    monkeypatch.setattr("notify.live.room.COALESCE", 0)
    monkeypatch.setattr(limits, "QUEUE_MAX_FRAMES", 2)
    tabs = [await open_tab(user, suspends=True) for _ in range(2)]
    texts = [str(n) for n in range(40)]
    await sync_to_async(lambda: [notify.send(user, text) for text in texts])()
    await until(lambda: all(tab.shown == texts for tab in tabs))
    assert [tab.wire.code for tab in tabs] == [None, None]


async def test_invariant_9_a_tab_that_answers_no_ping_is_not_sent_without_end(
    open_tab, user, monkeypatch
):
    """The server buffers without bound. Once the tab answers, it is served the rest."""
    monkeypatch.setattr(limits, "UNANSWERED_MAX_CHARACTERS", 8_000)
    monkeypatch.setattr(limits, "QUEUE_MAX_FRAMES", 4)
    monkeypatch.setattr("notify.live.room.COALESCE", 0)
    fast, mute = await open_tab(user), await open_tab(user)
    mute.answers = False
    texts = [str(n) for n in range(200)]
    for text in texts:
        await notify.asend(user, text)
    await until(lambda: fast.shown == texts)
    page = 100 * 600  # The last frame within the window may be a whole page of rows.
    assert len(str(mute.wire.frames)) < 8_000 + page < len(str(fast.wire.frames))
    assert len(mute.connection._queue) <= 4
    mute.answers = True
    mute.connection.answered(mute.connection._ref)
    await until(lambda: mute.shown == texts)
    assert mute.gaps == 0


async def test_a_tab_that_asks_again_is_served_from_there(open_tab, user):
    tab = await open_tab(user)
    for text in ("one", "two"):
        await notify.asend(user, text)
    await until(lambda: tab.shown == ["one", "two"])
    frames = len(tab.wire.frames)
    tab.connection.rewind(None)
    await until(lambda: len(tab.wire.frames) > frames)
    assert tab.wire.frames[-1]["reset"]
    assert [row["message"] for row in tab.wire.frames[-1]["notifications"]] == ["one", "two"]


async def test_a_tab_that_asks_again_while_it_is_read_for_is_read_for_again(
    open_tab, hub, user, monkeypatch
):
    """The running read may have begun before the change that the tab asks for."""
    tab = await open_tab(user)
    await notify.asend(user, "one")
    await until(lambda: tab.shown == ["one"])
    gate = threading.Event()
    read, reads = inbox.changes, []

    def changes(*args):
        page = read(*args)
        reads.append(args)
        assert gate.wait(PATIENCE)
        return page

    monkeypatch.setattr(inbox, "changes", changes)
    hub.catch_up(tab.connection)
    await until(lambda: reads)
    doorbell.hubs.discard(hub)
    await notify.asend(user, "two")  # its ring is lost
    hub.catch_up(tab.connection)
    gate.set()
    await until(lambda: tab.shown == ["one", "two"])


async def test_a_cursor_that_was_never_given_is_sent_back_to_a_welcome(open_tab, user):
    """The cursor is above all positions, so no document would ever be applied again."""
    tab = await open_tab(user)
    await notify.asend(user, "one")
    await until(lambda: tab.shown)
    tab.connection.rewind(Cursor("v" * 17, 5))
    await until(lambda: tab.wire.code)
    assert tab.wire.code == CloseCode.GOING_AWAY


async def test_a_mailbox_that_is_gone_is_not_read_without_end(open_tab, hub, user, monkeypatch):
    """The rows were deleted by hand: a tab below its room finds nothing, and must not read in a loop."""
    first = await open_tab(user)
    await notify.asend(user, "one")
    await until(lambda: first.shown)
    reads = []
    read = inbox.changes
    monkeypatch.setattr(inbox, "changes", lambda *args: reads.append(1) or read(*args))

    def empty():
        Notification.objects.all().delete()
        Mailbox.objects.all().delete()

    await in_database(empty)
    late = await open_tab(user)
    for _ in range(20):  # time for that many reads
        await in_executor(inbox.counts, user)
    assert len(reads) < 6
    await notify.asend(user, "two")
    await until(lambda: late.shown[-1:] == first.shown[-1:] == ["two"])


async def test_a_catch_up_that_fails_lets_the_client_come_back(open_tab, user, monkeypatch):
    tab = await open_tab(user)
    monkeypatch.setattr(inbox, "changes", lambda *args: 1 / 0)
    tab.connection.rewind(None)
    await until(lambda: tab.wire.code)
    assert tab.wire.code == CloseCode.GOING_AWAY


# -- Invariant 13: sessions ----------------------------------------------------------------------


async def test_invariant_13_a_session_that_ends_closes_what_it_has_opened(
    open_tab, user, other_user
):
    """The user's other browsers and other users stay connected."""
    gone, stays, stranger = (
        await open_tab(user, session="one"),
        await open_tab(user, session="two"),
        await open_tab(other_user, session="one"),
    )
    doorbell.kick(user.pk, auth.fingerprint("one"))
    await until(lambda: gone.wire.code)
    await settle()
    assert gone.wire.code == CloseCode.NOT_SIGNED_IN
    assert stays.wire.code is stranger.wire.code is None


async def test_invariant_13_a_logout_elsewhere_comes_through_the_layer(far_hub, open_tab, user):
    tab = await open_tab(user, session="one")
    doorbell.kick(user.pk, auth.fingerprint("one"))
    await until(lambda: tab.wire.code)
    assert tab.wire.code == CloseCode.NOT_SIGNED_IN


async def test_a_kick_ends_all_that_a_user_has_open(open_tab, user, other_user):
    """All connections of the user end for good, whatever their session. Other users stay connected."""
    gone = [await open_tab(user, session=session) for session in ("one", "two", "")]
    stranger = await open_tab(other_user, session="one")
    doorbell.kick(user.pk)
    await until(lambda: all(tab.wire.code for tab in gone))
    await settle()
    assert {tab.wire.code for tab in gone} == {CloseCode.KICKED}
    assert stranger.wire.code is None


async def test_a_kick_elsewhere_comes_through_the_layer(far_hub, open_tab, user, other_user):
    tab, stranger = await open_tab(user, session="one"), await open_tab(other_user)
    doorbell.kick(user.pk)
    await until(lambda: tab.wire.code)
    assert tab.wire.code == CloseCode.KICKED
    assert stranger.wire.code is None


@pytest.mark.parametrize("where", ["hub", "far_hub"])
async def test_a_tick_reaches_the_tabs_of_its_user_here_and_elsewhere(
    where, layer, hub, open_tab, user, other_user
):
    if where == "far_hub":
        doorbell.hubs.discard(hub)
        await until(lambda: hub.membership.channel)
    tab, stranger = await open_tab(user), await open_tab(other_user)
    await in_executor(
        ticks.send, [TaskRun(user.pk, "Importing", stored=StoredTask(pk=7), done=3, total=4)]
    )
    await until(lambda: "tick" in tab.wire.types)
    tick = {"id": 7, "attempt": 1, "done": 3, "total": 4, "message": ""}
    assert tab.wire.frames[1:] == [{"type": "tick", "ticks": [tick]}]
    assert "tick" not in stranger.wire.types


# -- The end -------------------------------------------------------------------------------------


async def test_the_end_of_the_hub_sends_its_clients_elsewhere(layer, user):
    """The clients reconnect. Nothing remains on the loop, in the layer or at the doorbell."""
    hub = Hub.here()
    tab = Tab(hub, user)
    await hub.connect(tab.connection, None)
    await until(lambda: tab.wire.frames)
    await Hub.close_here()
    assert tab.wire.code == CloseCode.GOING_AWAY
    assert hub not in doorbell.hubs
    assert sum(map(len, layer.groups.values())) == 0
    await settle()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    assert Hub.here() is not hub
    await Hub.close_here()


async def test_the_end_of_the_hub_ends_a_read_for_which_rings_wait(user, monkeypatch):
    hub = Hub.here()
    tab = Tab(hub, user)
    await hub.connect(tab.connection, None)
    gate = asyncio.Event()
    monkeypatch.setattr("notify.live.room.in_executor", lambda *args: gate.wait())
    room = hub.rooms[MAILBOXES.name(user.pk)]
    room.repair()
    await settle()
    room.offer(document(5, 6))
    await Hub.close_here()
    assert not hub._tasks


async def test_the_end_of_the_hub_does_not_wait_for_a_layer_that_hangs(layer, monkeypatch):
    """A cancelled receive of channels_redis first unsubscribes, and Redis may be down."""
    monkeypatch.setattr(hub_module, "LEAVE_TIMEOUT", 0.05)
    is_back = asyncio.Event()
    receive = layer.receive

    async def receive_and_unsubscribe(channel):
        try:
            return await receive(channel)
        except asyncio.CancelledError:
            await is_back.wait()
            raise

    monkeypatch.setattr(layer, "receive", receive_and_unsubscribe)
    hub = Hub.here()
    await until(lambda: hub.membership.channel)
    await settle()
    await asyncio.wait_for(Hub.close_here(), PATIENCE)
    assert hub._tasks
    is_back.set()
    await until(lambda: not hub._tasks)


async def test_an_end_without_a_hub_is_none():
    await Hub.close_here()


@pytest.mark.parametrize("heartbeat", [0, -1])
async def test_a_heartbeat_of_nothing_is_still_a_rest(hub, settings, monkeypatch, heartbeat):
    settings.NOTIFY_HEARTBEAT = heartbeat
    rests = []

    async def rest(seconds):
        rests.append(seconds)
        raise asyncio.CancelledError

    with monkeypatch.context() as resting:
        resting.setattr(asyncio, "sleep", rest)
        with pytest.raises(asyncio.CancelledError):
            await hub._beat()
    assert rests == [1.0]


async def test_the_heartbeat_pings_quiet_tabs(user, settings, monkeypatch):
    settings.NOTIFY_HEARTBEAT = 0.02
    monkeypatch.setattr(hub_module, "SHORTEST_BEAT", 0.005)
    await Hub.close_here()
    hub = Hub.here()
    tab = Tab(hub, user)
    await hub.connect(tab.connection, None)
    await until(lambda: tab.wire.types[-1:] == ["ping"])
    assert tab.wire.frames[0]["heartbeat"] == 0.02


# -- A real Redis --------------------------------------------------------------------------------

LAYERS = {
    "pubsub": lambda url: {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [url]},
    },
    "core": lambda url: {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [{"address": url, "socket_timeout": None, "max_connections": 1000}]},
    },
}


@pytest.mark.redis
@pytest.mark.parametrize("kind", LAYERS)
async def test_invariant_7_redis_restarted_empty(kind, redis_server, settings, user, monkeypatch):
    """Changes of the meantime arrive, and then rings arrive as before. No tab is closed."""
    monkeypatch.setattr(membership, "LAYER_TIMEOUT", 0.5)
    monkeypatch.setattr(membership, "CANARY_INTERVAL", 0.3)
    settings.CHANNEL_LAYERS = {"default": LAYERS[kind](redis_server.url)}
    hub = Hub.here()
    doorbell.hubs.discard(hub)
    tab = Tab(hub, user)
    await hub.connect(tab.connection, None)
    await until(lambda: hub.rooms[MAILBOXES.name(user.pk)].is_joined)
    await notify.asend(user, "before")
    await until(lambda: tab.shown == ["before"])
    redis_server.kill()
    await notify.asend(user, "meanwhile")
    await until(lambda: hub.membership.is_dirty)
    redis_server.start()
    await until(lambda: not hub.membership.is_dirty)
    await until(lambda: tab.shown == ["before", "meanwhile"])
    await notify.asend(user, "after")
    await until(lambda: tab.shown == ["before", "meanwhile", "after"])
    assert tab.wire.code is None
    assert tab.gaps == 0
    await Hub.close_here()
