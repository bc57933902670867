"""
The consumer of Channels' tutorial, for notifications: each socket joins its user's group.

The user comes in the URL instead of a session, which the tutorial's AuthMiddlewareStack would
read at the handshake; handshakes are not measured.
"""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from benchmarks import payload
from benchmarks.servers.control import with_control


class NotificationConsumer(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        self.group = f"user_{self.scope['url_route']['kwargs']['user']}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def notification(self, event: dict[str, Any]) -> None:
        await self.send_json(event["notification"])


async def publish(users: range, numbers: range) -> None:
    """One group_send for each notification."""
    layer = get_channel_layer()
    for number in numbers:
        for user in users:
            event = {"type": "notification", "notification": payload.row(number)}
            await layer.group_send(f"user_{user}", event)


application = with_control(
    ProtocolTypeRouter(
        {"websocket": URLRouter([path("ws/<int:user>/", NotificationConsumer.as_asgi())])}
    ),
    publish,
)
