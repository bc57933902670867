"""The hub's end of the channel layer (invariants 2, 4, 6 and 7), on a layer that obeys the test."""

from __future__ import annotations

import asyncio

import pytest

from notify import doorbell, signals
from notify.live import membership as station
from notify.live.membership import Station
from notify.live.room import Room
from tests.kit.fakes import Layer, at, settle, until


class Connection:
    """Somebody who is in a room."""


class End:
    """A station with rooms, and what it has handled."""

    def __init__(self, layer):
        self.layer = layer
        self.rooms = {}
        self.handled = []
        self.tasks = set()
        self.missed = []
        self.station = Station(
            layer,
            self.rooms,
            self.spawn,
            self.handle,
            lambda room: self.missed.append(room.recipient),
        )

    def spawn(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def handle(self, message):
        self.handled.append(message["text"])

    def room(self, name, *, occupied=True):
        room = self.rooms.setdefault(name, Room(name, self.spawn))
        if occupied:
            room.connections.add(Connection())
        room.make(at(1))
        return room

    async def leave(self, room):
        async with room.membership:
            if not room.connections:
                await self.station.leave(room)

    async def hears(self, text):
        """Whether a message of this text to the common group is handled."""
        await self.layer.group_send(doorbell.COMMON_GROUP, {"type": "test", "text": text})
        await until(lambda: text in self.handled)


@pytest.fixture
def patience(monkeypatch):
    monkeypatch.setattr(station, "LAYER_TIMEOUT", 0.05)
    monkeypatch.setattr(station, "LAYER_PATIENCE", 0.02)


@pytest.fixture
async def end(patience):
    end = End(Layer())
    end.spawn(end.station.listen())
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
    """A stray message, or an error of the layer, and the loop goes on."""
    monkeypatch.setattr(station.random, "uniform", lambda low, high: 0.0)
    for _ in range(3):
        end.layer.inject(garbage)
    await end.hears("after it")


async def test_invariant_2_a_layer_that_never_waits_does_not_freeze_the_process(patience):
    """Its garbage is taken turn by turn with everybody else on the loop."""

    class Babbler(Layer):
        said = 0

        async def receive(self, channel):
            self.said += 1
            return None

    end = End(Babbler())
    listening = end.spawn(end.station.listen())
    await until(lambda: end.layer.said > 100)
    assert not listening.done()
    listening.cancel()
    await settle()


async def test_strange_messages_are_logged_once(end, caplog):
    for _ in range(50):
        end.layer.inject({"no": "type"})
    await end.hears("after it")
    assert caplog.text.count("cannot read") == 1


@pytest.fixture
def faults():
    """What the station has told by its signals."""
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
    monkeypatch.setattr(station.random, "uniform", lambda low, high: 0.0)
    end.layer.inject({"no": "type"})
    end.layer.inject(ConnectionError("cut"))
    await end.hears("after it")
    end.layer.fault = "raise"
    end.station.is_dirty = False
    await end.station.join_soon(Room(7, end.spawn))
    room = end.room("alice")
    await end.station.join_soon(room)
    assert faults == [
        ("ignored", "KeyError('type')"),
        ("receive", "cut"),
        ("join a group", "The layer is down."),
    ]


async def test_invariant_2_errors_are_backed_off_from(end, caplog, monkeypatch):
    """A layer that fails at once each time is not asked without a pause; one line says so."""
    pauses = []
    sleep = asyncio.sleep

    async def rest(seconds):
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(station.asyncio, "sleep", rest)
    monkeypatch.setattr(station.random, "uniform", lambda low, high: high)
    end.layer.fault = "raise"
    end.layer.inject(ConnectionError("cut"))
    while len(pauses) < 8:
        await sleep(0)
    assert pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert caplog.text.count("could not receive") == 1


async def test_a_layer_that_is_down_at_the_start_is_tried_again(patience, monkeypatch):
    monkeypatch.setattr(station.random, "uniform", lambda low, high: 0.0)
    end = End(Layer(fault="raise"))
    end.spawn(end.station.listen())
    await until(lambda: end.station.is_dirty)
    end.room("1")
    end.layer.fault = None
    await until(lambda: end.layer.members("notify.user.1"))
    await end.hears("back")
    assert end.missed == ["1"]
    for task in tuple(end.tasks):
        task.cancel()
    await settle()


# -- Invariant 4: joining and leaving ------------------------------------------------------------


async def test_a_room_is_joined_once(end):
    """Many tabs of a user at once, one membership, one call."""
    room = end.room("1")
    await asyncio.gather(*(end.station.join_soon(room) for _ in range(10)))
    assert end.layer.count("group_add", "notify.user.1") == 1
    assert room.is_joined


async def test_a_room_that_is_left_is_given_up(end):
    room = end.room("1")
    await end.station.join_soon(room)
    room.connections.clear()
    await end.leave(room)
    assert end.layer.members("notify.user.1") == 0
    assert end.rooms == {}


async def test_invariant_4_who_comes_while_the_group_is_being_left_is_joined(end):
    """Whatever the order in which the layer does the two, the membership stands at the end."""
    room = end.room("1")
    await end.station.join_soon(room)
    gate = asyncio.Event()
    discard = end.layer.group_discard

    async def slow_discard(group, channel):
        await gate.wait()
        await discard(group, channel)

    end.layer.group_discard = slow_discard
    room.connections.clear()
    leaving = end.spawn(end.leave(room))
    await settle()
    assert end.room("1") is room  # somebody comes; the room is still there
    assert not room.is_joined
    joining = end.spawn(end.station.join_soon(room))
    await settle()
    gate.set()
    await leaving
    await joining
    assert end.rooms == {"1": room}
    assert room.is_joined
    assert end.layer.members("notify.user.1") == 1


async def test_invariant_4_a_group_that_could_not_be_left_is_left_later(end):
    """A failed discard raises nothing, and no membership stays behind."""
    room = end.room("1")
    await end.station.join_soon(room)
    room.connections.clear()
    end.layer.fault = "raise"
    await end.leave(room)
    assert end.station.is_dirty
    assert end.layer.members("notify.user.1") == 1
    end.layer.fault = None
    assert await end.station.canary_comes_back()
    await end.station.rejoin()
    assert end.layer.members("notify.user.1") == 0
    assert end.rooms == {}


async def test_invariant_4_rooms_of_nobody_do_not_pile_up_while_the_layer_is_down(end):
    """Each is given up at once; its group is left after the fault, unless somebody is back."""
    rooms = [end.room(name) for name in ("1", "2")]
    for room in rooms:
        await end.station.join_soon(room)
    end.layer.fault = "raise"
    assert not await end.station.canary_comes_back()
    for room in rooms:
        room.connections.clear()
        await end.leave(room)
    assert end.rooms == {}
    back = end.room("2")
    await end.station.rejoin()
    assert end.station.is_dirty
    end.layer.fault = None
    await end.station.rejoin()
    assert end.layer.members("notify.user.1") == 0
    assert end.layer.members("notify.user.2") == 1
    assert back.is_joined
    assert not end.station._left


async def test_invariant_4_a_group_that_could_not_be_left_is_left_with_the_hub(end):
    room = end.room("1")
    await end.station.join_soon(room)
    end.layer.fault = "raise"
    room.connections.clear()
    await end.leave(room)
    end.layer.fault = None
    await end.station.leave_all()
    assert end.layer.members("notify.user.1") == 0


async def test_invariant_4_a_rejoin_leaves_the_room_of_who_came_back_meanwhile(end):
    """The user turns a page while other rooms are joined again: another room of the same name."""
    first, old = end.room("1"), end.room("2")
    for room in (first, old):
        await end.station.join_soon(room)
    gate, reached = asyncio.Event(), asyncio.Event()
    add = end.layer.group_add

    async def slow_add(group, channel):
        if group == "notify.user.1":
            reached.set()
            await gate.wait()
        await add(group, channel)

    end.layer.group_add = slow_add
    rejoining = end.spawn(end.station.rejoin())
    await reached.wait()
    old.connections.clear()
    await end.leave(old)
    new = end.room("2")
    assert new is not old
    await end.station.join_soon(new)
    gate.set()
    await rejoining
    assert end.rooms == {"1": first, "2": new}
    assert new.is_joined
    assert end.layer.members("notify.user.2") == 1


async def test_a_room_that_is_not_the_one_of_its_name_takes_nothing_with_it(end):
    old = end.room("1")
    del end.rooms["1"]
    new = end.room("1")
    old.connections.clear()
    await end.leave(old)
    assert end.rooms == {"1": new}


async def test_a_channel_is_made_once_however_often_its_joins_fail(patience, monkeypatch):
    """Each would be a queue, and for some layers a connection, that nobody reads."""
    monkeypatch.setattr(station.random, "uniform", lambda low, high: 0.0)
    end = End(Layer())
    add, failures = end.layer.group_add, [1, 2, 3]

    async def failing_add(group, channel):
        if failures:
            failures.pop()
            raise ConnectionError("The layer is down.")
        await add(group, channel)

    end.layer.group_add = failing_add
    end.spawn(end.station.listen())
    await until(lambda: end.layer.members(doorbell.COMMON_GROUP))
    await end.hears("back")
    assert end.layer.count("new_channel") == 1
    for task in tuple(end.tasks):
        task.cancel()
    await settle()


async def test_a_join_that_fails_raises_nothing_and_is_made_up(end):
    end.layer.fault = "raise"
    room = end.room("1")
    await end.station.join_soon(room)
    assert not room.is_joined
    end.layer.fault = None
    await end.station.rejoin()
    assert room.is_joined
    assert end.missed == ["1"]


async def test_a_join_that_hangs_keeps_nobody_waiting(end, monkeypatch):
    """After a moment the handshake goes on; after the time limit the station is dirty."""
    monkeypatch.setattr(station, "LAYER_TIMEOUT", 3600)
    end.layer.fault = "hang"
    first, second = end.room("1"), end.room("2")
    await asyncio.wait_for(end.station.join_soon(first), 5)
    monkeypatch.setattr(station, "LAYER_TIMEOUT", 0.01)
    await asyncio.wait_for(end.station.join_soon(second), 5)
    await until(lambda: end.station.is_dirty)
    calls = len(end.layer.calls)
    await end.station.join_soon(end.room("3"))
    assert len(end.layer.calls) == calls  # the next ones are not even tried


async def test_many_joins_at_once_are_no_fault_of_the_layer(end, monkeypatch):
    """A layer does them one by one; the time limit is for one, not for the queue before it."""
    monkeypatch.setattr(station, "LAYER_TIMEOUT", 0.5)
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
    await asyncio.gather(*(end.station.join_soon(room) for room in rooms))
    await until(lambda: all(room.is_joined for room in rooms))
    for room in rooms:
        room.connections.clear()
    await asyncio.gather(*(end.leave(room) for room in rooms))
    assert not end.station.is_dirty
    assert end.rooms == {}


async def test_a_late_join_reads_what_was_not_rung_here(end):
    room = end.room("1")
    await end.station.join_soon(room)
    assert end.missed == ["1"]


async def test_leave_all_leaves_nothing_behind(end):
    for name in ("1", "2"):
        await end.station.join_soon(end.room(name))
    await end.station.leave_all()
    assert sum(map(len, end.layer.groups.values())) == 0


# -- Invariant 6: memberships are renewed --------------------------------------------------------


@pytest.mark.parametrize(("expiry", "renewal"), [(900, 300), (86400, 600), (30, 10)])
async def test_invariant_6_memberships_are_renewed_well_before_they_expire(expiry, renewal):
    """Every third of the layer's group_expiry, at least every ten minutes."""
    assert Station(Layer(group_expiry=expiry), {}, None, None, None).renewal == renewal


async def test_invariant_6_the_watch_renews(end, monkeypatch):
    """Without a fault it joins again what it has joined, and reads nothing."""
    monkeypatch.setattr(station, "CANARY_INTERVAL", 0.01)
    end.station.renewal = 0.02
    room = end.room("1")
    await end.station.join_soon(room)
    end.missed.clear()
    end.layer.groups["notify.user.1"].clear()  # expired
    end.spawn(end.station.watch())
    await until(lambda: end.layer.members("notify.user.1"))
    assert end.missed == []


# -- Invariant 7: the canary ---------------------------------------------------------------------


async def test_invariant_7_the_canary_comes_back(end):
    assert await end.station.canary_comes_back()
    assert not end.station.is_dirty


async def test_invariant_7_a_canary_that_is_lost_makes_dirty_and_all_is_joined_again(
    end, monkeypatch
):
    """Redis restarted empty: sends succeed and reach nobody. One read for each room afterwards."""
    monkeypatch.setattr(station, "CANARY_INTERVAL", 0.05)
    for name in ("1", "2"):
        await end.station.join_soon(end.room(name))
    end.missed.clear()
    end.layer.forget()
    end.spawn(end.station.watch())
    await until(lambda: end.station.is_dirty)
    await until(lambda: len(end.missed) == 2)
    await end.hears("after it")
    assert end.layer.members("notify.user.1") == end.layer.members("notify.user.2") == 1
    assert sorted(end.missed) == ["1", "2"]
    assert not end.station.is_dirty


async def test_invariant_7_an_echo_of_an_earlier_canary_is_none(end):
    """A message that was under way for long does not hide that the group is gone."""
    await end.station.canary_comes_back()
    end.layer.forget()
    end.layer.inject({"type": "notify.canary", "number": 1})
    assert not await end.station.canary_comes_back()


@pytest.mark.parametrize("fault", ["raise", "hang"])
async def test_invariant_7_a_canary_that_cannot_be_sent_makes_dirty(end, fault, monkeypatch):
    """And when the layer is back, everything is joined and read once."""
    monkeypatch.setattr(station, "CANARY_INTERVAL", 0.05)
    await end.station.join_soon(end.room("1"))
    end.missed.clear()
    end.spawn(end.station.watch())
    end.layer.fault = fault
    await until(lambda: end.station.is_dirty)
    end.layer.forget()
    end.layer.fault = None
    await until(lambda: end.missed == ["1"])
    await end.hears("after it")


async def test_a_rejoin_that_fails_stays_dirty(end):
    await end.station.join_soon(end.room("1"))
    end.layer.fault = "raise"
    await end.station.rejoin()
    assert end.station.is_dirty
