from __future__ import annotations

import inspect

import pytest

from notify import exceptions
from notify.exceptions import (
    AsyncContext,
    Cancelled,
    InvalidNotification,
    InvalidRecipient,
    NotifyError,
    ProtocolError,
    RecipientNotSaved,
    is_cancelled,
)

EVERY = [
    one for one in vars(exceptions).values() if inspect.isclass(one) and issubclass(one, Exception)
]


@pytest.mark.parametrize("error", EVERY)
def test_one_base_catches_all(error):
    assert issubclass(error, NotifyError)
    assert len(EVERY) == 9


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (InvalidNotification, ValueError),
        (InvalidRecipient, ValueError),
        (RecipientNotSaved, InvalidRecipient),
        (AsyncContext, RuntimeError),
        (ProtocolError, ValueError),
    ],
)
def test_each_is_also_what_python_calls_it(error, builtin):
    assert issubclass(error, builtin)


@pytest.mark.parametrize("error", EVERY)
def test_the_tree_in_the_docstring_is_complete(error):
    assert error.__name__ in (exceptions.__doc__ or "")
    assert error.__doc__


def test_a_protocol_error_has_a_code_for_the_wire():
    assert ProtocolError("No.").code == "bad_command"
    error = ProtocolError("No.", code="bad_cursor")
    assert (str(error), error.code) == ("No.", "bad_cursor")


@pytest.mark.parametrize(
    ("error", "cancelled"),
    [
        (None, False),
        (ValueError(), False),
        (Cancelled(), True),
        (ExceptionGroup("all", [Cancelled(), ExceptionGroup("more", [Cancelled()])]), True),
        (ExceptionGroup("some", [Cancelled(), ValueError()]), False),
        (BaseExceptionGroup("some", [Cancelled(), KeyboardInterrupt()]), False),
    ],
)
def test_a_task_is_cancelled_if_nothing_else_has_failed(error, cancelled):
    """A TaskGroup raises the errors of its tasks as a group, and no other error may be hidden."""
    assert is_cancelled(error) is cancelled
