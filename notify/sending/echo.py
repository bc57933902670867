"""
The tab whose own request sends a notification, for ``NOTIFY_ECHO = "quiet"``.

With it, only this tab shows the toast; the user's other tabs count the notification, and list it in the
inbox.
"""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest

from notify.conf import conf

HEADER = "X-Notify-Tab"  # of requests by scripts
COOKIE = "notify_tab"  # which the page sets just before a form or a link leaves it
TAB = re.compile(r"[0-9a-z]{8,32}")


def request_of(to: Any) -> HttpRequest | None:
    """Returns the request if the recipient was named by one, also one of Django REST framework."""
    if isinstance(to, HttpRequest):
        return to
    wrapped = getattr(to, "_request", None)
    return wrapped if isinstance(wrapped, HttpRequest) else None


def origin_of(to: Any) -> str:
    """
    Returns the identifier of the tab whose request this is.

    It is empty, so that all tabs show the toast, if the setting does not ask for it, if the recipient was not
    named by a request, or if the request does not name its tab.
    """
    request = request_of(to) if conf.ECHO == "quiet" else None
    if request is None:
        return ""
    tab = request.headers.get(HEADER) or (
        request.COOKIES.get(COOKIE, "") if _navigates(request) else ""
    )
    return tab if TAB.fullmatch(tab) else ""


def _navigates(request: HttpRequest) -> bool:
    """
    Returns whether the browser loads a page by this request.

    Other requests of the browser have the cookie too, although they may come from another tab.
    """
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode:
        return mode == "navigate"
    # Browsers send no Sec-Fetch headers to a site without TLS.
    return request.headers.get("Accept", "").startswith("text/html")
