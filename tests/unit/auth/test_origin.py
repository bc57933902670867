"""The pages that may open a connection: Django's own rule for unsafe requests."""

from __future__ import annotations

import pytest
from django.middleware.csrf import CsrfViewMiddleware
from django.test import RequestFactory

from notify.auth.origin import header, is_allowed, is_allowed_page
from tests.kit.fakes import scope_of


def allowed(origin, host="testserver", *, scheme=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    known = {} if scheme is None else {"scheme": scheme}
    return is_allowed(scope_of(headers={"origin": origin, "host": host, **headers}, **known))


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
        ("http://evil.com", "evil.com"),  # a name that an attacker points to this site
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
    """Another host, port or subdomain, a sandboxed page, or an invalid origin."""
    assert not allowed(origin, host)


@pytest.mark.parametrize(
    ("origin", "scheme", "may"),
    [
        ("http://testserver", "ws", True),
        ("https://testserver", "wss", True),
        ("http://testserver", "wss", False),  # a page that anybody on the way may have changed
        ("https://testserver", "ws", False),
        ("http://testserver", "http", True),
        ("https://testserver", "https", True),
        ("http://testserver", "https", False),
        ("ws://testserver", "ws", False),
    ],
)
def test_a_page_of_another_scheme_may_not(origin, scheme, may):
    """The server gives the scheme of the connection, as of any request."""
    assert allowed(origin, scheme=scheme) is may
    assert is_allowed_by_django(origin, is_secure=scheme in ("wss", "https")) is may


@pytest.mark.parametrize("scheme", [None, "ws"])
@pytest.mark.parametrize(
    ("forwarded", "origin", "may"),
    [
        ("https", "https://testserver", True),
        ("https", "http://testserver", False),
        ("https, http", "https://testserver", True),
        ("http", "http://testserver", True),
        ("http", "https://testserver", False),
    ],
)
def test_a_proxy_that_ends_tls_names_the_scheme(settings, scheme, forwarded, origin, may):
    """With SECURE_PROXY_SSL_HEADER it is known even on daphne, which gives no scheme of a WebSocket."""
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert allowed(origin, scheme=scheme, x_forwarded_proto=forwarded) is may
    assert is_allowed_by_django(origin, is_secure=False, x_forwarded_proto=forwarded) is may


def test_a_scheme_that_a_proxy_names_counts_only_where_the_project_says_so(settings):
    """Otherwise any client could choose it. A trusted origin may all the same, as in Django."""
    asked = {"origin": "https://testserver", "scheme": "ws", "x_forwarded_proto": "https"}
    assert not allowed(**asked)
    settings.CSRF_TRUSTED_ORIGINS = ["https://testserver"]
    assert allowed(**asked)


def test_without_the_header_of_the_proxy_the_scheme_is_the_connections(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert allowed("http://testserver", scheme="ws")
    assert not allowed("https://testserver", scheme="ws")


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
    """``https://*.example.org`` matches the domain and its subdomains, with that scheme and port."""
    setattr(settings, name, [pattern])
    assert allowed(origin) is expected
    if name == "CSRF_TRUSTED_ORIGINS" and origin == origin.lower():
        assert is_allowed_by_django(origin) is expected


def is_allowed_by_django(origin, *, is_secure=False, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"origin": origin, "host": "testserver", **headers}
    request = RequestFactory().post("/", headers=headers, secure=is_secure)
    return CsrfViewMiddleware(lambda request: None)._origin_verified(request)


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ({}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": "http://testserver"}, True),
        ({"origin": "https://testserver"}, False),
    ],
)
def test_a_request_that_django_serves_is_judged_alike(headers, may):
    assert (
        is_allowed_page(RequestFactory().get("/", headers={"host": "testserver", **headers})) is may
    )


def test_a_trusted_origin_may_even_where_the_host_is_not_allowed(settings):
    """As in Django, the host that a proxy sends does not matter then."""
    settings.CSRF_TRUSTED_ORIGINS = ["https://www.example.org"]
    assert allowed("https://www.example.org", "www.example.org")


def test_headers_are_read_by_name():
    assert header(scope_of(), b"host") == "testserver"
    assert header({}, b"host") == ""


def test_cookies_that_came_in_several_headers_are_cookies():
    """A browser may split cookies into several headers over HTTP/2."""
    scope = {"headers": [(b"cookie", b"theme=dark"), (b"cookie", b"sessionid=abc; x=y")]}
    assert header(scope, b"cookie") == "theme=dark; sessionid=abc; x=y"


@pytest.mark.parametrize(
    ("site", "may"),
    [
        ("same-origin", True),
        ("none", True),
        ("", True),
        ("same-site", False),
        ("cross-site", False),
    ],
)
def test_without_an_origin_the_browser_says_whose_page_it_is(site, may):
    """Sec-Fetch-Site is also sent with a GET from the page itself, and with an image on another site."""
    assert allowed("", sec_fetch_site=site) is may


def test_an_origin_that_is_trusted_may_be_of_another_site(settings):
    settings.NOTIFY_ALLOWED_ORIGINS = ["https://app.example.org"]
    assert allowed("https://app.example.org", sec_fetch_site="cross-site")
