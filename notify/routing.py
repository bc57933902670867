"""
For a ProtocolTypeRouter of your own; otherwise wrap your application in ``notify.asgi.notify_asgi``.

    URLRouter([*notify.routing.websocket_urlpatterns, ...])
"""

from __future__ import annotations

from django.urls import get_script_prefix, path, reverse

from notify.transports.websocket import NotifyConsumer

_path = reverse("notify:ws").removeprefix("/")
_prefix = get_script_prefix().removeprefix("/")

websocket_urlpatterns = [
    path(route, NotifyConsumer.as_asgi())  # type: ignore[arg-type]  # Channels reuses Django's path()
    # With FORCE_SCRIPT_NAME; a proxy, or a server with a root path, may have taken it off.
    for route in sorted({_path, _path.removeprefix(_prefix)})
]
