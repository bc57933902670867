from __future__ import annotations

from django.contrib.auth import get_user_model


class Impersonation:
    """Connect the tabs that show the site as another user as that user."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        pk = await scope["session"].aget("impersonated")
        if pk is not None and scope["user"].is_superuser:
            scope = {**scope, "user": await get_user_model().objects.aget(pk=pk)}
        await self.app(scope, receive, send)
