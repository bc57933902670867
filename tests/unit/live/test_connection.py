"""The queue of one tab (invariant 9: back-pressure): order, overflow, ack window and heartbeat."""

from __future__ import annotations

import re

import pytest

from notify import protocol
from notify.live import limits
from notify.live.connection import MAX_REPLIES, Connection
from notify.protocol import CloseCode
from tests.kit.fakes import Wire, at, document, settle, until
from tests.kit.servers import PROJECT


class End:
    """A connection with its wire. It records when it asked to be served from the rows."""

    def __init__(self, wire=None, *, suspends=False):
        self.wire = wire or Wire(suspends=suspends)
        self.behind = 0
        self.connection = Connection(None, self.wire, self._fell_behind)

    def _fell_behind(self, connection):
        self.behind += 1

    def offer(self, since, cursor, **options):
        changes = document(since, cursor, **options)
        self.connection.offer(changes, changes.encode())

    @property
    def cursors(self):
        """The positions of the frames on the wire."""
        return [
            int(frame.get("changes", frame)["cursor"].partition(":")[2])
            for frame in self.wire.frames
            if frame["type"] in ("welcome", "changes")
        ]


@pytest.fixture
async def end():
    end = End()
    yield end
    end.connection.end()
    await settle()


@pytest.fixture
async def welcomed(end):
    end.connection.welcome(document(0, 5))
    await settle()
    return end


# -- The welcome ---------------------------------------------------------------------------------


async def test_the_welcome_is_the_first_frame(end):
    """Answers, pings and rings that come earlier wait for it."""
    end.connection.reply(protocol.pong(None, None))
    end.offer(5, 6)
    end.connection.beat(now=1e9)
    await settle()
    assert end.wire.frames == []
    end.connection.welcome(document(0, 5))
    await settle()
    assert end.wire.types == ["welcome", "pong", "changes"]


async def test_what_was_held_follows_the_welcome_by_the_rule(end):
    """Of the rings before the welcome, those that it includes are dropped, and the rest are applied."""
    for position in range(1, 9):
        end.offer(position - 1, position)
    end.connection.welcome(document(0, 5))
    await settle()
    assert end.cursors == [5, 6, 7, 8]
    assert end.behind == 0


async def test_a_gap_after_what_was_held_is_read(end):
    end.offer(7, 8)
    end.connection.welcome(document(0, 5))
    await settle()
    assert end.cursors == [5]
    assert end.behind == 1


async def test_what_is_held_is_bounded(end, monkeypatch):
    """A long handshake holds few rings. The client sees the dropped ones as a gap."""
    monkeypatch.setattr(limits, "QUEUE_MAX_FRAMES", 4)
    for position in range(6, 30):
        end.offer(position - 1, position)
    assert len(end.connection._held) <= 4
    end.connection.welcome(document(0, 5))
    await settle()
    assert end.cursors == [5]
    assert end.behind == 1


async def test_an_overflow_before_the_welcome_is_taken_does_not_lose_it(end, monkeypatch):
    """A slow client gets the welcome first, however many rings arrive meanwhile."""
    monkeypatch.setattr(limits, "QUEUE_MAX_FRAMES", 4)
    end.wire.hold()
    end.connection.welcome(document(0, 5))
    for position in range(6, 30):
        end.offer(position - 1, position)
    end.wire.flow()
    await settle()
    assert end.wire.types[0] == "welcome"
    assert end.connection.cursor == at(5)
    assert end.behind == 1


# -- The rule ------------------------------------------------------------------------------------


async def test_the_rule_decides_what_is_queued(welcomed):
    """At 5: 3→5 is dropped, 4→6 applied, 8→9 read."""
    welcomed.offer(3, 5)
    welcomed.offer(4, 6)
    await settle()
    assert welcomed.cursors == [5, 6]
    assert welcomed.behind == 0
    welcomed.offer(8, 9)
    await settle()
    assert welcomed.cursors == [5, 6]
    assert welcomed.behind == 1


async def test_a_reset_above_the_cursor_is_sent(welcomed):
    welcomed.offer(None, 9, reset=True)
    await settle()
    assert welcomed.cursors == [5, 9]


async def test_a_client_that_asks_is_served_from_what_it_knows(welcomed):
    """Queued frames are dropped, because the answer includes them."""
    welcomed.wire.hold()
    welcomed.offer(5, 6)
    await settle()
    welcomed.offer(6, 7)
    welcomed.connection.rewind(at(2))
    welcomed.wire.flow()
    await settle()
    assert welcomed.cursors == [5, 6]
    assert welcomed.behind == 1
    welcomed.offer(2, 7)
    await settle()
    assert welcomed.cursors[-1] == 7


async def test_a_client_that_asks_before_its_welcome_is_served_by_the_welcome(end):
    """The welcome continues the cursor of its handshake, so nothing else has to be read."""
    end.connection.rewind(at(3))
    end.connection.welcome(document(0, 5))
    await settle()
    assert end.cursors == [5]
    assert end.behind == 0


# -- Overflow ------------------------------------------------------------------------------------


async def test_an_overflow_empties_the_queue_and_marks_behind(welcomed, monkeypatch):
    """
    An overflow does not close the connection: once the client takes frames again, it is served from
    its own cursor.
    """
    monkeypatch.setattr(limits, "QUEUE_MAX_FRAMES", 8)
    welcomed.wire.hold()
    welcomed.offer(5, 6)
    await settle()  # the client is taking this one
    for position in range(7, 1000):
        welcomed.offer(position - 1, position)
        assert len(welcomed.connection._queue) <= 8
    await settle()
    assert welcomed.wire.code is None
    assert welcomed.behind == 0
    welcomed.wire.flow()
    await until(lambda: welcomed.behind)
    assert welcomed.behind == 1
    assert welcomed.connection.cursor == at(welcomed.cursors[-1])
    last = welcomed.cursors[-1]
    welcomed.offer(last, 1000)
    await settle()
    assert welcomed.cursors[-2:] == [last, 1000]


async def test_what_an_overflow_left_out_is_read_though_nothing_follows(welcomed, monkeypatch):
    """The dropped frame may have been the last for hours."""
    monkeypatch.setattr(limits, "QUEUE_MAX_FRAMES", 4)
    welcomed.wire.hold()
    welcomed.offer(5, 6)
    await settle()
    for position in range(7, 12):  # one too many
        welcomed.offer(position - 1, position)
    welcomed.wire.flow()
    await settle()
    assert welcomed.cursors == [5, 6]
    assert welcomed.behind == 1


async def test_the_queue_is_bounded_in_characters(welcomed, monkeypatch):
    monkeypatch.setattr(limits, "QUEUE_MAX_CHARACTERS", 10_000)
    welcomed.wire.hold()
    for position in range(6, 100):
        welcomed.offer(position - 1, position, size=1000)
        assert sum(len(text) for text, _ in welcomed.connection._queue) <= 10_000
    await settle()
    welcomed.wire.flow()
    await until(lambda: welcomed.behind)


async def test_a_frame_larger_than_the_queue_is_sent(welcomed, monkeypatch):
    """Otherwise it would be read and dropped forever."""
    monkeypatch.setattr(limits, "QUEUE_MAX_CHARACTERS", 100)
    welcomed.offer(5, 6, size=1000)
    await settle()
    assert welcomed.cursors == [5, 6]


async def test_a_slow_connection_does_not_delay_a_fast_one(end):
    """Offering a frame never waits."""
    fast = End()
    for one in (end, fast):
        one.connection.welcome(document(0, 5))
    await settle()
    end.wire.hold()
    for position in range(6, 400):
        end.offer(position - 1, position)
        fast.offer(position - 1, position)
        await settle()
    assert fast.cursors == list(range(5, 400))
    assert fast.behind == 0
    assert end.cursors == [5]


async def test_a_send_that_always_suspends_closes_nobody(monkeypatch):
    """A burst within one turn of the loop overflows such a connection, which is then served from the rows."""
    monkeypatch.setattr(limits, "QUEUE_MAX_FRAMES", 8)
    end = End(suspends=True)
    end.connection.welcome(document(0, 5))
    for position in range(6, 500):
        end.offer(position - 1, position)
    await until(lambda: end.behind)
    assert end.wire.code is None
    assert end.connection.is_open
    assert end.wire.types[0] == "welcome"


async def test_an_overflow_loses_no_answers(welcomed, monkeypatch):
    monkeypatch.setattr(limits, "QUEUE_MAX_FRAMES", 4)
    welcomed.wire.hold()
    for position in range(6, 40):
        welcomed.offer(position - 1, position)
        if position % 10 == 0:
            welcomed.connection.reply(protocol.dumps(protocol.ack(position, None)))
    welcomed.wire.flow()
    await settle()
    assert [frame["ref"] for frame in welcomed.wire.frames if frame["type"] == "ack"] == [
        10,
        20,
        30,
    ]


async def test_a_client_that_asks_and_does_not_read_is_closed(welcomed):
    welcomed.wire.hold()
    for ref in range(MAX_REPLIES + 2):
        welcomed.connection.reply(protocol.dumps(protocol.ack(ref, None)))
    await until(lambda: welcomed.wire.code)
    assert welcomed.wire.code == CloseCode.TOO_SLOW
    assert len(welcomed.connection._replies) <= MAX_REPLIES


# -- The ack window ------------------------------------------------------------------------------


@pytest.fixture
def window(monkeypatch):
    """A small window, on a server that buffers without bound and so never blocks."""
    monkeypatch.setattr(limits, "UNANSWERED_MAX_CHARACTERS", 20_000)


async def fill(end, start=6, stop=100):
    for position in range(start, stop):
        end.offer(position - 1, position, size=1000)
        await settle()


async def test_a_client_that_answers_no_ping_is_sent_no_more_than_the_window(window, welcomed):
    """
    The client is pinged when half the window is used.

    At the end of the window, nothing more is sent, but the connection stays open.
    """
    await fill(welcomed)
    sent = len(str(welcomed.wire.frames))
    assert 10_000 < sent < 25_000
    assert welcomed.wire.types.count("ping") == 1
    assert welcomed.wire.code is None
    assert len(welcomed.connection._queue) > 0


async def test_a_pong_to_no_ping_of_ours_opens_nothing(window, welcomed):
    """Otherwise a client that reads nothing could keep the window open by sending pongs."""
    await fill(welcomed)
    sent = len(welcomed.wire.frames)
    welcomed.connection.answered(None)
    welcomed.connection.answered(welcomed.connection._ref + 1)
    await settle()
    assert len(welcomed.wire.frames) == sent


async def test_an_answered_ping_opens_the_window_again(window, welcomed):
    await fill(welcomed, 6, 60)
    before = welcomed.cursors[-1]
    welcomed.connection.answered(welcomed.connection._ref)
    await settle()
    assert welcomed.cursors[-1] > before
    for _ in range(20):
        welcomed.connection.answered(welcomed.connection._ref)
        await settle()
    assert welcomed.cursors == list(range(5, 60))


async def test_answers_wait_for_the_window_too(window, welcomed):
    """Otherwise a client that sends commands without reading the answers would fill the server's buffer."""
    await fill(welcomed)
    welcomed.connection.reply(protocol.pong(None, None))
    await settle()
    assert "pong" not in welcomed.wire.types
    welcomed.connection.answered(welcomed.connection._ref)
    await settle()
    assert "pong" in welcomed.wire.types


async def test_a_client_that_answers_is_never_held_back(window, welcomed):
    for position in range(6, 200):
        welcomed.offer(position - 1, position, size=1000)
        await settle()
        if welcomed.wire.types[-1] == "ping":
            welcomed.connection.answered(welcomed.connection._ref)
    await settle()
    assert welcomed.cursors == list(range(5, 200))


# -- The rate of commands -------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch, welcomed):
    """The clock of the rate limit. It stands still until a test moves it."""

    class Loop:
        now = 1000.0

        def time(self):
            return self.now

        def __getattr__(self, name):
            return getattr(loop, name)

    loop = welcomed.connection._loop
    monkeypatch.setattr(welcomed.connection, "_loop", Loop())
    monkeypatch.setattr(welcomed.connection._asked, "_at", 1000.0)
    return welcomed.connection._loop


async def test_it_may_ask_in_bursts_and_at_a_rate(welcomed, clock):
    assert all(welcomed.connection.may_ask() for _ in range(200))
    assert not welcomed.connection.may_ask()
    clock.now += 1
    assert [welcomed.connection.may_ask() for _ in range(21)] == [True] * 20 + [False]
    assert welcomed.connection.is_open


async def test_what_our_own_client_says_again_after_a_pause_is_less_than_a_burst():
    """The client keeps up to a hundred unanswered commands, and repeats them all at once."""
    source = (PROJECT / "client/src/mailbox/commands.js").read_text()
    kept = re.search(r"const KEPT = (\d+);", source)
    assert kept
    assert int(kept[1]) * 2 <= limits.COMMAND_BURST


async def test_one_that_goes_on_asking_is_closed_for_good(welcomed, clock, monkeypatch):
    """If it were told to come back, it would continue."""
    monkeypatch.setattr(limits, "COMMAND_BURST", 3)
    for _ in range(200 + 29):
        welcomed.connection.may_ask()
    assert welcomed.connection.is_open
    welcomed.connection.may_ask()
    await until(lambda: welcomed.wire.code)
    assert welcomed.wire.code == CloseCode.PROTOCOL


async def test_one_that_rests_begins_anew(welcomed, clock, monkeypatch):
    monkeypatch.setattr(limits, "COMMAND_BURST", 3)
    for _ in range(10):
        for _ in range(200 + 29):
            welcomed.connection.may_ask()
        clock.now += 11  # from empty to full
    await settle()
    assert welcomed.connection.is_open


async def test_an_answer_to_our_ping_is_told_from_other_pongs(welcomed):
    welcomed.connection._send_ping()
    ref = welcomed.connection._ref
    assert not welcomed.connection.answered(None)
    assert not welcomed.connection.answered(ref + 1)
    assert welcomed.connection.answered(ref)
    assert not welcomed.connection.answered(ref)


# -- The heartbeat -------------------------------------------------------------------------------


async def test_a_quiet_connection_is_pinged_once(welcomed, settings):
    now = welcomed.connection._last_sent
    welcomed.connection.beat(now + settings_heartbeat() - 0.1)
    await settle()
    assert welcomed.wire.types == ["welcome"]
    welcomed.connection.beat(now + settings_heartbeat())
    welcomed.connection.beat(now + settings_heartbeat() + 5)
    await settle()
    ping = {"type": "ping", "cursor": str(at(5)), "ref": welcomed.connection._ref}
    assert welcomed.wire.frames[1:] == [ping]


def settings_heartbeat():
    from notify.conf import conf

    return conf.HEARTBEAT


async def test_a_connection_that_does_not_answer_is_closed(welcomed, monkeypatch):
    """Its close code lets the client come back."""
    now = welcomed.connection._last_sent
    monkeypatch.setattr(limits, "STALL_TIMEOUT", 60.0)
    welcomed.connection.beat(now + 26)  # not 25, because floats round
    welcomed.connection.beat(welcomed.connection._pinged + 59)
    await settle()
    assert welcomed.wire.code is None
    welcomed.connection.beat(welcomed.connection._pinged + 61)
    await settle()
    assert welcomed.wire.code == CloseCode.TOO_SLOW
    assert not welcomed.connection.is_open


async def test_a_connection_that_answers_stays(welcomed):
    for minute in range(1, 20):
        # Not 25, because floats round.
        welcomed.connection.beat(welcomed.connection._last_sent + 26)
        await settle()
        assert welcomed.wire.types[1:] == ["ping"] * minute
        welcomed.connection.answered(welcomed.connection._ref)
    assert welcomed.wire.code is None


# -- The end -------------------------------------------------------------------------------------


async def test_a_wire_that_fails_ends_the_connection(welcomed):
    welcomed.wire.fails = True
    welcomed.offer(5, 6)
    await settle()
    assert not welcomed.connection.is_open


async def test_close_says_goodbye_once(welcomed):
    welcomed.connection.close(CloseCode.KICKED)
    welcomed.connection.close(CloseCode.GOING_AWAY)
    welcomed.offer(5, 6)
    await settle()
    assert welcomed.wire.code == CloseCode.KICKED
    assert welcomed.wire.types == ["welcome"]


async def test_the_end_leaves_no_task(welcomed):
    """A write that waits for the client is cancelled."""
    welcomed.wire.hold()
    welcomed.offer(5, 6)
    await settle()
    writing = welcomed.connection._writing
    assert not writing.done()
    welcomed.connection.end()
    await settle()
    assert writing.done()
    assert welcomed.connection._writing is None


# -- A client that cannot answer -----------------------------------------------------------------


class MuteWire(Wire):
    """A wire whose client receives heartbeats but cannot answer."""

    def __init__(self, greet=None):
        super().__init__()
        self.pings = 0
        self.greet = greet or super().greet

    async def ping(self, text):
        await self.send(text)
        self.pings += 1
        return False


async def test_a_heartbeat_that_is_written_is_its_own_answer():
    end = End(MuteWire())
    end.connection.welcome(document(0, 5))
    now = end.connection._loop.time()
    for count in (1, 2, 3):
        end.connection.beat(now + settings_heartbeat() + 1)
        await until(lambda count=count: end.wire.pings == count)
    end.connection.beat(now + 10_000)
    await settle()
    assert end.wire.code is None
    end.connection.end()


async def test_a_mute_client_that_takes_no_heartbeat_is_closed():
    end = End(MuteWire())
    end.connection.welcome(document(0, 5))
    await settle()
    end.wire.hold()
    now = end.connection._loop.time()
    end.connection.beat(now + settings_heartbeat() + 1)
    await settle()
    end.connection.beat(now + 10_000)
    await until(lambda: end.wire.code == CloseCode.TOO_SLOW)
    end.connection.end()


async def test_a_mute_client_is_never_held_back(monkeypatch):
    """The window is open for everything that the wire accepts."""
    monkeypatch.setattr(limits, "UNANSWERED_MAX_CHARACTERS", 100)
    end = End(MuteWire())
    end.connection.welcome(document(0, 1))
    for position in range(1, 20):
        end.offer(position, position + 1)
        await settle()
    assert end.cursors == list(range(1, 21))
    end.connection.end()


async def test_a_greeting_takes_the_place_of_the_welcome():
    end = End(MuteWire(greet=lambda changes: changes.encode()))
    end.connection.welcome(document(0, 5))
    await settle()
    assert end.wire.types == ["changes"]
    end.connection.end()


async def test_without_a_greeting_the_first_document_is_what_comes_next():
    """The rule applies: nothing that the client knows is sent."""
    end = End(MuteWire(greet=lambda changes: None))
    end.offer(3, 4)
    end.connection.welcome(document(0, 5))
    end.offer(5, 6)
    await settle()
    assert end.wire.types == ["changes"]
    assert end.cursors == [6]
    end.connection.end()


# -- Ticks ---------------------------------------------------------------------------------------


def tick(done):
    return protocol.tick([{"id": 1, "attempt": 1, "done": done, "total": 4, "message": ""}])


async def test_of_many_ticks_the_newest_is_told_after_all_else(welcomed):
    welcomed.connection.tick(tick(1))
    welcomed.connection.tick(tick(2))
    welcomed.offer(5, 6)
    await settle()
    assert welcomed.wire.types == ["welcome", "changes", "tick"]
    assert welcomed.wire.frames[-1]["ticks"][0]["done"] == 2


async def test_a_tick_before_the_welcome_is_none(end):
    end.connection.tick(tick(1))
    end.connection.welcome(document(0, 5))
    await settle()
    assert end.wire.types == ["welcome"]


async def test_a_transport_that_has_no_place_for_ticks_gets_none():
    end = End()
    end.wire.takes_ticks = False
    end.connection.welcome(document(0, 5))
    end.connection.tick(tick(1))
    await settle()
    assert end.wire.types == ["welcome"]
    end.connection.end()


async def test_ticks_put_off_no_heartbeat(welcomed):
    """The heartbeat carries the cursor, and a tick does not."""
    last = welcomed.connection._last_sent
    welcomed.connection.tick(tick(1))
    await settle()
    assert welcomed.wire.types[-1] == "tick"
    assert welcomed.connection._last_sent == last


async def test_a_slow_client_has_one_tick_waiting_at_most():
    end = End()
    end.connection.welcome(document(0, 5))
    await settle()
    end.wire.hold()
    end.connection.tick(tick(0))
    await settle()
    for done in range(1, 5):
        end.connection.tick(tick(done))
    end.wire.flow()
    await settle()
    assert [frame["ticks"][0]["done"] for frame in end.wire.frames[1:]] == [0, 4]
    end.connection.end()
