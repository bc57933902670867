"""URLs that begin with the active language, for tests that override ``ROOT_URLCONF``."""

from __future__ import annotations

from django.conf.urls.i18n import i18n_patterns
from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def report(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError


urlpatterns = [
    path("notify/", include("notify.urls")),
    *i18n_patterns(path("report/", report, name="report")),
]
