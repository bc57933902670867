"""How long a test waits for what must happen. Only a failing test waits so long."""

from __future__ import annotations

PATIENCE = 60.0  # seconds; machines that build are slow, and do many things at once
