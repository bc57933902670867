"""The WebSocket transport: documents in both directions over one socket."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from channels.consumer import AsyncConsumer

from notify import protocol, signals
from notify.auth.session import Visitor
from notify.exceptions import ProtocolError
from notify.live import limits
from notify.live.connection import Connection, Wire
from notify.live.hub import Hub
from notify.protocol import CloseCode
from notify.transports import commands, http, parser
from notify.transports.admission import Refused, admit
from notify.transports.frames import Backlog, Frame, FrameReader
from notify.transports.http import Receive, Scope, Send, either, since_of
from notify.transports.parser import (
    ActCommand,
    CancelCommand,
    ChangesCommand,
    Heartbeat,
    MarkCommand,
)

WELCOME_DUE = 1.0  # seconds; if the welcome takes longer, a ping asks the client to wait
CLOSE_TIMEOUT = 5.0  # seconds; a client that does not read does not accept the close frame either
TOO_MANY = "This connection has sent too many commands. Try again later."


class SocketWire(Wire):
    """
    Writes to an accepted WebSocket.

    If the welcome is late, a ping is written first. A late welcome means that the server is busy, as in
    a storm of reconnects. Without the ping, clients would try their next transport, which would add to
    the load.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._code: int | None = None
        self._closed = asyncio.Event()
        self.closing = asyncio.Event()
        self.is_gone = False  # the client has closed the socket
        self._late = asyncio.create_task(self._ask_for_patience())

    async def _ask_for_patience(self) -> None:
        await asyncio.sleep(WELCOME_DUE)
        with suppress(Exception):  # The client may already be gone.
            await self._send({"type": "websocket.send", "text": protocol.ping(None, 0)})

    def cancel(self) -> None:
        """Cancel the ping that would precede a late welcome."""
        self._late.cancel()

    async def send(self, text: str) -> None:
        self.cancel()
        await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: int) -> None:
        """Let :meth:`finish` write the close frame, and wait until it is written."""
        self.cancel()
        self._code = code
        self.closing.set()
        await self._closed.wait()

    async def refuse(self, code: int) -> None:
        """Write the close frame. Its reason is the name of the code, for those who read the frame."""
        self.cancel()
        reason = CloseCode(code).name.lower()
        await self._send({"type": "websocket.close", "code": int(code), "reason": reason})

    async def finish(self, receive: Receive) -> None:
        """Write the close frame, if there is one, and wait for the client to accept it."""
        if self._code is None or self.is_gone:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.refuse(self._code)
                self._closed.set()
                while (await receive())["type"] != "websocket.disconnect":
                    pass


class NotifyConsumer(AsyncConsumer):
    """
    Serves one tab's WebSocket.

    The consumer refuses foreign origins and anonymous users itself, so it is safe under any router. It
    uses no channel of the layer, because the hub delivers. It does not use ``dispatch``, which passes
    through one process-wide thread for every message.
    """

    async def __call__(  # type: ignore[override]  # channels-stubs type each event separately
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        await receive()  # websocket.connect
        # Always accepted: a browser cannot distinguish a refused handshake from a broken network.
        await send({"type": "websocket.accept"})
        wire = SocketWire(send)
        reader = FrameReader(receive)
        try:
            async with admit(scope, type(self)) as visitor:
                await self._serve(scope, receive, reader, wire, visitor)
        except Refused as refused:
            await reader.close()
            if refused.hint:  # as daphne does not pass on the reason of a close frame
                hint = http.REFUSALS[refused.code].document(refused.hint)
                await wire.send(protocol.dumps(hint))
            await wire.refuse(refused.code)
        finally:
            await reader.close()
            wire.cancel()

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        reader: FrameReader,
        wire: SocketWire,
        visitor: Visitor,
    ) -> None:
        hub, backlog = Hub.here(), Backlog()
        # The end of this block ends the visit. A handler for `websocket.disconnect` would not be enough,
        # because some servers never send that event after an error.
        async with hub.visit(visitor, wire, since_of(scope), type(self)) as connection:
            reader.open(partial(self._take, connection, backlog))
            executing = self._execute(hub, connection, backlog)
            await either(reader.ended(), executing, wire.closing.wait())
            wire.is_gone = reader.is_gone
            # granian sends no close frame while the application is waiting in receive().
            await reader.close()
            await wire.finish(receive)

    async def _execute(self, hub: Hub, connection: Connection, backlog: Backlog) -> None:
        """
        Execute the commands of this socket one after the other, until the client has left.

        Each user has at most one running command, and with two or more threads, one is always free of
        commands. Otherwise commands that wait for a few locked mailboxes would keep all new clients
        waiting for their welcome.
        """
        user_id = connection.visitor.user_id
        while True:
            command = await backlog.next()
            work = partial(commands.encoded_answer, user_id, command)
            connection.reply(await hub.turns.run(("command", user_id), work))

    def _take(self, connection: Connection, backlog: Backlog, text: Frame) -> None:
        """Handle a frame, or add its command to the backlog."""
        if not connection.is_open:
            return  # The connection was closed, perhaps because the user is no longer allowed to do this.
        if text is None or parser.is_too_long(text):
            connection.close(CloseCode.PROTOCOL)
            if text is not None:
                user_id = connection.visitor.user_id
                signals.message_refused.send_robust(
                    type(self), size=len(text), recipient_id=user_id
                )
            return
        units = limits.units_of(text)
        # A large command is charged first, because parsing it would cost more than it is worth.
        if units > 1 and not connection.may_ask(units):
            connection.reply(protocol.dumps(protocol.error(None, "too_many", TOO_MANY)))
            return
        try:
            command = parser.parse_command(text)
        except ProtocolError as problem:
            if units == 1:
                connection.may_ask()  # An invalid command counts too, but is always answered.
            error = protocol.error(problem.ref, problem.code, str(problem))
            connection.reply(protocol.dumps(error))
            return
        is_pong = isinstance(command, Heartbeat) and not command.is_ping
        if is_pong and connection.answered(command.ref):
            return  # The answer to the server's own ping does not count as a command.
        if units == 1 and not connection.may_ask():
            connection.reply(protocol.dumps(protocol.error(command.ref, "too_many", TOO_MANY)))
            return
        match command:
            case Heartbeat(is_ping=True):
                connection.reply(protocol.pong(connection.sent, command.ref))
            case ChangesCommand(since):
                connection.rewind(since)
            case MarkCommand() | CancelCommand() | ActCommand():
                if not backlog.add(command, units):
                    # They wait for the database, so the client should come back and send them again.
                    connection.close(CloseCode.GOING_AWAY)
