"""
notify and its peers side by side, in one run:

    python -m benchmarks            some minutes
    python -m benchmarks --quick    a rough answer
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import delivery, inbox, payload, progress, send
from benchmarks.clients import BenchmarkError
from tests.kit.servers import ServerFailed

PARTS = ("delivery", "send", "progress", "inbox")
NOTE = "Only the ratios hold: absolute figures depend on the machine and on what else it does."


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, and so stops all servers
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    started = time.monotonic()
    result: dict[str, object] = {"machine": machine()}
    parts = []
    try:
        if "delivery" in options.only:
            plan = delivery.Plan(burst=options.burst)
            if options.quick:
                plan = delivery.Plan(repetitions=2, cpu=0.4, wall=2, burst=options.burst)
            say(f"Delivery, {plan.repetitions} turns, the first one is dropped")
            measurements = delivery.run(plan, options.peers, say)
            result["delivery"] = delivery.as_json(measurements)
            parts.append(delivery_title(plan) + "\n\n" + delivery.report(measurements))
        if "send" in options.only:
            say("Sending")
            results = send.run(2 if options.quick else 8, say)
            result["send"] = results
            parts.append(SEND_TITLE + "\n\n" + send.report(results))
        if "progress" in options.only:
            say("Progress")
            course = progress.Plan(rounds=1, lasting=3) if options.quick else progress.Plan()
            costs = progress.run(course, say)
            result["progress"] = costs
            parts.append(PROGRESS_TITLE + "\n\n" + progress.report(costs))
        if "inbox" in options.only:
            say("Inbox")
            lists = inbox.run(1 if options.quick else 5, say)
            result["inbox"] = lists
            parts.append(INBOX_TITLE + "\n\n" + inbox.report(lists))
    except (BenchmarkError, ServerFailed) as error:
        print(f"\nThe benchmark failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    parts.append(f"{NOTE}\n{machine()}.\nTook {time.monotonic() - started:.0f} s.")
    print("\n" + "\n\n".join(parts))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def delivery_title(plan: delivery.Plan) -> str:
    return (
        "CPU time of the server process, user and system, for each delivered notification of\n"
        f"{payload.size()} bytes, publishing included, in bursts of {plan.burst} for each user"
        " (median; all were delivered, once, in order)"
    )


SEND_TITLE = "notify.send of one, and a bare ORM INSERT of the same row, outside atomic() (median)"
PROGRESS_TITLE = "What telling how far it is costs a task, the empty loop subtracted (median)"
INBOX_TITLE = (
    "A page of 25 of an inbox with its counts, marking all as read, and a send to notify's table with\n"
    "and without the columns and indexes of the inbox (median)"
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description="notify and its peers.")
    parser.add_argument("--quick", action="store_true", help="a rough answer in three minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        help="which part to run",
    )
    parser.add_argument(
        "--peers",
        nargs="+",
        choices=("notify", "textbook", "socketio"),
        default=("notify", "textbook", "socketio"),
        help="who takes part in the delivery",
    )
    parser.add_argument(
        "--burst",
        type=int,
        default=10,
        metavar="N",
        help="notifications for each user at once; with 1 none share a frame (default 10)",
    )
    return parser.parse_args()


def machine() -> str:
    packages = ["Django", "channels", "channels_redis", "uvicorn", "uvloop", "daphne", "orjson"]
    packages += ["redis", "celery", "celery-progress", "tqdm", "django-notifications-community"]
    versions = [f"{name} {version_of(name)}" for name in packages]
    place = f"{platform.system()}, {os.cpu_count()} CPUs"
    return f"Python {platform.python_version()}, {', '.join(versions)}; {place}"


def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "–"


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
