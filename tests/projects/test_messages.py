"""docs/howto/messages.md: its template, its middleware and its views, as they are printed."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from django.contrib import messages
from django.http import HttpResponse
from django.template import engines
from django.urls import path

from tests.projects.texts import DOCS, blocks

PAGE = DOCS / "howto" / "messages.md"
[TEMPLATE] = [code for language, code in blocks(PAGE) if language == "html"]
MIDDLEWARE, *VIEWS = [code for language, code in blocks(PAGE) if language == "python"]

scope: dict[str, Any] = {"__name__": __name__}
for code in VIEWS:
    exec(code, scope)


def page(request: Any) -> HttpResponse:
    messages.error(request, "Not saved")
    return HttpResponse(engines["django"].from_string(TEMPLATE).render({}, request))


def empty(request: Any) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(TEMPLATE).render({}, request))


urlpatterns = [
    path("rename/", scope["rename"]),
    path("archive/", scope["archive"]),
    path("page/", page),
    path("empty/", empty),
]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def browser(client: Any, user: Any, settings: Any) -> Any:
    settings.MIDDLEWARE = ast.literal_eval(MIDDLEWARE.partition(" = ")[2])
    settings.ROOT_URLCONF = __name__
    client.force_login(user)
    return client


pytestmark = pytest.mark.django_db


def test_the_page_lists_its_messages_with_errors_inline(browser: Any):
    html = browser.get("/page/").content.decode()
    assert '<li class="error" data-level="error" data-inline>Not saved</li>' in html


def test_a_fragment_carries_them_in_its_header(browser: Any):
    response = browser.post("/rename/", headers=HTMX)
    assert response.content == b"New name"
    assert json.loads(response["HX-Trigger"]) == {
        "notify:toast": [{"message": "Renamed", "level": "success"}]
    }
    assert "Renamed" not in browser.get("/empty/").content.decode()


def test_without_htmx_they_wait_for_the_next_page(browser: Any):
    assert "HX-Trigger" not in browser.post("/rename/")
    assert "Renamed" in browser.get("/empty/").content.decode()


def test_a_view_may_send_the_event_itself(browser: Any):
    response = browser.post("/archive/", headers=HTMX)
    assert json.loads(response["HX-Trigger"])["notify:toast"]["message"] == "Archived"
