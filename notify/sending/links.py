"""The links of a notification: resolved in the active language, and refused if they depend on the page."""

from __future__ import annotations

import re
from typing import Any

from django.shortcuts import resolve_url
from django.urls import NoReverseMatch
from django.utils.functional import Promise

from notify.exceptions import InvalidNotification

SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
EXTERNAL_SCHEMES = frozenset({"http", "https", "mailto"})
# Browsers resolve "https:x", without slashes, against the address of the page.
ABSOLUTE = re.compile(r"/|https?://|mailto:", re.IGNORECASE)
IGNORED_BY_BROWSERS = re.compile(r"^[\x00-\x20]+|[\t\r\n]")


def resolve(name: str, value: Any) -> str:
    """
    Returns the URL of a link in the active language; "" if there is no link.

    Every page of the site shows the link, so the URL must lead to the same address from each of them.

    Args:
        name: the name of the argument, for error messages.
        value: anything that :func:`django.shortcuts.resolve_url` accepts, or None.

    Raises:
        InvalidNotification: if the value has no URL, or its URL is relative or has another scheme than
            http, https or mailto.
    """
    try:
        value = str(value) if isinstance(value, Promise) else value  # reverse_lazy()
        url = _resolved(name, value)
    except NoReverseMatch as error:
        shown = "" if isinstance(value, Promise) else f"={value!r}"
        raise InvalidNotification(
            f"{name}{shown} is neither a URL nor the name of a URL pattern. Pass a path such"
            " as /exports/7/, an object with get_absolute_url(), or reverse(…)."
        ) from error
    if is_url(url):
        return url
    if _scheme(url) not in {"", *EXTERNAL_SCHEMES}:
        raise InvalidNotification(
            f"{name}={value!r} has a scheme that is not allowed. Use http, https or mailto, or a path."
        )
    raise InvalidNotification(
        f"{name}={value!r} is relative, so it would lead to a different address from each page. Begin a"
        " path of this site with a slash, such as /exports/7/, and an address of another site with"
        " https://."
    )


def is_url(value: Any) -> bool:
    """Returns whether a link is a URL already, the same in every language and from every page, or missing."""
    if isinstance(value, str):
        return not value or bool(ABSOLUTE.match(_as_browsers_read(value)))
    return value is None


def _resolved(name: str, value: Any) -> str:
    if is_url(value):
        return value or ""
    if not (isinstance(value, str) or callable(value) or hasattr(value, "get_absolute_url")):
        raise InvalidNotification(
            f"{name}={value!r} has no URL: {type(value).__name__} has no get_absolute_url()."
        )
    return f"{resolve_url(value)}"


def _as_browsers_read(url: str) -> str:
    return IGNORED_BY_BROWSERS.sub("", url)


def _scheme(url: str) -> str:
    """Returns the scheme that a browser would recognize, in lower case, or "" for a path."""
    match = SCHEME.match(_as_browsers_read(url))
    return match[1].lower() if match else ""
