"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.kit.patience import PATIENCE


@pytest.fixture(autouse=True)
def patient_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, a welcome may take a second, after which a ping would come before it."""
    from notify.transports import websocket

    monkeypatch.setattr(websocket, "WELCOME_DUE", PATIENCE)


@pytest.fixture
async def quiet(settings: Any, transactional_db: None) -> AsyncIterator[None]:
    """
    No channel layer, and no sweep that would repair unnoticed.

    At the end, the hub and the database connections of the event loop are closed.
    """
    from notify.live.hub import Hub
    from tests.kit.fakes import close_connections

    settings.CHANNEL_LAYERS = {}
    settings.NOTIFY_SWEEP_INTERVAL = 3600
    yield
    await Hub.close_here()
    await close_connections()


class Clock:
    """Django's clock, which a test can move forward."""

    def __init__(self) -> None:
        self.moment = timezone.now()

    def forward(self, **delta: float) -> None:
        self.moment += timedelta(**delta)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.moment)
    return clock
