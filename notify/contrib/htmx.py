"""
Shows the messages of ``django.contrib.messages`` as toasts where htmx swaps only a part of the page.

    MIDDLEWARE = [
        …,
        "django.contrib.messages.middleware.MessageMiddleware",
        "notify.contrib.htmx.HtmxMessagesMiddleware",
    ]

A response to htmx carries the messages in the header ``HX-Trigger``, from which htmx makes the event
``notify:toast``. In every other response they stay queued, for ``{% notify_messages %}`` of a whole page.
"""

from __future__ import annotations

import html
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.messages import get_messages
from django.contrib.messages.storage.base import Message
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.html import strip_tags
from django.utils.safestring import SafeData

from notify.sending.values import level_from

HEADER = "HX-Trigger"
EVENT = "notify:toast"
ELSEWHERE = ("HX-Redirect", "HX-Location", "HX-Refresh")  # another page follows, and shows them
MAX_BYTES = 4096  # of the header; proxies allow 8 KB for all headers together

Response = Any  # an HttpResponseBase, or an awaitable of one


class HtmxMessagesMiddleware:
    """Put the messages of a response to htmx into its header ``HX-Trigger``."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Response]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Response:
        if self.is_async:
            return self.respond(request)
        response = self.get_response(request)
        if takes_messages(request, response):
            move_messages(request, response)
        return response

    async def respond(self, request: HttpRequest) -> HttpResponseBase:
        """The async form of a call."""
        pending: Awaitable[HttpResponseBase] = self.get_response(request)
        response = await pending
        if takes_messages(request, response):
            # It may load the session and the user from the database.
            await sync_to_async(move_messages)(request, response)
        return response


def takes_messages(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Returns whether htmx will put this response into a page that stays."""
    return (
        request.headers.get("HX-Request") == "true"
        and not 300 <= response.status_code < 400
        and not response.streaming
        and not any(name in response for name in ELSEWHERE)
    )


def move_messages(request: HttpRequest, response: HttpResponseBase) -> None:
    """
    Move the queued messages of a signed-in user into the header.

    They stay queued if the header would become too long, if its present value cannot be read, or if the
    response has shown messages itself.
    """
    messages: Any = get_messages(request)
    user = getattr(request, "user", None)
    # A page of nobody has no element that could show a toast.
    if user is None or not user.is_authenticated or getattr(messages, "used", True):
        return
    header = merged(response.get(HEADER, ""), toasts_of(messages))
    if header is None:
        messages.used = False  # so that they are stored again
    else:
        response[HEADER] = header


def toasts_of(messages: Iterable[Message]) -> list[dict[str, str]]:
    """Returns the details of the event. A toast is plain text, so the markup of a safe string is left out."""
    return [
        {
            "message": html.unescape(strip_tags(text)) if isinstance(text, SafeData) else text,
            "level": level_from(message.level),
        }
        for message in messages
        if (text := str(message.message))  # it may be a lazy translation
    ]


def merged(header: str, toasts: list[dict[str, str]]) -> str | None:
    """
    Returns the header with the toasts added, or None if they must stay queued.

    Args:
        header: the present value: JSON, or names of events that are separated by commas.
    """
    if not toasts:
        return None
    events: Any = {name.strip(): None for name in header.split(",") if name.strip()}
    if header.lstrip().startswith("{"):
        try:
            events = json.loads(header)
        except ValueError:
            return None
    present = events.get(EVENT)
    before = present if isinstance(present, list) else [present] if present else []
    # ASCII, because a header holds nothing else. Line breaks are escaped as well.
    value = json.dumps({**events, EVENT: [*before, *toasts]})
    return value if len(value) <= MAX_BYTES else None
