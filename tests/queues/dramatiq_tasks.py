"""Actors for Dramatiq, and functions that the sending process calls."""

from __future__ import annotations

from typing import Any

import dramatiq
from django.conf import settings
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, Retries

from notify.contrib.dramatiq import Tracking, tracked
from tests.queues.gates import URL, connect, note, wait_at

broker = RedisBroker(url=URL)
broker.add_middleware(AsyncIO())
broker.add_middleware(Tracking(), before=Retries if settings.QUEUE_FIRST else None)
dramatiq.set_broker(broker)


@dramatiq.actor
@tracked("Importing customers", user="user_id", url="/customers/", total=4)
def import_customers(user_id: Any, gate: str, progress: Any) -> None:
    progress.advance(3)
    wait_at(gate)
    progress.advance()
    progress.succeed("4 customers imported")


@dramatiq.actor
@tracked("Sending letters", user="user_id")
async def send_letters(user_id: Any) -> None:
    note("sent")


@dramatiq.actor(max_retries=2, min_backoff=1, max_backoff=1)
@tracked("Asking the bank", user="user_id")
def ask_the_bank(user_id: Any, gate: str) -> None:
    if connect().incr("asked") == 1:
        raise dramatiq.Retry("The bank is closed.", delay=1)
    wait_at(gate)


@dramatiq.actor(max_retries=1, min_backoff=1, max_backoff=1)
@tracked("Dividing", user="user_id")
def divide(user_id: Any, by: int) -> None:
    1 / by


@dramatiq.actor(throws=ZeroDivisionError)
@tracked("Dividing once", user="user_id")
def divide_once(user_id: Any) -> None:
    1 / 0  # noqa: B018


@dramatiq.actor
@tracked("Counting", user="user_id", cancellable=True, total=1_000_000_000)
def count(user_id: Any, progress: Any) -> None:
    note("counting")
    for _ in progress.track(range(1_000_000_000)):
        pass


@dramatiq.actor(max_age=1)
@tracked("Coming too late", user="user_id")
def come_too_late(user_id: Any) -> None:
    note("too late")


# -- Called in the sending process -------------------------------------------------------------------


def call(task: str, **arguments: Any) -> str:
    message_id: str = globals()[task].send(**arguments).message_id
    return message_id
