"""The HTTP side that works everywhere, WSGI too: poll, and commands by POST."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.db import Error, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import RawPostDataException
from django.utils.functional import SimpleLazyObject
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_POST

from notify import auth, commands, inbox, protocol, signals
from notify.exceptions import ProtocolError
from notify.protocol import Cursor

View = Callable[[HttpRequest], HttpResponse]


def endpoint(view: View) -> View:
    """
    A view of notify's own kind, whatever the project's middleware and settings.

    It answers 401 by itself, where a login page would be HTML for a machine, and 503 when the
    database fails; it runs outside ``ATOMIC_REQUESTS``, as publishing needs transactions of its own;
    and it leaves the session as it was, since a tab that polls must not keep its user signed in for
    ever.
    """

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        session = getattr(request, "session", None)
        if session is not None:
            request.session = QuietSession(lambda: session)  # type: ignore[assignment]
        try:
            user = getattr(request, "user", None)
            if user is None or not user.is_authenticated or not user.is_active:
                return refusal(request)
            return quietly(view(request))
        except Error as error:
            return failure(request, error)

    return never_cache(open_to_all(guarded))


def refusal(request: HttpRequest) -> HttpResponse:
    """401, which is final, unless the sessions cannot be read: Django takes that for nobody, too."""
    try:
        auth.look_up(request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""))
    except Exception as error:  # whatever a cache raises
        return failure(request, error)
    problem = protocol.error(None, "not_signed_in", "Sign in to be notified.")
    return JsonResponse(problem, status=401)


def failure(request: HttpRequest, error: Exception) -> HttpResponse:
    """503: come back later."""
    signals.request_failed.send_robust(HttpRequest, path=request.path, error=error)
    return quietly(JsonResponse(commands.unavailable(None), status=503))


def quietly(response: HttpResponse) -> HttpResponse:
    """
    Keep Django from logging each 5xx, and mailing it to ADMINS: every tab asks every few seconds.

    What failed is told by a signal, and is one line a minute in the log.
    """
    if response.status_code >= 500:
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def open_to_all(view: View) -> View:
    """Neither ``ATOMIC_REQUESTS`` nor ``LoginRequiredMiddleware`` touches this view."""
    for alias in settings.DATABASES:
        view = transaction.non_atomic_requests(using=alias)(view)
    return login_not_required(view)


class QuietSession(SimpleLazyObject):  # type: ignore[type-arg]
    """
    The session, which SESSION_SAVE_EVERY_REQUEST does not save as long as nobody changes it.

    Without ``accessed``, SessionMiddleware takes the request for one without a session.
    """

    def __getattr__(self, name: str) -> Any:
        if name == "accessed" and not self.modified:
            raise AttributeError(name)
        return super().__getattr__(name)


@endpoint
@require_GET
def changes(request: HttpRequest) -> HttpResponse:
    """What changed since the cursor ``?since=``; 204 when nothing did."""
    try:
        since = Cursor.parse(request.GET["since"]) if request.GET.get("since") else None
    except ProtocolError as problem:
        return JsonResponse(protocol.error(None, problem.code, str(problem)), status=400)
    if since is not None and not inbox.has_changed(request.user, since):
        return HttpResponse(status=204)
    return HttpResponse(inbox.changes(request.user, since).changes().encode(), "application/json")


@endpoint
@require_POST
@csrf_protect
def command(request: HttpRequest) -> HttpResponse:
    """One command as a JSON body; the answer is an ``ack`` or an ``error`` document."""
    try:
        text = request.body
    except RawPostDataException:  # CsrfViewMiddleware has looked for a form in it
        text = b""
    except RequestDataTooBig as problem:
        return JsonResponse(protocol.error(None, "too_large", str(problem)), status=400)
    answer, status = commands.answer(request.user.pk, text)
    return JsonResponse(answer, status=status)


@open_to_all
def websocket(request: HttpRequest) -> HttpResponse:
    """The address of the WebSocket, asked without an upgrade, or under a server that has none."""
    return HttpResponse(status=426)  # no Upgrade header: WSGI forbids applications to send one
