"""
Which pages may open a connection: those of the site itself.

Browsers send the user's cookies with a handshake from any page, and no CSRF token; the Origin
header tells which page it is. The rule is that of Django's CsrfViewMiddleware.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain

from notify.conf import conf


def header(scope: Mapping[str, Any], name: bytes) -> str:
    """A header of an ASGI scope as text; empty when it was not sent."""
    values = (value for key, value in scope.get("headers", ()) if key == name)
    # HTTP/2 may split the cookies into several headers.
    return (b"; " if name == b"cookie" else b", ").join(values).decode("latin-1")


def is_allowed(scope: Mapping[str, Any]) -> bool:
    """
    Whether the Origin is the host that was asked, or one in CSRF_TRUSTED_ORIGINS or
    NOTIFY_ALLOWED_ORIGINS. A client that sends none is no browser, or its page is the site's own,
    unless the browser says otherwise.
    """
    origin = header(scope, b"origin").lower()
    if not origin:
        return header(scope, b"sec-fetch-site").lower() != "cross-site"
    try:
        asked = urlsplit(origin)
        return _is_host(scope, asked) or _is_trusted(origin, asked)
    except ValueError:  # it is no URL
        return False


def _is_host(scope: Mapping[str, Any], origin: SplitResult) -> bool:
    """
    Whether this is the host that was asked, and one of ALLOWED_HOSTS.

    The scheme is not compared: daphne and most proxies do not tell it for a WebSocket.
    """
    host = header(scope, b"x-forwarded-host") if settings.USE_X_FORWARDED_HOST else ""
    host = (host or header(scope, b"host")).lower()
    port = {"http": ":80", "https": ":443"}.get(origin.scheme, "")
    if not host or origin.netloc.removesuffix(port) != host.removesuffix(port):
        return False
    allowed = settings.ALLOWED_HOSTS
    if settings.DEBUG and not allowed:
        allowed = [".localhost", "127.0.0.1", "[::1]"]
    return validate_host(split_domain_port(host)[0], allowed)


def _is_trusted(origin: str, asked: SplitResult) -> bool:
    for pattern in map(str.lower, (*settings.CSRF_TRUSTED_ORIGINS, *conf.ALLOWED_ORIGINS)):
        if "*" not in pattern and origin == pattern:
            return True
        trusted = urlsplit(pattern)
        if (
            "*" in pattern
            and asked.scheme == trusted.scheme
            and is_same_domain(asked.netloc, trusted.netloc.lstrip("*"))
        ):
            return True
    return False
