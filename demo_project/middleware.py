"""Two habits of a careful site: a strict policy for content, and an error page of its own."""

from __future__ import annotations

from django.conf import settings
from django.shortcuts import render


def content_security_policy(get_response):
    """Allow only scripts, styles and connections of this site; notify needs no others."""

    def middleware(request):
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
        return response

    return middleware


def plain_404(get_response):
    """Show the site's own 404 page in DEBUG too: the policy forbids the styles of Django's."""

    def middleware(request):
        response = get_response(request)
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        if settings.DEBUG and response.status_code == 404 and is_page:
            return render(request, "404.html", status=404)
        return response

    return middleware
