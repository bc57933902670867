"""
What it costs a task to say how far it is: notify beside tqdm and celery-progress, and by itself.

``calls`` asks for the price of one ``advance()`` while the writer's thread works, and how often that
writes, on each database. ``peers`` lets each take the same number of updates, in turns, in one
process; but celery-progress' are those of a task in a Celery worker. As a module it is that process,
and prints what it has measured as JSON.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median
from typing import Any

from benchmarks import send, services
from benchmarks.table import number, ratio, table

CALLS = 1_000_000  # of advance(), in one task
NAME = "Importing customers"
POLL = 0.5  # seconds between two looks at a Celery task: those of celery-progress' page
PASSES = 10  # in each round, of what takes milliseconds
CELERY = "celery-progress set_progress()"
BY_CALL = ("notify advance()", "tqdm update(1)", CELERY)
BY_LOOP = ("notify track()", "tqdm()")

Cost = tuple[float, float]  # seconds that the task waits, and CPU seconds of its process
Costs = dict[str, list[Cost]]  # by the name of what took them
Peer = Callable[[int], Costs]  # is given a number of updates
Result = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How many, how often, how long."""

    millions: int = 20  # tasks of CALLS, on each database
    updates: int = 100_000  # of each peer, in one task
    rounds: int = 5  # after one that is shorter, and dropped
    lasting: float = 9.0  # seconds of a task that does nothing else


def run(plan: Plan, say: Callable[[str], None]) -> Result:
    """Measure what this machine has."""
    return {
        "calls": list(run_calls(plan, say)),
        "lasting": plan.lasting,
        "updates": plan.updates,
        "peers": run_peers(plan, say),
    }


def run_calls(plan: Plan, say: Callable[[str], None]) -> Iterator[Result]:
    for name, database in send.DATABASES:
        try:
            with database() as url:
                measured = run_here(f"calls {plan.millions} {plan.lasting}", database=url)
        except services.MissingProgram as missing:
            say(f"Without {name}: {missing}")
            continue
        result = {"database": name, **measured}
        say(f"  {name}: advance() {result['call']:.3f} µs, {result['writes']} writes")
        yield result


def run_peers(plan: Plan, say: Callable[[str], None]) -> Costs:
    with ExitStack() as stack:
        url = ""
        try:
            redis = stack.enter_context(services.Redis())
            stack.enter_context(services.CeleryWorker(redis.url))
            url = redis.url
        except services.MissingProgram as missing:
            say(f"Without celery-progress: {missing}")
        if find_spec("tqdm") is None:
            say(f"Without tqdm: tqdm is missing: {services.INSTALL_PEERS}")
        database = stack.enter_context(send.sqlite())
        measured: Costs = run_here(
            f"peers {plan.rounds} {plan.updates}", database=database, redis=url
        )
        return measured


def run_here(arguments: str, *, database: str, redis: str = "") -> Any:
    """What this module prints as a process of its own; it says on stderr how far it is."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "BENCHMARK_DATABASE": database,
        "BENCHMARK_REDIS": redis,
        "BENCHMARK_LAYER": "redis" if redis else "none",
    }
    command = ("benchmarks.progress", *arguments.split())
    return json.loads(services.run_python(*command, environment=environment, timeout=1200))


def report(result: Result) -> str:
    """The tables."""
    return (
        f"{CALLS:,} × advance(); and a task of {result['lasting']:g} s that does nothing else\n"
        f"{calls_table(result['calls'])}\n\n"
        f"{result['updates']:,} updates, notify on SQLite\n"
        f"{peers_table(result)}"
    )


def calls_table(results: list[Result]) -> str:
    rows = [
        [
            result["database"],
            *(number(result["call"], 3), number(result["cpu"], 3), number(result["writes"], 0)),
            *(number(result["lasting"]["call"], 3), number(result["lasting"]["calls"], 0)),
            *(number(result["lasting"]["writes"], 0), number(result["lasting"]["write"])),
        ]
        for result in results
    ]
    header = [
        *("database", "advance() µs", "CPU µs", "writes"),
        *("in a lasting task µs", "calls", "writes", "CPU ms a write"),
    ]
    return table(header, rows)


def peers_table(result: Result) -> str:
    measured, updates = result["peers"], result["updates"]
    rows = []
    for group in (BY_CALL, BY_LOOP):
        own = each(measured, group[0], updates)
        for name in group:
            if name in measured:
                mine = each(measured, name, updates)
                waits, works = (
                    [number(value, 3 if value < 10 else None), ratio(value, base)]
                    for value, base in zip(mine, own, strict=True)
                )
                rows.append([name, *waits, *works])
    return table(["update", "task waits µs", "÷ notify's", "CPU µs", "÷ notify's"], rows)


def each(measured: Costs, name: str, updates: int) -> Cost:
    """Microseconds of one update, without those of the empty loop: that the task waits, and CPU."""
    empty = "loop in the worker" if name == CELERY else "loop"
    waits, works = (
        (median(many) - median(none)) / updates * 1e6
        for many, none in zip(
            zip(*measured[name], strict=True), zip(*measured[empty], strict=True), strict=True
        )
    )
    return waits, works


# -- In a process of its own ---------------------------------------------------------------------


def loop(updates: int) -> None:
    """What all have in common."""
    for _ in range(updates):
        pass


def taken(
    work: Callable[[int], None], updates: int, settle: Callable[[], None] | None = None
) -> Cost:
    """The time until so many updates are done, and the CPU time until the work has also settled."""
    cpu, start = time.process_time(), time.perf_counter()
    work(updates)
    waits = time.perf_counter() - start
    if settle is not None:
        settle()
    return waits, time.process_time() - cpu


def taken_here(work: Callable[[], None]) -> Cost:
    """The time until the work is done, and the CPU time of this thread alone."""
    cpu, start = time.thread_time(), time.perf_counter()
    work()
    return time.perf_counter() - start, time.thread_time() - cpu


def measure_calls(times: int, lasting: float) -> Result:
    """The price of a call in a task of a million, and in one that lasts, on the settings' database."""
    import notify

    user = reader()

    def million() -> Cost:
        with notify.progress(user, NAME, total=CALLS) as p:
            cost = taken_here(lambda: advance(p, CALLS))
            counted(p.done, CALLS)
        return cost

    million()
    flush()
    calls, empties, writes = [], [], []
    for _ in range(times):
        before = head(user)
        calls.append(million())
        flush()
        writes.append(head(user) - before)
        empties.append(taken_here(lambda: loop(CALLS)))
    check(user, CALLS, 1 + times)
    call, work = map(median, zip(*calls, strict=True))
    empty, idle = map(median, zip(*empties, strict=True))
    return {
        "call": (call - empty) / CALLS * 1e6,
        "cpu": (work - idle) / CALLS * 1e6,
        "writes": median(writes),
        "lasting": measure_lasting(user, lasting, empty / CALLS),
    }


def measure_lasting(user: Any, seconds: float, empty: float) -> Result:
    """A task that does nothing but advance, for so long that it is written several times."""
    import notify

    before, cpu, done = head(user), writer_cpu(), 0
    with notify.progress(user, NAME) as p:
        start = time.perf_counter()
        while (waits := time.perf_counter() - start) < seconds:
            advance(p, 10_000)
            done += 10_000
    flush()
    writes, cpu = head(user) - before, writer_cpu() - cpu
    check(user, done, None)
    return {
        "calls": done,
        "call": (waits / done - empty) * 1e6,
        "writes": writes,
        "write": None if math.isnan(cpu) else cpu / writes * 1e3,
    }


def advance(p: Any, calls: int) -> None:
    for _ in range(calls):
        p.advance()


def measure_peers(rounds: int, updates: int) -> Costs:
    """What each of them takes for so many updates."""
    user = reader()
    peers = list(peers_here(user))
    if os.environ["BENCHMARK_REDIS"]:
        peers.append(celery_progress)
    measured: Costs = {}
    for turn in range(1 + rounds):
        for peer in peers:
            for name, costs in peer(updates if turn else updates // 10).items():
                if turn:  # in the first one they warm up
                    measured.setdefault(name, []).extend(costs)
        peers.reverse()
        print(f"  {turn}/{rounds} × {updates:,} updates", file=sys.stderr, flush=True)
    check(user, updates, 2 * (1 + rounds) * PASSES)
    return measured


def peers_here(user: Any) -> Iterator[Peer]:
    """Whatever counts in this process."""
    import notify

    def by_call(updates: int) -> None:
        with notify.progress(user, NAME, total=updates) as p:
            advance(p, updates)
            counted(p.done, updates)

    def by_loop(updates: int) -> None:
        for _ in notify.track(range(updates), user, NAME):
            pass

    yield here("loop", loop)
    yield here("notify advance()", by_call, flush)
    yield here("notify track()", by_loop, flush)
    if find_spec("tqdm") is None:
        return

    from tqdm import tqdm

    nowhere = open(os.devnull, "w")  # noqa: SIM115 - as long as the process

    def bar_by_call(updates: int) -> None:
        with tqdm(total=updates, desc=NAME, file=nowhere) as bar:
            for _ in range(updates):
                bar.update(1)
            counted(bar.n, updates)

    def bar_by_loop(updates: int) -> None:
        for _ in tqdm(range(updates), desc=NAME, file=nowhere):
            pass

    yield here("tqdm update(1)", bar_by_call)
    yield here("tqdm()", bar_by_loop)


def here(name: str, work: Callable[[int], None], settle: Callable[[], None] | None = None) -> Peer:
    """A peer that takes milliseconds, so it goes several times."""
    return lambda updates: {name: [taken(work, updates, settle) for _ in range(PASSES)]}


def celery_progress(updates: int) -> Costs:
    """The task in the worker, watched as by celery-progress' page, which asks, and asks again."""
    from benchmarks.servers.worker import work

    result = work.delay(updates)
    while not result.ready():
        time.sleep(POLL)
    # get() at once would have this process read each update as it is published.
    costs: Costs = result.get()
    return costs


def reader() -> Any:
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    return User.objects.create(username="reader")


def flush() -> None:
    from notify import testing

    if not testing.flush():
        raise SystemExit("The last word of a task was not written within ten seconds")


def head(user: Any) -> int:
    """Each write of a task's notification takes the next position of the mailbox."""
    from notify.models import Mailbox

    box = Mailbox.objects.filter(pk=user.pk).first()
    return box.head if box else 0


def writer_cpu() -> float:
    """CPU seconds of the writer's thread."""
    (writer,) = (t.ident for t in threading.enumerate() if t.name == "notify-progress")
    assert writer is not None
    if not hasattr(time, "pthread_getcpuclockid"):  # not on macOS
        return math.nan
    return time.clock_gettime(time.pthread_getcpuclockid(writer))


def counted(done: float, updates: int) -> None:
    if done != updates:
        raise SystemExit(f"{done} of {updates} updates were counted")


def check(user: Any, done: int, tasks: int | None) -> None:
    """Every task, or at least the last one, is told as ended, with all that it has done."""
    from notify.models import Notification

    rows = Notification.objects.published().filter(recipient=user).order_by("position")
    told = [row.progress or {} for row in rows]
    if tasks not in (None, len(told)):
        raise SystemExit(f"{len(told)} of {tasks} tasks are told")
    last = told[-1]
    if (last.get("state"), last.get("done")) != ("succeeded", done):
        raise SystemExit(f"{last} is told of {done} updates")


if __name__ == "__main__":
    import django

    django.setup()
    what, times, much = sys.argv[1:]
    if what == "calls":
        print(json.dumps(measure_calls(int(times), float(much))))
    else:
        print(json.dumps(measure_peers(int(times), int(much))))
