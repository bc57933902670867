"""Tasks for Celery, and functions that the sending process calls."""

from __future__ import annotations

import os
import signal
from typing import Any

from celery import chain, chord, group, shared_task
from celery.exceptions import Ignore, Reject

from notify.contrib.celery import send, tracked
from tests.queues.celery_app import app
from tests.queues.gates import note, wait_at


@shared_task
@tracked("Importing customers", user="user_id", url="/customers/", total=4)
def import_customers(user_id: Any, gate: str, progress: Any) -> int:
    progress.advance(3)
    wait_at(gate)
    progress.advance()
    progress.succeed("4 customers imported")
    return 4


@shared_task(ignore_result=True)
@tracked("Sending letters", user="user_id")
def send_letters(user_id: Any) -> None:
    note("sent")


@shared_task(bind=True, max_retries=2, default_retry_delay=0)
@tracked("Asking the bank", user="user_id")
def ask_the_bank(self: Any, user_id: Any, gate: str) -> None:
    note(f"asked {self.request.retries}")
    if self.request.retries == 0:
        raise self.retry(exc=RuntimeError("The bank is closed."))
    wait_at(gate)


@shared_task(
    bind=True,
    autoretry_for=[ZeroDivisionError],
    max_retries=1,
    retry_backoff=False,
    default_retry_delay=0,
)
@tracked("Dividing", user="user_id")
def divide(self: Any, user_id: Any, by: int) -> float:
    return 1 / by


@shared_task
@tracked("Counting", user="user_id", cancellable=True, total=1_000_000_000)
def count(user_id: Any, progress: Any) -> None:
    note("counting")
    for _ in progress.track(range(1_000_000_000)):
        pass


@shared_task
@tracked("Dying", user="user_id")
def die(user_id: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task
@tracked("Giving up", user="user_id")
def give_up(user_id: Any, how: str) -> None:
    raise {"ignore": Ignore(), "reject": Reject("no", requeue=False)}[how]


@shared_task(expires=0.001)
@tracked("Coming too late", user="user_id")
def come_too_late(user_id: Any) -> None:
    note("too late")


@shared_task
def resize(number: int) -> int:
    if number < 0:
        raise ValueError(number)
    return number


@shared_task
def wait_and_resize(gate: str) -> None:
    wait_at(gate)


@shared_task
@tracked("Painting", user="user_id")
def paint(user_id: Any, *results: Any, progress: Any) -> None:
    progress.total = 2
    progress.advance()


# -- Called in the sending process -------------------------------------------------------------------


def call(task: str, **arguments: Any) -> str:
    result: str = globals()[task].delay(**arguments).id
    return result


def call_by_place(task: str, arguments: list[Any]) -> None:
    globals()[task].delay(*arguments)


def call_all(shape: str, user: Any, numbers: list[int], **options: Any) -> None:
    tasks = [resize.si(number) for number in numbers]
    whole = {
        "group": lambda: group(tasks),
        "generator": lambda: group(task for task in tasks),
        "chain": lambda: chain(*tasks),
        "chord": lambda: chord(tasks, resize.si(0)),
        "tracked": lambda: group(paint.si(user) for _ in numbers),
        "waiting": lambda: chain(wait_and_resize.si("gate"), *tasks),
    }[shape]()
    send(whole, user, "Resizing pictures", **options)


def revoke(task: str) -> None:
    app.control.revoke(task)
