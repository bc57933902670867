"""Tasks for Django Tasks, and functions that the sending process calls."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from django.db import transaction

from notify.contrib.django_tasks import tracked
from notify.tracking import attempts, writer
from tests.queues.gates import note, wait_at

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task


@task
@tracked("Importing customers", user="user_id", total=4)
def import_customers(user_id: Any, gate: str, progress: Any) -> int:
    progress.advance(3)
    wait_at(gate)
    progress.succeed("4 customers imported")
    return 4


@task(takes_context=True)
@tracked("Counting", user="user_id", cancellable=True)
def count(context: Any, user_id: Any, progress: Any) -> None:
    note(f"attempt {context.attempt}")
    for _ in progress.track(range(1_000_000_000)):
        pass


@task
@tracked("Failing", user="user_id")
def fail(user_id: Any) -> None:
    raise ValueError("no")


@task
@tracked("Adding", user="user_id")
async def add(user_id: Any, progress: Any) -> None:
    progress.advance()


@task
@tracked("Dying", user="user_id")
def die(user_id: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task
def plain(name: str) -> None:
    note(name)


# -- Called in the sending process -------------------------------------------------------------------


def call(task: str, backend: str = "default", **arguments: Any) -> None:
    globals()[task].using(backend=backend).enqueue(**arguments)


def call_and_roll_back(task: str, **arguments: Any) -> None:
    with transaction.atomic():
        call(task, **arguments)
        transaction.set_rollback(True)


def call_in_a_coroutine(task: str, **arguments: Any) -> None:
    async def work() -> None:
        call(task, backend="immediate", **arguments)

    asyncio.run(work())


def call_and_commit_late(task: str, **arguments: Any) -> None:
    attempts.LATE_SECONDS = 0.0  # so it is late at once
    with transaction.atomic():
        call(task, backend="immediate", **arguments)
        writer.flush()
