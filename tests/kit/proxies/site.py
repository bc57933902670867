"""
A small ASGI site that tests proxies without any code of notify. Its paths begin with /notify/, as
the nginx configuration in the documentation expects:

    GET stream/    server-sent events, sent as soon as they are published
    POST publish/  sends the body as one event to all streams; an empty body ends them
    GET head/      returns the head of the request, a line for each header
    ws/            a WebSocket that echoes everything
"""

from __future__ import annotations

import asyncio
from typing import Any

streams: set[asyncio.Queue[bytes]] = set()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "http":
        name = scope["path"].removeprefix("/notify")
        serve = {"/stream/": stream, "/publish/": publish}.get(name, show_head)
        await serve(scope, receive, send)


async def echo(receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


async def stream(scope: dict[str, Any], receive: Any, send: Any) -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    streams.add(queue)
    headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
    leaving = asyncio.create_task(leave(receive, queue))
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: hello\n\n", "more_body": True})
        while text := await queue.get():
            body = b"data: " + text + b"\n\n"
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body"})
    finally:
        streams.discard(queue)
        leaving.cancel()


async def leave(receive: Any, queue: asyncio.Queue[bytes]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    queue.put_nowait(b"")


async def publish(scope: dict[str, Any], receive: Any, send: Any) -> None:
    text = (await receive())["body"]
    count = len(streams)
    for queue in streams:
        queue.put_nowait(text)
    await answer(send, f"{count}")


async def show_head(scope: dict[str, Any], receive: Any, send: Any) -> None:
    lines = [f"{name.decode()}: {value.decode()}" for name, value in scope["headers"]]
    await answer(send, "\n".join([f"http: {scope['http_version']}", *lines]))


async def answer(send: Any, text: str) -> None:
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
