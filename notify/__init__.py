"""
Notify users in every tab they have open.

    notify.send(user, "Your export is ready", url="/exports/7/", level="success")
    notify.send_many(team.members.all(), "Deploy finished")
    notify.success(request, "Saved")
    await notify.asend(user, "Ping")
    notify.disconnect(user)

    with notify.progress(user, "Importing customers", total=1200) as p:
        p.advance()

Reading and marking: notify.inbox. Settings: notify.conf. In tests: notify.testing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from notify.exceptions import Cancelled
    from notify import inbox
    from notify.sending.calls import (
        adebug,
        adisconnect,
        aerror,
        ainfo,
        asend,
        asend_many,
        asuccess,
        awarning,
        debug,
        disconnect,
        error,
        info,
        send,
        send_many,
        success,
        warning,
    )
    from notify.sending.content import Action
    from notify.tracking.decorator import tracked
    from notify.tracking.handle import atrack, progress, track

__all__ = [
    "Action",
    "Cancelled",
    "adebug",
    "adisconnect",
    "aerror",
    "ainfo",
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
    "send",
    "send_many",
    "success",
    "track",
    "tracked",
    "warning",
]


def __getattr__(name: str) -> Any:
    """Import when asked: Django imports this package before its models can be."""
    if name == "inbox":
        return import_module("notify.inbox")
    if name == "Action":
        return import_module("notify.sending.content").Action
    if name == "Cancelled":
        return import_module("notify.exceptions").Cancelled
    if name == "tracked":
        return import_module("notify.tracking.decorator").tracked
    if name in ("atrack", "progress", "track"):
        return getattr(import_module("notify.tracking.handle"), name)
    if name in __all__:
        return getattr(import_module("notify.sending.calls"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
