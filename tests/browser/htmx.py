"""The demo with the middleware for htmx, two views that answer with fragments, and a page with one task."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.template import engines
from django.urls import path

from demo_project.settings import *  # noqa: F403
from demo_project.settings import MIDDLEWARE

MIDDLEWARE = [*MIDDLEWARE, "notify.contrib.htmx.HtmxMessagesMiddleware"]
ROOT_URLCONF = "tests.browser.htmx"


def headed(request):
    """A fragment whose messages are in its header."""
    messages.success(request, "Größe saved")
    messages.error(request, "Stock is low")
    return HttpResponse("New")


def listed(request):
    """A fragment that has a list of messages."""
    messages.success(request, "Listed")
    template = "{% load notify %}{% notify_messages %}"
    return HttpResponse(engines["django"].from_string(template).render({}, request))


def watched(request):
    """A page that shows one task."""
    template = """{% extends "demo/base.html" %}{% load notify %}
        {% block content %}{% notify_progress "export" %}{% endblock %}"""
    return HttpResponse(engines["django"].from_string(template).render({}, request))


def __getattr__(name):
    if name != "urlpatterns":
        raise AttributeError(name)
    from demo_project.urls import urlpatterns  # needs the settings

    return [
        path("headed/", headed),
        path("listed/", listed),
        path("watched/", watched),
        *urlpatterns,
    ]
