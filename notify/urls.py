"""The URLs of notify. Include them under any prefix: ``path("notify/", include("notify.urls"))``."""

from __future__ import annotations

from django.urls import path

from notify.pages.inbox import inbox
from notify.transports import endpoints

app_name = "notify"
urlpatterns = [
    path("inbox/", inbox, name="inbox"),
    path("ws/", endpoints.websocket, name="ws"),
    path("stream/", endpoints.stream, name="stream"),
    path("changes/", endpoints.changes, name="changes"),
    path("commands/", endpoints.command, name="commands"),
    path("token/", endpoints.token, name="token"),
]
