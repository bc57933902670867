"""How long a test waits for an expected event. Only a failing test waits that long."""

from __future__ import annotations

PATIENCE = 60.0  # seconds; build machines are slow, and busy with other work
