"""The middleware that puts messages into responses to htmx."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages import get_messages
from django.contrib.messages.middleware import MessageMiddleware
from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from notify.contrib.htmx import MAX_BYTES, HtmxMessagesMiddleware

pytestmark = [pytest.mark.users]


@pytest.fixture
def request_of(rf: Any) -> Any:
    """Returns a function that makes a request whose messages are in a cookie."""

    def request_of(user: Any, **headers: str) -> Any:
        request = rf.get("/", headers={"HX-Request": "true", **headers})
        request.user = user
        request.session = {}
        MessageMiddleware(lambda request: HttpResponse()).process_request(request)
        return request

    return request_of


def respond(request: Any, response: Any = None, *texts: Any) -> Any:
    """The response of a view that adds these messages."""

    def view(request: Any) -> Any:
        for text in texts or ["Saved"]:
            messages.success(request, text)
        return HttpResponse() if response is None else response

    return HtmxMessagesMiddleware(view)(request)


def queued(request: Any) -> list[str]:
    """The texts that the next page would show, after Django has stored the messages."""
    storage: Any = get_messages(request)
    response = HttpResponse()
    storage.update(response)
    request.COOKIES = {name: morsel.value for name, morsel in response.cookies.items()}
    return [message.message for message in type(storage)(request)]


SAVED = {"message": "Saved", "level": "success"}


@pytest.mark.django_db
def test_messages_become_an_event_in_order(request_of, user):
    request = request_of(user)
    messages.add_message(request, 45, "Custom")
    response = respond(request, None, "Saved", gettext_lazy("Yes"))
    assert json.loads(response["HX-Trigger"]) == {
        "notify:toast": [
            {"message": "Custom", "level": "error"},
            SAVED,
            {"message": "Yes", "level": "success"},
        ]
    }
    assert queued(request) == []


@pytest.mark.django_db
def test_texts_are_ascii_on_one_line(request_of, user):
    header = respond(request_of(user), None, "Größe\r\nX-Evil: 1 🎉")["HX-Trigger"]
    assert header.isascii()
    assert header.isprintable()
    [toast] = json.loads(header)["notify:toast"]
    assert toast["message"] == "Größe\r\nX-Evil: 1 🎉"


@pytest.mark.django_db
def test_the_markup_of_a_safe_string_is_left_out(request_of, user):
    texts = mark_safe('Saved. <a href="/x/">A &amp; B</a>'), "<b> & co"
    header = respond(request_of(user), None, *texts)["HX-Trigger"]
    shown = [toast["message"] for toast in json.loads(header)["notify:toast"]]
    assert shown == ["Saved. A & B", "<b> & co"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ("closed", {"closed": None, "notify:toast": [SAVED]}),
        ("closed, moved,", {"closed": None, "moved": None, "notify:toast": [SAVED]}),
        ('{"closed": {"id": 7}}', {"closed": {"id": 7}, "notify:toast": [SAVED]}),
        ('{"notify:toast": "Own"}', {"notify:toast": ["Own", SAVED]}),
        ('{"notify:toast": ["Own"]}', {"notify:toast": ["Own", SAVED]}),
    ],
)
def test_a_header_that_is_there_is_kept(present, expected, request_of, user):
    response = respond(request_of(user), HttpResponse(headers={"HX-Trigger": present}))
    assert json.loads(response["HX-Trigger"]) == expected


@pytest.mark.django_db
def test_a_header_that_cannot_be_read_is_left_alone(request_of, user):
    request = request_of(user)
    response = respond(request, HttpResponse(headers={"HX-Trigger": "{broken"}))
    assert response["HX-Trigger"] == "{broken"
    assert queued(request) == ["Saved"]


@pytest.mark.django_db
def test_messages_that_are_too_long_stay_queued(request_of, user):
    request = request_of(user)
    response = respond(request, None, "x" * (MAX_BYTES - 200))
    assert len(response["HX-Trigger"]) < MAX_BYTES
    request = request_of(user)
    response = respond(request, None, "First", "x" * MAX_BYTES)
    assert "HX-Trigger" not in response
    assert queued(request) == ["First", "x" * MAX_BYTES]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "response",
    [
        HttpResponseRedirect("/next/"),
        HttpResponse(headers={"HX-Redirect": "/next/"}),
        HttpResponse(headers={"HX-Location": "/next/"}),
        HttpResponse(headers={"HX-Refresh": "true"}),
        StreamingHttpResponse([]),
    ],
    ids=["302", "redirect", "location", "refresh", "stream"],
)
def test_the_page_that_follows_shows_them(response, request_of, user):
    request = request_of(user)
    assert "HX-Trigger" not in respond(request, response)
    assert queued(request) == ["Saved"]


@pytest.mark.django_db
@pytest.mark.parametrize("status", [200, 204, 422, 500])
def test_errors_carry_them_too(status, request_of, user):
    assert "HX-Trigger" in respond(request_of(user), HttpResponse(status=status))


@pytest.mark.django_db
def test_other_requests_are_left_alone(request_of, user, rf):
    request = request_of(user, **{"HX-Request": ""})
    assert "HX-Trigger" not in respond(request)
    assert queued(request) == ["Saved"]


@pytest.mark.django_db
def test_a_page_of_nobody_could_not_show_them(request_of):
    request = request_of(AnonymousUser())
    assert "HX-Trigger" not in respond(request)
    assert queued(request) == ["Saved"]


@pytest.mark.django_db
def test_messages_that_the_response_shows_itself_are_not_sent_twice(request_of, user):
    request = request_of(user)
    messages.info(request, "Shown in the fragment")

    def view(request: Any) -> Any:
        return HttpResponse(", ".join(map(str, get_messages(request))))

    assert "HX-Trigger" not in HtmxMessagesMiddleware(view)(request)


@pytest.mark.django_db
def test_without_messages_there_is_no_header(request_of, user, rf):
    request = request_of(user)
    assert "HX-Trigger" not in HtmxMessagesMiddleware(lambda request: HttpResponse())(request)
    bare = rf.get("/", headers={"HX-Request": "true"})  # no middleware of messages or of users
    assert "HX-Trigger" not in HtmxMessagesMiddleware(lambda request: HttpResponse())(bare)
    bare.user = user
    assert "HX-Trigger" not in HtmxMessagesMiddleware(lambda request: HttpResponse())(bare)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_htmx", [True, False])
async def test_async_views_are_awaited(is_htmx, request_of, user):
    request = request_of(user, **({} if is_htmx else {"HX-Request": ""}))

    async def view(request: Any) -> Any:
        messages.success(request, "Saved")
        return HttpResponse()

    response = await HtmxMessagesMiddleware(view)(request)
    assert ("HX-Trigger" in response) == is_htmx
