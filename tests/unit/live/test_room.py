"""Rooms: the rule, one read at a time, and bursts in few frames (invariants 3, 10 and 12)."""

from __future__ import annotations

import asyncio
import itertools
import threading
from functools import partial
from types import SimpleNamespace

import pytest

from notify import inbox, signals
from notify.live import room
from notify.live.room import Room
from notify.live.source import MAILBOXES
from notify.live.turns import Turns
from notify.protocol import Changes, CloseCode
from tests.kit.fakes import Reader, Tab, at, document, errors_of, settle, until
from tests.kit.patience import PATIENCE


class Listener(Reader):
    """A connection that accepts everything and records the frames."""

    is_open = True

    def __init__(self):
        super().__init__()
        self.texts = []
        self.frames = []

    def offer(self, changes, text):
        self.frames.append(changes)
        self.texts.append(text)


class Sender:
    """A transport."""


class Rows:
    """
    A mailbox of one row at each position, in place of the database; its reads can be held.

    A read finds the rows of the moment at which it began. A cursor above the head gets a snapshot.
    """

    def __init__(self):
        self.head = 5
        self.page = 100
        self.reads = []
        self.fails = False
        self.flows = threading.Event()
        self.flows.set()

    def changes(self, recipient, since):
        head = self.head
        self.reads.append(since)
        assert self.flows.wait(PATIENCE)
        if self.fails:
            raise ConnectionError("The database is down.")
        start = since.position if since and since.position <= head else None
        end = head if start is None else min(head, start + self.page)
        return Page(document(start, end)._replace(head=head))


class Page:
    def __init__(self, changes):
        self._changes = changes

    def changes(self):
        return self._changes


@pytest.fixture
def rows(monkeypatch):
    rows = Rows()
    monkeypatch.setattr(inbox, "changes", rows.changes)
    yield rows
    rows.flows.set()


@pytest.fixture
async def tasks():
    tasks = set()
    yield tasks
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def listener():
    return Listener()


def make_room(tasks):
    def spawn(work):
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        return task

    return Room(MAILBOXES, 1, spawn, Turns(1, spawn))


@pytest.fixture
async def made(rows, tasks, listener):
    """A room at 5 with one listener."""
    room = make_room(tasks)
    room.connections.add(listener)
    room.make(at(5))
    return room


@pytest.fixture
async def open_tab():
    """Adds a tab to a room; it has not had its welcome yet."""
    tabs = []

    def open_in(room):
        hub = SimpleNamespace(catch_up=partial(room.catch_up, sender=Sender))
        tabs.append(Tab(hub, SimpleNamespace(pk=1)))
        room.connections.add(tabs[-1].connection)
        return tabs[-1]

    yield open_in
    for tab in tabs:
        tab.connection.end()


@pytest.fixture
async def tab(made, open_tab):
    """A tab in the room at 5 that has had its welcome."""
    tab = open_tab(made)
    tab.cursor = at(5)
    await made.welcome(tab.connection, at(5), Sender)
    await until(lambda: tab.wire.types == ["welcome"])
    return tab


@pytest.fixture
def failures():
    """The errors of failed reads."""
    with errors_of(signals.read_failed) as errors:
        yield errors


@pytest.fixture
def delivered():
    """The deliveries that were reported."""
    told = []

    def note(recipient_id, cursor, connections, **kwargs):
        told.append((recipient_id, cursor.position, connections))

    signals.delivered.connect(note)
    yield told
    signals.delivered.disconnect(note)


# -- The rule ------------------------------------------------------------------------------------


async def test_the_next_change_goes_out_at_once(made, listener, rows):
    made.offer(document(5, 6))
    assert [frame.cursor for frame in listener.frames] == [at(6)]
    assert made.cursor == at(6)
    assert rows.reads == []


async def test_a_ring_that_comes_twice_goes_out_once(made, listener):
    """A ring of this process is handed over directly, and comes back through the layer."""
    made.offer(document(5, 6))
    made.offer(document(5, 6))
    made.flush()
    assert len(listener.frames) == 1


async def test_a_ring_after_a_gap_makes_a_read_from_the_rooms_cursor(made, listener, rows):
    rows.head = 9
    made.offer(document(8, 9))
    assert listener.frames == []
    await until(lambda: made.cursor == at(9))
    assert rows.reads == [at(5)]


async def test_a_ring_without_a_document_makes_a_read(made, listener, rows):
    """Invariant 10: the ring announces a change, and its document is only a shortcut."""
    rows.head = 6
    made.offer(document(5, 6)._replace(rows=None))
    await until(lambda: listener.frames)
    assert rows.reads == [at(5)]
    assert '"message 6"' in listener.texts[0]


async def test_a_room_of_a_user_without_a_mailbox_reads_at_the_first_ring(rows, listener, tasks):
    room = make_room(tasks)
    room.connections.add(listener)
    room.make(None)
    rows.head = 1
    room.offer(document(0, 1))
    await until(lambda: listener.frames)
    assert listener.frames[0].reset
    assert room.cursor == at(1)


# -- Reading -------------------------------------------------------------------------------------


async def test_rings_wait_for_the_read_that_makes_the_room(rows, listener, tasks):
    """Invariant 3: a ring between the join and the read is judged once the read has set the cursor."""
    room = make_room(tasks)
    room.connections.add(listener)
    for position in range(4, 8):
        room.offer(document(position - 1, position))
    assert listener.frames == []
    room.make(at(5))
    room.flush()
    await settle()
    assert rows.reads == []
    assert room.cursor == at(7)
    assert [frame.since for frame in listener.frames] == [at(5), at(6)]


async def test_one_read_at_a_time(made, listener, rows):
    """Rings that come meanwhile wait for it, and then the rule applies: nothing is lost or duplicated."""
    rows.flows.clear()
    made.repair()
    await until(lambda: rows.reads)
    rows.head = 7
    for position in range(6, 11):
        made.offer(document(position - 1, position))
    made.repair()
    await settle()
    assert len(rows.reads) == 1
    rows.flows.set()
    await until(lambda: made.cursor == at(10))
    made.flush()
    positions = [(frame.since.position, frame.cursor.position) for frame in listener.frames]
    assert positions[0][0] == 5
    assert positions[-1][1] == 10
    assert all(before[1] == after[0] for before, after in itertools.pairwise(positions))


async def test_a_repair_asked_for_during_a_read_reads_again(made, rows):
    """The running read may have begun before the change."""
    rows.flows.clear()
    made.repair()
    await until(lambda: rows.reads)
    made.repair()
    rows.flows.set()
    await until(lambda: len(rows.reads) == 2)


async def test_a_read_of_several_pages_goes_on_to_the_head(made, rows, listener):
    rows.head, rows.page = 50, 10
    made.repair()
    await until(lambda: made.cursor == at(50))
    assert len(rows.reads) == 5


async def test_rings_that_wait_are_bounded(made, rows, monkeypatch):
    """Rings beyond the bound are seen as a gap, and read."""
    monkeypatch.setattr(room, "MAX_WAITING", 10)
    rows.flows.clear()
    made.repair()
    rows.head = 106
    for position in range(6, 106):
        made.offer(document(position - 1, position))
        assert len(made._waiting) <= 10
    rows.flows.set()
    await until(lambda: made.cursor == at(106))


async def test_a_repair_asked_for_while_the_room_is_made_is_honoured(rows, listener, tasks):
    """The room was joined, perhaps again, after the read had begun. Earlier rings did not reach it."""
    room = make_room(tasks)
    room.connections.add(listener)
    asked = room.asked
    room.repair()
    rows.head = 7
    room.make(at(5), asked)
    await until(lambda: room.cursor == at(7))


async def test_a_repair_asked_for_before_the_read_that_makes_the_room_is_served_by_it(rows, tasks):
    room = make_room(tasks)
    room.repair()
    room.make(at(5), room.asked)
    await settle()
    assert rows.reads == []


async def test_rings_that_waited_for_a_read_that_fails_are_forgotten(made, rows, failures):
    """Otherwise each ring would start a read against a database that is down. The sweep repairs the room."""
    rows.flows.clear()
    rows.fails = True
    made.repair()
    await until(lambda: rows.reads)
    for position in range(10, 510):
        made.offer(document(position, position + 1))
    rows.flows.set()
    await until(lambda: made._reading is None)
    await settle()
    assert len(rows.reads) == 1
    assert [str(failure) for failure in failures] == ["The database is down."]


async def test_a_read_that_is_cancelled_starts_no_other(made, rows, tasks):
    """At the end of the hub, no task may be left over."""
    rows.flows.clear()
    made.repair()
    await until(lambda: rows.reads)
    made.offer(document(9, 10))
    (reading,) = tasks
    reading.cancel()
    await asyncio.wait(tasks)
    assert tasks == {reading}
    tasks.clear()


async def test_a_read_that_fails_is_made_again_at_the_next_ring(made, rows, failures):
    """While the database is down, the room stays open at its cursor."""
    rows.fails = True
    made.repair()
    await until(lambda: made._reading is None)
    assert len(failures) == 1
    assert made.cursor == at(5)
    rows.fails, rows.head = False, 8
    made.offer(document(7, 8))
    await until(lambda: made.cursor == at(8))


# -- Frames --------------------------------------------------------------------------------------


async def test_a_burst_leaves_as_few_frames_in_order(made, listener, monkeypatch):
    """Invariant 12: the first frame is sent at once, and the rest of the burst as one frame."""
    monkeypatch.setattr("notify.live.room.COALESCE", 1.0)  # more than the burst takes
    for position in range(6, 106):
        made.offer(document(position - 1, position))
    assert len(listener.frames) == 1
    await until(lambda: len(listener.frames) == 2)
    await settle()
    assert [frame.cursor for frame in listener.frames] == [at(6), at(105)]
    assert [frame.since for frame in listener.frames] == [at(5), at(6)]
    positions = [f'"position": {position},' in listener.texts[1] for position in range(7, 106)]
    assert all(positions)
    assert listener.texts[1].index('"message 7"') < listener.texts[1].index('"message 105"')


async def test_a_lone_notification_never_waits(made, listener, monkeypatch):
    monkeypatch.setattr("notify.live.room.COALESCE", 0.01)
    made.offer(document(5, 6))
    await asyncio.sleep(0.02)  # the pause between two notifications is the subject of this test
    made.offer(document(6, 7))
    assert len(listener.frames) == 2


async def test_a_large_burst_does_not_wait(made, listener, monkeypatch):
    monkeypatch.setattr("notify.live.room.COALESCE", 60)
    monkeypatch.setattr(room, "FRAME_CHARACTERS", 5000)
    for position in range(6, 30):
        made.offer(document(position - 1, position, size=1000))
    assert len(listener.frames) > 3
    made.flush()
    assert listener.frames[-1].cursor == at(29)


async def test_a_frame_is_encoded_once_for_all_tabs(made, listener, monkeypatch):
    """All tabs of a user are sent the same text."""
    encoded = []
    encode = Changes.encode
    monkeypatch.setattr(Changes, "encode", lambda self: encoded.append(1) or encode(self))
    others = [Listener() for _ in range(20)]
    made.connections.update(others)
    made.offer(document(5, 6))
    assert len(encoded) == 1
    assert all(other.texts[0] is listener.texts[0] for other in others)


# -- Signals -------------------------------------------------------------------------------------


async def test_a_frame_is_told_once_with_the_number_of_its_connections(made, delivered):
    made.connections.add(Listener())
    made.offer(document(5, 6))
    assert delivered == [(1, 6, 2)]


async def test_a_frame_that_no_tab_takes_is_not_told(made, delivered):
    """For example in a room that is kept for a moment until its long poll comes back."""
    made.connections.clear()
    made.offer(document(5, 6))
    assert made.cursor == at(6)
    assert delivered == []


async def test_a_burst_is_told_as_the_frames_that_it_became(made, listener, delivered):
    for position in range(5, 15):
        made.offer(document(position, position + 1))
    made.flush()
    assert [cursor for _, cursor, _ in delivered] == [6, 15]
    assert len(listener.frames) == 2
    made.flush()
    assert len(delivered) == 2


# -- The welcome ---------------------------------------------------------------------------------


async def test_the_first_welcome_makes_the_room(rows, open_tab, delivered, tasks):
    room = make_room(tasks)
    tab = open_tab(room)
    await room.welcome(tab.connection, None, Sender)
    assert room.cursor == at(5)
    assert delivered == [(1, 5, 1)]
    await until(lambda: tab.wire.types == ["welcome"])
    assert (tab.resets, tab.cursor) == (1, at(5))


async def test_a_welcome_at_the_rooms_cursor_starts_no_other_read(made, rows, open_tab):
    tab = open_tab(made)
    tab.cursor = at(3)
    await made.welcome(tab.connection, at(3), Sender)
    await until(lambda: tab.shown == ["message 4", "message 5"])
    await settle()
    assert rows.reads == [at(3)]


async def test_a_welcome_above_the_room_repairs_the_room(made, rows, listener, open_tab):
    """The ring for these rows was lost, so the other tabs have not received them either."""
    rows.head = 7
    await made.welcome(open_tab(made).connection, at(5), Sender)
    await until(lambda: made.cursor == at(7))
    assert [frame.cursor for frame in listener.frames] == [at(7)]


async def test_a_welcome_of_one_page_is_followed_by_the_other_pages(made, rows, open_tab):
    rows.head, rows.page = 11, 2
    tab = open_tab(made)
    tab.cursor = at(5)
    await made.welcome(tab.connection, at(5), Sender)
    await until(lambda: tab.cursor == at(11))
    assert tab.shown == [f"message {position}" for position in range(6, 12)]
    assert tab.gaps == 0


async def test_a_tab_that_is_welcomed_below_its_room_is_served_the_rest(made, rows, open_tab):
    """Its read began before a ring that the room has sent already."""
    made.offer(document(5, 8))
    tab = open_tab(made)
    tab.cursor = at(3)
    await made.welcome(tab.connection, at(3), Sender)
    rows.head = 8
    await until(lambda: tab.cursor == at(8))
    assert tab.shown == [f"message {position}" for position in range(4, 9)]
    assert tab.gaps == 0


async def test_a_tab_that_is_closed_before_its_welcome_is_not_counted(made, open_tab, delivered):
    tab = open_tab(made)
    tab.connection.close(CloseCode.KICKED)
    await made.welcome(tab.connection, at(3), Sender)
    assert delivered == []
    assert tab.wire.frames == []


# -- A tab that is behind ------------------------------------------------------------------------


async def test_a_tab_that_is_behind_is_served_alone(made, rows, tab, listener, delivered):
    """Its rows are read from its own cursor, and no other tab receives them again."""
    rows.reads.clear()
    delivered.clear()
    tab.cursor = at(3)
    tab.connection.rewind(at(3))
    await until(lambda: tab.shown == ["message 4", "message 5"])
    assert rows.reads == [at(3)]
    assert listener.frames == []
    assert delivered == [(1, 5, 1)]


async def test_a_tab_that_is_behind_by_several_pages_gets_them_all(rows, tab):
    rows.page = 2
    tab.cursor = at(0)
    tab.connection.rewind(at(0))
    await until(lambda: tab.shown == [f"message {position}" for position in range(1, 6)])
    assert tab.gaps == 0


async def test_a_tab_that_falls_behind_during_its_read_is_read_for_again(made, rows, tab):
    """The running read may have begun before the rows that the tab misses."""
    rows.reads.clear()
    rows.flows.clear()
    made.catch_up(tab.connection, Sender)
    await until(lambda: rows.reads)
    rows.head = 6
    made.catch_up(tab.connection, Sender)
    rows.flows.set()
    await until(lambda: tab.shown == ["message 6"])
    assert rows.reads == [at(5), at(5)]


async def test_a_tab_that_is_below_its_room_after_a_read_is_read_for_again(
    made, rows, tab, listener, monkeypatch
):
    """The room accepted a ring during the read, and has not sent it yet."""
    monkeypatch.setattr("notify.live.room.COALESCE", 60)
    made.offer(document(5, 6))
    await until(lambda: tab.cursor == at(6))
    rows.head = 6
    rows.reads.clear()
    rows.flows.clear()
    tab.cursor = at(3)
    tab.connection.rewind(at(3))
    await until(lambda: rows.reads)
    rows.head = 7
    made.offer(document(6, 7))
    rows.flows.set()
    await until(lambda: tab.cursor == at(7))
    assert rows.reads == [at(3), at(6)]
    assert [frame.cursor for frame in listener.frames] == [at(6)]
    made.flush()


async def test_a_closed_tab_is_not_read_for(made, rows, tab):
    rows.reads.clear()
    tab.connection.close(CloseCode.KICKED)
    made.catch_up(tab.connection, Sender)
    await settle()
    assert rows.reads == []


async def test_a_tab_that_is_closed_during_its_read_is_not_counted(made, rows, tab, delivered):
    rows.reads.clear()
    delivered.clear()
    rows.flows.clear()
    tab.connection.rewind(at(3))
    await until(lambda: rows.reads)
    tab.connection.close(CloseCode.KICKED)
    rows.flows.set()
    await until(lambda: tab.connection.catching_up is None)
    await settle()
    assert delivered == []
    assert tab.wire.types == ["welcome"]


async def test_a_tab_whose_read_fails_is_sent_away_and_comes_back(rows, tab, failures):
    rows.fails = True
    tab.connection.rewind(at(3))
    await until(lambda: tab.wire.code)
    assert tab.wire.code == CloseCode.GOING_AWAY
    assert [str(failure) for failure in failures] == ["The database is down."]


async def test_a_tab_with_a_cursor_above_the_rows_is_sent_away(tab):
    """No document would ever continue that cursor, and only a welcome may lower it."""
    tab.connection.rewind(at(9))
    await until(lambda: tab.wire.code)
    assert tab.wire.code == CloseCode.GOING_AWAY


async def test_a_room_above_its_rows_starts_its_tabs_over(made, rows, listener, open_tab):
    """A backup was restored: a tab below the room finds no rows, so the room itself is wrong."""
    made.offer(document(5, 9))
    made.connections.discard(listener)
    tab = open_tab(made)
    await made.welcome(tab.connection, at(5), Sender)
    await until(lambda: tab.wire.code)
    assert tab.wire.code == CloseCode.GOING_AWAY
    assert made.cursor == at(5)
