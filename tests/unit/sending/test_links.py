"""The links of a notification: what is accepted, and what is refused because of its scheme or the page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse_lazy

from notify.exceptions import InvalidNotification
from notify.models import Notification
from notify.sending.actions import Action
from notify.sending.content import Content


def write(**given: Any) -> Notification:
    return Content("Hello", **given).checked().render()


class Export:
    def __init__(self, url: Any) -> None:
        self.url = url

    def get_absolute_url(self) -> Any:
        return self.url

    def __len__(self) -> int:
        return 0  # an export without rows has a page too


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("", ""),
        ("/exports/7/", "/exports/7/"),
        ("/exports/?at=10:30#javascript:", "/exports/?at=10:30#javascript:"),
        ("notify:changes", "/notify/changes/"),
        (reverse_lazy("notify:changes"), "/notify/changes/"),
        (Export("/exports/7/"), "/exports/7/"),
        ("https://example.com/x?y=javascript:z", "https://example.com/x?y=javascript:z"),
        ("HTTP://example.com", "HTTP://example.com"),
        ("https://example.com/" + "a" * 1980, "https://example.com/" + "a" * 1980),
        ("mailto:alice@example.com", "mailto:alice@example.com"),
        ("//example.com/x", "//example.com/x"),
        (Export("https://example.com/x"), "https://example.com/x"),
        (Export(""), ""),
    ],
)
def test_a_url_is_what_resolve_url_takes(given, stored):
    assert write(url=given).url == stored
    if stored:
        assert write(actions=[Action("Open", given)]).actions == [{"label": "Open", "url": stored}]


def page(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError


urlpatterns = [path("page/", page)]


@pytest.mark.urls(__name__)
def test_a_url_may_be_a_view():
    assert write(url=page).url == "/page/"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "javascript:alert(1)//a.b",
        "JAVASCRIPT:alert(1)//a.b",
        " javascript:alert(1)//a.b",
        "\x01javascript:alert(1)//a.b",
        "java\nscript:alert(1)//a.b",
        "java\tscript:alert(1)//a.b",
        "\r\njava\r\nscript\n:alert(1)//a.b",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:msgbox(1)/",
        "file:///etc/passwd",
        "blob:https://example.com/1",
        "example.com:8000/x",
        Export("javascript:alert(1)//a.b"),
        Export("java\nscript:alert(1)"),
    ],
)
def test_a_url_that_runs_something_is_refused(url):
    with pytest.raises(InvalidNotification, match=r"^url"):
        write(url=url)
    with pytest.raises(InvalidNotification, match=r"^In actions: url"):
        write(actions=[Action("Open", url)])


def test_a_scheme_with_a_nul_is_refused():
    with pytest.raises(InvalidNotification):
        write(url="java\x00script:alert(1)//a.b")


@pytest.mark.parametrize(
    "url",
    [
        "www.example.com/x",
        "exports/7/",
        "export.csv",
        "./7/",
        "../7/",
        "?q=a.b",
        "#top/",
        "https:exports/7/",
        "https:/exports/7/",
        "\\\\example.com/x",
        Export("exports/7/"),
    ],
)
def test_a_url_that_depends_on_the_page_is_refused(url):
    """Each page of the site shows the toast, and each would resolve such a link to another address."""
    with pytest.raises(InvalidNotification, match=r"^url=.* is relative.*/exports/7/.*https://"):
        write(url=url)
    with pytest.raises(InvalidNotification, match=r"^In actions: url=.* is relative"):
        write(actions=[Action("Open", url)])


@pytest.mark.parametrize(
    "url", ["no-such-name", "notify:nowhere", reverse_lazy("nowhere"), "?page=2", "#top", " "]
)
def test_a_name_of_no_pattern_says_what_to_give(url):
    with pytest.raises(InvalidNotification, match=r"neither a URL nor the name .*/exports/7/"):
        write(url=url)


@pytest.mark.parametrize("url", [7, 0, False, object(), ["/x/"], datetime(2026, 1, 1)])
def test_an_object_without_an_address_is_named(url):
    """The usual cause is a model without get_absolute_url()."""
    with pytest.raises(InvalidNotification, match=r"has no get_absolute_url\(\)"):
        write(url=url)
