"""
The HTTP side that works everywhere, WSGI too: poll, and commands by POST; streams and held polls
where Django runs under ASGI and ``notify_asgi`` does not stand before it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.db import Error, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import RawPostDataException
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_POST

from notify import protocol, signals
from notify.auth import session as auth
from notify.exceptions import ProtocolError
from notify.inbox import reader as inbox
from notify.protocol import Cursor
from notify.transports import bridge, commands, http, longpoll, sse
from notify.transports.bridge import EitherView

View = Callable[[HttpRequest], HttpResponse]
R = TypeVar("R", bound=HttpResponseBase)
AnyView = TypeVar("AnyView", bound=Callable[..., Any])


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
        leave_alone(request)
        try:
            user = getattr(request, "user", None)
            if user is None or not user.is_authenticated or not user.is_active:
                return refusal(request)
            return quietly(view(request))
        except Error as error:
            return failure(request, error)

    return never_cache(open_to_all(guarded))


def leave_alone(request: HttpRequest) -> None:
    """Leave the session as it was, unless somebody changes it."""
    session = getattr(request, "session", None)
    if session is not None:
        request.session = QuietSession(lambda: session)  # type: ignore[assignment]


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


def quietly(response: R) -> R:
    """
    Keep Django from logging each 5xx, and mailing it to ADMINS: every tab asks every few seconds.

    What failed is told by a signal, and is one line a minute in the log.
    """
    if response.status_code >= 500:
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def open_to_all(view: AnyView) -> AnyView:
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


def held(application: bridge.Application) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    """A view that runs a push transport; it keeps a thread of its own, and no database connection."""

    async def view(request: HttpRequest) -> HttpResponseBase:
        try:
            who = await sync_to_async(_who_asks)(request)
        except Error as error:
            return failure(request, error)
        scope: dict[str, Any] = request.scope  # type: ignore[attr-defined]
        return quietly(await bridge.respond(application, {**scope, **who}))

    return open_to_all(view)


def _who_asks(request: HttpRequest) -> dict[str, Any]:
    """The user and the session that middleware has found, for an ASGI scope."""
    session, user = getattr(request, "session", None), getattr(request, "user", None)
    leave_alone(request)
    try:
        if user is None or not user.is_authenticated:
            return {}  # the door looks itself, and knows when the sessions cannot be read
        return {"user": user, "session": session}
    finally:
        bridge.give_connections_back()


@endpoint
@require_GET
def poll(request: HttpRequest) -> HttpResponse:
    """What changed since the cursor ``?since=``; 204 when nothing did."""
    try:
        since = Cursor.parse(request.GET["since"]) if request.GET.get("since") else None
        if "wait" in request.GET:
            longpoll.question(None, request.GET["wait"])
    except ProtocolError as problem:
        return JsonResponse(protocol.error(None, problem.code, str(problem)), status=400)
    page = inbox.changes(request.user, since)
    if page.tells_nothing:
        answer = HttpResponse(status=204)
    else:
        answer = HttpResponse(page.changes().encode(), "application/json")
    if "wait" in request.GET:  # which is not to be had here
        answer["Retry-After"] = http.retry_after()
    return answer


async def poll_or_wait(request: HttpRequest) -> HttpResponseBase:
    if "wait" in request.GET:
        return await wait(request)
    answer: HttpResponse = await sync_to_async(poll)(request)
    return answer


@endpoint
@require_GET
def one_event(request: HttpRequest) -> HttpResponse:
    """A stream where none can be held: an EventSource reads it, and polls by itself."""
    since = http.cursor_or_none(request.headers.get("Last-Event-ID")) or http.cursor_or_none(
        request.GET.get("since")
    )
    page = inbox.changes(request.user, since)
    text = sse.retry(1000 * int(http.retry_after()))
    text += sse.event(page.changes().encode(), cursor=page.cursor)
    answer = HttpResponse(text)
    for name, value in sse.headers():
        answer[name.decode()] = value.decode()
    return answer


wait = held(longpoll.long_poll)
changes = EitherView(poll, open_to_all(poll_or_wait))
stream = EitherView(one_event, held(sse.stream))


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
