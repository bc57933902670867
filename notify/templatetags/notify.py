"""
The template tags of notify:

    {% load notify %}
    {% notify_bell %}       where the bell should appear
    {% notify_badge %}      where only the count should appear
    {% notify_progress key %}  where one task should be shown
    {% notify_messages %}   in place of the loop over Django's messages
    {% notify %}            before </body>
"""

from __future__ import annotations

import json
from time import time
from typing import Any

from django import template
from django.conf import settings
from django.contrib.messages import get_messages
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.urls import reverse
from django.utils.translation import gettext

from notify.auth.identity import identity
from notify.conf import conf
from notify.inbox import lists, upkeep
from notify.labels import counted, labels, panel_labels
from notify.protocol import Level, TaskState
from notify.sending.values import level_from

register = template.Library()

BADGE_MAX = 99  # a larger count is shown as "99+", here and by the client


@register.inclusion_tag("notify/root.html", takes_context=True)
def notify(
    context: template.Context,
    transports: str = "",
    position: str = "",
    title: bool = False,
    app_badge: bool = False,
    sound: str = "",
) -> dict[str, Any]:
    """
    Render the script, the style sheet and the root element.

    A page on which nobody is signed in gets nothing, or, if the browser has had a user, a script that
    wipes what the tab has kept of that user's notifications.

    Args:
        transports: the transports of this page in order of preference, separated by spaces. The
            default is NOTIFY_TRANSPORTS. A page from ``runserver`` without Daphne only polls.
        position: the corner in which toasts appear, in logical directions. The default is
            "block-end inline-end".
        title: whether the title of a hidden tab begins with the number of unseen notifications.
        app_badge: whether the icon of an installed app shows this number.
        sound: the static file of a sound for new notifications, such as "sounds/pling.ogg".
    """
    request = context.get("request")
    user = getattr(request, "user", None)
    prefix = reverse("notify:ws").removesuffix("ws/")
    nonce = _nonce(context)
    if request is None or user is None or not user.is_authenticated:
        has_had_user = request is not None and _has_had_user(request)
        return {"user": None, "has_had_user": has_had_user, "prefix": prefix, "nonce": nonce}
    # get_token() makes Django set the CSRF cookie, even on a page without a form.
    token = get_token(request)
    in_page = settings.CSRF_USE_SESSIONS or settings.CSRF_COOKIE_HTTPONLY
    return {
        # The client sends it with each request, and stores its state under it.
        "user": identity(user.pk),
        "prefix": prefix,
        "transports": _transports(request, transports),
        "share": "websocket" if conf.SHARE_WEBSOCKET else "",
        "position": position,
        "echo": conf.ECHO,
        "title": title,
        "app_badge": app_badge,
        "sound": sound,
        "is_shown_outside": title or app_badge or sound,
        "inbox": reverse("notify:inbox"),
        # The client measures how old a notification is by this clock, because that of the user may be wrong.
        "rendered": str(int(time())),
        "nonce": nonce,
        "poll_interval": f"{conf.POLL_INTERVAL:g}",
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "csrf_header": settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-"),
        # Not called "csrf_token", because an inclusion tag overwrites that name.
        "token_in_page": token if in_page else "",
        "labels": json.dumps(labels(), ensure_ascii=False),
    }


def _transports(request: HttpRequest, chosen: str) -> str:
    """
    Returns the transports of a page: those chosen for it, or NOTIFY_TRANSPORTS.

    A page from Django's own ``runserver`` only polls. Otherwise it would try the WebSocket again and again,
    and the browser's console would show an error each time.
    """
    if request.META.get("SERVER_SOFTWARE", "").startswith("WSGIServer/"):
        return "poll"
    return chosen or " ".join(conf.TRANSPORTS)


def _nonce(context: template.Context) -> Any:
    """
    Returns the nonce that Django 6 or django-csp has set for a policy that requires one, or None.

    It is made when it is first used, and is false until then. notify itself needs none.
    """
    nonce = context.get("csp_nonce")
    return getattr(context.get("request"), "csp_nonce", None) if nonce is None else nonce


def _has_had_user(request: HttpRequest) -> bool:
    """Returns whether somebody may have been signed in in this browser, because that sets a CSRF cookie."""
    return settings.CSRF_USE_SESSIONS or settings.CSRF_COOKIE_NAME in request.COOKIES


@register.inclusion_tag("notify/badge.html", takes_context=True)
def notify_badge(context: template.Context, href: str = "") -> dict[str, Any]:
    """
    Render the number of unseen notifications.

    The client keeps the number up to date. Without JavaScript, it is correct at the time of rendering.

    Args:
        href: the URL of a page to link to, such as your inbox.
    """
    request = context.get("request")
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"user": None}
    unseen = upkeep.look(user.pk).counts.unseen
    shown = f"{BADGE_MAX}+" if unseen > BADGE_MAX else str(unseen)
    new = f", {counted(unseen)['new'] % {'count': unseen}}" if unseen else ""
    # A string, because templates group the digits of numbers if USE_THOUSAND_SEPARATOR is set.
    return {
        "user": user,
        "unseen": unseen,
        "count": str(unseen),
        "shown": shown,
        "href": href,
        "name": f"{gettext('Notifications')}{new}",
    }


@register.inclusion_tag("notify/messages.html", takes_context=True)
def notify_messages(context: template.Context, inline: str = "") -> dict[str, Any]:
    """
    Render the messages of ``django.contrib.messages`` as a list, which the script shows as toasts.

    The list stays as it is without JavaScript, on pages without ``{% notify %}``, and where nobody is
    signed in.

    Args:
        inline: levels, separated by spaces, whose messages stay in the list as well, such as ``"error"``.
    """
    request = context.get("request")
    levels = inline.split()
    for level in levels:
        if level not in list(Level):
            raise template.TemplateSyntaxError(
                f"{{% notify_messages %}} has no level {level!r}. Use {', '.join(Level)}."
            )
    messages = get_messages(request) if request is not None else ()
    shown = [(message, level_from(message.level)) for message in messages]
    return {"messages": [(message, level, level in levels) for message, level in shown]}


@register.inclusion_tag("notify/progress.html", takes_context=True)
def notify_progress(context: template.Context, key: Any) -> dict[str, Any]:
    """
    Render how far one task of the user is, or its result, which the script keeps up to date.

    Args:
        key: the ``key`` of the task. Without such a task, the place stays empty until it begins.
    """
    user = getattr(context.get("request"), "user", None)
    if user is None or not user.is_authenticated:
        return {"key": ""}
    row = lists.task_of(user.pk, f"{key}")
    nonce = _nonce(context)
    if row is None:
        return {"key": f"{key}", "row": None, "nonce": nonce}
    progress: Any = row.progress
    runs = progress["ended_at"] is None and progress["state"] != TaskState.LOST
    # Strings, because templates group the digits of numbers if USE_THOUSAND_SEPARATOR is set.
    total = None if progress["total"] is None else f"{progress['total']}"
    return {
        "key": f"{key}",
        "nonce": nonce,
        "row": row,
        "runs": runs,
        "state": progress["state"],
        "title": row.message if runs else row.title,
        "text": progress["message"] if runs else row.message,
        "done": f"{progress['done']}",
        "total": total,
    }


@register.inclusion_tag("notify/bell.html", takes_context=True)
def notify_bell(context: template.Context) -> dict[str, Any]:
    """
    Render a bell with the number of unseen notifications, which opens the inbox.

    The script opens it as a panel. Without JavaScript the bell leads to the inbox page.
    """
    return {
        **notify_badge(context, href=reverse("notify:inbox")),
        "nonce": _nonce(context),
        "labels": json.dumps(panel_labels(), ensure_ascii=False),
    }
