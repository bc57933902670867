"""Checks that run in a forked child of this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest


def exit_code_of_child(check: Callable[[], bool]) -> int:
    """Fork, and run the check in the child. Returns 0 if it was true."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if check() else 2
            save_coverage()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def save_coverage() -> None:
    """Save what the child has reached. Otherwise lines that only a child reaches count as untested."""
    coverage = sys.modules.get("coverage")
    measured = coverage and coverage.Coverage.current()
    if measured:
        measured.save()


forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
