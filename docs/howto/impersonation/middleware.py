from __future__ import annotations

from django.contrib.auth import get_user_model


def impersonation(get_response):
    """Show the site as the user whose primary key an administrator has put into the session."""

    def middleware(request):
        pk = request.session.get("impersonated")
        request.is_impersonated = pk is not None and request.user.is_superuser
        if request.is_impersonated:
            request.user = get_user_model().objects.get(pk=pk)
        return get_response(request)

    return middleware
