"""Include these under the prefix of your choice: ``path("notify/", include("notify.urls"))``."""

from __future__ import annotations

from django.urls import path

from notify.transports import endpoints as views

app_name = "notify"
urlpatterns = [
    path("ws/", views.websocket, name="ws"),
    path("stream/", views.stream, name="stream"),
    path("changes/", views.changes, name="changes"),
    path("commands/", views.command, name="commands"),
]
