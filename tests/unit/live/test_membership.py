"""The hub's side of the channel layer (invariants 2, 4, 6 and 7), on a layer that fails on request."""

from __future__ import annotations

import asyncio

import pytest

from notify import doorbell, signals
from notify.live import membership
from notify.live.membership import GroupMembership
from notify.live.room import Room
from notify.live.source import MAILBOXES
from notify.live.turns import Turns
from tests.kit.fakes import Layer, at, settle, until


class Connection:
    """A connection in a room."""


class End:
    """A hub with rooms. It records what it has handled."""

    def __init__(self, layer):
        self.layer = layer
        self.rooms = {}
        self.handled = []
        self.tasks = set()
        self.keys_missed = []
        self.membership = GroupMembership(layer, self)

    def spawn(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def handle(self, message):
        self.handled.append(message["text"])

    def missed(self, room):
        self.keys_missed.append(room.key)

    def room(self, name, *, occupied=True):
        room = Room(MAILBOXES, name, self.spawn, Turns(1, self.spawn))
        room = self.rooms.setdefault(room.name, room)
        if occupied:
            room.connections.add(Connection())
        room.make(at(1))
        return room

    async def leave(self, room):
        """Leave a room as the hub does, which alone removes rooms."""
        async with room.group_lock:
            if not room.connections:
                await self.membership.leave(room)
                if not room.connections:
                    del self.rooms[room.name]

    async def hears(self, text):
        """Send a message to the common group, and wait until the hub has handled it."""
        await self.layer.group_send(doorbell.common_group(), {"type": "test", "text": text})
        await until(lambda: text in self.handled)


@pytest.fixture
def patience(monkeypatch):
    monkeypatch.setattr(membership, "LAYER_TIMEOUT", 0.05)
    monkeypatch.setattr(membership, "LAYER_PATIENCE", 0.02)


@pytest.fixture
async def end(patience):
    end = End(Layer())
    end.spawn(end.membership.listen())
    await until(lambda: end.layer.count("receive"))
    await settle()
    yield end
    for task in tuple(end.tasks):
        task.cancel()
    await settle()


# -- Invariant 2: the receive loop is unkillable -------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        7,
        "text",
        {},
        {"type": None},
        {"type": "test"},
        {"type": "notify.canary"},
        ConnectionError("cut"),
        TimeoutError(),
        OSError(),
        ValueError("It cannot be unpacked."),
    ],
    ids=repr,
)
async def test_invariant_2_nothing_ends_the_receive_loop(end, garbage, monkeypatch):
    """After an unknown message, or an error of the layer, the loop continues."""
    monkeypatch.setattr(membership.random, "uniform", lambda low, high: 0.0)
    for _ in range(3):
        end.layer.inject(garbage)
    await end.hears("after it")


async def test_invariant_2_a_layer_that_never_waits_does_not_freeze_the_process(patience):
    """Its garbage is handled message by message, between the other work of the loop."""

    class Babbler(Layer):
        said = 0

        async def receive(self, channel):
            self.said += 1
            return None

    end = End(Babbler())
    listening = end.spawn(end.membership.listen())
    await until(lambda: end.layer.said > 100)
    assert not listening.done()
    listening.cancel()
    await settle()


async def test_strange_messages_are_logged_once(end, caplog):
    for _ in range(50):
        end.layer.inject({"no": "type"})
    await end.hears("after it")
    assert caplog.text.count("could not read") == 1


@pytest.fixture
def faults():
    """The faults that the membership has reported by signals."""
    told = []

    def note_failed(doing, error, **kwargs):
        told.append((doing, str(error)))

    def note_ignored(error, **kwargs):
        told.append(("ignored", repr(error)))

    signals.layer_failed.connect(note_failed)
    signals.ring_ignored.connect(note_ignored)
    yield told
    signals.layer_failed.disconnect(note_failed)
    signals.ring_ignored.disconnect(note_ignored)


async def test_each_strange_message_and_each_error_is_told(end, faults, monkeypatch):
    monkeypatch.setattr(membership.random, "uniform", lambda low, high: 0.0)
    end.layer.inject({"no": "type"})
    end.layer.inject(ConnectionError("cut"))
    await end.hears("after it")
    end.layer.fault = "raise"
    end.membership.is_dirty = False
    await end.membership.join_soon(Room(MAILBOXES, 7, end.spawn, Turns(1, end.spawn)))
    room = end.room("alice")
    await end.membership.join_soon(room)
    assert faults == [
        ("ignored", "KeyError('type')"),
        ("receive", "cut"),
        ("join a group", "The layer is down."),
    ]


InvalidToken = type("InvalidToken", (Exception,), {"__module__": "cryptography.fernet"})


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Unpack failed: incomplete input"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        TypeError("argument of type 'int' is not iterable"),
        KeyError("type"),
        OverflowError(),
        RecursionError(),
        InvalidToken(),
    ],
    ids=repr,
)
async def test_bytes_that_the_layer_cannot_decode_are_no_fault_of_the_layer(
    end, faults, error, monkeypatch
):
    """They cause no pause, and rooms are joined meanwhile. Otherwise anyone could slow all rings down."""
    monkeypatch.setattr(membership.random, "uniform", lambda low, high: 3600.0)
    for _ in range(20):
        end.layer.inject(error)
    await end.hears("after them")
    room = end.room("1")
    await end.membership.join_soon(room)
    assert (room.is_joined, end.membership.is_dirty) == (True, False)
    assert faults == [("ignored", repr(error))] * 20


async def test_a_layer_that_cannot_be_used_as_configured_is_backed_off_from(patience, faults):
    """For example, redis-py raises a ValueError for each use of an address that it cannot parse."""
    layer = Layer()

    async def misconfigured_add(group, channel):
        raise ValueError("Redis URL must specify one of the following schemes")

    layer.group_add = misconfigured_add
    end = End(layer)
    listening = end.spawn(end.membership.listen())
    await until(lambda: faults)
    assert faults[0][0] == "receive"
    assert end.membership.is_dirty
    listening.cancel()
    await settle()


async def test_invariant_2_errors_are_backed_off_from(end, caplog, monkeypatch):
    """A layer that fails at once is called again only after a pause. One line is logged."""
    pauses = []
    sleep = asyncio.sleep

    async def rest(seconds):
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(membership.asyncio, "sleep", rest)
    monkeypatch.setattr(membership.random, "uniform", lambda low, high: high)
    end.layer.fault = "raise"
    end.layer.inject(ConnectionError("cut"))
    while len(pauses) < 8:
        await sleep(0)
    assert pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert caplog.text.count("could not receive") == 1


async def test_a_layer_that_is_down_at_the_start_is_tried_again(patience, monkeypatch):
    monkeypatch.setattr(membership.random, "uniform", lambda low, high: 0.0)
    end = End(Layer(fault="raise"))
    end.spawn(end.membership.listen())
    await until(lambda: end.membership.is_dirty)
    end.room("1")
    end.layer.fault = None
    await until(lambda: end.layer.members(doorbell.group_of("1")))
    await end.hears("back")
    assert end.keys_missed == ["1"]
    for task in tuple(end.tasks):
        task.cancel()
    await settle()


# -- Invariant 4: joining and leaving ------------------------------------------------------------


async def test_a_room_is_joined_once(end):
    """Many tabs of a user make one membership, with one call."""
    room = end.room("1")
    await asyncio.gather(*(end.membership.join_soon(room) for _ in range(10)))
    assert end.layer.count("group_add", doorbell.group_of("1")) == 1
    assert room.is_joined


async def test_a_room_that_is_left_is_given_up(end):
    room = end.room("1")
    await end.membership.join_soon(room)
    room.connections.clear()
    await end.leave(room)
    assert end.layer.members(doorbell.group_of("1")) == 0
    assert end.rooms == {}


async def test_invariant_4_who_comes_while_the_group_is_being_left_is_joined(end):
    """The membership exists in the end, in whatever order the layer executes the two calls."""
    room = end.room("1")
    await end.membership.join_soon(room)
    gate = asyncio.Event()
    discard = end.layer.group_discard

    async def slow_discard(group, channel):
        await gate.wait()
        await discard(group, channel)

    end.layer.group_discard = slow_discard
    room.connections.clear()
    leaving = end.spawn(end.leave(room))
    await settle()
    assert end.room("1") is room  # A tab connects while the room still exists.
    assert not room.is_joined
    joining = end.spawn(end.membership.join_soon(room))
    await settle()
    gate.set()
    await leaving
    await joining
    assert end.rooms == {room.name: room}
    assert room.is_joined
    assert end.layer.members(doorbell.group_of("1")) == 1


async def test_invariant_4_a_group_that_could_not_be_left_is_left_later(end):
    """A failed discard raises nothing, and no membership remains."""
    room = end.room("1")
    await end.membership.join_soon(room)
    room.connections.clear()
    end.layer.fault = "raise"
    await end.leave(room)
    assert end.membership.is_dirty
    assert end.layer.members(doorbell.group_of("1")) == 1
    end.layer.fault = None
    assert await end.membership.canary_comes_back()
    await end.membership.rejoin()
    assert end.layer.members(doorbell.group_of("1")) == 0
    assert end.rooms == {}


async def test_invariant_4_rooms_of_nobody_do_not_pile_up_while_the_layer_is_down(end):
    """Each is dropped at once. Its group is left after the fault, unless the user has come back."""
    rooms = [end.room(name) for name in ("1", "2")]
    for room in rooms:
        await end.membership.join_soon(room)
    end.layer.fault = "raise"
    assert not await end.membership.canary_comes_back()
    for room in rooms:
        room.connections.clear()
        await end.leave(room)
    assert end.rooms == {}
    back = end.room("2")
    await end.membership.rejoin()
    assert end.membership.is_dirty
    end.layer.fault = None
    await end.membership.rejoin()
    assert end.layer.members(doorbell.group_of("1")) == 0
    assert end.layer.members(doorbell.group_of("2")) == 1
    assert back.is_joined
    assert not end.membership._left


async def test_invariant_4_a_group_that_could_not_be_left_is_left_with_the_hub(end):
    room = end.room("1")
    await end.membership.join_soon(room)
    end.layer.fault = "raise"
    room.connections.clear()
    await end.leave(room)
    end.layer.fault = None
    await end.membership.leave_all()
    assert end.layer.members(doorbell.group_of("1")) == 0


async def test_invariant_4_a_rejoin_leaves_the_room_of_who_came_back_meanwhile(end):
    """
    The user loads another page while other rooms are being joined again, which makes a new room of
    the same name.
    """
    first, old = end.room("1"), end.room("2")
    for room in (first, old):
        await end.membership.join_soon(room)
    gate, reached = asyncio.Event(), asyncio.Event()
    add = end.layer.group_add

    async def slow_add(group, channel):
        if group == doorbell.group_of("1"):
            reached.set()
            await gate.wait()
        await add(group, channel)

    end.layer.group_add = slow_add
    rejoining = end.spawn(end.membership.rejoin())
    await reached.wait()
    old.connections.clear()
    await end.leave(old)
    new = end.room("2")
    assert new is not old
    await end.membership.join_soon(new)
    gate.set()
    await rejoining
    assert end.rooms == {first.name: first, new.name: new}
    assert new.is_joined
    assert end.layer.members(doorbell.group_of("2")) == 1


async def test_invariant_4_a_rejoin_does_not_join_the_room_of_a_tab_that_has_left(end):
    """The room is about to be closed, and a membership that is joined now would remain."""
    room = end.room("1")
    await end.membership.join_soon(room)
    room.connections.clear()
    end.layer.forget()
    await end.membership.rejoin()
    assert end.layer.members(doorbell.group_of("1")) == 0
    end.room("1")
    await end.membership.join_soon(room)
    assert end.layer.members(doorbell.group_of("1")) == 1


async def test_a_channel_is_made_once_however_often_its_joins_fail(patience, monkeypatch):
    """Each channel would be a queue, and for some layers a connection, that nothing reads."""
    monkeypatch.setattr(membership.random, "uniform", lambda low, high: 0.0)
    end = End(Layer())
    add, failures = end.layer.group_add, [1, 2, 3]

    async def failing_add(group, channel):
        if failures:
            failures.pop()
            raise ConnectionError("The layer is down.")
        await add(group, channel)

    end.layer.group_add = failing_add
    end.spawn(end.membership.listen())
    await until(lambda: end.layer.members(doorbell.common_group()))
    await end.hears("back")
    assert end.layer.count("new_channel") == 1
    for task in tuple(end.tasks):
        task.cancel()
    await settle()


async def test_a_join_that_fails_raises_nothing_and_is_made_up(end):
    end.layer.fault = "raise"
    room = end.room("1")
    await end.membership.join_soon(room)
    assert not room.is_joined
    end.layer.fault = None
    await end.membership.rejoin()
    assert room.is_joined
    assert end.keys_missed == ["1"]


async def test_a_join_that_hangs_keeps_nobody_waiting(end, monkeypatch):
    """After a moment, the handshake continues. After the time limit, the layer counts as failing."""
    monkeypatch.setattr(membership, "LAYER_TIMEOUT", 3600)
    end.layer.fault = "hang"
    first, second = end.room("1"), end.room("2")
    await asyncio.wait_for(end.membership.join_soon(first), 5)
    monkeypatch.setattr(membership, "LAYER_TIMEOUT", 0.01)
    await asyncio.wait_for(end.membership.join_soon(second), 5)
    await until(lambda: end.membership.is_dirty)
    calls = len(end.layer.calls)
    await end.membership.join_soon(end.room("3"))
    assert len(end.layer.calls) == calls  # further joins are not attempted


async def test_many_joins_at_once_are_no_fault_of_the_layer(end, monkeypatch):
    """A layer joins one by one. The time limit applies to one join, not to the queue before it."""
    monkeypatch.setattr(membership, "LAYER_TIMEOUT", 0.5)
    one_by_one = asyncio.Lock()
    add, discard = end.layer.group_add, end.layer.group_discard

    def slowly(call):
        async def done(group, channel):
            async with one_by_one:
                await asyncio.sleep(0.02)
                await call(group, channel)

        return done

    end.layer.group_add, end.layer.group_discard = slowly(add), slowly(discard)
    rooms = [end.room(str(n)) for n in range(50)]
    await asyncio.gather(*(end.membership.join_soon(room) for room in rooms))
    await until(lambda: all(room.is_joined for room in rooms))
    for room in rooms:
        room.connections.clear()
    await asyncio.gather(*(end.leave(room) for room in rooms))
    assert not end.membership.is_dirty
    assert end.rooms == {}


async def test_a_late_join_reads_what_was_not_rung_here(end):
    room = end.room("1")
    await end.membership.join_soon(room)
    assert end.keys_missed == ["1"]


async def test_leave_all_leaves_nothing_behind(end):
    for name in ("1", "2"):
        await end.membership.join_soon(end.room(name))
    await end.membership.leave_all()
    assert sum(map(len, end.layer.groups.values())) == 0


async def test_a_hub_that_never_had_a_channel_leaves_without_a_call(patience):
    """The layer was down from the start, and an end that waited for it would be slow."""
    end = End(Layer())
    end.room("1")
    await end.membership.leave_all()
    assert end.layer.calls == []


# -- Invariant 6: memberships are renewed --------------------------------------------------------


@pytest.mark.parametrize(("expiry", "renewal"), [(900, 300), (86400, 600), (30, 10)])
async def test_invariant_6_memberships_are_renewed_well_before_they_expire(expiry, renewal):
    """They are renewed after a third of the layer's group_expiry, and at least every ten minutes."""
    assert GroupMembership(Layer(group_expiry=expiry), None).renewal == renewal


async def test_invariant_6_the_watch_renews(end, monkeypatch):
    """Without a fault, it renews the memberships and reads no rows."""
    monkeypatch.setattr(membership, "CANARY_INTERVAL", 0.01)
    end.membership.renewal = 0.02
    room = end.room("1")
    await end.membership.join_soon(room)
    end.keys_missed.clear()
    end.layer.groups[doorbell.group_of("1")].clear()  # as if the membership had expired
    end.spawn(end.membership.watch())
    await until(lambda: end.layer.members(doorbell.group_of("1")))
    assert end.keys_missed == []


# -- Invariant 7: the canary ---------------------------------------------------------------------


async def test_invariant_7_the_canary_comes_back(end):
    assert await end.membership.canary_comes_back()
    assert not end.membership.is_dirty


async def test_invariant_7_a_canary_that_is_lost_makes_dirty_and_all_is_joined_again(
    end, monkeypatch
):
    """Redis was restarted empty: sends succeed and reach no receiver. Each room reads once afterwards."""
    monkeypatch.setattr(membership, "CANARY_INTERVAL", 0.05)
    for name in ("1", "2"):
        await end.membership.join_soon(end.room(name))
    end.keys_missed.clear()
    end.layer.forget()
    end.spawn(end.membership.watch())
    await until(lambda: end.membership.is_dirty)
    await until(lambda: len(end.keys_missed) == 2)
    await end.hears("after it")
    assert (
        end.layer.members(doorbell.group_of("1")) == end.layer.members(doorbell.group_of("2")) == 1
    )
    assert sorted(end.keys_missed) == ["1", "2"]
    assert not end.membership.is_dirty


async def test_invariant_7_an_echo_of_an_earlier_canary_is_none(end):
    """A late message must not hide that the group is gone."""
    await end.membership.canary_comes_back()
    end.layer.forget()
    end.layer.inject({"type": "notify.canary", "number": 1})
    assert not await end.membership.canary_comes_back()


async def test_invariant_7_no_canary_is_sent_before_the_channel_is_in_its_groups(
    patience, faults, monkeypatch
):
    """It could not come back, so a slow start would be reported as a fault."""
    end = End(Layer())
    rests = []

    async def rest(seconds):
        rests.append(seconds)
        if len(rests) == 3:
            raise asyncio.CancelledError

    with monkeypatch.context() as resting:
        resting.setattr(asyncio, "sleep", rest)
        with pytest.raises(asyncio.CancelledError):
            await end.membership.watch()
    assert end.layer.calls == []
    assert faults == []
    assert not end.membership.is_dirty


@pytest.mark.parametrize("fault", ["raise", "hang"])
async def test_invariant_7_a_canary_that_cannot_be_sent_makes_dirty(end, fault, monkeypatch):
    """When the layer is back, all groups are joined, and each room reads once."""
    monkeypatch.setattr(membership, "CANARY_INTERVAL", 0.05)
    await end.membership.join_soon(end.room("1"))
    end.keys_missed.clear()
    end.spawn(end.membership.watch())
    end.layer.fault = fault
    await until(lambda: end.membership.is_dirty)
    end.layer.forget()
    end.layer.fault = None
    await until(lambda: end.keys_missed == ["1"])
    await end.hears("after it")


async def test_a_rejoin_that_fails_stays_dirty(end):
    await end.membership.join_soon(end.room("1"))
    end.layer.fault = "raise"
    await end.membership.rejoin()
    assert end.membership.is_dirty
