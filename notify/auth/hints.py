"""Explains to developers why the origin of a connection was refused, in the log and the browser's console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host

from notify.auth.origin import header

SHOWN = 200  # characters of a header, as any client may choose it
HEADERS = ("Origin", "Host", "X-Forwarded-Host", "Sec-Fetch-Site")
PORTS = {"http": 80, "https": 443}
HAVE_HOST_PASSED_ON = (
    "have the proxy pass on Host as the browser sends it"
    " (in nginx: proxy_set_header Host $http_host)"
)


def why_refused(scope: Mapping[str, Any]) -> str:
    """Returns the headers by which an origin was refused, and the likely cause, in whole sentences."""
    values = {name: header(scope, name.lower().encode()) for name in HEADERS}
    shown = ", ".join(f"{name} {value[:SHOWN]!r}" for name, value in values.items() if value)
    origin, host, forwarded, _site = (value.lower() for value in values.values())
    try:
        cause = _cause(origin, host, forwarded)
    except ValueError:
        cause = "Origin or Host is not valid."
    return f"{shown}. {cause}"


def _cause(origin: str, host: str, forwarded: str) -> str:
    page = urlsplit(origin)
    if not origin:
        return "A page of another site has made the request."
    if not page.hostname:
        return "The page has no origin, as in a sandboxed frame, or in a file."
    if forwarded and page.netloc == forwarded and not settings.USE_X_FORWARDED_HOST:
        return "The proxy passes on the host as X-Forwarded-Host: set USE_X_FORWARDED_HOST = True."
    asked = urlsplit(f"//{forwarded if forwarded and settings.USE_X_FORWARDED_HOST else host}")
    if page.hostname != asked.hostname:
        return (
            "It is a page of another site, or a proxy has replaced Host. If it is yours,"
            f" {HAVE_HOST_PASSED_ON}, or add its origin to CSRF_TRUSTED_ORIGINS or NOTIFY_ALLOWED_ORIGINS."
        )
    port = PORTS.get(page.scheme)
    if (page.port or port) != (asked.port or port):
        return f"Host lacks the port of the page, or has another: {HAVE_HOST_PASSED_ON}."
    if not validate_host(asked.hostname, settings.ALLOWED_HOSTS):
        return f"Add {asked.hostname!r} to ALLOWED_HOSTS."
    return "The schemes differ: if a proxy ends TLS, set SECURE_PROXY_SSL_HEADER."
