"""The likely cause of a refused origin, as the log and, with DEBUG, the browser's console have it."""

from __future__ import annotations

import pytest

from notify.auth.hints import SHOWN, why_refused
from notify.auth.origin import is_allowed
from tests.kit.fakes import scope_of


@pytest.fixture(autouse=True)
def hosts(settings):
    settings.ALLOWED_HOSTS = ["site.com", "[::1]"]


@pytest.mark.parametrize(
    ("headers", "hint"),
    [
        ({"origin": "https://site.com:8443", "host": "site.com"}, "$http_host"),
        ({"origin": "https://site.com", "host": "site.com:8000"}, "$http_host"),
        ({"origin": "http://[::1]:8000", "host": "[::1]"}, "$http_host"),
        ({"origin": "https://site.com", "host": "127.0.0.1:8000"}, "a proxy has replaced Host"),
        ({"origin": "https://evil.com", "host": "site.com"}, "a page of another site"),
        (
            {"origin": "https://site.com", "host": "web", "x-forwarded-host": "site.com"},
            "set USE_X_FORWARDED_HOST = True",
        ),
        (
            {"origin": "https://site.com", "host": "web", "x-forwarded-host": "Site.com"},
            "set USE_X_FORWARDED_HOST = True",
        ),
        (
            {"origin": "https://site.com", "host": "web", "x-forwarded-host": "site.com:8000"},
            "a proxy has replaced Host",
        ),
        ({"origin": "https://www.com", "host": "www.com"}, "Add 'www.com' to ALLOWED_HOSTS"),
        ({"origin": "null", "host": "site.com"}, "sandboxed frame"),
        ({"origin": "http://[", "host": "site.com"}, "not valid"),
        ({"origin": "http://site.com", "host": "site.com:x"}, "not valid"),
        ({"origin": "", "host": "site.com", "sec-fetch-site": "cross-site"}, "another site"),
    ],
)
def test_a_refused_origin_has_a_likely_cause(headers, hint):
    """All headers that matter are named with it."""
    scope = scope_of(headers=headers)
    assert not is_allowed(scope)
    told = why_refused(scope)
    assert hint in told
    for name, value in headers.items():
        assert not value or f"{name.title()} {value!r}" in told
    assert "''" not in told


def test_a_forwarded_host_that_counts_is_the_host(settings):
    settings.USE_X_FORWARDED_HOST = True
    headers = {"origin": "https://site.com:8443", "host": "web", "x-forwarded-host": "site.com"}
    assert "Host lacks the port" in why_refused(scope_of(headers=headers))
    headers["origin"] = "https://site.com"
    assert "SECURE_PROXY_SSL_HEADER" in why_refused(scope_of(headers=headers))


@pytest.mark.parametrize(
    ("origin", "host"),
    [("https://SITE.com:443", "site.com"), ("http://site.com", "site.com:80")],
)
def test_if_all_else_is_alike_the_schemes_differ(origin, host):
    headers = {"origin": origin, "host": host}
    assert "SECURE_PROXY_SSL_HEADER" in why_refused(scope_of(headers=headers))


def test_a_client_can_neither_fill_nor_forge_the_log():
    told = why_refused(
        scope_of(headers={"origin": "http://x\n" + "x" * 10_000, "host": "site.com"})
    )
    assert "\n" not in told
    assert len(told) < SHOWN + 500
