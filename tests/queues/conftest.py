from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from notify.models import Notification
from tests.faults.clients import Client, User
from tests.faults.conftest import (  # noqa: F401
    make_world,
    mariadb_server,
    postgresql_server,
    sqlite_template,
)
from tests.faults.world import Sender, World, aside, environment, pubsub
from tests.kit.patience import PATIENCE
from tests.queues.workers import Worker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.queues)


class Queue:
    """
    A queue in a world: a process that calls tasks of `module`, and workers that run them.

    Attributes:
        redis: the Redis at which tasks wait and note what they did.
    """

    def __init__(self, world: World, module: str, url: str, worker: dict[str, Any]) -> None:
        self.world = world
        self.module = module
        self.redis = redis.Redis.from_url(url, socket_timeout=None)
        self.redis.flushall()
        self.worker = worker
        self.workers: list[Worker] = []
        self.sender: Sender

    async def start_worker(self, *arguments: str) -> Worker:
        env = environment(self.world.settings)
        worker = Worker(*self.worker["command"], *arguments, env=env, ready=self.worker["ready"])
        self.workers.append(worker)
        await aside(worker.start)
        return worker

    async def call(self, task: str, **arguments: Any) -> Any:
        return await self.sender.call(f"{self.module}:call", task=task, **arguments)

    async def ask(self, function: str, **arguments: Any) -> Any:
        return await self.sender.call(f"{self.module}:{function}", **arguments)

    def open(self, gate: str) -> None:
        self.redis.rpush(gate, "open")

    async def noted(self) -> str:
        """Returns the next note of a task."""
        found = await aside(self.redis.blpop, ["noted"], PATIENCE)
        assert found, self.story()
        return found[1].decode()

    async def tasks(self, user: User) -> list[dict[str, Any]]:
        """The user's tasks as their tabs show them, the oldest first."""
        found: list[dict[str, Any]] = await self.world.clerk.call(
            "tests.queues.rows:tasks", user=user.pk
        )
        return found

    async def until(
        self, user: User, is_so: Callable[[list[dict[str, Any]]], bool]
    ) -> list[dict[str, Any]]:
        """Wait until the user's tasks fulfil a condition. Returns the tasks."""
        rows: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    rows = await self.tasks(user)
                    if is_so(rows):
                        return rows
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"The tasks did not reach the expected state: {rows}.\n{self.story()}")

    async def state(self, user: User, *states: str) -> dict[str, Any]:
        """Wait until the user's only task is in one of these states."""
        rows = await self.until(
            user, lambda rows: [row["state"] in states for row in rows] == [True]
        )
        return rows[0]

    async def cancel(self, user: User) -> None:
        await self.sender.call("tests.queues.rows:cancel", user=user.pk)

    def story(self) -> str:
        return "\n".join([self.world.story(), *(worker.log[-5000:] for worker in self.workers)])

    async def close(self) -> None:
        for worker in self.workers:
            await aside(worker.kill_all)
            await aside(worker.close)
        self.redis.close()


def states_in(tab: Client) -> list[str]:
    """The states of the tasks that a tab shows."""
    return [row["progress"]["state"] for row in tab.rows.values()]


@pytest.fixture
async def make_queue(make_world: Any, redis_server: Any) -> AsyncIterator[Callable[..., Any]]:  # noqa: F811
    """Makes a queue: `await make_queue("tests.queues.celery_app", worker)`."""
    queues: list[Queue] = []

    async def make(module: str, worker: dict[str, Any], **settings: Any) -> Queue:
        world = await make_world(
            "postgresql", layer=pubsub(redis_server.url), QUEUE=redis_server.url, **settings
        )
        queue = Queue(world, module, redis_server.url, worker)
        queue.sender = await world.start_sender()
        queues.append(queue)
        return queue

    yield make
    for queue in queues:
        await queue.close()


def told() -> dict[str, Any]:
    """The only task in the database of the tests, as its user sees it."""
    return Notification.objects.get().progress or {}


def tracked_raiser(tracked: Any, *errors: BaseException | None, **options: Any) -> Any:
    """A function tracked by an adapter, which raises one of these errors each time it is called."""
    left = list(errors)

    def work(user_id: Any) -> None:
        if (error := left.pop(0)) is not None:
            raise error

    return tracked("Working", user="user_id", **options)(work)
