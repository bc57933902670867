"""
CPU time of the server process for each delivered notification, side by side.

Every variant has a server of its own, which runs from the beginning to the end; they are measured
in turns, forwards and backwards, and the first turn, in which they warm up, is dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks import services
from benchmarks.clients import (
    BenchmarkError,
    Control,
    Crowd,
    NotifyTab,
    SocketIOControl,
    SocketIOTab,
    Tab,
    TextbookTab,
)
from benchmarks.servers import people
from benchmarks.table import number, ratio, table

PATIENCE = 30  # seconds until a burst must have come


@dataclass(frozen=True)
class Shape:
    users: int
    tabs: int

    def __str__(self) -> str:
        return f"{self.users} users × {self.tabs} tab{'s' if self.tabs > 1 else ''}"


SHAPES = (Shape(50, 4), Shape(200, 1))


@dataclass(frozen=True)
class Variant:
    peer: str  # "notify", "textbook" or "socketio"
    server: str  # "uvicorn", "daphne" or "node"
    layer: str  # "memory", "redis" or "none"

    def __str__(self) -> str:
        return f"{self.peer}, {self.server}" + (f", {self.layer}" if self.layer != "none" else "")

    def tab(self, crowd: Crowd, port: int, user: int) -> Tab:
        """A tab of this user, not yet open."""
        if self.peer == "notify":
            return NotifyTab(crowd, port, "/notify/ws/", people.cookie(user))
        if self.peer == "textbook":
            return TextbookTab(crowd, port, f"/ws/{user}/")
        tab = SocketIOTab(crowd, port, SOCKET_IO)
        tab.user = user
        return tab

    def control(self, port: int) -> Control:
        return SocketIOControl(port, SOCKET_IO) if self.peer == "socketio" else Control(port)


SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"
VARIANTS = (
    *(
        Variant(peer, server, layer)
        for server in ("uvicorn", "daphne")
        for layer in ("memory", "redis")
        for peer in ("notify", "textbook")
    ),
    Variant("socketio", "node", "none"),
)


@dataclass(frozen=True)
class Plan:
    """How long, how often, how much at once."""

    repetitions: int = 5  # the first is dropped
    cpu: float = 1.0  # seconds of CPU time that one measurement takes
    wall: float = 10.0  # seconds after which it ends, if it waits more than it works
    burst: int = 10  # notifications for each user that are handed over at once


@dataclass(frozen=True)
class Measurement:
    variant: Variant
    shape: Shape
    repetition: int
    delivered: int
    cpu: float
    wall: float
    frames: int

    @property
    def microseconds(self) -> float:
        """CPU time for each delivered notification."""
        return self.cpu / self.delivered * 1e6

    @property
    def in_a_frame(self) -> float:
        """Notifications in one WebSocket frame."""
        return self.delivered / self.frames


def run(plan: Plan, peers: Collection[str], say: Callable[[str], None]) -> list[Measurement]:
    """Start the servers, measure, stop them."""
    with ExitStack() as stack:
        ready = dict(start(plan, peers, stack, say))
        measurements = []
        for repetition in range(plan.repetitions):
            first = 1 + repetition * sum(shape.users for shape in SHAPES)
            for shape in SHAPES:
                order = list(ready) if repetition % 2 == 0 else list(reversed(ready))
                for variant in order:
                    server = ready[variant]
                    try:
                        counted = asyncio.run(measure(variant, shape, server.port, first, plan))
                    except BenchmarkError as error:
                        raise BenchmarkError(
                            f"{variant}, {shape}: {error}\n{server.log[-3000:]}"
                        ) from error
                    taken = Measurement(variant, shape, repetition, *counted)
                    measurements.append(taken)
                    say(f"  {repetition + 1}/{plan.repetitions}  {shape}  {variant}: "
                        f"{taken.microseconds:.1f} µs")  # fmt: skip
                first += shape.users
        return measurements


def start(
    plan: Plan, peers: Collection[str], stack: ExitStack, say: Callable[[str], None]
) -> Iterator[tuple[Variant, services.Server]]:
    """The servers that this machine can run, started."""
    variants = [variant for variant in VARIANTS if variant.peer in peers]
    redis = None
    if any(variant.layer == "redis" for variant in variants):
        try:
            redis = stack.enter_context(services.Redis())
        except services.MissingProgram as missing:
            say(f"Without Redis: {missing}")
    folder = stack.enter_context(services.temporary_folder())
    environment = {
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "BENCHMARK_DATABASE": f"sqlite:///{folder}/db.sqlite3",
        "BENCHMARK_REDIS": redis.url if redis else "",
        "BENCHMARK_LAYER": "none",
    }
    if "notify" in peers:
        users = plan.repetitions * sum(shape.users for shape in SHAPES)
        services.run_python("benchmarks.servers.people", str(users), environment=environment)
    for variant in variants:
        if variant.layer == "redis" and redis is None:
            continue
        try:
            yield variant, stack.enter_context(server_of(variant, environment))
        except services.MissingProgram as missing:
            say(f"Without {variant}: {missing}")


def server_of(variant: Variant, environment: dict[str, str]) -> services.Server:
    if variant.server == "node":
        return services.Node()
    kind = services.Uvicorn if variant.server == "uvicorn" else services.Daphne
    peer = "notify_app" if variant.peer == "notify" else variant.peer
    return kind({**environment, "BENCHMARK_PEER": peer, "BENCHMARK_LAYER": variant.layer})


async def measure(
    variant: Variant, shape: Shape, port: int, first: int, plan: Plan
) -> tuple[int, float, float, int]:
    """
    Open the tabs, hand over bursts until enough CPU time has gone, and count what comes.

    Each burst gives every user ``plan.burst`` notifications; the next one begins when all tabs
    have been shown all of them. Returns notifications, CPU seconds, seconds and frames.
    """
    crowd = Crowd()
    users = range(first, first + shape.users)
    tabs = [variant.tab(crowd, port, user) for user in users for _ in range(shape.tabs)]
    control = variant.control(port)
    shown = 0  # to each tab

    async def burst() -> float:
        nonlocal shown
        crowd.expect(len(tabs) * plan.burst)
        cpu = await control.publish(first, shape.users, shown + 1, plan.burst)
        await crowd.wait(PATIENCE)
        shown += plan.burst
        return cpu

    try:
        await control.open()
        for some in range(0, len(tabs), 20):
            await asyncio.gather(*(tab.open() for tab in tabs[some : some + 20]))
        await burst()
        frames = sum(tab.frames for tab in tabs)
        before, began, start = crowd.shown, time.perf_counter(), await control.cpu()
        cpu = start
        while cpu - start < plan.cpu and time.perf_counter() - began < plan.wall:
            cpu = await burst()
        cpu, wall = await control.cpu(), time.perf_counter() - began
        crowd.check()  # nothing came twice after the last was counted
        return (
            crowd.shown - before,
            cpu - start,
            wall,
            sum(tab.frames for tab in tabs) - frames,
        )
    finally:
        await asyncio.gather(*(socket.close() for socket in [control, *tabs] if socket.transport))


def report(measurements: list[Measurement]) -> str:
    """The tables of ratios."""
    return "\n\n".join(shape_table(shape, measurements) for shape in SHAPES)


def shape_table(shape: Shape, measurements: list[Measurement]) -> str:
    def middle(value: str, peer: str, server: str, layer: str) -> float | None:
        variant = Variant(peer, server, layer)
        found = [m for m in measurements if (m.shape, m.variant) == (shape, variant)]
        return median(getattr(m, value) for m in found if m.repetition) if found else None

    node = middle("microseconds", "socketio", "node", "none")
    rows = []
    for server in ("uvicorn", "daphne"):
        for layer, name in (("memory", "in memory"), ("redis", "Redis pubsub")):
            notify = middle("microseconds", "notify", server, layer)
            textbook = middle("microseconds", "textbook", server, layer)
            if notify is None and textbook is None:
                continue
            rows.append(
                [
                    *(server, name, number(notify), number(textbook)),
                    *(ratio(textbook, notify), ratio(notify, node)),
                    number(middle("in_a_frame", "notify", server, layer)),
                ]
            )
    header = [
        *("server", "layer", "notify µs", "textbook µs", "textbook ÷ notify"),
        *("notify ÷ Socket.IO", "notify's rows a frame"),
    ]
    parts = [str(shape)]
    if rows:
        parts.append(table(header, rows))
    if node:
        parts.append(f"Socket.IO on Node: {number(node)} µs")
    return "\n".join(parts)


def as_json(measurements: list[Measurement]) -> list[dict[str, object]]:
    return [{**asdict(m), "microseconds": m.microseconds} for m in measurements]
