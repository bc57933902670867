"""
The way into a Python server under measurement: a WebSocket at /control.

The benchmark asks for a burst, ``{"first": 101, "users": 50, "number": 7, "rounds": 10}``: users
101 to 150 get their notifications 7 to 16, a round for each number. The answer comes when all are
handed over and tells the CPU time that this process has used, user and system.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

Publish = Callable[[range, range], Awaitable[None]]  # (users, numbers)


def with_control(application: Any, publish: Publish) -> Any:
    """Serve ``application``, and the control connection beside it."""

    async def controlled(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and scope["path"] == "/control":
            await control(receive, send, publish)
        else:
            await application(scope, receive, send)

    return controlled


async def control(receive: Any, send: Any, publish: Publish) -> None:
    """Answer one control connection until it closes."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        burst = json.loads(event["text"])
        users = range(burst["first"], burst["first"] + burst["users"])
        numbers = range(burst["number"], burst["number"] + burst["rounds"])
        await publish(users, numbers)
        await send({"type": "websocket.send", "text": json.dumps({"cpu": time.process_time()})})
