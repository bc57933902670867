"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest


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
