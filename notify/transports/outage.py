"""
Answers requests to notify that never reach its views, because the database failed in a middleware.

LoginRequiredMiddleware, for example, reads ``request.user`` before it looks whether a view needs a user.
Django would answer such a request with 500, and log a traceback and mail it to ADMINS, for every request of
every tab, as long as the database is away.
"""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve, set_urlconf
from django.views.decorators.cache import never_cache


def on_exception(sender: Any, request: Any = None, **kwargs: Any) -> None:
    """
    Have Django answer with :func:`handler500`. A receiver of ``got_request_exception``.

    Django looks for this handler in the URLconf of the thread, so for this one answer that is this module.
    With DEBUG, Django shows its own page about the error.
    """
    if not settings.DEBUG and isinstance(sys.exception(), Error) and _is_ours(request):
        set_urlconf(__name__)


def _is_ours(request: Any) -> bool:
    if not isinstance(request, HttpRequest):
        return False  # a library has sent the signal for an error outside of any request
    try:  # request.resolver_match is not set yet if the middleware failed before the URL was resolved
        match = resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return False
    return match.app_names[-1:] == ["notify"]


@never_cache
def handler500(request: HttpRequest) -> HttpResponse:
    """Answer as the views do if the database fails."""
    from notify.transports import endpoints

    set_urlconf(getattr(request, "urlconf", None))
    error = sys.exception()
    assert isinstance(error, Error)
    if endpoints.is_hopeless(request):
        return endpoints.refusal(request)
    return endpoints.failure(request, error)
