"""The public calls: arguments and their errors, then one call inward."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial, wraps
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack

from django.db import connections, transaction

from notify import doorbell
from notify.db import in_callers_transaction
from notify.exceptions import AsyncContext
from notify.mailbox import outbox
from notify.models import Notification, database
from notify.runtime.executor import twin
from notify.sending import content as letters
from notify.sending import recipients
from notify.sending.content import Action, Letter

P = ParamSpec("P")
T = TypeVar("T")


class Options(TypedDict, total=False):
    """The keyword arguments that every call shares; :func:`send` explains them."""

    title: Any
    category: str
    url: Any
    actions: Iterable[Action | Mapping[str, Any]]
    data: Any
    key: str
    expires: datetime | timedelta | None


def front_door(call: Callable[P, T]) -> Callable[P, T]:
    """Meet the two mistakes that come before any argument is looked at."""

    @wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        name = call.__name__
        if "recipient" in kwargs or "verb" in kwargs:
            raise TypeError(
                f"notify.{name}() takes the recipient first, then the message:"
                f" notify.{name}(user, 'Your export is ready'). recipient= and verb= belong to"
                " django-notifications-hq, whose first argument is the actor."
            )
        _refuse_event_loop(name)
        return call(*args, **kwargs)

    return checked


def _refuse_event_loop(name: str) -> None:
    if _in_event_loop():
        raise AsyncContext(
            f"notify.{name}() would block this event loop. Use: await notify.a{name}(…)"
        )


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")


@front_door
def send(
    to: Any,
    message: Any,
    *,
    level: str | int = "info",
    title: Any = "",
    category: str = "",
    url: Any = "",
    actions: Iterable[Action | Mapping[str, Any]] = (),
    data: Any = None,
    key: str = "",
    expires: datetime | timedelta | None = None,
) -> Notification:
    """
    Notify one user.

    The notification is stored in the current transaction. After commit it reaches every open tab;
    after rollback it never existed. A channel layer, cache or worker that is down never raises
    here and loses nothing.

        notify.send(user, "Your export is ready", level="success", url=export)

    Args:
        to: a user, the primary key of a user, or a request (its user).
        message: plain text, at most 2,000 characters. A lazy translation is resolved in the
            recipient's language (``NOTIFY_LANGUAGE``), else in the active one.
        level: ``debug``, ``info``, ``success``, ``warning``, ``error``, or a constant of
            ``django.contrib.messages``.
        title: plain text above the message, at most 200 characters.
        category: a word of yours to sort by, at most 50 characters.
        url: where a click leads; whatever :func:`django.shortcuts.resolve_url` takes, at most
            2,000 characters.
        actions: up to five :class:`notify.Action`, shown as links.
        data: anything JSON for your own code, at most 16 KB.
        key: the same key replaces: the user's standing notification takes the new content, counts
            one more, and is new again. At most 100 characters.
        expires: when it archives itself; a moment, or a time from now.

    Returns:
        The stored notification. Sent inside ``atomic()`` it has no position yet, and with a
        ``key`` its row may be merged into the standing one when it is published.

    Raises:
        TypeError: ``to`` is several recipients, or no recipient at all.
        InvalidRecipient: anonymous, unsaved, or the primary key of no user.
        InvalidNotification: a level, limit, url or data that cannot be stored.
        AsyncContext: called where an event loop runs; use :func:`asend`.
        DatabaseError: the INSERT failed, as any INSERT of the caller could.
    """
    letter = Letter(message, level, title, category, url, actions, data, key, expires)
    recipient = recipients.one(to)
    return outbox.send(letters.address(letter, [recipient]))[recipient]


@front_door
def send_many(
    to: Any,
    message: Any,
    *,
    level: str | int = "info",
    title: Any = "",
    category: str = "",
    url: Any = "",
    actions: Iterable[Action | Mapping[str, Any]] = (),
    data: Any = None,
    key: str = "",
    expires: datetime | timedelta | None = None,
) -> list[Notification]:
    """
    Notify several users, a row for each, in a few statements whatever their number.

        notify.send_many(team.members.all(), "Deploy finished")

    Args:
        to: an iterable of users or primary keys, a queryset of users, or a ``Group``. Each user is
            notified once.

    The other arguments and the errors are those of :func:`send`; nobody is notified when one of
    them is wrong.

    Inside ``atomic()`` it is all or nothing. Outside, the rows are stored in batches of at most
    ``NOTIFY_PUBLISH_BATCH_SIZE``, each committed by itself: when the database fails during a later
    batch, its error is raised, although the recipients of the earlier ones have been notified.

    Returns:
        The stored notifications, in the order of the recipients.
    """
    letter = Letter(message, level, title, category, url, actions, data, key, expires)
    keys = recipients.many(to)
    stored = outbox.send(letters.address(letter, keys)) if keys else {}
    return [stored[pk] for pk in keys if pk in stored]


def disconnect(to: Any) -> None:
    """
    End every push connection of a user, in every process.

    Each tab stops for good, and says so (close code 4504, ``kicked``). Inside ``atomic()`` it
    happens after the commit, and not at all after a rollback.

        user.is_active = False
        user.save()
        notify.disconnect(user)

    It ends connections, and bars nobody: after the next page load a tab connects again, and is
    welcome if its user is still active and signed in. So deactivate the user, or end his sessions,
    first. A tab that polls is refused by its next poll. What no ring reaches, as there is no
    channel layer or it is down, is found by each process within ``NOTIFY_RECHECK_INTERVAL``, if
    the user was deactivated or deleted, or his sessions were.

    Args:
        to: a user, the primary key of a user, or a request (its user). Of one who is being deleted
            give the primary key: ``delete()`` takes it from the instance.

    Raises:
        TypeError: ``to`` is several users, or no user at all.
        InvalidRecipient: anonymous, unsaved, or no primary key.
        AsyncContext: called where an event loop runs; use :func:`adisconnect`.
    """
    _refuse_event_loop("disconnect")
    recipient = recipients.one(
        to, verb="notify.disconnect()", several="Call it for each.", must_exist=False
    )
    kick = partial(doorbell.kick, recipient)
    using = database()
    if in_callers_transaction(connections[using]):
        transaction.on_commit(kick, using=using, robust=True)
    else:
        kick()


# The verbs of django.contrib.messages: its extra_tags are stored as the category.


@front_door
def debug(to: Any, message: Any, extra_tags: str = "", **options: Unpack[Options]) -> Notification:
    """:func:`send` with the level ``debug``; ``messages.debug(request, …)`` with another word."""
    return _say("debug", to, message, extra_tags, options)


@front_door
def info(to: Any, message: Any, extra_tags: str = "", **options: Unpack[Options]) -> Notification:
    """:func:`send` with the level ``info``; ``messages.info(request, …)`` with another word."""
    return _say("info", to, message, extra_tags, options)


@front_door
def success(
    to: Any, message: Any, extra_tags: str = "", **options: Unpack[Options]
) -> Notification:
    """:func:`send` with the level ``success``; ``messages.success(request, …)`` with another word."""
    return _say("success", to, message, extra_tags, options)


@front_door
def warning(
    to: Any, message: Any, extra_tags: str = "", **options: Unpack[Options]
) -> Notification:
    """:func:`send` with the level ``warning``; ``messages.warning(request, …)`` with another word."""
    return _say("warning", to, message, extra_tags, options)


@front_door
def error(to: Any, message: Any, extra_tags: str = "", **options: Unpack[Options]) -> Notification:
    """:func:`send` with the level ``error``; ``messages.error(request, …)`` with another word."""
    return _say("error", to, message, extra_tags, options)


def _say(level: str, to: Any, message: Any, extra_tags: str, options: Options) -> Notification:
    options.setdefault("category", extra_tags)
    return send(to, message, level=level, **options)


asend = twin(send)
asend_many = twin(send_many)
adisconnect = twin(disconnect)
adebug = twin(debug)
ainfo = twin(info)
asuccess = twin(success)
awarning = twin(warning)
aerror = twin(error)
