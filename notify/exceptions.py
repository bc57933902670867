"""
Exceptions raised by notify.

    NotifyError
    ├── InvalidNotification (ValueError)      the content cannot be stored
    ├── InvalidRecipient (ValueError)         the recipient is anonymous or does not exist
    │   └── RecipientNotSaved                 the recipient is not in the database yet
    ├── AsyncContext (RuntimeError)           a synchronous call was made in a running event loop
    ├── ActionGone                            the action can no longer be taken
    ├── ActionFailed                          the handler of the action failed, and changed nothing
    ├── ProtocolError (ValueError)            a cursor or document violates the wire protocol
    └── Cancelled                             the user has cancelled this task

An unknown argument, or a recipient of the wrong type, such as an iterable in place of one user, raises
a plain TypeError.
"""

from __future__ import annotations


class NotifyError(Exception):
    """Base class of notify's own exceptions."""


class InvalidNotification(NotifyError, ValueError):
    """
    The content cannot be stored.

    For example, the level is unknown, a value exceeds its limit, a URL is unsafe, or the data is not JSON.
    """


class InvalidRecipient(NotifyError, ValueError):
    """The recipient is anonymous, or no user has the given primary key."""


class RecipientNotSaved(InvalidRecipient):
    """The recipient is not in the database yet."""


class AsyncContext(NotifyError, RuntimeError):
    """A synchronous call was made in a running event loop. Await its ``a``-prefixed twin instead."""


class ActionGone(NotifyError):
    """
    The action can no longer be taken, or never could be.

    The notification has expired, was retracted, has other content by now, or belongs to another user.
    """


class ActionFailed(NotifyError):
    """The handler of an action raised an exception, the cause of this one. Nothing was changed."""


class ProtocolError(NotifyError, ValueError):
    """
    A cursor or document violates the wire protocol.

    Attributes:
        code: the error code that the client is sent.
        ref: the number that the client gave to the invalid command, if it is known.
    """

    def __init__(self, message: str, code: str = "bad_command") -> None:
        super().__init__(message)
        self.code = code
        self.ref: int | None = None


class Cancelled(NotifyError):
    """The user has cancelled this task. If the exception propagates, the task ends as cancelled."""


def is_cancelled(error: BaseException | None) -> bool:
    """Returns whether an error is ``Cancelled``, or an exception group of ``Cancelled`` alone."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(Cancelled)[1] is None
    return isinstance(error, Cancelled)
