"""Which pages may open a connection: Django's own rule for unsafe requests."""

from __future__ import annotations

import pytest

from notify.auth.origin import header, is_allowed
from tests.kit.fakes import scope_of


def allowed(origin, host="testserver", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return is_allowed(scope_of(headers={"origin": origin, "host": host, **headers}))


@pytest.fixture(autouse=True)
def hosts(settings):
    settings.ALLOWED_HOSTS = ["testserver", ".example.com", "[::1]"]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://testserver", "testserver"),
        ("https://testserver", "testserver"),
        ("https://TestServer", "testserver"),
        ("http://testserver", "TESTSERVER"),
        ("http://testserver:8000", "testserver:8000"),
        ("https://testserver", "testserver:443"),
        ("http://testserver", "testserver:80"),
        ("https://shop.example.com", "shop.example.com"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_the_sites_own_pages_may(origin, host):
    assert allowed(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.com", "testserver"),
        ("http://testserver.evil.com", "testserver"),
        ("http://eviltestserver", "testserver"),
        ("http://testserver:8001", "testserver:8000"),
        ("http://testserver", "testserver:443"),
        ("http://testserver@evil.com", "testserver"),
        ("http://evil.com/testserver", "testserver"),
        ("http://evil.com", "evil.com"),  # a name that an attacker points here
        ("null", "testserver"),
        ("null", "null"),
        ("file://", "testserver"),
        ("http://[", "testserver"),
        ("http://[::1", "[::1"),
        ("testserver", "testserver"),
        ("http://", ""),
        ("http://testserver, http://evil.com", "testserver"),
    ],
)
def test_foreign_pages_may_not(origin, host):
    """Another host, port, subdomain; a sandboxed page; what is no origin at all."""
    assert not allowed(origin, host)


def test_a_client_without_an_origin_is_no_browser():
    assert allowed("")


def test_of_two_origins_neither_counts():
    scope = scope_of()
    scope["headers"].append((b"origin", b"http://evil.com"))
    assert not is_allowed(scope)


@pytest.mark.parametrize("origin", ["null", "file://", "http://"])
def test_no_host_is_no_host_even_where_every_host_is_allowed(settings, origin):
    settings.ALLOWED_HOSTS = ["*"]
    assert not allowed(origin, "")


def test_the_forwarded_host_counts_only_where_the_project_says_so(settings):
    asked = {"origin": "https://www.example.com", "x_forwarded_host": "www.example.com"}
    assert not allowed(**asked)
    settings.USE_X_FORWARDED_HOST = True
    assert allowed(**asked)
    assert not allowed("http://testserver", x_forwarded_host="www.example.com")
    assert not allowed("http://evil.com", x_forwarded_host="evil.com")


def test_in_debug_localhost_is_allowed_without_a_setting(settings):
    settings.ALLOWED_HOSTS = []
    assert not allowed("http://localhost:8000", "localhost:8000")
    settings.DEBUG = True
    assert allowed("http://localhost:8000", "localhost:8000")
    assert not allowed("http://testserver", "testserver")


@pytest.mark.parametrize("name", ["CSRF_TRUSTED_ORIGINS", "NOTIFY_ALLOWED_ORIGINS"])
@pytest.mark.parametrize(
    ("pattern", "origin", "expected"),
    [
        ("https://www.example.org", "https://www.example.org", True),
        ("https://www.example.org", "https://WWW.example.org", True),
        ("https://www.example.org", "http://www.example.org", False),
        ("https://www.example.org", "https://www.example.org:8443", False),
        ("https://www.example.org:8443", "https://www.example.org:8443", True),
        ("http://[::2]:8000", "http://[::2]:8000", True),
        ("https://*.example.org", "https://a.example.org", True),
        ("https://*.example.org", "https://a.b.example.org", True),
        ("https://*.example.org", "https://example.org", True),
        ("https://*.example.org", "http://a.example.org", False),
        ("https://*.example.org", "https://evilexample.org", False),
        ("https://*.example.org", "https://a.example.org.evil.com", False),
        ("https://*.example.org", "https://a.example.org:8443", False),
        ("https://*.example.org:8443", "https://a.example.org:8443", True),
        ("https://*.example.org", "null", False),
    ],
)
def test_trusted_origins_mean_what_django_means(settings, name, pattern, origin, expected):
    """``https://*.example.org`` is the domain and its subdomains, of that scheme and port."""
    setattr(settings, name, [pattern])
    assert allowed(origin) is expected
    if name == "CSRF_TRUSTED_ORIGINS" and origin == origin.lower():
        assert is_trusted_by_django(origin) is expected


def is_trusted_by_django(origin):
    from django.middleware.csrf import CsrfViewMiddleware
    from django.test import RequestFactory

    request = RequestFactory().post("/", headers={"origin": origin})
    return CsrfViewMiddleware(lambda request: None)._origin_verified(request)


def test_a_trusted_origin_may_even_where_the_host_is_not_allowed(settings):
    """As in Django: the host that a proxy sends is then of no interest."""
    settings.CSRF_TRUSTED_ORIGINS = ["https://www.example.org"]
    assert allowed("https://www.example.org", "www.example.org")


def test_headers_are_read_by_name():
    assert header(scope_of(), b"host") == "testserver"
    assert header({}, b"host") == ""


def test_cookies_that_came_in_several_headers_are_cookies():
    """HTTP/2 lets a browser split them."""
    scope = {"headers": [(b"cookie", b"theme=dark"), (b"cookie", b"sessionid=abc; x=y")]}
    assert header(scope, b"cookie") == "theme=dark; sessionid=abc; x=y"


@pytest.mark.parametrize(
    ("site", "may"),
    [("same-origin", True), ("same-site", True), ("none", True), ("cross-site", False), ("", True)],
)
def test_without_an_origin_the_browser_says_whose_page_it_is(site, may):
    """As for a GET from the page itself, or a link on another site."""
    assert allowed("", sec_fetch_site=site) is may


def test_an_origin_that_is_trusted_may_be_of_another_site(settings):
    settings.NOTIFY_ALLOWED_ORIGINS = ["https://app.example.org"]
    assert allowed("https://app.example.org", sec_fetch_site="cross-site")
