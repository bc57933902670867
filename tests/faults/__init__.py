"""The promises of notify while real servers are killed, stopped and restarted."""

from __future__ import annotations

import os

BUSY = 30.0  # seconds that a machine which runs other tests at the same time may add to any delay


def is_thorough() -> bool:
    """
    Returns whether faults last minutes and thousands of tabs come back (``make soak``), or fewer
    and shorter.
    """
    return bool(os.environ.get("NOTIFY_TEST_THOROUGH"))


def seconds(full: float, short: float) -> float:
    """Returns how long a fault lasts in this run."""
    return full if is_thorough() else short


def at_most(strict: float, busy: float = BUSY) -> float:
    """
    Returns the longest delay, in seconds, that a test allows in this run.

    The strict bound holds in the thorough form, on a quiet machine. The short form runs beside other tests,
    so it only excludes what no busy machine explains: a recovery that never comes, or an hour late.

    Args:
        strict: the bound that is promised.
        busy: what the short form adds; less than the default where the next chance comes within 30 seconds.
    """
    return strict if is_thorough() else strict + busy
