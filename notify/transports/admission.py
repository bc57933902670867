"""The one door of all push transports: who may enter, and whether there is room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from notify import signals
from notify.auth import origin
from notify.auth import session as auth
from notify.auth.session import Visitor
from notify.conf import conf
from notify.live import limits
from notify.live.hub import Hub
from notify.protocol import CloseCode
from notify.runtime.executor import in_executor


class Refused(Exception):
    """
    Nobody enters here now.

    Attributes:
        code: why, and whether to come back.
    """

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code.name)
        self.code = code


@asynccontextmanager
async def admit(scope: Mapping[str, Any], sender: type) -> AsyncIterator[Visitor]:
    """
    Let in who comes with this ASGI scope, and count him while the block runs.

    Args:
        sender: of the signals; the transport's class.

    Raises:
        Refused: by what costs least first.
    """
    if not origin.is_allowed(scope):
        raise Refused(CloseCode.FOREIGN_ORIGIN)
    if Hub.is_draining_here():
        raise Refused(CloseCode.GOING_AWAY)
    # Counted before anything is asked of the database: handshakes under way cost the most.
    with limits.connections.one_more(limits.EVERYBODY, conf.MAX_CONNECTIONS) as is_free:
        if not is_free:
            raise _too_many("NOTIFY_MAX_CONNECTIONS", sender)
        visitor = await _sign_in(scope, sender)
        user = visitor.user
        with limits.connections.one_more(user, conf.MAX_CONNECTIONS_PER_USER) as is_free:
            if not is_free:
                raise _too_many("NOTIFY_MAX_CONNECTIONS_PER_USER", sender, user)
            yield visitor


async def _sign_in(scope: Mapping[str, Any], sender: type) -> Visitor:
    try:
        visitor = await in_executor(auth.sign_in, scope)
    except Exception as error:
        signals.connect_failed.send_robust(sender, recipient=None, error=error)
        raise Refused(CloseCode.GOING_AWAY) from error
    if visitor is None:
        raise Refused(CloseCode.NOT_SIGNED_IN)
    return visitor


def _too_many(setting: str, sender: type, recipient: Any = None) -> Refused:
    signals.connection_refused.send_robust(sender, setting=setting, recipient=recipient)
    return Refused(CloseCode.TOO_MANY)
