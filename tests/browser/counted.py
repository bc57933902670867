"""
The demo, with a page that counts open connections and all requests so far:

    GET /count/    {"open": {"sse": 1, …}, "total": {"sse": 2, "poll": 7, …}}
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from demo_project.asgi import application as demo

open_now: Counter[str] = Counter()
total: Counter[str] = Counter()


def kind(scope: dict[str, Any]) -> str:
    if scope["type"] == "websocket":
        return "websocket"
    path = scope.get("path")
    if path == "/notify/stream/":
        return "sse"
    if path == "/notify/changes/":
        return "longpoll" if b"wait=" in scope["query_string"] else "poll"
    return ""


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http" and scope["path"] == "/count/":
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = json.dumps({"open": open_now, "total": total}).encode()
        return await send({"type": "http.response.body", "body": body})
    name = kind(scope)
    open_now[name] += 1
    total[name] += 1
    try:
        await demo(scope, receive, send)
    finally:
        open_now[name] -= 1
