"""
Signals, all sent with ``send_robust``: a receiver that fails is logged and disturbs nobody.

Each has the sender :class:`notify.models.Notification`, but for those of the doorbell, the hub and
the clients' requests, whose sender is the class at work.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from django.dispatch import Signal


class LoopSignal(Signal):
    """
    One that is sent on the event loop which serves the connections.

    Its receivers must be quick: while one runs, nobody is served. The loop cannot wait either, so
    a receiver is a plain function.
    """

    def connect(self, receiver: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """
        Raises:
            TypeError: the receiver is a coroutine function.
        """
        if inspect.iscoroutinefunction(receiver):
            raise TypeError(
                f"{receiver!r} is async, and this signal is sent on the event loop, which cannot wait"
                " for it. Connect a plain function; it may start a task."
            )
        super().connect(receiver, *args, **kwargs)


#: Notifications were stored, in the caller's transaction. ``notifications``: list, ``using``: alias.
sent = Signal()

#: Changes of a mailbox were committed. ``recipient``: primary key, ``notifications``: the changed
#: rows by rising position, or None when a mark changed more than 100, ``using``: alias. Runs in the
#: thread that published.
published = Signal()

#: A document of a mailbox was handed to connections of this process; each writes it as soon as its
#: client takes it. ``recipient``: primary key, ``cursor``: up to which it tells, None where there is
#: no mailbox yet, ``connections``: their number. Runs on the event loop.
delivered = LoopSignal()

#: Publishing, archiving what has expired, or making a mailbox failed, and is left to the sweep.
#: ``recipients``: primary keys, ``error``: exception.
publish_failed = Signal()

#: The channel layer took no ring; the sweep delivers. ``error``: exception. Runs on some event loop,
#: or in the thread that published.
ring_failed = LoopSignal()

#: The channel layer brought a message that cannot be read; it is ignored. ``error``: exception. Runs
#: on the event loop.
ring_ignored = LoopSignal()

#: The hub could not use the channel layer; the sweep delivers until it is back. ``doing``: what it
#: could not do, such as "join a group", ``error``: exception. Runs on the event loop.
layer_failed = LoopSignal()

#: A sweep found a room behind its mailbox and read it again. ``recipient``: primary key. Runs on the
#: event loop.
repaired = LoopSignal()

#: The rows of a mailbox could not be read for its tabs; the sweep tries again, or the tab itself.
#: ``recipient``: primary key, ``error``: exception. Runs on the event loop.
read_failed = LoopSignal()

#: A sweep failed, mostly for the database's sake; the next one tries again. ``error``: exception.
#: Runs on the event loop.
sweep_failed = LoopSignal()

#: A connection could not be welcomed, mostly for the database's sake; its client was told to come back.
#: ``recipient``: primary key, or None where it could not be looked up, ``error``: exception. Runs on
#: the event loop.
connect_failed = LoopSignal()

#: A connection was refused, as there are too many. ``setting``: the name of the limit, ``recipient``:
#: primary key of the user, or None where it was not asked who it is. Runs on the event loop.
connection_refused = LoopSignal()

#: A command of a client could not be executed; it was answered with an error. ``recipient``: primary
#: key, ``error``: exception. Runs on the event loop, or in the thread of the work.
command_failed = LoopSignal()

#: A poll or a command by HTTP was answered with 503. ``path``: of the request, ``error``: exception.
request_failed = Signal()

#: What a task says of itself could not be written; where the database is away, it is tried again.
#: ``recipient``: primary key, ``error``: exception. Runs in the writer's thread, or in the task's.
progress_failed = Signal()

#: A user has asked that a job of a task queue ends: whoever knows the queue takes it out. ``recipient``:
#: primary key, ``job``: as "celery:<id>". Runs in the thread that executes the command.
cancel_asked = Signal()
