"""The WebSocket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from channels.consumer import AsyncConsumer

from notify import auth, commands, origin, protocol
from notify.auth import Visitor
from notify.connection import Connection
from notify.exceptions import ProtocolError
from notify.hub import Hub
from notify.protocol import ChangesCommand, CloseCode, Cursor, Heartbeat, MarkCommand
from notify.threads import in_executor

logger = logging.getLogger("notify")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

LEAVE_TIMEOUT = 5.0  # seconds; daphne kills a consumer that takes 10
CLOSE_TIMEOUT = 5.0  # seconds; a client that reads nothing does not take the close frame either


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
        if not origin.is_allowed(scope):
            await send({"type": "websocket.close", "code": int(CloseCode.FOREIGN_ORIGIN)})
            return
        try:
            visitor = await in_executor(auth.sign_in, scope)
        except Exception:
            logger.exception("notify could not look up who opened a WebSocket.")
            await send({"type": "websocket.close", "code": int(CloseCode.GOING_AWAY)})
            return
        if visitor is None:
            await send({"type": "websocket.close", "code": int(CloseCode.NOT_SIGNED_IN)})
            return
        await self._serve(scope, receive, send, visitor)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, visitor: Visitor) -> None:
        async def write(text: str) -> None:
            await send({"type": "websocket.send", "text": text})

        async def close(code: int) -> None:
            patience.reschedule(hub.loop.time() + CLOSE_TIMEOUT)
            await send({"type": "websocket.close", "code": int(code)})

        hub = Hub.here()
        connection = Connection(visitor, write, close, hub.catch_up)
        arriving = hub.spawn(self._arrive(hub, connection, since_of(scope)))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as patience:
                    while (event := await receive())["type"] == "websocket.receive":
                        await self._receive(hub, connection, event.get("text"))
        finally:
            # Here, not in a disconnect handler: after an error some servers never send that event.
            arriving.cancel()
            await asyncio.wait([hub.spawn(hub.leave(connection))], timeout=LEAVE_TIMEOUT)

    async def _arrive(self, hub: Hub, connection: Connection, since: Cursor | None) -> None:
        try:
            await hub.connect(connection, since)
        except Exception:
            logger.exception("notify could not read the mailbox of %s.", connection.visitor.user)
            connection.close(CloseCode.GOING_AWAY)

    async def _receive(self, hub: Hub, connection: Connection, text: str | None) -> None:
        if not connection.is_open:
            return  # it may no longer be who it was
        if text is None or len(text) > protocol.MAX_COMMAND_BYTES:
            connection.close(CloseCode.PROTOCOL)
            return
        try:
            command = protocol.parse_command(text)
        except ProtocolError as problem:
            error = protocol.error(protocol.reference_of(text), problem.code, str(problem))
            connection.reply(protocol.dumps(error))
            return
        match command:
            case Heartbeat(is_ping=True):
                connection.reply(protocol.pong(connection.sent, command.ref))
            case Heartbeat():
                connection.answered(command.ref)
            case ChangesCommand(since):
                connection.rewind(since)
            case MarkCommand():
                connection.reply(await self._execute(hub, connection.visitor.user, command))

    async def _execute(self, hub: Hub, recipient: Any, command: MarkCommand) -> str:
        try:
            async with hub.marking(recipient):
                return protocol.dumps(await in_executor(commands.execute, recipient, command))
        except Exception:
            logger.exception("notify could not execute a command.")
            return protocol.dumps(commands.unavailable(command.ref))


def since_of(scope: Scope) -> Cursor | None:
    """The cursor in ``?since=``. What is none starts anew: a socket cannot answer 400."""
    given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("since", [""])[0]
    try:
        return Cursor.parse(given)
    except ProtocolError:
        return None
