"""
The world of one test: a database, a channel layer, web processes, senders, and users with tabs.

    async with World(database, layer=pubsub(redis.url)) as world:
        web = await world.start_web("uvicorn")
        sender = await world.start_sender()
        alice = await world.user("alice")
        tab = await world.open(alice)
        await sender.send(alice, "Hello")
        await world.oracle.check()

All of it runs in separate processes, and does not use the database of the pytest run.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.faults.clients import TRANSPORTS, Client, User
from tests.faults.oracle import Oracle
from tests.kit import servers
from tests.kit.patience import PATIENCE

T = TypeVar("T")
APPLICATION = "tests.asgi:application"
WEB: dict[str, type[servers.Web]] = {"uvicorn": servers.Uvicorn, "daphne": servers.Daphne}
MAX_LINE = 64 * 1024 * 1024

# A server dies with the thread that has started it, so this thread lives as long as the tests.
_errands = ThreadPoolExecutor(max_workers=4, thread_name_prefix="faults")


async def aside(function: Callable[..., T], *args: Any) -> T:
    """Run slow work, such as starting a server, in a thread while the clients continue."""
    return await asyncio.get_running_loop().run_in_executor(_errands, function, *args)


# -- Databases and layers, as entries of Django's settings -----------------------------------------


def sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
        },
    }


def served(engine: str, user: str, port: int, name: str = "notify") -> dict[str, Any]:
    """A database of a server. Another port leads through a proxy."""
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": name,
        "USER": user,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "CONN_MAX_AGE": None,  # so that processes meet connections that died unnoticed
    }


def pubsub(url: str) -> dict[str, Any]:
    return {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [url]},
    }


def core(url: str) -> dict[str, Any]:
    """The core layer as the documentation recommends: no timeout of the blocking read, no small pool."""
    host = {"address": url, "socket_timeout": None, "max_connections": 10_000}
    return {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [host], "group_expiry": 1800, "capacity": 10_000},
    }


def environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a process of the world, in addition to that of the tests."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        "NOTIFY_FAULTS": json.dumps(settings),
        "NOTIFY_TEST_DATABASE": "sqlite",
        "NOTIFY_TEST_USER": "default",
        "PYTHONUNBUFFERED": "1",
    }


def migrate(database: Mapping[str, Any]) -> None:
    command = [sys.executable, "-m", "django", "migrate", "-v", "0"]
    env = {**os.environ, **environment({"DATABASES": {"default": database}})}
    env.pop("PYTHONDEVMODE", None)
    subprocess.run(command, cwd=servers.PROJECT, env=env, check=True)


# -- Senders -------------------------------------------------------------------------------------


class CallFailed(Exception):
    """A call raised in the sender. The text begins with the class of the error."""


class SenderDied(Exception):
    """The process ended before it answered."""


class Sender:
    """
    A process that sends (sender.py).

    Attributes:
        committed: [pk, text] of everything that it reported as committed.
        took: seconds of the last call, measured in the process.
        loads: the names of the running loads.
    """

    def __init__(self, name: str, env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.env = dict(env)
        self.log = log
        self.committed: list[tuple[Any, str]] = []
        self.took = 0.0
        self.loads: list[str] = []
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._refs = itertools.count(1)
        self._process: asyncio.subprocess.Process
        self._reading: asyncio.Task[None]

    async def start(self) -> None:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"}
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.sender"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=env | self.env,
                cwd=servers.PROJECT,
                limit=MAX_LINE,
                start_new_session=True,
            )
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if isinstance(said["value"], dict):
                self.committed += [(to, text) for to, text in said["value"].get("committed", ())]
            self._answers.pop(said["ref"]).set_result(said)
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(SenderDied(f"{self.name} died."))
        self._answers.clear()

    def start_call(self, call: str, **arguments: Any) -> asyncio.Future[dict[str, Any]]:
        """Start a call without waiting. The answer has `value`, `error`, `began` and `ended`."""
        ref = next(self._refs)
        answer = asyncio.get_running_loop().create_future()
        if self._reading.done():
            answer.set_exception(SenderDied(f"{self.name} died before."))
            return answer
        self._answers[ref] = answer
        asked = {"ref": ref, "call": call, **arguments}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        return answer

    async def ask(self, call: str, **arguments: Any) -> dict[str, Any]:
        """Like :meth:`call`, but an error is part of the answer."""
        async with asyncio.timeout(PATIENCE):
            said = await self.start_call(call, **arguments)
        self.took = said["ended"] - said["began"]
        return said

    async def call(self, call: str, **arguments: Any) -> Any:
        """
        Call a function of sender.py, or "module:function", in the process. Returns its value.

        Args:
            thread: the thread of the process that executes it, by default "main".

        Raises:
            CallFailed: it raised.
            SenderDied: the process is gone.
        """
        said = await self.ask(call, **arguments)
        if said["error"] is not None:
            raise CallFailed(said["error"])
        return said["value"]

    async def send(self, to: User, message: str, **options: Any) -> dict[str, Any]:
        """Call notify.send() there. Returns id and position."""
        sent: dict[str, Any] = await self.call("send", to=to.pk, message=message, **options)
        return sent

    async def start_load(
        self,
        to: Sequence[User],
        rate: float,
        name: str = "load",
        size: int = 0,
        *,
        atomic: bool = False,
    ) -> None:
        """
        Begin to send steadily, to these users in turn.

        Args:
            rate: notifications per second, in total.
            name: the name of the load, with which its texts begin.
            size: the number of additional characters of each text.
            atomic: send each in a transaction, so that it is published after the commit.
        """
        users = [user.pk for user in to]
        options = {"rate": rate, "name": name, "size": size, "atomic": atomic}
        await self.call("start_load", to=users, **options)
        self.loads.append(name)

    async def stop_load(self, name: str = "load") -> list[dict[str, Any]]:
        """
        End the load.

        Returns for each send: `to`, `text`, `error` (None, or the class and text of the exception),
        `took`, and the moments `began` and `ended` by the machine's monotonic clock.
        """
        sends: list[dict[str, Any]] = (await self.call("stop_load", name=name))["sends"]
        self.loads.remove(name)
        return sends

    @property
    def pid(self) -> int:
        return self._process.pid

    async def dies(self) -> int:
        """Wait until it has ended. Returns the exit code (-9 after a kill)."""
        async with asyncio.timeout(PATIENCE):
            await self._reading
            return await self._process.wait()

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self.dies()

    async def close(self) -> None:
        """Let it end by itself. If it does not, kill it."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        await self._reading
        with suppress(Exception):
            await self._process.stdin.wait_closed()


# -- The world -----------------------------------------------------------------------------------


class World:
    """
    Args:
        database: an entry of DATABASES, already migrated.
        folder: for logs.
        layer: an entry of CHANNEL_LAYERS for web processes and senders. None means no rings.
        settings: additional Django settings for both.
    """

    def __init__(
        self,
        database: Mapping[str, Any],
        folder: Path,
        *,
        layer: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.database = dict(database)
        self.folder = folder
        self.settings = {
            "DATABASES": {"default": self.database},
            "CHANNEL_LAYERS": {"default": layer} if layer else {},
            **settings,
        }
        self.webs: list[servers.Web] = []
        self.senders: list[Sender] = []
        self.clients: list[Client] = []
        self.users: list[User] = []
        self.clerk: Sender  # reads the database, and never rings
        self.oracle = Oracle(self)
        self.history: list[tuple[float, str]] = []

    async def __aenter__(self) -> Self:
        # With a new connection for each call, so that no fault of the database affects later calls.
        database = {"default": self.database | {"CONN_MAX_AGE": 0}}
        self.clerk = await self._start_sender(
            "clerk", {"CHANNEL_LAYERS": {}, "DATABASES": database}
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.gather(*(client.close() for client in self.clients))
        await asyncio.gather(*(sender.close() for sender in [*self.senders, self.clerk]))
        # Not SIGTERM, because other tests cover the drain.
        await asyncio.gather(*(aside(_end, web) for web in self.webs))

    async def start_web(
        self,
        kind: str | type[servers.Web] = "uvicorn",
        *,
        application: str = APPLICATION,
        **settings: Any,
    ) -> servers.Web:
        """Start a web process: "uvicorn", "daphne" or a class. Returns when it answers."""
        server = WEB[kind] if isinstance(kind, str) else kind
        web = server(application, environment(self.settings | settings))
        self.webs.append(web)
        await aside(web.start)
        self.note(f"{server.__name__} is up at {web.address}")
        return web

    async def start_webs(self, *kinds: str, **settings: Any) -> list[servers.Web]:
        """Start several at once."""
        return list(await asyncio.gather(*(self.start_web(kind, **settings) for kind in kinds)))

    async def start_sender(self, **settings: Any) -> Sender:
        sender = await self._start_sender(f"sender {len(self.senders) + 1}", settings)
        self.senders.append(sender)
        return sender

    async def _start_sender(self, name: str, settings: Mapping[str, Any]) -> Sender:
        env = environment(self.settings | settings)
        sender = Sender(name, env, self.folder / f"{name}.log")
        await sender.start()
        return sender

    async def user(self, name: str = "user", *, mailbox: bool = True) -> User:
        """Create a signed-in user. The name is made unique."""
        return (await self.make_users(1, name, mailbox=mailbox))[0]

    async def make_users(
        self, count: int, name: str = "user", *, mailbox: bool = True
    ) -> list[User]:
        names = [f"{name}-{secrets.token_hex(4)}" for _ in range(count)]
        made = await self.clerk.call("users", names=names, mailbox=mailbox)
        users = [User(**fields) for fields in made]
        self.users += users
        return users

    def client(
        self,
        user: User,
        transport: str = "websocket",
        at: servers.Web | str | Sequence[servers.Web | str] | None = None,
        **options: Any,
    ) -> Client:
        """
        A tab that is not open yet.

        Args:
            at: web processes or addresses (such as a proxy's), used in turn. By default, all started ones.
            options: those of :class:`tests.faults.clients.Client`: since, backoff, grace.
        """
        places = self.webs if at is None else [at] if isinstance(at, servers.Web | str) else at
        addresses = [place if isinstance(place, str) else place.address for place in places]
        client = TRANSPORTS[transport](user, addresses, witness=self.story, **options)
        self.clients.append(client)
        return client

    async def open(
        self,
        user: User,
        transport: str = "websocket",
        at: servers.Web | str | Sequence[servers.Web | str] | None = None,
        **options: Any,
    ) -> Client:
        """Open a tab, and wait for its first document. The arguments are those of :meth:`client`."""
        client = self.client(user, transport, at, **options)
        client.start()
        await client.opened()
        return client

    # -- For the oracle --------------------------------------------------------------------------

    def recipients(self) -> set[Any]:
        return {user for user, _ in self.committed()}

    def committed(self) -> list[tuple[Any, str]]:
        """Everything that the senders reported as committed."""
        return [sent for sender in self.senders for sent in sender.committed]

    def note(self, what: str) -> None:
        """Record a fault, for the history of a failure."""
        self.history.append((time.monotonic(), what))

    def story(self) -> str:
        now = time.monotonic()
        parts = [f"{moment - now:9.3f} s  {what}" for moment, what in self.history]
        logs = [(web.address, web.log) for web in self.webs if web.folder is not None]
        logs += [(each.name, each.log.read_text()) for each in [self.clerk, *self.senders]]
        parts += [f"--- {name}\n{log[-3000:]}" for name, log in logs if log]
        return "\n".join(["The world:", *parts])


def _end(web: servers.Web) -> None:
    web.kill()
    web.close()


def copy_sqlite(template: Path, folder: Path) -> dict[str, Any]:
    """Copy a migrated database. Returns the entry of the copy."""
    path = folder / "notify.sqlite3"
    shutil.copyfile(template, path)
    return sqlite(path)
