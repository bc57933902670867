"""
The application of the test project, with a page that shows the queries of the process.

    await world.start_web(application=WATCHED)    # window.py
    GET /_watch/    {"queries": 812, "by": {"SELECT … FROM \"auth_user\"": 400, …}, "sockets": 500,
                    "rooms": 100, "rung": ["[{\"id\": 7, …}]", …], "time": 1795232006.5}

"rung" are the rows of the latest rings that the channel layer has brought.

If the settings name a clock of the test, the process uses it.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from tests.faults import clock

if path := json.loads(os.environ["NOTIFY_FAULTS"]).get(clock.SETTING):
    clock.install(path)  # before the models, which keep a reference to the clock

from django.db.backends.signals import connection_created

from tests.asgi import application as application_of_the_project

WORDS = re.compile(
    r'(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|SAVEPOINT)\b|(?:FROM|JOIN) "?`?(\w+)'
)
asked: Counter[str] = Counter()
counting = threading.Lock()
rung: deque[str] = deque(maxlen=50)


def shape(statement: str) -> str:
    """The verb and the tables."""
    found = [verb or table for verb, table in WORDS.findall(statement)]
    return " ".join(dict.fromkeys(found)) or statement[:40]


def count(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    with counting:
        asked[shape(sql)] += 1
    return execute(sql, params, many, context)


def watch(connection: Any, **kwargs: Any) -> None:
    if count not in connection.execute_wrappers:
        connection.execute_wrappers.append(count)


connection_created.connect(watch, dispatch_uid="watch")


def listen() -> None:
    """Note the rows of each ring before the hub handles it."""
    from notify import doorbell
    from notify.live.hub import Hub

    handle = Hub.handle

    def note(hub: Hub, message: dict[str, Any]) -> None:
        if message["type"] == doorbell.RING:
            rung.extend(rows or "" for *_, rows in doorbell.contents(message)["rings"])
        handle(hub, message)

    Hub.handle = note  # type: ignore[method-assign]


listen()


def report() -> dict[str, Any]:
    from notify.live.hub import Hub

    with counting:
        by = dict(asked)
    return {
        "queries": sum(by.values()),
        "by": by,
        "sockets": sum(1 for hub in Hub._hubs.values() for _ in hub.connections()),
        "rooms": sum(len(hub.rooms) for hub in Hub._hubs.values()),
        "rung": list(rung),
        "time": clock.says(),
    }


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http" or scope["path"] != "/_watch/":
        return await application_of_the_project(scope, receive, send)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(report()).encode()})
