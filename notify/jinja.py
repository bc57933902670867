"""
The template tags as functions for Jinja templates.

    # in the function that creates your Jinja environment
    environment.globals.update(
        notify=notify.jinja.notify,
        notify_badge=notify.jinja.notify_badge,
        notify_bell=notify.jinja.notify_bell,
        notify_messages=notify.jinja.notify_messages,
        notify_progress=notify.jinja.notify_progress,
    )

    {{ notify_bell(request) }}
    {{ notify(request) }}
"""

from __future__ import annotations

from pathlib import Path

from django.http import HttpRequest
from django.template import Context, Engine
from django.utils.safestring import SafeString

ENGINE = Engine(
    dirs=[str(Path(__file__).parent / "templates")],
    libraries={
        "notify": "notify.templatetags.notify",
        "static": "django.templatetags.static",
    },
)


def notify(
    request: HttpRequest,
    transports: str = "",
    position: str = "",
    title: bool = False,
    app_badge: bool = False,
    sound: str = "",
) -> SafeString:
    """Returns the output of ``{% notify %}``: the scripts, the style sheet and the root element."""
    options = {
        "transports": transports,
        "position": position,
        "title": title,
        "app_badge": app_badge,
        "sound": sound,
    }
    arguments = " ".join(f"{name}={name}" for name in options)
    return _render(f"{{% load notify %}}{{% notify {arguments} %}}", request=request, **options)


def notify_badge(request: HttpRequest, href: str = "") -> SafeString:
    """Returns the output of ``{% notify_badge %}``: the number of unseen notifications."""
    return _render("{% load notify %}{% notify_badge href=href %}", request=request, href=href)


def notify_bell(request: HttpRequest) -> SafeString:
    """Returns the output of ``{% notify_bell %}``: a bell that leads to the inbox page."""
    return _render("{% load notify %}{% notify_bell %}", request=request)


def notify_messages(request: HttpRequest, inline: str = "") -> SafeString:
    """Returns the output of ``{% notify_messages %}``: Django's messages, which become toasts."""
    source = "{% load notify %}{% notify_messages inline=inline %}"
    return _render(source, request=request, inline=inline)


def notify_progress(request: HttpRequest, key: str) -> SafeString:
    """Returns the output of ``{% notify_progress %}``: the bar of one task, and then its result."""
    return _render("{% load notify %}{% notify_progress key %}", request=request, key=key)


def _render(source: str, **context: object) -> SafeString:
    return ENGINE.from_string(source).render(Context(context))
