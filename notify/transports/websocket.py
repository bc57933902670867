"""The WebSocket."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from channels.consumer import AsyncConsumer

from notify import protocol
from notify.auth.session import Visitor
from notify.exceptions import ProtocolError
from notify.live.connection import Connection
from notify.live.hub import Hub
from notify.protocol import CancelCommand, ChangesCommand, CloseCode, Heartbeat, MarkCommand, Work
from notify.runtime.executor import in_executor
from notify.transports import commands
from notify.transports.admission import Refused, admit
from notify.transports.http import Receive, Scope, Send, either, since_of

WELCOME_DUE = 1.0  # seconds after which a client is told that it is not forgotten
CLOSE_TIMEOUT = 5.0  # seconds; a client that reads nothing does not take the close frame either
TOO_MANY = "This connection has sent too many commands. Try again later."


class NotifyConsumer(AsyncConsumer):
    """
    One tab's WebSocket.

    It refuses foreign origins and anonymous users itself, so that it is safe under any router. It
    takes no channel of the layer, and no message passes ``dispatch``, which hops through one
    process-wide thread each time: the hub delivers.
    """

    async def __call__(  # type: ignore[override]  # channels-stubs type each event apart
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        await receive()  # websocket.connect
        # Accepted in any case: a browser cannot tell a refused handshake from a broken network.
        await send({"type": "websocket.accept"})
        asking = asyncio.create_task(self._ask_for_patience(send))
        try:
            async with admit(scope, type(self)) as visitor:
                await self._serve(scope, receive, send, visitor, asking)
        except Refused as refused:
            asking.cancel()
            await send({"type": "websocket.close", "code": int(refused.code)})
        finally:
            asking.cancel()

    async def _ask_for_patience(self, send: Send) -> None:
        """
        Where a welcome is late, say that the socket carries frames: the server is busy, in a storm of
        reconnects, say, and a client that went on to its next transport would make it busier.
        """
        await asyncio.sleep(WELCOME_DUE)
        with suppress(Exception):  # it is gone already
            await send({"type": "websocket.send", "text": protocol.ping(None, 0)})

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        visitor: Visitor,
        asking: asyncio.Task[None],
    ) -> None:
        last: dict[str, Any] | None = None
        closing, closed = asyncio.Event(), asyncio.Event()
        is_gone = False

        async def listen() -> None:
            nonlocal is_gone
            await self._listen(hub, connection, receive)
            is_gone = True

        async def write(text: str) -> None:
            asking.cancel()  # the first is the welcome
            await send({"type": "websocket.send", "text": text})

        async def close(code: int) -> None:
            nonlocal last
            asking.cancel()
            last = {"type": "websocket.close", "code": int(code)}
            closing.set()
            await closed.wait()

        hub = Hub.here()
        connection = Connection(visitor, write, close, hub.catch_up, ticks=True)
        # Not by a disconnect handler: after an error some servers never send that event.
        async with hub.visit(connection, since_of(scope), type(self)):
            await either(listen(), closing.wait())
            if last is not None and not is_gone:
                # After the listening: granian sends no close frame while somebody listens.
                with suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_TIMEOUT):
                        await send(last)
                        closed.set()
                        while (await receive())["type"] != "websocket.disconnect":
                            pass

    async def _listen(self, hub: Hub, connection: Connection, receive: Receive) -> None:
        while (event := await receive())["type"] == "websocket.receive":
            await self._receive(hub, connection, event.get("text"))
            # After a flood the loop belongs to others, and to what it has to answer.
            await asyncio.sleep(0)

    async def _receive(self, hub: Hub, connection: Connection, text: str | None) -> None:
        if not connection.is_open:
            return  # it may no longer be who it was
        if text is None or len(text) > protocol.MAX_COMMAND_BYTES:
            connection.close(CloseCode.PROTOCOL)
            return
        try:
            command = protocol.parse_command(text)
        except ProtocolError as problem:
            connection.may_ask()  # it counts as one, and is answered in any case
            error = protocol.error(protocol.reference_of(text), problem.code, str(problem))
            connection.reply(protocol.dumps(error))
            return
        is_pong = isinstance(command, Heartbeat) and not command.is_ping
        if is_pong and connection.answered(command.ref):
            return  # we have asked for it, so it does not count
        if not connection.may_ask():
            connection.reply(protocol.dumps(protocol.error(command.ref, "too_many", TOO_MANY)))
            return
        match command:
            case Heartbeat(is_ping=True):
                connection.reply(protocol.pong(connection.sent, command.ref))
            case ChangesCommand(since):
                connection.rewind(since)
            case MarkCommand() | CancelCommand():
                # The work outlives a tab that is cut off; so must its place among the marks.
                work = hub.spawn(self._execute(hub, connection.visitor.user, command))
                connection.reply(await asyncio.shield(work))

    async def _execute(self, hub: Hub, recipient: Any, command: Work) -> str:
        try:
            async with hub.marking(recipient):
                return protocol.dumps(await in_executor(commands.execute, recipient, command))
        except Exception as error:
            return protocol.dumps(commands.failed(recipient, command, error))
