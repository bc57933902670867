"""
A clock that a test can set in one process, without changing the machine's.

``install`` makes ``time.time()`` and Django's ``timezone.now()`` add an offset in seconds, which is
read from a file. Without the file, the offset is zero. The monotonic clock, which event loops use,
does not change.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

from django.utils import timezone

SETTING = "FAULTS_CLOCK"  # the path of the file, for a watched web process


def install(path: str) -> None:
    """Use the offset in this file from now on."""
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
    """The current time, as this process sees it."""
    return timezone.now().timestamp()
