"""Handlers of actions for the tests. Each real effect is a row, so that a rollback takes it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import notify
from notify import handlers
from notify.models import Notification

RUN = "tests.do"


@contextmanager
def handled(handler: Callable[..., Any], name: str = RUN) -> Iterator[None]:
    """Register a handler for a while."""
    with mock.patch.dict(handlers._handlers, {name: handler}):
        yield


def offer(user: Any, message: str = "Done", **options: Any) -> Notification:
    """Send a notification with a link, an action that is run, and another one."""
    actions = [
        notify.Action("Open", "/orders/7/"),
        notify.Action("Undo", run=RUN, args={"order": 7}),
        notify.Action("Delete", run=RUN, args={"order": 8}, style="danger", confirm="Really?"),
    ]
    return notify.send(user, message, actions=actions, **options)
