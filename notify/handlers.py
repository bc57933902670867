"""
The handlers of actions, by name. They stand in the module ``notifications`` of an installed app.

    # orders/notifications.py
    import notify

    @notify.action("orders.undo")
    def undo(user, notification, order):
        Order.objects.get(pk=order, customer=user).reopen()
        return f"Order {order} is open again."
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured

MAX_NAME = 100

Handler = TypeVar("Handler", bound=Callable[..., Any])

_handlers: dict[str, Callable[..., Any]] = {}


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    The result of an action, shown in place of the notification's actions.

        return notify.Outcome("Order 7 is open again.", url="/orders/7/")

    Args:
        message: plain text. It may be a lazy translation.
        level: ``debug``, ``info``, ``success`` (the default), ``warning`` or ``error``.
        url: a link to the result, as for the ``url`` of :func:`notify.send`.
    """

    message: Any
    _: KW_ONLY
    level: Any = "success"
    url: Any = ""


def action(name: str) -> Callable[[Handler], Handler]:
    """
    Register the decorated function as the handler of the actions with ``run=name``.

    The handler is called as ``handler(user, notification, **args)``, where ``args`` are those of the action.
    It may be a coroutine function. It runs in one transaction with the notification, so its changes to the
    database are committed with the outcome or not at all. It returns None, a text or an :class:`Outcome`.

    Args:
        name: a name of your own, at most 100 characters. It is stored with each notification, so keep it
            as long as such notifications can be answered.

    Raises:
        ImproperlyConfigured: another handler has this name.
        TypeError: the decorator was used without a name.
    """
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise TypeError(
            f"@notify.action takes the name of the action, at most {MAX_NAME} characters:"
            ' @notify.action("orders.undo").'
        )

    def register(handler: Handler) -> Handler:
        other = _handlers.setdefault(name, handler)
        if other is not handler:
            raise ImproperlyConfigured(
                f"Two handlers of actions have the name {name!r}: {_path(other)} and {_path(handler)}."
                " Rename one of them."
            )
        return handler

    return register


def find(name: str) -> Callable[..., Any] | None:
    """Returns the handler with this name; None if there is no such handler."""
    return _handlers.get(name)


def similar(name: str) -> str | None:
    """Returns the registered name that is most like an unknown one, for error messages."""
    return next(iter(difflib.get_close_matches(name, _handlers, n=1)), None)


def _path(handler: Callable[..., Any]) -> str:
    return f"{handler.__module__}.{getattr(handler, '__qualname__', handler)}"
