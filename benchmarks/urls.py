"""URLs of the notify server under measurement."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("notify/", include("notify.urls"))]
