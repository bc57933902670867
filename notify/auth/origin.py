"""
The origin check: only pages of the site itself may open a connection.

Browsers send the user's cookies with a handshake from any page, but no CSRF token. The Origin header
names the page's site. The rules are those of Django's CsrfViewMiddleware.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain

from notify.conf import conf


def header(scope: Mapping[str, Any], name: bytes) -> str:
    """Returns a header of an ASGI scope as text, or an empty string if it is missing."""
    values = (value for key, value in scope.get("headers", ()) if key == name)
    # HTTP/2 may split the cookies into several headers.
    return (b"; " if name == b"cookie" else b", ").join(values).decode("latin-1")


def is_allowed(scope: Mapping[str, Any]) -> bool:
    """
    Returns whether the Origin is the requested scheme and host, or in CSRF_TRUSTED_ORIGINS or
    NOTIFY_ALLOWED_ORIGINS.

    A request without Origin is allowed (not a browser, or same-origin), unless Sec-Fetch-Site names
    another site or origin. Images and links of other pages send no Origin.
    """
    origin = header(scope, b"origin").lower()
    if not origin:
        return header(scope, b"sec-fetch-site").lower() not in ("cross-site", "same-site")
    try:
        parts = urlsplit(origin)
        return _is_host(scope, parts) or _is_trusted(origin, parts)
    except ValueError:  # the Origin is not a URL
        return False


def is_allowed_page(request: HttpRequest) -> bool:
    """Returns whether :func:`is_allowed` would allow a request that Django serves."""
    headers = [
        (name.lower().encode(), value.encode("latin-1", "replace"))
        for name, value in request.headers.items()
    ]
    return is_allowed({"headers": headers, "scheme": request.scheme})


def _is_host(scope: Mapping[str, Any], origin: SplitResult) -> bool:
    """Returns whether the origin is the requested scheme and host, and the host is in ALLOWED_HOSTS."""
    if origin.scheme not in _schemes(scope):
        return False
    host = header(scope, b"x-forwarded-host") if settings.USE_X_FORWARDED_HOST else ""
    host = (host or header(scope, b"host")).lower()
    port = {"http": ":80", "https": ":443"}.get(origin.scheme, "")
    if not host or origin.netloc.removesuffix(port) != host.removesuffix(port):
        return False
    allowed = settings.ALLOWED_HOSTS
    if settings.DEBUG and not allowed:
        allowed = [".localhost", "127.0.0.1", "[::1]"]
    return validate_host(split_domain_port(host)[0], allowed)


def _schemes(scope: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Returns the schemes that the request may have.

    They are both if it is unknown: daphne does not pass on the scheme of a WebSocket. With
    SECURE_PROXY_SSL_HEADER it is known on every server.
    """
    known = scope.get("scheme")
    if settings.SECURE_PROXY_SSL_HEADER:
        name, secure = settings.SECURE_PROXY_SSL_HEADER
        # As in HttpRequest.scheme, for which META has the header.
        value = header(scope, name.removeprefix("HTTP_").replace("_", "-").lower().encode())
        if value:
            known = "https" if value.split(",", 1)[0].strip() == secure else "http"
    if known is None:
        return "http", "https"
    return ("https",) if known in ("https", "wss") else ("http",)


def _is_trusted(origin: str, parts: SplitResult) -> bool:
    """Returns whether a setting contains the origin, literally or through a wildcard."""
    for pattern in map(str.lower, (*settings.CSRF_TRUSTED_ORIGINS, *conf.ALLOWED_ORIGINS)):
        if "*" not in pattern and origin == pattern:
            return True
        trusted = urlsplit(pattern)
        if (
            "*" in pattern
            and parts.scheme == trusted.scheme
            and is_same_domain(parts.netloc, trusted.netloc.lstrip("*"))
        ):
            return True
    return False
