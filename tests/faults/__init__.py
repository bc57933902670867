"""Faults: real servers that are killed, stopped and restarted, and what notify promises meanwhile."""

from __future__ import annotations

import os


def is_thorough() -> bool:
    """Whether faults last minutes and thousands come back (``make soak``); else they are smaller."""
    return bool(os.environ.get("NOTIFY_TEST_THOROUGH"))


def seconds(full: float, short: float) -> float:
    """How long a fault lasts in this run."""
    return full if is_thorough() else short
