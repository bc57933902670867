"""
``notify.send`` against a bare INSERT of the same row by the ORM, outside ``atomic()``.

Both in turns, in blocks, in one process for each database; no channel layer, so what is compared
is the work of the database and the code around it. As a module it is that process, and prints
its medians as JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from benchmarks import payload, services
from benchmarks.table import number, ratio, table

BLOCK = 50  # calls in a row of one kind
TEXT = payload.ROW["message"]
FIELDS: dict[str, Any] = {name: payload.ROW[name] for name in ("level", "title", "url")}

Result = dict[str, Any]  # database, send, insert (microseconds), blocks


def run(seconds: float, say: Callable[[str], None]) -> list[Result]:
    """Measure on each database that this machine has, for so many seconds each."""
    results = []
    for name, database in DATABASES:
        try:
            with database() as url:
                environment = {
                    "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
                    "BENCHMARK_DATABASE": url,
                    "BENCHMARK_LAYER": "none",
                }
                arguments = ("benchmarks.send", str(seconds))
                output = services.run_python(*arguments, environment=environment)
        except services.MissingProgram as missing:
            say(f"Without {name}: {missing}")
            continue
        result = {"database": name, **json.loads(output)}
        say(f"  {name}: notify.send {result['send']:.0f} µs, INSERT {result['insert']:.0f} µs")
        results.append(result)
    return results


@contextmanager
def sqlite() -> Iterator[str]:
    with services.temporary_folder() as folder:
        yield f"sqlite:///{folder}/db.sqlite3"


@contextmanager
def postgresql() -> Iterator[str]:
    with services.PostgreSQL() as server:
        yield server.url


@contextmanager
def mariadb() -> Iterator[str]:
    import pymysql

    with services.MariaDB() as server:
        with pymysql.connect(host="127.0.0.1", port=server.port, user="root") as connection:
            connection.cursor().execute("CREATE DATABASE notify CHARACTER SET utf8mb4")
        yield f"{server.url}notify"


DATABASES = (("SQLite", sqlite), ("PostgreSQL", postgresql), ("MariaDB", mariadb))


def report(results: list[Result]) -> str:
    """The table of ratios."""
    rows = [
        [
            result["database"],
            number(result["send"]),
            number(result["insert"]),
            ratio(result["send"], result["insert"]),
        ]
        for result in results
    ]
    return table(["database", "notify.send µs", "INSERT µs", "notify.send ÷ INSERT"], rows)


def measure(seconds: float) -> Result:
    """The medians on the database of the settings."""
    from django.contrib.auth.models import User
    from django.core.management import call_command

    import notify
    from notify.models import Notification

    call_command("migrate", verbosity=0)
    reader, other = (User.objects.create(username=name) for name in ("reader", "other"))
    position = 0

    def send() -> None:
        notify.send(reader, TEXT, **FIELDS)

    def insert() -> None:
        # The row as it stands once it is published, to another user, whose mailbox stays alone.
        nonlocal position
        position += 1
        Notification.objects.create(
            recipient=other, message=TEXT, position=position, arrived=position, **FIELDS
        )

    sends: list[float] = []
    inserts: list[float] = []
    order = [(send, sends), (insert, inserts)]
    for call, _ in order:
        block(call)  # warm
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(sends) < 5:
        for call, medians in order:
            medians.append(block(call))
        order.reverse()
    check(reader, len(sends))
    return {"send": median(sends), "insert": median(inserts), "blocks": len(sends)}


def block(call: Callable[[], None]) -> float:
    """The median of a block of calls, in microseconds."""
    times = []
    for _ in range(BLOCK):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times) * 1e6


def check(reader: Any, blocks: int) -> None:
    """Every send was stored, and published."""
    from notify.models import Notification

    sent = (blocks + 1) * BLOCK
    published = Notification.objects.published().filter(recipient=reader).count()
    if published != sent:
        raise SystemExit(f"{published} of {sent} sent notifications are published")


if __name__ == "__main__":
    import sys

    import django

    django.setup()
    print(json.dumps(measure(float(sys.argv[1]))))
