"""The public calls. Each of them validates its arguments, and then makes one internal call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import partial, wraps
from inspect import signature
from typing import Any, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, cast

from notify import doorbell
from notify.db import after_commit
from notify.mailbox import outbox, retraction
from notify.models import Notification
from notify.runtime.twins import refuse_event_loop, twin
from notify.sending import content, echo, recipients
from notify.sending.actions import Action
from notify.sending.content import Content

P = ParamSpec("P")
T = TypeVar("T")


class CommonOptions(TypedDict, total=False):
    """The keyword arguments common to ``progress()`` and to the calls that send."""

    category: str
    url: Any
    key: str


class Options(CommonOptions, total=False):
    """The keyword arguments of all calls that send, which are documented at :func:`send`."""

    level: str | int
    title: Any
    actions: Iterable[Action | Mapping[str, Any]]
    data: Any
    count: bool
    group: str
    image: Any
    toast: bool
    expires: datetime | timedelta | None


def checked(call: Callable[P, T]) -> Callable[P, T]:
    """
    Wrap a call so that it raises if an argument is unknown or an event loop is running.

    It does so before it looks at any argument's value.
    """
    known = {name for name in signature(call).parameters if name != "options"}
    known |= Options.__annotations__.keys()

    @wraps(call)
    def refusing(*args: P.args, **kwargs: P.kwargs) -> T:
        name = f"notify.{call.__name__}()"
        if "recipient" in kwargs or "verb" in kwargs:
            raise TypeError(
                f"{name} takes the recipient first, then the message:"
                f" notify.{call.__name__}(user, 'Your export is ready'). recipient= and verb= are"
                " arguments of django-notifications-hq, whose first argument is the actor."
            )
        for unknown in kwargs.keys() - known:
            close = get_close_matches(unknown, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"{name} has no argument {unknown!r}.{hint}")
        refuse_event_loop(f"notify.{call.__name__}")
        return call(*args, **kwargs)

    return refusing


@checked
def send(to: Any, message: Any, **options: Unpack[Options]) -> Notification:
    """
    Notify one user.

    The notification is stored in the current transaction. After the commit, it reaches every open
    tab; after a rollback, it is as if it had never been sent. If a channel layer, cache or worker is
    down, this call does not raise an exception, and nothing is lost.

        notify.send(user, "Your export is ready", level="success", url=export)

    Args:
        to: a user, the primary key of a user, or a request, which stands for its user. With
            ``NOTIFY_ECHO = "quiet"``, only the tab that sent the request shows the toast.
        message: plain text, at most 2,000 characters. A lazy translation is resolved in the
            recipient's language if ``NOTIFY_LANGUAGE`` is set, else in the active language. So are
            ``url`` and the URLs of ``actions``, whose paths may begin with the language.
        level: ``debug``, ``info`` (the default), ``success``, ``warning`` or ``error``, or a
            constant of ``django.contrib.messages``.
        title: plain text above the message, at most 200 characters.
        category: a name of your own to group notifications by, at most 50 characters.
        url: the target of a click: anything that :func:`django.shortcuts.resolve_url` accepts and
            that leads to the same address from every page, so no relative URL such as ``exports/7/``,
            ``www.example.com`` or ``?page=2``. At most 2,000 characters.
        actions: up to five instances of :class:`notify.Action`, shown as links and buttons.
        data: any JSON for your own code, at most 16 KB.
        key: replaces an earlier notification. If the user has an unarchived notification with the
            same key, it takes the new content, and is unseen and unread again. At most 100
            characters.
        count: with a ``key``, also count: the ``count`` of the notification increases by one, and
            its toast shows "×2". Without it, the ``count`` is 1 again.
        group: a name of your own, at most 100 characters. On a page of the inbox, notifications with the
            same group are folded below the newest of them.
        image: the URL of an image, such as an avatar or an icon: as for ``url``, but not ``mailto:``.
        toast: whether a toast is shown. With ``False``, the notification appears in the badge and the
            inbox only.
        expires: when the notification is archived automatically: a ``datetime``, or a ``timedelta``
            from now.

    Returns:
        The stored notification. Inside ``atomic()``, it has no position yet. With a ``key``, its row
        may be merged into the earlier one when it is published.

    Raises:
        TypeError: if ``to`` is several recipients or not a recipient, or an argument is unknown.
        InvalidRecipient: if ``to`` is anonymous, unsaved, or not the primary key of a user.
        InvalidNotification: if a level, text, URL or data cannot be stored.
        AsyncContext: if an event loop is running in this thread; use :func:`asend`.
        DatabaseError: if the INSERT fails, as any other INSERT of the caller could.
    """
    notification = Content(message, origin=echo.origin_of(to), **options)
    recipient_id = recipients.one(to)
    return outbox.send(content.address(notification, [recipient_id]))[recipient_id]


@checked
def send_many(to: Any, message: Any, **options: Unpack[Options]) -> list[Notification]:
    """
    Notify several users, with one row each but only a few statements for all of them.

        notify.send_many(team.members.all(), "Deploy finished")

    Inside ``atomic()``, either all users are notified or none. Outside, the rows are stored in
    batches of at most 500, each in its own transaction. If the database fails during a later batch,
    the error is raised although the recipients of earlier batches have been notified.

    Args:
        to: an iterable of users or primary keys, a queryset of users, or a ``Group``. Each user is
            notified once.
        message, options: as for :func:`send`. If any of them is invalid, no user is notified.

    Returns:
        The stored notifications, in the order of the recipients.

    Raises:
        TypeError: if ``to`` is one recipient, or an argument is unknown.

    The other exceptions of :func:`send` can be raised too.
    """
    notification = Content(message, **options)
    keys = recipients.many(to)
    stored = outbox.send(content.address(notification, keys)) if keys else {}
    return [stored[pk] for pk in keys if pk in stored]


class Verb(Protocol):
    """
    A call shaped like those of ``django.contrib.messages``, without ``fail_silently``; ``extra_tags``
    becomes the category.
    """

    def __call__(
        self, to: Any, message: Any, extra_tags: str = "", **options: Unpack[Options]
    ) -> Notification: ...


def _verb(level: str) -> Verb:
    def call(
        to: Any, message: Any, extra_tags: str = "", **options: Unpack[Options]
    ) -> Notification:
        given: Any = {"category": extra_tags, **options}
        return send(to, message, level=level, **given)

    call.__name__ = call.__qualname__ = level
    call.__doc__ = (
        f"Call :func:`send` with the level ``{level}``. This is the counterpart of"
        f" ``messages.{level}(request, …)``."
    )
    return cast("Verb", checked(call))


debug = _verb("debug")
info = _verb("info")
success = _verb("success")
warning = _verb("warning")
error = _verb("error")


def retract(to: Any, key: str) -> None:
    """
    Retract the notification with the given key, because it no longer applies. Its toast closes in every
    tab, and it leaves the counts and the inbox.

        notify.send(user, "Order 7 waits for your approval", key="order:7")
        notify.retract(user, "order:7")

    It retracts only notifications that were sent before the call. Inside ``atomic()``, this happens after
    the commit, and not at all after a rollback. If there is no such notification, nothing happens.

    Args:
        to: a user, the primary key of a user, or a request, which stands for its user.
        key: the ``key`` with which the notification was sent.

    Raises:
        TypeError: if ``to`` is several users, or not a user.
        ValueError: if ``key`` is empty.
        InvalidRecipient: if ``to`` is anonymous, unsaved, or not a primary key.
        AsyncContext: if an event loop is running in this thread; use :func:`aretract`.
        DatabaseError: if the database fails.
    """
    refuse_event_loop("notify.retract")
    recipient_id = recipients.one(
        to, verb="notify.retract()", several="Call it for each user.", must_exist=False
    )
    if key is None or key == "":
        raise ValueError("notify.retract() needs the key with which the notification was sent.")
    retraction.retract(recipient_id, f"{key}")


def disconnect(to: Any) -> None:
    """
    Close all push connections of a user, in every process.

    Each tab stops for good, and shows that it has stopped (close code 4504, ``kicked``). Inside
    ``atomic()``, this happens after the commit, and not at all after a rollback.

        user.is_active = False
        user.save()
        notify.disconnect(user)

    This closes connections, but does not lock the user out: after the next page load, a tab
    connects again, and is accepted if the user is still active and signed in. So deactivate the
    user, or end their sessions, first. A tab that polls is refused at its next poll. Without a
    channel layer, or while it is down, each other process detects a deactivated or deleted user, or
    an ended session, after at most 1.25 times ``NOTIFY_RECHECK_INTERVAL``.

    Args:
        to: a user, the primary key of a user, or a request, which stands for its user. For a user
            who is being deleted, pass the primary key, because ``delete()`` removes it from the
            instance.

    Raises:
        TypeError: if ``to`` is several users, or not a user.
        InvalidRecipient: if ``to`` is anonymous, unsaved, or not a primary key.
        AsyncContext: if an event loop is running in this thread; use :func:`adisconnect`.
    """
    refuse_event_loop("notify.disconnect")
    recipient_id = recipients.one(
        to, verb="notify.disconnect()", several="Call it for each user.", must_exist=False
    )
    after_commit(partial(doorbell.kick, recipient_id))


asend = twin(send)
asend_many = twin(send_many)
aretract = twin(retract)
adisconnect = twin(disconnect)
adebug = twin(debug)
ainfo = twin(info)
asuccess = twin(success)
awarning = twin(warning)
aerror = twin(error)
