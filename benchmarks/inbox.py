"""
The inbox: a page of it at any number of rows, marking all as read, and what its columns cost a send.

Everything runs in one process for each database, in turns, without a channel layer. As a module it is that
process, and prints its medians as JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from statistics import median
from typing import Any

from benchmarks import services
from benchmarks.send import DATABASES, FIELDS, TEXT
from benchmarks.table import number, ratio, table

FEW, MANY = 100, 100_000  # rows of a user
MARKED = 10_000
LIMIT = 25  # rows on a page
BLOCK = 20  # calls of one kind in a row
PARTS = 5  # of the calls of a comparison; the table shows the lowest and the highest ratio
BATCH = 5_000

Result = dict[str, Any]


def run(seconds: float, say: Callable[[str], None]) -> list[Result]:
    """Measure on each database that this machine has, each comparison for so many seconds."""
    results = []
    if find_spec("notifications") is None:
        say(f"Without django-notifications-community: it is missing: {services.INSTALL_PEERS}")
    for name, database in DATABASES:
        try:
            with database() as url:
                environment = {
                    "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
                    "BENCHMARK_DATABASE": url,
                    "BENCHMARK_LAYER": "none",
                    "BENCHMARK_INBOX": "1",
                }
                arguments = ("benchmarks.inbox", str(seconds))
                output = services.run_python(
                    *arguments, environment=environment, timeout=600 + 10 * seconds
                )
        except services.MissingProgram as missing:
            say(f"Without {name}: {missing}")
            continue
        result = {"database": name, **json.loads(output)}
        say(f"  {name}: a page of {MANY:,} rows {result['page'][1]:.0f} µs")
        results.append(result)
    return results


def report(results: list[Result]) -> str:
    """The tables of pages, of marks and of sends."""
    return "\n\n".join([pages(results), marks(results), sends(results)])


def pages(results: list[Result]) -> str:
    rows = []
    for result in results:
        for update, name in (("inbox.page()", "page"), ("peer's list", "list")):
            if name in result:
                few, many = result[name]
                rows.append(
                    [
                        result["database"],
                        update,
                        number(result[f"{name} queries"], 0),
                        number(few / 1000, 2),
                        number(many / 1000, 2),
                        ratio(many, few),
                    ]
                )
    header = ["database", "update", "queries", f"ms of {FEW}", f"ms of {MANY:,}", "ratio"]
    return table(header, rows)


def marks(results: list[Result]) -> str:
    rows = [
        [
            result["database"],
            number(result["mark"] / 1000),
            number(result["mark of the peer"] / 1000) if "list" in result else number(None),
        ]
        for result in results
    ]
    return table(["database", f"mark_read() of {MARKED:,}, ms", "peer's, ms"], rows)


def sends(results: list[Result]) -> str:
    rows = [
        [
            result["database"],
            number(result["send"]),
            number(result["send before"]),
            ratio(result["send"], result["send before"]),
            f"{number(result['lowest'], 2)}–{number(result['highest'], 2)}",
        ]
        for result in results
    ]
    header = ["database", "send µs", "without its columns µs", "ratio", "of a fifth"]
    return table(header, rows)


# -- The process that measures -------------------------------------------------------------------


def measure(seconds: float) -> Result:
    """The medians on the database of the settings."""
    from benchmarks.unindexed import create_before

    create_before()
    people = fill()
    result = {**measure_pages(people, seconds), **measure_marks(people, seconds)}
    return {**result, **measure_sends(seconds)}


def fill() -> dict[str, Any]:
    """Returns three users by name: with few rows, with many, and with those that are marked."""
    from django.contrib.auth.models import User
    from django.utils import timezone

    from notify.models import Mailbox, Notification

    people = {}
    for name, rows in (("few", FEW), ("many", MANY), ("marked", MARKED)):
        people[name] = user = User.objects.create(username=name)
        now = timezone.now()
        for start in range(1, rows + 1, BATCH):
            Notification.objects.bulk_create(
                Notification(
                    recipient=user,
                    message=TEXT,
                    position=position,
                    arrived=position,
                    read_at=None if position % 2 or name == "marked" else now,
                    **FIELDS,
                )
                for position in range(start, min(start + BATCH, rows + 1))
            )
        Mailbox.objects.ensure([user.pk])
        if find_spec("notifications"):
            fill_peer(user, rows, half_read=name != "marked")
    return people


def fill_peer(user: Any, rows: int, *, half_read: bool) -> None:
    """Give the user as many notifications of the peer, by five actors on five targets."""
    from django.contrib.auth.models import Group, User
    from django.contrib.contenttypes.models import ContentType
    from notifications.models import Notification as Peer

    actors = [User.objects.get_or_create(username=f"actor {i}")[0] for i in range(5)]
    targets = [Group.objects.get_or_create(name=f"target {i}")[0] for i in range(5)]
    types = [ContentType.objects.get_for_model(model) for model in (User, Group)]
    for start in range(0, rows, BATCH):
        Peer.objects.bulk_create(
            Peer(
                recipient=user,
                actor_content_type=types[0],
                actor_object_id=actors[i % 5].pk,
                verb="imported rows into",
                target_content_type=types[1],
                target_object_id=targets[i % 5].pk,
                description=TEXT,
                level="success",
                unread=not (half_read and i % 2),
            )
            for i in range(start, min(start + BATCH, rows))
        )


def measure_pages(people: dict[str, Any], seconds: float) -> Result:
    """Its page with the counts, and the peer's list with its texts and the number of its badge."""
    from django.core.paginator import Paginator

    from notify import inbox

    few, many = people["few"], people["many"]

    def page(user: Any) -> None:
        found = inbox.page(user, limit=LIMIT)
        assert len([f"{row.title} {row.message}" for row in found.notifications]) == LIMIT

    def peer(user: Any) -> None:
        # As its list view and its template do, and its badge.
        rows = user.notifications.all().select_related(
            "actor_content_type", "target_content_type", "action_object_content_type"
        )
        rows = rows.prefetch_related("actor", "target", "action_object")
        found = Paginator(rows, LIMIT).get_page(1)
        assert len([f"{row} {row.description}" for row in found]) == LIMIT
        assert user.notifications.unread().count()

    calls = {"page": page, **({"list": peer} if find_spec("notifications") else {})}
    queries = {f"{name} queries": count_queries(call, many) for name, call in calls.items()}
    kinds = [(call, user) for call in calls.values() for user in (few, many)]
    medians = [median(times) for times in in_turns(kinds, seconds)]
    return {**queries, **{name: medians[2 * i : 2 * i + 2] for i, name in enumerate(calls)}}


def count_queries(call: Callable[[Any], None], user: Any) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    call(user)  # content types are cached by the first call
    with CaptureQueriesContext(connection) as captured:
        call(user)
    return len(captured)


def measure_marks(people: dict[str, Any], seconds: float) -> Result:
    """Everything of a user is marked as read, and made unread again outside the measurement."""
    from notify import inbox
    from notify.models import Mailbox

    user = people["marked"]
    times: dict[str, list[float]] = {"mark": [], "mark of the peer": []}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(times["mark"]) < 4:
        with timed(times["mark"]):
            inbox.mark_read(user)
        assert inbox.counts(user) == (0, 0)
        user.notify_notifications.update(read_at=None, seen_at=None)
        Mailbox.objects.filter(pk=user.pk).update(unread=MARKED, unseen=MARKED)
        if find_spec("notifications"):
            with timed(times["mark of the peer"]):
                user.notifications.mark_all_as_read()
            assert user.notifications.update(unread=True) == MARKED
    return {name: median(values[1:]) for name, values in times.items() if values}


def measure_sends(seconds: float) -> Result:
    """notify.send on the table as it is, and on one without the columns and indexes of the inbox."""
    from django.contrib.auth.models import User

    import notify
    from benchmarks.unindexed import on_table

    readers = {}
    for alias in ("default", "before"):
        with on_table(alias):
            readers[alias] = User.objects.create(username="reader")
    times: dict[str, list[float]] = {"default": [], "before": []}
    order = list(times)
    deadline = time.monotonic() + 4 * seconds
    while time.monotonic() < deadline or len(times["before"]) < PARTS * BLOCK:
        for alias in order:
            with on_table(alias), timed(times[alias]):
                notify.send(readers[alias], TEXT, **FIELDS)
        order.reverse()
    now, before = (values[BLOCK:] for values in times.values())
    size = len(now) // PARTS
    ratios = [
        median(now[start : start + size]) / median(before[start : start + size])
        for start in range(0, PARTS * size, size)
    ]
    return {
        "send": median(now),
        "send before": median(before),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


@contextmanager
def timed(times: list[float]) -> Any:
    start = time.perf_counter()
    yield
    times.append((time.perf_counter() - start) * 1e6)


def in_turns(kinds: list[tuple[Callable[[Any], None], Any]], seconds: float) -> list[list[float]]:
    """The medians of blocks of each kind, in microseconds, forwards and backwards in turns."""
    blocks: list[list[float]] = [[] for _ in kinds]
    order = list(enumerate(kinds))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or len(blocks[0]) < 4:
        for place, (call, argument) in order:
            times: list[float] = []
            for _ in range(BLOCK):
                with timed(times):
                    call(argument)
            blocks[place].append(median(times))
        order.reverse()
    return [each[1:] for each in blocks]  # the first turn warms up


if __name__ == "__main__":
    import sys

    import django

    django.setup()
    print(json.dumps(measure(float(sys.argv[1]))))
