"""
Random faults under a random load, checked by the oracle, for any time.

    python -m tests.faults.soak --minutes 10
    python -m tests.faults.soak --minutes 1 --seed 7 --database sqlite --layer core

In each round, some users open tabs, two processes send to them, and random parts fail, several at a
time. Then everything is repaired, and within RECOVERY seconds each tab must have shown each
committed notification of its user exactly once, in order, and nothing else. (If tabs mark, the
order may differ: a mark moves rows behind others, which a tab that catches up page by page sees
first.) The first violation ends the run, with the history.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.faults.breakable import PostgreSQL, Redis
from tests.faults.clients import Client
from tests.faults.layers import unreliable
from tests.faults.proxy import Proxy
from tests.faults.world import (
    CallFailed,
    Sender,
    SenderDied,
    World,
    aside,
    core,
    migrate,
    pubsub,
    served,
    sqlite,
)
from tests.kit import servers

SWEEP = 1.0  # seconds
ROUND = (8.0, 20.0)  # seconds
RECOVERY = 60.0  # seconds until everything must be right again
FAULTS_AT_ONCE = 3
WEBS = ("uvicorn", "uvicorn", "daphne")


class Soak:
    """
    Args:
        world: with running web processes.
        links: one breakable link to each of them.
        redis, postgresql: servers that may fail; None if the run has none.
        dice: chooses the faults. The same seed meets other moments in each run.
    """

    def __init__(
        self,
        world: World,
        links: list[Proxy],
        redis: Redis | None,
        postgresql: PostgreSQL | None,
        dice: random.Random,
    ) -> None:
        self.world = world
        self.links = links
        self.redis = redis
        self.postgresql = postgresql
        self.dice = dice
        self.began = time.monotonic()
        self.faults: Counter[str] = Counter()
        self.shown = 0
        self.sent = 0
        self.failed = 0
        self.rounds = 0
        self.senders: list[Sender] = []
        self.tabs: list[Client] = []
        self.marks = False
        self.names = 0
        # Parts that are broken now, or must not be touched for another reason.
        self.busy: set[str] = set()

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {what}", flush=True)
        self.world.note(what)

    async def run(self, seconds: float) -> None:
        while time.monotonic() < self.began + seconds:
            await self.round()
            self.rounds += 1
        faults = ", ".join(f"{name} {times}" for name, times in self.faults.most_common())
        self.say(
            f"{self.rounds} rounds; {self.sent} sends, {self.failed} of which failed with an error of"
            f" the database; {self.shown} shown, each once. Faults: {faults}."
        )

    async def round(self) -> None:
        users = await self.world.make_users(self.dice.randint(1, 3))
        for user in users:
            for _ in range(self.dice.randint(1, 3)):
                transport = self.dice.choice(["websocket", "websocket", "poll"])
                places = self.dice.sample(self.links, k=len(self.links))
                at = [link.address for link in places]
                self.tabs.append(await self.world.open(user, transport, at=at, grace=2.0))
        self.marks = self.dice.random() < 0.5
        self.say(
            f"round {self.rounds + 1}: {len(users)} users with {len(self.tabs)} tabs"
            f"{' that mark' if self.marks else ''}"
        )
        for _ in range(2):
            await self.start_sender()
        ends = time.monotonic() + self.dice.uniform(*ROUND)
        await asyncio.gather(*(self.break_things(ends) for _ in range(FAULTS_AT_ONCE)))
        await self.end_round()

    async def end_round(self) -> None:
        for sender in self.senders:
            await self.stop_sender(sender)
        self.senders.clear()
        in_order = not self.marks
        truth = await self.world.oracle.check(self.tabs, within=RECOVERY, in_order=in_order)
        await self.world.clerk.call(
            "manage", args=["notify_check"]
        )  # raises if it finds a violation
        shown = sum(len(tab.shown) for tab in self.tabs)
        rows = sum(len(box["texts"]) for box in truth.values())
        self.say(f"all is right: {rows} rows, shown {shown} times")
        self.shown += shown
        for tab in self.tabs:
            if tab.refusal:
                raise AssertionError(f"The tab was refused: {tab.story()}")
            await tab.close()
            self.world.clients.remove(tab)
        self.tabs.clear()
        self.world.senders.clear()

    # -- Senders ---------------------------------------------------------------------------------

    async def start_sender(self) -> Sender:
        sender = await self.world.start_sender()
        users = list({tab.user.pk: tab.user for tab in self.tabs}.values())
        self.names += 1
        await sender.start_load(users, self.dice.uniform(2, 30), f"plain {self.names}")
        await sender.start_load(
            users, self.dice.uniform(1, 15), f"atomic {self.names}", atomic=True
        )
        self.senders.append(sender)
        return sender

    async def stop_sender(self, sender: Sender) -> None:
        for name in tuple(sender.loads):
            sends = await sender.stop_load(name)
            self.sent += len(sends)
            errors = [each["error"] for each in sends if each["error"]]
            self.failed += len(errors)
            for error in errors:
                assert error.startswith("django.db.utils."), f"A send raised {error}"
        await sender.close()

    # -- Faults ----------------------------------------------------------------------------------

    async def break_things(self, ends: float) -> None:
        while time.monotonic() < ends:
            await asyncio.sleep(self.dice.uniform(0.1, 1.5))
            fault = self.choose()
            self.faults[fault.__name__] += 1
            await fault()

    def choose(self) -> Callable[[], Awaitable[None]]:
        possible: list[Callable[[], Awaitable[None]]] = [
            self.kill_web,
            self.end_web,
            self.cut_link,
            self.hold_link,
            self.slow_link,
            self.kill_sender,
            self.die_after_commit,
            self.roll_back,
            self.keep_open,
            self.doze,
        ]
        if self.marks:
            possible += [self.mark, self.mark]
        if self.redis is not None:
            possible += [self.kill_redis, self.silence_redis]
        if self.postgresql is not None:
            possible += [self.restart_database, self.cut_database]
        return self.dice.choice(possible)

    def pause(self) -> float:
        """How long a part is broken: usually shortly, sometimes long."""
        return min(self.dice.expovariate(0.7), 8.0)

    async def alone(self, name: str, fault: Callable[[], Awaitable[None]]) -> None:
        """Allow only one fault of a part at a time."""
        if name in self.busy:
            return
        self.busy.add(name)
        try:
            await fault()
        finally:
            self.busy.discard(name)

    async def kill_web(self) -> None:
        await self._restart_web(signal.SIGKILL)

    async def end_web(self) -> None:
        await self._restart_web(signal.SIGTERM)

    async def _restart_web(self, how: signal.Signals) -> None:
        web = self.dice.choice(self.world.webs)

        async def restart() -> None:
            pause = self.pause()
            self.say(f"{type(web).__name__} at {web.address}: {how.name}, back after {pause:.1f} s")
            await aside(web.kill if how == signal.SIGKILL else web.stop)
            await asyncio.sleep(pause)
            await aside(web.start)

        await self.alone(web.address, restart)

    async def cut_link(self) -> None:
        await self._break_link("cut", lambda link: (link.refuse(), link.cut()))

    async def hold_link(self) -> None:
        await self._break_link("held", lambda link: link.hold())

    async def slow_link(self) -> None:
        await self._break_link("slow", lambda link: link.delay(up=0.2, down=0.2))

    async def _break_link(self, word: str, do: Callable[[Proxy], Any]) -> None:
        link = self.dice.choice(self.links)

        async def hurt() -> None:
            pause = self.pause()
            self.say(f"the link to {link.targets[0]} is {word} for {pause:.1f} s")
            do(link)
            await asyncio.sleep(pause)
            link.heal()

        await self.alone(link.address, hurt)

    async def kill_redis(self) -> None:
        redis = self.redis
        assert redis is not None

        async def kill() -> None:
            pause = self.pause()
            self.say(f"Redis is killed for {pause:.1f} s")
            await aside(redis.kill)
            await asyncio.sleep(pause)
            await aside(redis.start)

        await self.alone("redis", kill)

    async def silence_redis(self) -> None:
        redis = self.redis
        assert redis is not None

        async def silence() -> None:
            pause = self.pause()
            self.say(f"Redis is silent for {pause:.1f} s")
            redis.fall_silent()
            await asyncio.sleep(pause)
            redis.answer_again()

        await self.alone("redis", silence)

    async def restart_database(self) -> None:
        postgresql = self.postgresql
        assert postgresql is not None

        async def restart() -> None:
            pause = self.pause() / 2
            how = self.dice.choice([postgresql.kill, postgresql.stop, postgresql.stop_at_once])
            self.say(f"PostgreSQL: {how.__name__}, back after {pause:.1f} s")
            await aside(how)
            await asyncio.sleep(pause)
            await aside(postgresql.start)

        await self.alone("database", restart)

    async def cut_database(self) -> None:
        self.say("every connection of the database is cut")
        await self.alone("database", self._cut_database)

    async def _cut_database(self) -> None:
        cut = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
        await self.world.clerk.ask("execute", statement=cut)

    async def kill_sender(self) -> None:
        if not self.senders:
            return
        sender = self.senders.pop(self.dice.randrange(len(self.senders)))
        self.say(f"{sender.name} is killed")
        await sender.kill()
        await self._replace(sender)

    async def die_after_commit(self) -> None:
        if not self.senders:
            return
        sender = self.senders.pop(self.dice.randrange(len(self.senders)))
        self.say(f"{sender.name} dies between commit and publish")
        thread = "dying"
        self.names += 1
        name = f"death {self.names}"
        try:
            await sender.ask("begin", thread=thread)
            await sender.ask("die_on_commit", thread=thread)
            for number in range(3):
                await self._send(sender, f"{name} {number}", thread)
            await sender.ask("commit", thread=thread)
            await sender.kill()  # the database was down
        except SenderDied:
            await sender.dies()
        await self._replace(sender)

    async def _replace(self, dead: Sender) -> None:
        await dead.close()
        await self.start_sender()

    async def _send(self, sender: Sender, text: str, thread: str) -> None:
        user = self.dice.choice(self.tabs).user
        await sender.ask("send", to=user.pk, message=text, thread=thread)

    async def roll_back(self) -> None:
        await self._transact("roll_back", 0.0)

    async def keep_open(self) -> None:
        await self._transact(self.dice.choice(["commit", "roll_back"]), self.pause())

    async def _transact(self, end: str, pause: float) -> None:
        """Run a transaction in a thread of a sender, which may die or lose its database meanwhile."""
        if not self.senders:
            return
        sender = self.dice.choice(self.senders)
        self.names += 1
        thread = f"transaction {self.names}"
        self.say(f"a transaction of {sender.name} is open for {pause:.1f} s: {end}")
        try:
            await sender.ask("begin", thread=thread)
            for number in range(2):
                await self._send(sender, f"{thread}, {number}, {end}", thread)
            await asyncio.sleep(pause)
            await sender.ask(end, thread=thread)
        except SenderDied:
            pass

    async def doze(self) -> None:
        """Let a tab sleep, as if the lid of a laptop were closed and opened again."""
        tab = self.dice.choice(self.tabs)

        async def sleep() -> None:
            pause = self.pause()
            self.say(f"{tab!r} sleeps for {pause:.1f} s")
            await tab.close()
            await asyncio.sleep(pause)
            tab.start()

        await self.alone(str(id(tab)), sleep)

    async def mark(self) -> None:
        """Mark. If the answer is lost with the link, it is unknown whether the mark was made."""
        tab = self.dice.choice(self.tabs)
        if tab.transport == "websocket" and tab.is_open and tab.cursor:
            await tab.try_command(
                self.dice.choice(["seen_all", "read_all"]), cursor=str(tab.cursor)
            )


async def soak(options: argparse.Namespace, stack: ExitStack) -> None:
    dice = random.Random(options.seed)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="notify-soak-")))
    redis: Redis | None = None
    postgresql: PostgreSQL | None = None
    layer = None
    if options.layer != "none":
        redis = stack.enter_context(Redis())
        layer = {"pubsub": pubsub, "core": core}.get(options.layer, _unreliable)(redis.url)
    if options.database == "postgresql":
        postgresql = stack.enter_context(PostgreSQL())
        _create(postgresql)
        database = served("postgresql", "notify", postgresql.port)
    else:
        database = sqlite(folder / "notify.sqlite3")
    migrate(database)
    settings = {"NOTIFY_SWEEP_INTERVAL": SWEEP, "NOTIFY_HEARTBEAT": 2.0}
    async with World(database, folder, layer=layer, **settings) as world:
        webs = await world.start_webs(*WEBS)
        links = [stack.enter_context(Proxy(web.address)) for web in webs]
        work = Soak(world, links, redis, postgresql, dice)
        work.say(f"seed {options.seed}, {options.database}, {options.layer} layer, {WEBS}")
        await work.run(options.minutes * 60)


def _unreliable(url: str) -> dict[str, Any]:
    return unreliable(url, drop=0.1, double=0.1, delay=0.1)


def _create(postgresql: PostgreSQL) -> None:
    import psycopg

    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE notify")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    layers = ["pubsub", "core", "unreliable", "none"]
    parser.add_argument("--layer", choices=layers, default="unreliable")
    options = parser.parse_args(arguments)
    try:
        with ExitStack() as stack:
            asyncio.run(soak(options, stack))
    except servers.MissingProgram as missing:
        print(missing)
        return 1
    except (AssertionError, CallFailed) as violation:
        print(f"Seed {options.seed}: {violation}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
