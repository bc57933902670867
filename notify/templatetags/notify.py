"""
All that a template needs:

    {% load notify %}
    {% notify_badge %}      where the count goes
    {% notify %}            before </body>
"""

from __future__ import annotations

import json
from typing import Any

from django import template
from django.conf import settings
from django.middleware.csrf import get_token
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext

from notify.conf import conf
from notify.inbox import reader as inbox

register = template.Library()

BADGE_MAX = 99  # a larger count is shown as "99+", as by the script


def labels() -> dict[str, str]:
    """The words of the client, in the reader's language."""
    return {
        "notifications": gettext("Notifications"),
        "dismiss": gettext("Dismiss"),
        "more": gettext("%(count)s more"),
        "new": gettext("%(count)s new"),
        "times": gettext("%(count)s times"),
        "debug": gettext("Debug"),
        "info": gettext("Information"),
        "success": gettext("Success"),
        "warning": gettext("Warning"),
        "error": gettext("Error"),
        "actions": gettext("Press F6 for its actions."),
        "progress": gettext("%(done)s of %(total)s"),
        "left": gettext("about %(time)s left"),
        "queued": gettext("Waiting to start"),
        "silent": gettext("No sign of life for a while"),
        "lost": gettext("Nothing was heard of it any more"),
        "cancel": gettext("Cancel"),
        "cancelling": gettext("Cancelling…"),
        "fewer": gettext("Show fewer"),
        "task": gettext("1 task running"),
        "tasks": gettext("%(count)s tasks running"),
    }


@register.inclusion_tag("notify/root.html", takes_context=True)
def notify(context: template.Context, transports: str = "", position: str = "") -> dict[str, Any]:
    """
    The script, the style sheet and the root element; nothing for visitors who are not signed in.

    Args:
        transports: which to use on this page, in order, separated by spaces; else NOTIFY_TRANSPORTS.
        position: where the toasts are, in logical directions; else "block-end inline-end".
    """
    request = context.get("request")
    user = getattr(request, "user", None)
    if request is None or user is None or not user.is_authenticated:
        return {"user": None}
    # Asking for the token makes Django set the cookie, also on a page without a form.
    token = get_token(request)
    in_page = settings.CSRF_USE_SESSIONS or settings.CSRF_COOKIE_HTTPONLY
    session = getattr(getattr(request, "session", None), "session_key", None) or ""
    return {
        # Keeps apart what a browser stores for two users, or for two sessions, and tells neither.
        "user": salted_hmac(
            "notify.templatetags", f"{user.pk}:{session}", algorithm="sha256"
        ).hexdigest()[:16],
        "prefix": reverse("notify:ws").removesuffix("ws/"),
        "transports": transports or " ".join(conf.TRANSPORTS),
        "share": "websocket" if conf.SHARE_WEBSOCKET else "",
        "position": position,
        # Of Django 6 or django-csp, for a policy that wants one; notify itself needs none.
        "nonce": context.get("csp_nonce") or getattr(request, "csp_nonce", ""),
        "poll_interval": f"{conf.POLL_INTERVAL:g}",
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "csrf_header": settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-"),
        # Not "csrf_token": an inclusion tag sets that one itself, whatever is given here.
        "token_in_page": token if in_page else "",
        "labels": json.dumps(labels(), ensure_ascii=False),
    }


@register.inclusion_tag("notify/badge.html", takes_context=True)
def notify_badge(context: template.Context, href: str = "") -> dict[str, Any]:
    """
    The number of unseen notifications, kept up to date by the script and right without it.

    Args:
        href: a page to link to, such as your inbox.
    """
    request = context.get("request")
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"user": None}
    unseen = inbox.counts(user).unseen
    shown = f"{BADGE_MAX}+" if unseen > BADGE_MAX else str(unseen)
    words = labels()
    new = f", {words['new'] % {'count': unseen}}" if unseen else ""
    # The count as text: as a number the template might group its digits.
    return {
        "user": user,
        "unseen": unseen,
        "count": str(unseen),
        "shown": shown,
        "href": href,
        "name": f"{words['notifications']}{new}",
    }
