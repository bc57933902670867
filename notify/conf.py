"""
The settings of notify, each a flat ``NOTIFY_*`` name in Django's settings.

Settings are read when they are used, so ``override_settings`` works:

    from notify.conf import conf
    conf.SWEEP_INTERVAL
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

PREFIX = "NOTIFY_"


class Defaults:
    """All settings with their defaults. The comment on each line explains the setting."""

    TRANSPORTS: tuple[str, ...] = ("websocket", "sse", "longpoll", "poll")  # in order of preference
    SHARE_WEBSOCKET: bool = False  # share one WebSocket between tabs, as is always done over HTTP
    POLL_INTERVAL: float = 5.0  # seconds between two polls of a visible tab
    HEARTBEAT: float = 25.0  # seconds of silence before a push connection is pinged
    LONGPOLL_WAIT: float = 25.0  # maximum seconds that a long poll is held
    SWEEP_INTERVAL: float | None = None  # seconds; None means 5 with a cross-process layer, else 1
    RECHECK_INTERVAL: float = 5.0  # seconds between checks that connected users are signed in
    CHANNEL_LAYER: str = "default"  # alias of the channel layer that carries rings
    MAX_CONNECTIONS: int = 10_000  # maximum WebSockets, streams and held polls in a process
    MAX_CONNECTIONS_PER_USER: int = 100  # the same limit for one user in a process
    DRAIN_SECONDS: float = 3.0  # seconds over which an exiting process closes its connections
    PROGRESS_LOST_AFTER: float = (
        300.0  # seconds until a task without beats is lost; silent at a fifth
    )
    THREADS: int = 4  # threads, and so database connections, of the push side in a process
    LANGUAGE: str | None = None  # dotted path of a callable that maps a user to a language code
    ALLOWED_ORIGINS: tuple[str, ...] = ()  # additional origins that may open a connection
    ECHO: str = "toast"  # "quiet": of a request, only its own tab shows the toast
    # Ages at which manage.py notify_prune archives or deletes notifications; None means never.
    RETENTION_ARCHIVED: timedelta | None = timedelta(days=30)  # delete if archived; at least a day
    RETENTION_READ: timedelta | None = timedelta(days=90)  # archive if read
    RETENTION_UNREAD: timedelta | None = None  # archive if unread and unchanged for this long


class Conf:
    """
    Access to ``NOTIFY_<name>``, or to its default, as attributes.

    A value is cached until ``override_settings`` changes it: looking up a missing setting in Django
    takes microseconds, and the hub reads settings for each frame.
    """

    def __getattr__(self, name: str) -> Any:
        value = getattr(settings, PREFIX + name, getattr(Defaults, name))
        setattr(self, name, value)
        return value


conf = Conf()


def forget(*, setting: str, **kwargs: Any) -> None:
    vars(conf).pop(setting.removeprefix(PREFIX), None)


setting_changed.connect(forget, dispatch_uid="notify.conf")


def names() -> list[str]:
    """Returns the full names of all settings, as they are written in a settings module."""
    return [PREFIX + name for name in vars(Defaults) if name.isupper()]
