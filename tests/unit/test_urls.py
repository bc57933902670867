from __future__ import annotations

import pytest
from django.urls import NoReverseMatch, include, path, resolve, reverse

from notify import urls
from notify.pages.inbox import inbox
from notify.transports import endpoints

urlpatterns = [path("a/b/", include("notify.urls"))]
ADDRESSES = {
    "inbox": "inbox/",
    "ws": "ws/",
    "stream": "stream/",
    "changes": "changes/",
    "commands": "commands/",
    "token": "token/",
}


def test_these_addresses_are_all():
    """Their names and paths are part of the protocol."""
    assert {pattern.name: str(pattern.pattern) for pattern in urls.urlpatterns} == ADDRESSES


@pytest.mark.parametrize(("name", "address"), ADDRESSES.items())
def test_the_prefix_is_the_project_s(name, address, settings):
    assert reverse(f"notify:{name}") == f"/notify/{address}"
    settings.ROOT_URLCONF = __name__
    assert reverse(f"notify:{name}") == f"/a/b/{address}"


def test_each_address_has_its_view():
    for name, view in {
        "inbox": inbox,
        "ws": endpoints.websocket,
        "stream": endpoints.stream,
        "changes": endpoints.changes,
        "commands": endpoints.command,
    }.items():
        assert resolve(f"/notify/{ADDRESSES[name]}").func is view


def test_the_names_are_in_a_namespace():
    with pytest.raises(NoReverseMatch):
        reverse("changes")
