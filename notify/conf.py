"""
The settings of notify, each a flat ``NOTIFY_*`` name in Django's settings.

They are read when used, so ``override_settings`` works:

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
    """Every setting with its default; the comment is its meaning."""

    TRANSPORTS: tuple[str, ...] = ("websocket", "sse", "longpoll", "poll")  # best first
    SHARE_WEBSOCKET: bool = False  # one for all tabs of a browser, as the HTTP transports are
    POLL_INTERVAL: float = 5.0  # seconds between two polls of a visible tab
    HEARTBEAT: float = 25.0  # seconds between two pings on a push connection
    STREAM_MAX_AGE: float = 1800.0  # seconds, after which a stream of server-sent events ends
    LONGPOLL_WAIT: float = 25.0  # seconds that a long poll is held at most
    SWEEP_INTERVAL: float | None = None  # seconds; None: 5 with a cross-process layer, 1 without
    RECHECK_INTERVAL: float = 5.0  # seconds between two checks of the sessions behind connections
    CHANNEL_LAYER: str = "default"  # alias of the channel layer that carries the rings
    RING_MAX_BYTES: int = 16 * 1024  # a larger document is not sent along, only its cursor
    COALESCE: float = 0.02  # seconds that a room waits after a frame before it sends the next
    PAGE_SIZE: int = 100  # notifications in one document
    PUBLISH_BATCH_SIZE: int = 500  # mailboxes locked at once
    COMMON_RING_FROM: int = 50  # mailboxes in one send from which hubs are rung in common batches
    QUEUE_MAX_FRAMES: int = 256  # frames that wait for one slow connection
    QUEUE_MAX_BYTES: int = 1024 * 1024  # characters that wait for one slow connection
    UNANSWERED_MAX_BYTES: int = (
        512 * 1024
    )  # characters sent to a connection that has not answered a ping
    STALL_TIMEOUT: float = 60.0  # seconds after which a connection that takes nothing is closed
    MAX_CONNECTIONS: int = 10_000  # WebSockets, streams and held polls of one process
    MAX_CONNECTIONS_PER_USER: int = 100  # of them of one user in one process
    COMMAND_RATE: float = 20.0  # commands of one connection a second, in the long run
    COMMAND_BURST: int = 200  # commands of one connection at once
    DRAIN_SECONDS: float = 3.0  # over which a process that is told to end closes its connections
    PROGRESS_SILENT_AFTER: float = 60.0  # seconds without a sign of a task; then its user is told
    PROGRESS_LOST_AFTER: float = 300.0  # seconds without a sign of a task, which is then lost
    THREADS: int = 4  # threads (and database connections) of the push side, for each process
    LANGUAGE: str | None = None  # dotted path of a callable: user -> language code
    ALLOWED_ORIGINS: tuple[str, ...] = ()  # more origins that may open a connection
    # What manage.py notify_prune goes by; None is for ever.
    RETENTION_ARCHIVED: timedelta | None = timedelta(days=30)  # then deleted; a day at least
    RETENTION_READ: timedelta | None = timedelta(days=90)  # then archived
    RETENTION_UNREAD: timedelta | None = None  # then archived, if nothing has changed since


class Conf:
    """
    Reads ``NOTIFY_<name>``, else the default.

    A value that was read is kept until ``override_settings`` changes it: asking Django for a
    setting that is not set costs microseconds, and the hub asks for each frame.
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
    """The full names of all settings, as they stand in a settings module."""
    return [PREFIX + name for name in vars(Defaults) if name.isupper()]
