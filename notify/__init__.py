"""
Notify users in every tab they have open.

    notify.send(user, "Your export is ready", url="/exports/7/", level="success")
    notify.send_many(team.members.all(), "Deploy finished")
    notify.success(request, "Saved")
    await notify.asend(user, "Ping")
    notify.retract(user, "order:7")
    notify.disconnect(user)

    with notify.progress(user, "Importing customers", total=1200) as p:
        p.advance()

See also notify.inbox for reading and marking, notify.conf for settings and notify.testing for tests.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from notify import inbox
    from notify.exceptions import Cancelled
    from notify.handlers import Outcome, action
    from notify.sending.actions import Action
    from notify.sending.calls import (
        adebug,
        adisconnect,
        aerror,
        ainfo,
        aretract,
        asend,
        asend_many,
        asuccess,
        awarning,
        debug,
        disconnect,
        error,
        info,
        retract,
        send,
        send_many,
        success,
        warning,
    )
    from notify.tracking.decorator import tracked
    from notify.tracking.handle import atrack, progress, track

__all__ = [
    "Action",
    "Cancelled",
    "Outcome",
    "action",
    "adebug",
    "adisconnect",
    "aerror",
    "ainfo",
    "aretract",
    "asend",
    "asend_many",
    "asuccess",
    "atrack",
    "awarning",
    "debug",
    "disconnect",
    "error",
    "inbox",
    "info",
    "progress",
    "retract",
    "send",
    "send_many",
    "success",
    "track",
    "tracked",
    "warning",
]


# The modules of the public names that ``sending.calls`` does not define.
_HOMES = {
    "Action": "notify.sending.actions",
    "Cancelled": "notify.exceptions",
    "Outcome": "notify.handlers",
    "action": "notify.handlers",
    "atrack": "notify.tracking.handle",
    "progress": "notify.tracking.handle",
    "track": "notify.tracking.handle",
    "tracked": "notify.tracking.decorator",
}


def __getattr__(name: str) -> Any:
    """
    Import public names on first use.

    Django imports this package before models can be imported, so importing the names at the top of
    this module would raise ``AppRegistryNotReady``.
    """
    if name == "inbox":
        return import_module("notify.inbox")
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "notify.sending.calls")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
