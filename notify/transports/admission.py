"""Admission to the push transports: checks origin, sign-in and limits in the same way for each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from django.conf import settings

from notify import signals
from notify.auth import hints, identity, origin
from notify.auth import session as auth
from notify.auth.session import Visitor
from notify.conf import conf
from notify.live import limits
from notify.live.hub import Hub
from notify.protocol import CloseCode
from notify.runtime.executor import in_executor
from notify.transports import http
from notify.transports.http import Receive, Scope, Send


class Refused(Exception):
    """
    The client is not admitted.

    Attributes:
        code: the reason, which also tells the client whether to come back.
        hint: the likely cause for developers, only with DEBUG.
    """

    def __init__(self, code: CloseCode, hint: str = "") -> None:
        super().__init__(code.name)
        self.code = code
        self.hint = hint if settings.DEBUG else ""


@asynccontextmanager
async def admit(scope: Scope, sender: type) -> AsyncIterator[Visitor]:
    """
    Admit the user of an ASGI scope, and count the connection while the block runs.

    Args:
        sender: the sender of the signals, which is the transport's class.

    Raises:
        Refused: if a check fails. The cheapest checks come first.
    """
    if http.is_overlong(scope):
        raise _refused(CloseCode.PROTOCOL, sender)
    if not origin.is_allowed(scope):
        raise _refused(CloseCode.FOREIGN_ORIGIN, sender, hint=hints.why_refused(scope))
    if Hub.is_draining_here():
        raise _refused(CloseCode.GOING_AWAY, sender)
    connections = limits.connections()
    # Counted before the first query, because handshakes in progress cost the most.
    with connections.one_more(limits.EVERYBODY, conf.MAX_CONNECTIONS) as is_free:
        if not is_free:
            raise _too_many("NOTIFY_MAX_CONNECTIONS", sender)
        visitor = await _sign_in(scope, sender)
        user_id = visitor.user_id
        if identity.is_another(user_id, http.query(scope, "user")):
            raise _refused(CloseCode.ANOTHER_USER, sender, recipient_id=user_id)
        with connections.one_more(user_id, conf.MAX_CONNECTIONS_PER_USER) as is_free:
            if not is_free:
                raise _too_many("NOTIFY_MAX_CONNECTIONS_PER_USER", sender, user_id)
            yield visitor


async def _sign_in(scope: Scope, sender: type) -> Visitor:
    try:
        visitor = await in_executor(auth.sign_in, scope)
    except Exception as error:
        signals.connect_failed.send_robust(sender, recipient_id=None, error=error)
        raise Refused(CloseCode.GOING_AWAY) from error
    if visitor is None:
        raise _refused(CloseCode.NOT_SIGNED_IN, sender)
    return visitor


def _too_many(setting: str, sender: type, user_id: Any = None) -> Refused:
    return _refused(CloseCode.TOO_MANY, sender, setting=setting, recipient_id=user_id)


def _refused(
    code: CloseCode, sender: type, *, setting: str = "", recipient_id: Any = None, hint: str = ""
) -> Refused:
    """Send a signal for a refusal, as it may be a mistake in the site's settings. Returns the exception."""
    signals.connection_refused.send_robust(
        sender, reason=code.name.lower(), setting=setting, recipient_id=recipient_id, hint=hint
    )
    return Refused(code, hint)


class HttpTransport:
    """Base class of the HTTP transports: a raw ASGI application that answers GET from admitted clients."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await http.answer(send, 405, allow="GET")
            return
        try:
            async with admit(scope, type(self)) as visitor:
                await self.serve(scope, receive, send, visitor)
        except Refused as refused:
            await http.refuse(send, refused.code, refused.hint)

    async def serve(self, scope: Scope, receive: Receive, send: Send, visitor: Visitor) -> None:
        """Answer an admitted client. May raise :class:`Refused` before the response has started."""
        raise NotImplementedError
