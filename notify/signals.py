"""
Signals of notify. All are sent with ``send_robust()``, so an exception in a receiver is only logged.

The sender is :class:`notify.models.Notification`, unless the comment on a signal names another.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from django.dispatch import Signal


class LoopSignal(Signal):
    """
    A signal that may be sent on the event loop that serves the connections.

    Receivers must be quick, because the loop serves no connection while one runs. They must be
    plain functions, because the loop cannot await coroutines while it sends a signal.
    """

    def connect(self, receiver: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """
        Connect a plain function as a receiver.

        Raises:
            TypeError: if the receiver is a coroutine function.
        """
        if inspect.iscoroutinefunction(receiver):
            raise TypeError(
                f"{receiver!r} is async, but this signal is sent on the event loop, which cannot"
                " await it. Connect a plain function instead, which may create a task."
            )
        super().connect(receiver, *args, **kwargs)


#: Sent when notifications were stored. Inside atomic(), the transaction may still roll back.
#: ``notifications``: list of the stored rows, ``using``: alias of the database.
sent = Signal()

#: Sent when a change to a mailbox was committed. ``recipient_id``: primary key of the user,
#: ``notifications``: the changed rows, ordered by position, or None if a mark changed more than 100,
#: ``using``: alias of the database. Receivers run in the thread that published.
published = Signal()

#: Sent after the commit when notifications were marked as seen; reading and archiving include it.
#: ``recipient_id``: primary key of the user, ``notifications``: the rows that were unseen, or None if more
#: than 100 were marked, ``using``: alias of the database. Receivers run in the thread that marked.
seen = Signal()

#: Sent after the commit when notifications were marked as read; archiving includes it.
#: ``recipient_id``: primary key of the user, ``notifications``: the rows that were unread, or None if more
#: than 100 were marked, ``using``: alias of the database. Receivers run in the thread that marked.
read = Signal()

#: Sent after the commit when notifications were archived, by the user, by their expiry, by retention or by
#: the site. ``recipient_id``: primary key of the user, ``notifications``: the rows, or None if more
#: than 100 were archived, ``using``: alias of the database. Receivers run in the thread that archived.
archived = Signal()

#: Sent after the commit when an action of a notification was taken and its handler has run.
#: ``recipient_id``: primary key of the user, ``notification``: the row, ``action``: the label of the action,
#: ``outcome``: an Outcome, ``using``: alias of the database. Receivers run in the thread of the handler.
acted = Signal()

#: Sent when the handler of an action raised an exception, and its transaction was rolled back. It is not sent
#: for ValidationError and PermissionDenied, by which a handler refuses.
#: ``recipient_id``: primary key of the user, ``notification``: the row, ``action``: the name of the handler,
#: ``error``: the exception. Receivers run in the thread of the handler.
action_failed = Signal()

#: Sent when a document of a mailbox was queued for connections of this process; each connection writes
#: the document as soon as its client accepts it. ``recipient_id``: primary key of the user,
#: ``cursor``: the cursor of a reader after the document, or None if the user has no mailbox yet,
#: ``connections``: the number of connections. Receivers run on the event loop. Sender: Room, or
#: Hub for a document that was read for one connection alone.
delivered = LoopSignal()

#: Sent when mailboxes could not be updated: a failure to publish, to archive expired rows, to create a
#: mailbox, or to show that a task is silent. The next sweep, poll or send will retry.
#: ``recipient_ids``: list of primary keys, ``error``: the exception.
publish_failed = Signal()

#: Sent when a ring, a tick or a kick could not be sent through the channel layer; the sweep will deliver
#: any change. ``error``: the exception. Receivers run on an event loop, or in the sending thread. Sender:
#: Page.
ring_failed = LoopSignal()

#: Sent when a message from the channel layer could not be read and was ignored. ``error``: the
#: exception. Receivers run on the event loop. Sender: GroupMembership.
ring_ignored = LoopSignal()

#: Sent when the hub could not use the channel layer; the sweep delivers changes until it is back.
#: ``doing``: the operation that failed, such as "join a group", ``error``: the exception. Receivers run
#: on the event loop. Sender: GroupMembership.
layer_failed = LoopSignal()

#: Sent when a sweep found that a room was behind its mailbox, and had the room read the rows again.
#: ``recipient_id``: primary key of the user. Receivers run on the event loop.
repaired = LoopSignal()

#: Sent when the rows of a mailbox could not be read for open tabs; the next sweep, or the tab itself,
#: will retry. ``recipient_id``: primary key of the user, ``error``: the exception. Receivers run on the
#: event loop. Sender: Room, or Hub for a read for one connection alone.
read_failed = LoopSignal()

#: Sent when a sweep failed, usually because of the database; the next sweep will retry. ``error``: the
#: exception. Receivers run on the event loop. Sender: Hub.
sweep_failed = LoopSignal()

#: Sent when a connection could not get its welcome, usually because of the database; the client was
#: asked to reconnect. ``recipient_id``: primary key of the user, or None if the user could not be
#: looked up, ``error``: the exception. Receivers run on the event loop. Sender: the transport's class.
connect_failed = LoopSignal()

#: Sent when a connection was refused at its admission, unless connect_failed reports it. ``reason``: the name
#: of the close code, such as "foreign_origin", "not_signed_in" or "too_many", ``setting``: the name of the
#: setting whose limit was reached, or an empty string, ``recipient_id``: primary key of the user, or None if
#: the user was not looked up, ``hint``: for a foreign origin, the headers and the likely cause. Receivers run
#: on the event loop. Sender: the transport's class.
connection_refused = LoopSignal()

#: Sent when a client's WebSocket message was larger than any command, so that its connection was closed. The
#: server should have refused it. ``size``: its number of characters, ``recipient_id``: primary key of the
#: user. Receivers run on the event loop. Sender: the transport's class.
message_refused = LoopSignal()

#: Sent when a client's command could not be executed and was answered with an error.
#: ``recipient_id``: primary key of the user, ``error``: the exception. Receivers run on the event loop,
#: or in the thread that executed the command. Sender: the command's class.
command_failed = LoopSignal()

#: Sent when a poll, or a POSTed command before its execution, was answered with status 503, also if the
#: database failed in a middleware. ``path``: the path of the request, ``error``: the exception. Sender:
#: HttpRequest.
request_failed = Signal()

#: Sent when the progress of a task could not be written; if the database failed, the writer will retry.
#: ``recipient_id``: primary key of the user, ``error``: the exception. Receivers run in the writer's
#: thread, or in the task's thread. Sender: TaskRun.
progress_failed = Signal()

#: Sent when a user asked to cancel a job of a task queue, once for each attempt of the job; the adapter of
#: that queue revokes the job.
#: ``recipient_id``: primary key of the user, ``job``: the name of the job, such as "celery:<id>".
#: Receivers run in the thread that executes the command. Sender: TaskRecord.
cancel_asked = Signal()
