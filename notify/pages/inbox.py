"""
The inbox: a page with forms, and the same rows as JSON for scripts.

The page shows the same rows as every other reader. Opening it marks nothing, because browsers and proxies
may fetch a page that nobody looks at; its forms mark.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseRedirect,
)
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_http_methods

import notify
from notify import protocol
from notify.db import database
from notify.inbox.lists import VIEWS, InboxPage
from notify.models import Notification
from notify.pages.rows import rows_of
from notify.protocol import Mark
from notify.transports import commands, http
from notify.transports.endpoints import endpoint, open_to_all, reply

JSON = "application/json"
UNDOABLE = re.compile("[0-9]{1,16}:[0-9]{1,16}")  # in the query after a form has archived it


@open_to_all
def inbox(request: HttpRequest) -> HttpResponse:
    """Answers with the page, or with its rows as JSON if the client accepts that and not HTML."""
    accepted = request.headers.get("Accept", "")
    answer = rows(request) if JSON in accepted and "text/html" not in accepted else page(request)
    patch_vary_headers(answer, ["Accept", "Cookie"])
    return answer


@endpoint
@require_GET
def rows(request: HttpRequest) -> HttpResponse:
    """
    Answer with a document ``rows``: a page of a list, with the cursor at which it was read.

    A client takes a row only where its position is above that of the row it holds, and its own cursor
    does not move.
    """
    try:
        found = _read(request)
    except ValueError as error:
        return reply(protocol.error(None, "bad_list", str(error)), 400)
    document = {
        "type": "rows",
        "cursor": None if found.cursor is None else str(found.cursor),
        "counts": found.counts._asdict(),
        "next": found.next,
    }
    encoded = ",".join(row.encode() for row in found.notifications)
    text = f'{protocol.dumps(document)[:-1]},"notifications":[{encoded}]}}'
    return HttpResponse(text, http.JSON)


@never_cache
@login_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Render the page, or execute a submitted form and redirect back."""
    return _execute(request) if request.method == "POST" else _show(request)


def _show(request: HttpRequest, problem: str = "", status: int = 200) -> HttpResponse:
    """Render the page, with the problem of a form that changed nothing, if there is one."""
    try:
        found = _read(request)
    except ValueError as error:
        raise Http404(str(error)) from error
    view, category = request.GET.get("view", "all"), request.GET.get("category", "")
    if not problem and "failed" in request.GET:
        problem = _("Your change could not be saved. Try again.")
    context = {
        "page": found,
        "rows": rows_of(found.notifications),
        "view": view,
        "category": category,
        "tabs": [(name, _label(name), _address(name, category)) for name in VIEWS],
        "older": found.next and _address(view, category, before=found.next),
        "newest": request.GET.get("before") and _address(view, category),
        "here": request.get_full_path(),
        "archived": UNDOABLE.fullmatch(request.GET.get("archived", "")),
        "problem": problem,
    }
    return render(request, "notify/inbox.html", context, status=status)


def _read(request: HttpRequest) -> InboxPage:
    """
    Read the list that the query names.

    Raises:
        ValueError: it names no list, or no place in one.
    """
    query = request.GET
    view: Any = query.get("view", "all")
    return notify.inbox.page(
        request.user, view, category=query.get("category", "")[:200], before=query.get("before")
    )


def _label(view: str) -> str:
    return {"all": _("All"), "unread": _("Unread"), "archived": _("Archived")}[view]


def _address(view: str, category: str = "", **more: str) -> str:
    named = {"view": view if view != "all" else "", "category": category, **more}
    query = urlencode({name: value for name, value in named.items() if value})
    return reverse("notify:inbox") + (f"?{query}" if query else "")


# -- Forms ---------------------------------------------------------------------------------------


def _execute(request: HttpRequest) -> HttpResponse:
    """Execute the command of a form. Forms send the same commands as the script, field by field."""
    form = request.POST
    ids = [[_number(part) for part in shown.split(":")] for shown in form.getlist("shown")]
    document: dict[str, Any] = {
        "type": form.get("do", ""),
        "ids": ids,
        "cursor": form.get("cursor", ""),
        "epoch": form.get("epoch") or None,
    }
    if document["type"] == "act":
        document["action"] = _number(form.get("action", ""))
    answer, status = commands.answer(request.user.pk, json.dumps(document))
    if status == 400:
        return HttpResponseBadRequest(answer["message"], content_type="text/plain; charset=utf-8")
    more = {}
    if answer.get("code") in (
        "gone",
        "failed",
    ):  # with a message for the user, which no link may contain
        return _show(request, answer["message"], status)
    if answer["type"] == "error":
        more["failed"] = "1"
    elif document["type"] == Mark.ARCHIVED and _is_archived(request.user.pk, ids):
        more["archived"] = form["shown"]
    place = f"#notification-{ids[0][0]}" if document["type"] == "act" else ""
    return HttpResponseRedirect(_back(request, more) + place)


def _is_archived(user_id: Any, ids: list[list[Any]]) -> bool:
    """Returns whether the form has archived one notification. Its content may have been replaced before."""
    shown = {tuple(pair) for pair in ids}
    archived = Notification.objects.using(database()).filter(
        recipient=user_id, archived_at__isnull=False
    )
    pairs = archived.filter(pk__in=[pk for pk, _ in shown]).values_list("pk", "arrived")
    return len(shown) == 1 and set(pairs) == shown


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 16 else None


def _back(request: HttpRequest, more: dict[str, str]) -> str:
    """Returns where the form came from, on this site, with the outcome in the query."""
    there = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        there, {request.get_host()}, require_https=request.is_secure()
    )
    path, _mark, query = (there if is_ours else reverse("notify:inbox")).partition("?")
    kept = [
        part
        for part in query.split("&")
        if part and part.split("=")[0] not in ("archived", "failed")
    ]
    query = "&".join([*kept, *([urlencode(more)] if more else [])])
    return f"{path}?{query}" if query else path
