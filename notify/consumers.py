"""The WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from channels.consumer import AsyncConsumer

from notify import auth, commands, limits, origin, protocol, signals
from notify.auth import Visitor
from notify.conf import conf
from notify.connection import Connection
from notify.exceptions import ProtocolError
from notify.hub import Hub
from notify.protocol import ChangesCommand, CloseCode, Cursor, Heartbeat, MarkCommand
from notify.threads import in_executor

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

LEAVE_TIMEOUT = 5.0  # seconds; daphne kills a consumer that takes 10
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
        if not origin.is_allowed(scope):
            await _refuse(send, CloseCode.FOREIGN_ORIGIN)
            return
        if Hub.is_draining_here():
            await _refuse(send, CloseCode.GOING_AWAY)
            return
        # Counted before anything is asked of the database: handshakes under way cost the most.
        with limits.connections.one_more(limits.EVERYBODY, conf.MAX_CONNECTIONS) as is_free:
            if is_free:
                await self._admit(scope, receive, send)
            else:
                await self._turn_away(send, "NOTIFY_MAX_CONNECTIONS")

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            visitor = await in_executor(auth.sign_in, scope)
        except Exception as error:
            signals.connect_failed.send_robust(type(self), recipient=None, error=error)
            await _refuse(send, CloseCode.GOING_AWAY)
            return
        if visitor is None:
            await _refuse(send, CloseCode.NOT_SIGNED_IN)
            return
        user = visitor.user
        with limits.connections.one_more(user, conf.MAX_CONNECTIONS_PER_USER) as is_free:
            if is_free:
                await self._serve(scope, receive, send, visitor)
            else:
                await self._turn_away(send, "NOTIFY_MAX_CONNECTIONS_PER_USER", user)

    async def _turn_away(self, send: Send, setting: str, recipient: Any = None) -> None:
        signals.connection_refused.send_robust(type(self), setting=setting, recipient=recipient)
        await _refuse(send, CloseCode.TOO_MANY)

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
                        # After a flood the loop belongs to others, and to what it has to answer.
                        await asyncio.sleep(0)
        finally:
            # Here, not in a disconnect handler: after an error some servers never send that event.
            arriving.cancel()
            await asyncio.wait([hub.spawn(hub.leave(connection))], timeout=LEAVE_TIMEOUT)

    async def _arrive(self, hub: Hub, connection: Connection, since: Cursor | None) -> None:
        try:
            await hub.connect(connection, since)
        except Exception as error:
            user = connection.visitor.user
            signals.connect_failed.send_robust(type(self), recipient=user, error=error)
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
            case MarkCommand():
                # The work outlives a tab that is cut off; so must its place among the marks.
                work = hub.spawn(self._execute(hub, connection.visitor.user, command))
                connection.reply(await asyncio.shield(work))

    async def _execute(self, hub: Hub, recipient: Any, command: MarkCommand) -> str:
        try:
            async with hub.marking(recipient):
                return protocol.dumps(await in_executor(commands.execute, recipient, command))
        except Exception as error:
            return protocol.dumps(commands.failed(recipient, command, error))


async def _refuse(send: Send, code: CloseCode) -> None:
    await send({"type": "websocket.close", "code": int(code)})


def since_of(scope: Scope) -> Cursor | None:
    """The cursor in ``?since=``. What is none starts anew: a socket cannot answer 400."""
    given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("since", [""])[0]
    try:
        return Cursor.parse(given)
    except ProtocolError:
        return None
