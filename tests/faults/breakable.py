"""Servers with more ways to fail than to be killed."""

from __future__ import annotations

import os
import signal

from tests import servers


class Redis(servers.Redis):
    def fall_silent(self) -> None:
        """Accept connections, and never answer."""
        os.kill(self.pid, signal.SIGSTOP)

    def answer_again(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


class PostgreSQL(servers.PostgreSQL):
    """One whose commits outlive it; the suite's others are quicker."""

    def command(self) -> list[str]:
        return [*super().command(), "-c", "synchronous_commit=on"]

    def stop_at_once(self) -> None:
        """An immediate shutdown: every session is ended where it stands."""
        self._end(signal.SIGQUIT)
