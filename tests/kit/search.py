"""How many programs the property tests of the write side try."""

from __future__ import annotations

import os

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests import settings

# `make soak` sets this. Each of its searches then tries other programs.
EXAMPLES = os.environ.get("NOTIFY_TEST_EXAMPLES")


def search(on_sqlite: int, on_servers: int = 25) -> hypothesis_settings:
    """Returns settings with which every run of the suite tries the same programs."""
    usual = on_sqlite if settings.DATABASE == "sqlite" else on_servers
    return hypothesis_settings(
        max_examples=int(EXAMPLES or usual),
        derandomize=EXAMPLES is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
