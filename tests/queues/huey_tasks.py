"""Tasks for Huey, and functions that the sending process calls."""

from __future__ import annotations

from typing import Any

from huey.contrib.djhuey import HUEY, db_task, task
from huey.exceptions import CancelExecution, RetryTask

from notify.contrib.huey import tracked
from tests.queues.gates import connect, note, wait_at


@db_task()
@tracked("Importing customers", user="user_id", url="/customers/", total=4)
def import_customers(user_id: Any, gate: str, progress: Any) -> None:
    progress.advance(3)
    wait_at(gate)
    progress.advance()
    progress.succeed("4 customers imported")


@task()
@tracked("Sending letters", user="user_id")
def send_letters(user_id: Any) -> None:
    note("sent")


@task(retries=3)
@tracked("Asking the bank", user="user_id")
def ask_the_bank(user_id: Any, gate: str) -> None:
    ways = [RuntimeError("The bank is closed."), RetryTask(), CancelExecution(retry=True)]
    asked = connect().incr("asked")
    if asked <= len(ways):
        raise ways[asked - 1]
    wait_at(gate)


@task(retries=1, name="divide_numbers")
@tracked("Dividing", user="user_id")
def divide(user_id: Any, by: int) -> float:
    return 1 / by


@task()
@tracked("Counting", user="user_id", cancellable=True, total=1_000_000_000)
def count(user_id: Any, progress: Any) -> None:
    note("counting")
    for _ in progress.track(range(1_000_000_000)):
        pass


@task(retries=1)
@tracked("Giving up", user="user_id")
def give_up(user_id: Any) -> None:
    raise CancelExecution(retry=False)


@task()
@HUEY.lock_task("one")
@tracked("Locked", user="user_id")
def locked(user_id: Any) -> None:
    note("not locked")


@task(expires=-1)
@tracked("Coming too late", user="user_id")
def come_too_late(user_id: Any) -> None:
    note("too late")


# -- Called in the sending process -------------------------------------------------------------------


def call(task: str, **arguments: Any) -> str:
    task_id: str = globals()[task](**arguments).id
    return task_id


def revoke(task: str) -> None:
    HUEY.revoke_by_id(task)


def is_revoked(task: str) -> bool:
    return bool(HUEY.is_revoked(task))


def lock() -> None:
    HUEY.lock_task("one").acquire()
