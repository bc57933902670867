"""
The errors a caller of notify can meet.

    NotifyError
    ├── InvalidNotification (ValueError)      a level, limit, url or data that cannot be stored
    ├── InvalidRecipient (ValueError)         nobody to tell
    │   └── RecipientNotSaved                 a user without a primary key
    ├── AsyncContext (RuntimeError)           a sync call inside a running event loop
    ├── ProtocolError (ValueError)            a document or cursor that breaks the wire format
    └── Cancelled                             the user has cancelled the task that asks

A wrong type (an iterable for one user, an unknown keyword) is a plain TypeError.
"""

from __future__ import annotations


class NotifyError(Exception):
    """Base of every error that notify raises itself."""


class InvalidNotification(NotifyError, ValueError):
    """The content cannot be stored: unknown level, over a limit, unsafe url, data that is not JSON."""


class InvalidRecipient(NotifyError, ValueError):
    """The recipient is nobody: anonymous, or the primary key of no user."""


class RecipientNotSaved(InvalidRecipient):
    """The recipient has no primary key yet."""


class AsyncContext(NotifyError, RuntimeError):
    """A synchronous call was made where an event loop runs; await its ``a`` twin instead."""


class ProtocolError(NotifyError, ValueError):
    """A cursor or a document from the other side breaks the wire format."""

    def __init__(self, message: str, code: str = "bad_command") -> None:
        super().__init__(message)
        self.code = code


class Cancelled(NotifyError):
    """The user has cancelled this task; end it, and its progress says so."""


def is_cancelled(error: BaseException | None) -> bool:
    """Whether it says no more than that the user has cancelled, as a group of a TaskGroup may too."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(Cancelled)[1] is None
    return isinstance(error, Cancelled)
