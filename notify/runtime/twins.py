"""Async twins of synchronous calls, named as in Django: ``asend`` is the twin of ``send``."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

from notify.exceptions import AsyncContext
from notify.runtime.process import in_event_loop

P = ParamSpec("P")
T = TypeVar("T")


def twin(call: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Returns the async twin of a call. It runs in the thread that Django's own twins use."""

    @wraps(call)
    async def awaited(*args: P.args, **kwargs: P.kwargs) -> T:
        return await sync_to_async(call)(*args, **kwargs)

    awaited.__name__ = awaited.__qualname__ = f"a{call.__name__}"
    awaited.__doc__ = f"Async version of :func:`{call.__name__}`."
    return awaited


def refuse_event_loop(verb: str) -> None:
    """
    Refuse a synchronous call that would block a running event loop.

    Args:
        verb: the dotted name of the call, such as "notify.send".

    Raises:
        AsyncContext: if an event loop is running in this thread; the message names the async twin.
    """
    if in_event_loop() and not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
        module, _, name = verb.rpartition(".")
        raise AsyncContext(
            f"{verb}() would block the running event loop. Use: await {module}.a{name}(…)"
        )
