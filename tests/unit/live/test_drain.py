"""The drain at SIGTERM, with a fake hub and a fake signal handler of the server."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from notify.live import drain
from notify.live.drain import Drain, unwatch, watch
from notify.live.hub import Hub as RealHub
from notify.protocol import CloseCode
from tests.kit.fakes import Socket, in_thread, scope_of, settle, until

FIRST = 1000.0


class Connection:
    """A connection whose client leaves as soon as it is closed, or never answers."""

    def __init__(self, hub, user, *, answers=True):
        self.hub = hub
        self.user = user
        self.answers = answers
        self.codes = []

    def close(self, code):
        if not self.codes:
            self.hub.gone.append(self)
        self.codes.append(code)
        if self.answers:
            self.hub.open.remove(self)


class Hub:
    def __init__(self, *users, answers=True):
        self.loop = asyncio.get_running_loop()
        self.is_draining = False
        self.tasks = []
        self.gone = []  # in the order of their closes
        self.open = [Connection(self, user, answers=answers) for user in users]

    def connections(self):
        yield from tuple(self.open)

    def spawn(self, work):
        self.tasks.append(self.loop.create_task(work))
        return self.tasks[-1]


class Server:
    """The signal handler of a server. It records each signal, and how many clients were left then."""

    def __init__(self):
        self.given = []
        self.frames = []
        self.hub = None

    def handle(self, number, frame):
        self.given.append((number, len(self.hub.open) if self.hub else 0))
        self.frames.append(frame)


@pytest.fixture
def server():
    """The handler of SIGTERM while the test runs."""
    server = Server()
    before = signal.signal(signal.SIGTERM, server.handle)
    yield server
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def clock(monkeypatch):
    """A clock that advances only while something sleeps, and the length of each sleep."""
    now = [FIRST]
    sleep = asyncio.sleep

    async def rest(seconds):
        now[0] += seconds
        await sleep(0)

    monkeypatch.setattr(drain.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(drain.asyncio, "sleep", rest)
    return now


@pytest.fixture
def begin(server, clock):
    """Send SIGTERM to a hub with connections of these users. Returns the hub after the drain."""

    async def begin(*users, **options):
        server.hub = hub = Hub(*users, **options)
        assert watch(hub) is not None
        signal.raise_signal(signal.SIGTERM)
        await settle()
        await asyncio.gather(*hub.tasks)
        await settle()
        return hub

    return begin


# -- Closing the connections ---------------------------------------------------------------------


async def test_all_are_told_to_come_back_and_then_the_server_gets_its_signal(begin, server):
    hub = await begin(*range(50))
    assert [connection.codes for connection in hub.gone] == [[CloseCode.GOING_AWAY]] * 50
    assert server.given == [(signal.SIGTERM, 0)]
    assert server.frames[0] is not None  # the handler may read it


async def test_many_are_spread_evenly_over_the_time(begin, server, clock, monkeypatch, settings):
    """The last clients still have time to answer."""
    settings.NOTIFY_DRAIN_SECONDS = 10
    moments = []
    close = Connection.close

    def note(self, code):
        moments.append(clock[0] - FIRST)
        close(self, code)

    monkeypatch.setattr(Connection, "close", note)
    await begin(*range(1000))
    assert moments == pytest.approx([n * 0.008 for n in range(1000)])
    assert clock[0] - FIRST < 8.1


async def test_a_few_need_not_wait_for_one_another_long(begin, clock):
    """With three open tabs, a developer does not wait for seconds at each reload."""
    await begin(1, 2, 3)
    assert clock[0] - FIRST == pytest.approx(2 * drain.LONGEST_PAUSE)


async def test_nobody_is_here_and_nothing_is_waited_for(begin, server, clock):
    await begin()
    assert server.given == [(signal.SIGTERM, 0)]
    assert clock[0] == FIRST


async def test_the_tabs_of_a_user_come_back_at_different_moments(begin):
    hub = await begin(*[1] * 20, *[2] * 20, *[3] * 20)
    users = [connection.user for connection in hub.gone]
    assert sorted(users) != users
    assert len(set(users[:20])) > 1


async def test_who_does_not_answer_is_not_waited_for_beyond_the_time(
    begin, server, clock, settings
):
    settings.NOTIFY_DRAIN_SECONDS = 2
    await begin(1, 2, 3, answers=False)
    assert server.given == [(signal.SIGTERM, 3)]
    assert FIRST + 2 <= clock[0] < FIRST + 2.1


async def test_a_process_that_is_too_busy_for_all_goodbyes_ends_in_time(
    begin, server, clock, monkeypatch, settings
):
    """The remaining clients are closed while the server ends."""
    settings.NOTIFY_DRAIN_SECONDS = 1
    close = Connection.close

    def take_long(self, code):
        clock[0] += 0.5
        close(self, code)

    monkeypatch.setattr(Connection, "close", take_long)
    hub = await begin(*range(100))
    assert server.given == [(signal.SIGTERM, 98)]
    assert len(hub.gone) == 100


async def test_a_handshake_that_was_under_way_is_sent_away_too(begin, server, monkeypatch):
    close = Connection.close

    def let_one_in(self, code):
        close(self, code)
        if self.user == "first":
            self.hub.open.append(Connection(self.hub, "late"))

    monkeypatch.setattr(Connection, "close", let_one_in)
    hub = await begin("first")
    assert [connection.user for connection in hub.gone] == ["first", "late"]
    assert server.given == [(signal.SIGTERM, 0)]


# -- The signal ----------------------------------------------------------------------------------


async def test_in_zero_seconds_all_are_told_at_once(begin, server, settings):
    """A server that waits for open answers would otherwise wait long for a stream."""
    settings.NOTIFY_DRAIN_SECONDS = 0
    hub = await begin(1, 2)
    assert server.given == [(signal.SIGTERM, 2)]
    assert [connection.user for connection in hub.gone] == [1, 2]
    assert hub.is_draining


@pytest.mark.parametrize("value", ["soon", None])
async def test_a_setting_that_is_none_does_not_keep_the_process_alive(
    value, begin, server, settings
):
    settings.NOTIFY_DRAIN_SECONDS = value
    await begin(1)
    assert server.given == [(signal.SIGTERM, 1)]


async def test_a_signal_that_comes_doubled_ends_no_drain(server, clock):
    """systemd signals each process of a unit, and a parent signals its children once more."""
    server.hub = hub = Hub(*range(10))
    watch(hub)
    signal.raise_signal(signal.SIGTERM)
    clock[0] += 0.5
    signal.raise_signal(signal.SIGTERM)
    assert server.given == []
    await settle()
    await asyncio.gather(*hub.tasks)
    await settle()
    assert server.given == [(signal.SIGTERM, 0)]


async def test_a_second_signal_ends_the_drain(server, clock):
    server.hub = hub = Hub(*range(10), answers=False)
    watch(hub)
    signal.raise_signal(signal.SIGTERM)
    clock[0] += drain.DOUBLE_SECONDS
    signal.raise_signal(signal.SIGTERM)
    assert server.given == [(signal.SIGTERM, 10)]
    await settle()
    await asyncio.gather(*hub.tasks)
    await settle()
    assert [connection.codes[0] for connection in hub.gone] == [CloseCode.GOING_AWAY] * 10
    assert len(server.given) == 1


async def test_a_signal_after_the_time_is_the_servers_at_once(server, clock, settings):
    """The event loop was blocked the whole time, in a drain shorter than the time allowed for a duplicate."""
    settings.NOTIFY_DRAIN_SECONDS = 0.2
    server.hub = hub = Hub(1)
    watch(hub)
    signal.raise_signal(signal.SIGTERM)
    clock[0] += 0.2
    signal.raise_signal(signal.SIGTERM)
    assert len(server.given) == 1
    signal.raise_signal(signal.SIGTERM)
    assert len(server.given) == 2


async def test_after_the_drain_signals_are_the_servers(begin, server):
    await begin(1)
    signal.raise_signal(signal.SIGTERM)
    assert server.given == [(signal.SIGTERM, 0)] * 2


async def test_a_hub_that_ends_in_the_middle_hands_the_signal_over(server, clock):
    """The server ends for another reason, such as Ctrl-C."""
    server.hub = hub = Hub(1, answers=False)
    watch(hub)
    signal.raise_signal(signal.SIGTERM)
    await settle()
    (task,) = hub.tasks
    task.cancel()
    await asyncio.wait([task])
    await settle()
    assert server.given == [(signal.SIGTERM, 1)]


def test_a_handler_that_exits_ends_the_loop(clock):
    """Many programs call ``sys.exit()`` in their handler."""

    def leave(number, frame):
        raise SystemExit(7)

    async def serve():
        watch(Hub(1))
        signal.raise_signal(signal.SIGTERM)
        await asyncio.Event().wait()

    before = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises(SystemExit) as caught:
            asyncio.run(serve())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 7


async def test_ctrl_c_of_python_is_left_alone(server):
    before = signal.getsignal(signal.SIGINT)
    watch(Hub(1))
    assert signal.getsignal(signal.SIGINT) == before


@pytest.fixture
def ctrl_c(server):
    """Gives Ctrl-C the server's handler too, as uvicorn does."""
    before = signal.signal(signal.SIGINT, server.handle)
    yield
    signal.signal(signal.SIGINT, before)


async def test_at_ctrl_c_all_are_told_at_once_and_nobody_waits(server, clock, ctrl_c):
    server.hub = hub = Hub(1, 2)
    mine = watch(hub)
    signal.raise_signal(signal.SIGINT)
    assert server.given == [(signal.SIGINT, 2)]
    await settle()
    assert len(hub.gone) == 2
    assert hub.tasks == []
    unwatch(mine)
    assert signal.getsignal(signal.SIGINT) == server.handle


async def test_the_next_hub_takes_ctrl_c_as_well(server, ctrl_c):
    watch(Hub(1))
    second = watch(Hub(2))
    assert second is not None
    assert signal.getsignal(signal.SIGINT) == second.pass_on
    unwatch(second)


# -- Where no drain is set up --------------------------------------------------------------------


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
async def test_without_a_handler_of_a_server_nothing_is_done(server, handler):
    """The default handler ends the process at once, and ignoring the signal is the project's decision."""
    signal.signal(signal.SIGTERM, handler)
    assert watch(Hub()) is None
    assert signal.getsignal(signal.SIGTERM) == handler


async def test_a_handler_that_is_not_pythons_is_left_alone(server, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(drain.signal, "getsignal", lambda number: None)
        assert watch(Hub()) is None


async def test_a_hub_in_another_thread_drains_nothing(server):
    """runserver with its reloader has such a hub. Only the main thread can set signal handlers."""

    async def start():
        return watch(Hub()), True

    assert in_thread(lambda: asyncio.run(start())) == (None, True)
    assert signal.getsignal(signal.SIGTERM) == server.handle


async def test_a_subinterpreter_drains_nothing(server, monkeypatch):
    def refuse(number, handler):
        raise ValueError("signal only works in main thread of the main interpreter")

    with monkeypatch.context() as patch:
        patch.setattr(drain.signal, "signal", refuse)
        assert watch(Hub()) is None


async def test_a_hub_that_ended_gives_the_signal_back(server):
    unwatch(watch(Hub()))
    assert signal.getsignal(signal.SIGTERM) == server.handle
    unwatch(None)


async def test_a_handler_that_came_later_stays(server):
    later = Server()
    mine = watch(Hub())
    signal.signal(signal.SIGTERM, later.handle)
    unwatch(mine)
    assert signal.getsignal(signal.SIGTERM) == later.handle


async def test_given_back_from_another_thread_it_only_passes_signals_on(server):
    """A loop that ended without close_here() is noticed by the thread that rings it."""
    hub = Hub(1)
    mine = watch(hub)
    in_thread(lambda: (unwatch(mine), True))
    assert signal.getsignal(signal.SIGTERM) == mine.on_signal
    hub.loop = asyncio.new_event_loop()
    hub.loop.close()
    signal.raise_signal(signal.SIGTERM)
    assert len(server.given) == 1
    assert hub.gone == []


async def test_a_loop_that_does_not_run_keeps_no_process_alive(server):
    hub = Hub(1)
    watch(hub)
    hub.loop = asyncio.new_event_loop()
    signal.raise_signal(signal.SIGTERM)
    hub.loop.close()
    assert len(server.given) == 1


async def test_the_next_hub_takes_the_place_of_the_last(server, clock):
    """A process that has had many loops still has only one drain before the server's handler."""
    watch(Hub(1))
    second = watch(Hub(2))
    assert isinstance(second, Drain)
    assert second.handler == server.handle


async def test_a_fork_of_the_process_ends_as_if_there_were_no_drain(server, monkeypatch):
    hub = Hub(1)
    watch(hub)
    monkeypatch.setattr(drain.os, "getpid", lambda: -1)
    signal.raise_signal(signal.SIGTERM)
    assert len(server.given) == 1
    await settle()
    assert hub.gone == []


# -- The real hub --------------------------------------------------------------------------------


@pytest.fixture
async def hub(server, settings):
    settings.CHANNEL_LAYERS = {}
    settings.NOTIFY_SWEEP_INTERVAL = 3600
    yield RealHub.here()
    await RealHub.close_here()


async def test_a_hub_drains_while_it_lives(hub, server):
    assert signal.getsignal(signal.SIGTERM) != server.handle
    await RealHub.close_here()
    assert signal.getsignal(signal.SIGTERM) == server.handle


async def test_who_comes_while_it_drains_is_sent_elsewhere_at_once(hub, server, monkeypatch):
    """It is refused before any query."""
    from notify.auth import session as auth
    from notify.transports.websocket import NotifyConsumer

    monkeypatch.setattr(auth, "sign_in", lambda scope: None)  # would be NOT_SIGNED_IN
    assert not RealHub.is_draining_here()
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: hub.is_draining)
    assert RealHub.is_draining_here()
    socket = Socket(NotifyConsumer(), scope_of())
    assert await socket.ended() == CloseCode.GOING_AWAY
    assert socket.accepted
    await until(lambda: server.given)
