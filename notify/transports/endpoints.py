"""
The Django views behind ``notify.urls``: the poll, commands by POST, and the CSRF token for them.

They also work under WSGI, where a waiting worker could not serve other requests. So if ``notify_asgi``
is not installed and a request for server push arrives here, it is answered at once and the client polls.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.db import Error, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import RawPostDataException
from django.middleware.csrf import get_token
from django.utils.functional import SimpleLazyObject
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_POST

from notify import inbox, protocol, signals
from notify.auth import identity, origin
from notify.auth import session as auth
from notify.exceptions import ProtocolError
from notify.protocol import CloseCode, Cursor
from notify.transports import commands, http, longpoll

View = Callable[[HttpRequest], HttpResponse]


def endpoint(view: View) -> View:
    """
    Guard a view of notify, independently of the project's middleware and settings.

    The guard answers 401 itself, because the script cannot use a redirect to a login page, 403 if the page
    was rendered for another user, and 503 if the database fails. The view runs outside
    ``ATOMIC_REQUESTS``, because publishing needs its own transactions. The session is not saved; otherwise
    a polling tab would keep its user signed in forever.
    """

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        session = getattr(request, "session", None)
        if session is not None:
            request.session = QuietSession(lambda: session)  # type: ignore[assignment]
        try:
            user = None if is_hopeless(request) else getattr(request, "user", None)
            if user is None or not user.is_authenticated or not user.is_active:
                return refusal(request)
            if identity.is_another(user.pk, request.GET.get("user")):
                another = http.REFUSALS[CloseCode.ANOTHER_USER]
                return reply(another.document(), another.status)
            return view(request)
        except Error as error:
            return failure(request, error)

    return never_cache(open_to_all(guarded))


def refusal(request: HttpRequest) -> HttpResponse:
    """
    Returns 401, which is final, or 503 if the session store fails.

    Django treats a session that it cannot load as empty, so the session is looked up again.
    """
    try:
        auth.look_up(session_key(request))
    except Exception as error:  # A cache backend may raise any exception.
        return failure(request, error)
    return reply(protocol.error(None, "not_signed_in", "Sign in to be notified."), 401)


def session_key(request: HttpRequest) -> str:
    """Returns the key in the session cookie, or an empty string."""
    return request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")


def is_hopeless(request: HttpRequest) -> bool:
    """Returns whether the session has a key for which no database looks, so that it never has a user."""
    key = session_key(request)
    return bool(key) and not auth.is_storable(key)


def failure(request: HttpRequest, error: Exception) -> HttpResponse:
    """Send a signal for the error. Returns 503, which means that the client should come back later."""
    signals.request_failed.send_robust(HttpRequest, path=request.path, error=error)
    return reply(commands.unavailable(None), 503)


def reply(document: dict[str, Any], status: int) -> HttpResponse:
    """
    Returns a document as a response, and keeps Django from logging a 5xx or mailing it to ADMINS.

    Otherwise every tab would cause an email every few seconds. The failure is reported by a signal
    instead, and logged at most once a minute.
    """
    response = JsonResponse(document, status=status)
    if status >= 500:
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def open_to_all(view: View) -> View:
    """Exempt a view from ``ATOMIC_REQUESTS`` and ``LoginRequiredMiddleware``."""
    for alias in settings.DATABASES:
        view = transaction.non_atomic_requests(using=alias)(view)
    return login_not_required(view)


class QuietSession(SimpleLazyObject):  # type: ignore[type-arg]
    """
    A session that is not saved, even with SESSION_SAVE_EVERY_REQUEST, unless a middleware modifies it.

    Without the attribute ``accessed``, SessionMiddleware treats the request as one without a session.
    """

    def __getattr__(self, name: str) -> Any:
        if name == "accessed" and not self.modified:
            raise AttributeError(name)
        return super().__getattr__(name)


@endpoint
@require_GET
def changes(request: HttpRequest) -> HttpResponse:
    """
    Answer a poll with the changes since the cursor ``?since=``, or with 204 if nothing changed. For a page
    of another site, the answer is a snapshot.

    A long poll (``?wait=``) cannot be held here. It is answered at once, with ``Retry-After``, so that
    the client does not ask again immediately.
    """
    is_long = "wait" in request.GET
    try:
        since = Cursor.parse(request.GET["since"]) if request.GET.get("since") else None
        if is_long:
            longpoll.question(None, request.GET["wait"])
    except ProtocolError as error:
        return reply(protocol.error(None, error.code, str(error)), 400)
    if not origin.is_allowed_page(request):
        since = None  # Otherwise a link or an image on another site could start a new epoch.
    page = inbox.changes(request.user, since)
    if page.tells_nothing:
        answer = HttpResponse(status=204)
    else:
        answer = HttpResponse(page.changes().encode(), http.JSON)
    if is_long:
        answer["Retry-After"] = http.retry_after()
    return answer


@endpoint
@require_GET
def stream(request: HttpRequest) -> HttpResponse:
    """Refuse a stream, because an open Django response would occupy a thread until it ends."""
    hint = "Streams need notify_asgi in asgi.py. Poll changes/ instead."
    return reply(protocol.error(None, "no_stream", hint), 501)


@endpoint
@require_POST
@csrf_protect
def command(request: HttpRequest) -> HttpResponse:
    """Execute the command in the JSON body, and answer with an ``ack`` or an ``error`` document."""
    try:
        text = request.body
    except RawPostDataException:  # CsrfViewMiddleware has read the body to look for a form field.
        text = b""
    except RequestDataTooBig as error:
        return reply(protocol.error(None, "too_large", str(error)), 400)
    document, status = commands.answer(request.user.pk, text)
    answer = reply(document, status)
    if status == 429:
        answer["Retry-After"] = "1"
    return answer


@endpoint
@require_GET
@csrf_protect
def token(request: HttpRequest) -> HttpResponse:
    """
    Answer with a CSRF token for commands, in place of the page's.

    Signing in anew in another tab changes the secret, after which Django refuses the token of this page.
    Pages of other sites cannot read the answer.
    """
    return reply({"token": get_token(request)}, 200)


@open_to_all
def websocket(request: HttpRequest) -> HttpResponse:
    """Refuse a WebSocket request that has no upgrade, or whose server does not support WebSockets."""
    answer = HttpResponse(status=426)
    if isinstance(request, ASGIRequest):  # WSGI forbids applications to send this header.
        answer["Upgrade"] = "websocket"
    return answer
