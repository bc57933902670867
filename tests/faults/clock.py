"""
A clock that a test can set, in one process and without touching the machine's.

``install`` makes ``time.time()`` and Django's ``timezone.now()`` go by an offset in seconds that
stands in a file; no file is no offset. The monotonic clock, by which event loops wait, stays.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

from django.utils import timezone

SETTING = "FAULTS_CLOCK"  # of a watched web process: the path of the file


def install(path: str) -> None:
    """Go by this file from now on."""
    real_time, real_now = time.time, timezone.now

    def offset() -> float:
        try:
            return float(Path(path).read_text() or 0)
        except FileNotFoundError:
            return 0.0

    def shifted_time() -> float:
        return real_time() + offset()

    def shifted_now() -> datetime:
        return real_now() + timedelta(seconds=offset())

    time.time, timezone.now = shifted_time, shifted_now


def says() -> float:
    """What this process takes for the time."""
    return timezone.now().timestamp()
