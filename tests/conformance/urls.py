"""The URLs of the web processes: those of the tests, and one that inspects the process."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import path

from notify.live import limits
from notify.live.hub import Hub
from tests.urls import urlpatterns as of_all_tests


def connections(request: HttpRequest) -> JsonResponse:
    """The number of connections in this process, and the number of those that are in a room."""
    rooms = [room for hub in Hub.everywhere() for room in tuple(hub.rooms.values())]
    return JsonResponse(
        {
            "admitted": limits.connections()[limits.EVERYBODY],
            "in_rooms": sum(len(room.connections) for room in rooms),
        }
    )


urlpatterns = [*of_all_tests, path("connections/", connections)]
