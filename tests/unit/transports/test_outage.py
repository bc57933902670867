"""The database fails in a middleware, before a view of notify could catch the error."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.conf import settings as project
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.sessions.backends.db import SessionStore
from django.core.signals import got_request_exception
from django.db import DataError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import get_urlconf, include, path, reverse

from notify.transports import outage

pytestmark = [pytest.mark.django_db, pytest.mark.users]

LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
UNAVAILABLE = {"type": "error", "ref": None, "code": "unavailable", "message": "Try again later."}


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user))


urlpatterns = [
    path("notify/", include("notify.urls")),
    path("shop/", include(([path("notify/", include("notify.urls"))], "shop"))),
    path("page/", page),
]


def greets(get_response: Any) -> Any:
    """A middleware that reads the user before the URL is resolved."""

    def middleware(request: Any) -> Any:
        request.is_known = request.user.is_authenticated
        return get_response(request)

    return middleware


def has_urls(get_response: Any) -> Any:
    """A middleware that chooses the URLconf of a request, and reverses URLs after it."""

    def middleware(request: Any) -> Any:
        request.urlconf = __name__
        response = get_response(request)
        response["X-Page"] = reverse(page)
        return response

    return middleware


def with_last(*middleware: str) -> list[str]:
    return [*project.MIDDLEWARE, *middleware]


@pytest.fixture
def tab(user: Any) -> Client:
    """A signed-in browser, which is answered as a real one if Django catches an exception."""
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, OperationalError("gone"))


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(self: Any) -> Any:
        raise error

    monkeypatch.setattr(SessionStore, "load", fail)


def post(tab: Any) -> Any:
    return tab.post("/notify/commands/", "{}", content_type="application/json")


@pytest.mark.parametrize("middleware", [LOGIN_REQUIRED, f"{__name__}.greets"])
def test_a_poll_and_a_command_are_503_and_quiet(middleware, tab, settings, caplog, broken):
    """Before the URL is resolved, or after. There is one line in the log, and none of Django."""
    settings.MIDDLEWARE = with_last(middleware)
    for answer in (tab.get("/notify/changes/"), post(tab), tab.get("/notify/stream/")):
        assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
        assert "no-store" in answer["Cache-Control"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("notify", logging.WARNING)
    assert "gone" in caplog.text
    assert get_urlconf() is None


def test_a_secret_in_a_session_that_cannot_be_read_is_503(tab, settings, broken):
    """CsrfViewMiddleware reads it before any view."""
    settings.CSRF_USE_SESSIONS = True
    assert post(tab).status_code == 503


async def test_it_is_so_under_asgi(settings, caplog, monkeypatch):
    settings.MIDDLEWARE = with_last(LOGIN_REQUIRED)
    fail_with(monkeypatch, OperationalError("gone"))
    client = AsyncClient(raise_request_exception=False)
    client.cookies["sessionid"] = "x" * 32
    answer = await client.get("/notify/changes/")
    assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
    assert [record.name for record in caplog.records] == ["notify"]


@pytest.mark.parametrize("middleware", [LOGIN_REQUIRED, f"{__name__}.greets"])
def test_it_is_so_in_the_urls_of_the_request(middleware, tab, settings, broken):
    """The middleware outside, which also sees the answer, finds its own URLs."""
    settings.ROOT_URLCONF = "tests.urls"
    settings.MIDDLEWARE = [f"{__name__}.has_urls", *with_last(middleware)]
    answer = tab.get("/shop/notify/changes/")
    assert (answer.status_code, answer["X-Page"]) == (503, "/page/")


def test_a_cookie_that_no_database_stores_is_401(tab, settings, monkeypatch):
    """PostgreSQL refuses to look for it. To come back later would not help. (Django ignores shorter keys.)"""
    settings.MIDDLEWARE = with_last(LOGIN_REQUIRED)
    fail_with(monkeypatch, DataError("NUL"))
    answer = tab.get("/notify/changes/", headers={"cookie": r'sessionid="long-enough\000"'})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")


@pytest.mark.parametrize("asked", ["/page/", "/nowhere/"])
def test_other_pages_fail_as_ever(asked, tab, settings, caplog, broken):
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = with_last(f"{__name__}.greets")
    assert tab.get(asked).status_code == 500
    assert [record.name for record in caplog.records] == ["django.request"]


def test_another_error_is_a_fault_of_the_site(tab, settings, monkeypatch, caplog):
    settings.MIDDLEWARE = with_last(LOGIN_REQUIRED)
    monkeypatch.setattr(LoginRequiredMiddleware, "process_view", lambda *args: 1 / 0)
    assert tab.get("/notify/changes/").status_code == 500
    assert "ZeroDivisionError" in caplog.text


def test_in_debug_django_shows_its_own_page(tab, settings, broken):
    settings.DEBUG = True
    settings.MIDDLEWARE = with_last(f"{__name__}.greets")
    assert b"OperationalError" in tab.get("/notify/changes/").content


def test_an_error_outside_of_a_request_is_not_ours(monkeypatch):
    """A library may send Django's signal without a request."""
    monkeypatch.setattr(outage, "set_urlconf", lambda urlconf: 1 / 0)
    try:
        raise OperationalError("gone")
    except OperationalError:
        got_request_exception.send(None)
