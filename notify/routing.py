"""
The WebSocket route, if you have your own ProtocolTypeRouter. Otherwise use ``notify.asgi.notify_asgi``.

    URLRouter([*notify.routing.websocket_urlpatterns, ...])
"""

from __future__ import annotations

from django.urls import get_script_prefix, path, reverse

from notify.transports.websocket import NotifyConsumer

_path = reverse("notify:ws").removeprefix("/")
_prefix = get_script_prefix().removeprefix("/")

websocket_urlpatterns = [
    path(route, NotifyConsumer.as_asgi())  # type: ignore[arg-type]  # Channels reuses Django's path()
    # A proxy, or a server with a root path, may strip FORCE_SCRIPT_NAME, so both forms have a route.
    for route in sorted({_path, _path.removeprefix(_prefix)})
]
