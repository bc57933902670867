"""Functions for RQ, and functions that the sending process calls."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from rq import Queue, Retry
from rq.command import send_stop_job_command
from rq.registry import StartedJobRegistry

from notify.contrib.rq import Job, tracked
from tests.queues.gates import connect, note, wait_at


@tracked("Importing customers", user="user_id", url="/customers/", total=4)
def import_customers(user_id: Any, gate: str, progress: Any) -> None:
    progress.advance(3)
    wait_at(gate)
    progress.advance()
    progress.succeed("4 customers imported")


@tracked("Sending letters", user="user_id")
async def send_letters(user_id: Any) -> None:
    note("sent")


@tracked("Asking the bank", user="user_id")
def ask_the_bank(user_id: Any, how: str, gate: str) -> Any:
    first = not connect().exists("asked")
    connect().set("asked", 1)
    if first and how == "raise":
        raise RuntimeError("The bank is closed.")
    if first and how == "return":
        return Retry(max=1)
    if first and how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    wait_at(gate)
    return None


@tracked("Dividing", user="user_id")
def divide(user_id: Any, by: int) -> float:
    return 1 / by


@tracked("Counting", user="user_id", cancellable=True, total=1_000_000_000)
def count(user_id: Any, progress: Any) -> None:
    note("counting")
    for _ in progress.track(range(1_000_000_000)):
        pass


@tracked("Dying", user="user_id")
def die(user_id: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@tracked("Giving up", user="user_id")
def give_up(user_id: Any) -> Retry:
    return Retry(max=1)


# -- Called in the sending process -------------------------------------------------------------------


def call(task: str, retries: int = 0, plain: bool = False, now: bool = False, **given: Any) -> str:
    options = {} if plain else {"job_class": Job}
    queue = Queue(connection=connect(), is_async=not now, **options)
    retry = Retry(max=retries) if retries else None
    job_id: str = queue.enqueue_call(globals()[task], kwargs=given, retry=retry).id
    return job_id


def cancel(job: str) -> None:
    Job.fetch(job, connection=connect()).cancel()


def stop(job: str) -> None:
    send_stop_job_command(connect(), job)


def clean() -> None:
    """Clean up as a worker does from time to time, but as if it were later."""
    registry = StartedJobRegistry(connection=connect(), job_class=Job)
    registry.cleanup(timestamp=time.time() + 10_000)
