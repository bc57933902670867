"""The template tags as functions for Jinja."""

from __future__ import annotations

import pytest
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.middleware import MessageMiddleware
from django.http import HttpResponse
from django.template import Context, Template
from django.test import RequestFactory
from django.utils.safestring import SafeString

import notify
from notify import jinja

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_of(rf: RequestFactory):
    def request_of(user):
        request = rf.get("/")
        request.user = user
        return request

    return request_of


def test_both_functions_say_what_the_tags_say(request_of, user):
    """They return safe strings, which Jinja does not escape."""
    notify.send(user, "Hello")
    request = request_of(user)
    tags = Template(
        "{% load notify %}{% notify transports='poll' position='block-start' %}{% notify_badge '/inbox/' %}"
    )
    root = jinja.notify(request, transports="poll", position="block-start")
    badge = jinja.notify_badge(request, "/inbox/")
    assert root + badge == tags.render(Context({"request": request}))
    assert isinstance(root, SafeString)
    assert isinstance(badge, SafeString)
    assert "<notify-root" in root
    assert "<notify-badge" in badge
    bell = Template("{% load notify %}{% notify_bell %}").render(Context({"request": request}))
    assert jinja.notify_bell(request) == bell


def test_messages_are_those_of_the_tag(request_of, user):
    def request():
        made = request_of(user)
        made.session = {}
        MessageMiddleware(lambda request: HttpResponse()).process_request(made)
        messages.error(made, "No")
        return made

    tag = Template("{% load notify %}{% notify_messages inline='error' %}")
    text = tag.render(Context({"request": request()}))
    assert jinja.notify_messages(request(), inline="error") == text
    assert "data-inline>No</li>" in text


def test_the_bar_of_a_task_is_that_of_the_tag(request_of, user):
    request = request_of(user)
    tag = Template("{% load notify %}{% notify_progress 'export' %}")
    text = tag.render(Context({"request": request}))
    assert jinja.notify_progress(request, "export") == text
    assert 'key="export"' in text


def test_a_visitor_who_is_not_signed_in_gets_nothing(request_of):
    assert jinja.notify(request_of(AnonymousUser())).strip() == ""
    assert jinja.notify_badge(request_of(AnonymousUser())).strip() == ""
