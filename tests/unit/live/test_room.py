"""Rooms: the rule, one read at a time, a burst in few frames (invariants 3, 10 and 12)."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest

from notify import signals
from notify.inbox import reader as inbox
from notify.live import room
from notify.live.room import Room
from notify.protocol import Changes
from tests.kit.fakes import Reader, at, document, errors_of, settle, until
from tests.kit.patience import PATIENCE


class Listener(Reader):
    """A connection that takes everything, and remembers the frames."""

    is_open = True

    def __init__(self):
        super().__init__()
        self.texts = []
        self.frames = []

    def offer(self, changes, text):
        self.frames.append(changes)
        self.texts.append(text)


class Rows:
    """A mailbox of one row at each position, in place of the database; its reads can be held."""

    def __init__(self):
        self.head = 5
        self.page = 100
        self.reads = []
        self.fails = False
        self.flows = threading.Event()
        self.flows.set()

    def changes(self, recipient, since):
        self.reads.append(since)
        assert self.flows.wait(PATIENCE)
        if self.fails:
            raise ConnectionError("The database is down.")
        start = since.position if since else None
        end = self.head if since is None else min(self.head, since.position + self.page)
        return Page(document(start, end)._replace(head=self.head))


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
    await asyncio.gather(*tasks)


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
async def made(rows, tasks, listener):
    """A room at 5 with one listener."""

    def spawn(work):
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        return task

    room = Room(1, spawn)
    room.connections.add(listener)
    room.make(at(5))
    return room


@pytest.fixture
def failures():
    """The errors of reads that failed."""
    with errors_of(signals.read_failed) as errors:
        yield errors


@pytest.fixture
def delivered():
    """What was said to be delivered."""
    told = []

    def note(recipient, cursor, connections, **kwargs):
        told.append((recipient, cursor.position, connections))

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
    """Our own ring, handed over locally, comes back through the layer."""
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
    """Invariant 10: the ring wakes; its document is only a shortcut."""
    rows.head = 6
    made.offer(document(5, 6)._replace(rows=None))
    await until(lambda: listener.frames)
    assert rows.reads == [at(5)]
    assert '"message 6"' in listener.texts[0]


async def test_a_room_of_a_user_without_a_mailbox_reads_at_the_first_ring(rows, listener, tasks):
    room = Room(1, lambda work: asyncio.get_running_loop().create_task(work))
    room.connections.add(listener)
    room.make(None)
    rows.head = 1
    room.offer(document(0, 1))
    await until(lambda: listener.frames)
    assert listener.frames[0].reset
    assert room.cursor == at(1)


# -- Reading -------------------------------------------------------------------------------------


async def test_rings_wait_for_the_read_that_makes_the_room(rows, listener):
    """Invariant 3: a ring between the join and the read is judged once the read has set the cursor."""
    room = Room(1, lambda work: asyncio.get_running_loop().create_task(work))
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
    """Rings that come meanwhile wait for it, then the rule: nothing is lost or doubled."""
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
    """The running read may have begun before what it is to find."""
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
    """More are seen as a gap, and read."""
    monkeypatch.setattr(room, "MAX_WAITING", 10)
    rows.flows.clear()
    made.repair()
    rows.head = 106
    for position in range(6, 106):
        made.offer(document(position - 1, position))
        assert len(made._waiting) <= 10
    rows.flows.set()
    await until(lambda: made.cursor == at(106))


async def test_a_repair_asked_for_while_the_room_is_made_is_honoured(rows, listener):
    """It was joined, or joined again, after the read had begun: what was rung before went elsewhere."""
    room = Room(1, lambda work: asyncio.get_running_loop().create_task(work))
    room.connections.add(listener)
    asked = room.asked
    room.repair()
    rows.head = 7
    room.make(at(5), asked)
    await until(lambda: room.cursor == at(7))


async def test_a_repair_asked_for_before_the_read_that_makes_the_room_is_served_by_it(rows):
    room = Room(1, lambda work: asyncio.get_running_loop().create_task(work))
    room.repair()
    room.make(at(5), room.asked)
    await settle()
    assert rows.reads == []


async def test_rings_that_waited_for_a_read_that_fails_are_forgotten(made, rows, failures):
    """Else each would start a read of its own against a database that is down; the sweep repairs."""
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
    """At the end of the hub nobody would hold it."""
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
    """The database is down for a moment; the room stays where it was, and lives."""
    rows.fails = True
    made.repair()
    await until(lambda: made._reading is None)
    assert len(failures) == 1
    assert made.cursor == at(5)
    rows.fails, rows.head = False, 8
    made.offer(document(7, 8))
    await until(lambda: made.cursor == at(8))


# -- Frames --------------------------------------------------------------------------------------


async def test_a_burst_leaves_as_few_frames_in_order(made, listener, settings):
    """Invariant 12: the first goes at once, the rest of the burst as one frame."""
    settings.NOTIFY_COALESCE = 0.05
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


async def test_a_lone_notification_never_waits(made, listener, settings):
    settings.NOTIFY_COALESCE = 0.01
    made.offer(document(5, 6))
    await asyncio.sleep(0.02)  # the pause between two notifications is what this is about
    made.offer(document(6, 7))
    assert len(listener.frames) == 2


async def test_a_large_burst_does_not_wait(made, listener, settings, monkeypatch):
    settings.NOTIFY_COALESCE = 60
    monkeypatch.setattr(room, "FRAME_CHARACTERS", 5000)
    for position in range(6, 30):
        made.offer(document(position - 1, position, size=1000))
    assert len(listener.frames) > 3
    made.flush()
    assert listener.frames[-1].cursor == at(29)


async def test_a_frame_is_encoded_once_for_all_tabs(made, listener, monkeypatch):
    """N tabs of a user are written the same text."""
    encoded = []
    encode = Changes.encode
    monkeypatch.setattr(Changes, "encode", lambda self: encoded.append(1) or encode(self))
    others = [Listener() for _ in range(20)]
    made.connections.update(others)
    made.offer(document(5, 6))
    assert len(encoded) == 1
    assert all(other.texts[0] is listener.texts[0] for other in others)


# -- What it tells -------------------------------------------------------------------------------


async def test_a_frame_is_told_once_with_the_number_of_its_connections(made, delivered):
    made.connections.add(Listener())
    made.offer(document(5, 6))
    assert delivered == [(1, 6, 2)]


async def test_a_burst_is_told_as_the_frames_that_it_became(made, listener, delivered):
    for position in range(5, 15):
        made.offer(document(position, position + 1))
    made.flush()
    assert [cursor for _, cursor, _ in delivered] == [6, 15]
    assert len(listener.frames) == 2
    made.flush()
    assert len(delivered) == 2
