"""Servers that can fail in more ways than by being killed."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from tests.faults.world import served
from tests.kit import servers

# Handshakes that the kernel queues for a process. Above this it drops them without an answer.
BACKLOG = 4096


class Redis(servers.Redis):
    def fall_silent(self) -> None:
        """Accept connections, and never answer."""
        os.kill(self.pid, signal.SIGSTOP)

    def answer_again(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


class Daphne(servers.Daphne):
    """Daphne with a queue for thousands of handshakes, as docs/howto/deploy.md recommends."""

    def command(self) -> list[str]:
        endpoint = f"tcp:port={self.port}:interface=127.0.0.1:backlog={BACKLOG}"
        return [sys.executable, "-m", "daphne", "-v", "1", "-e", endpoint, self.application]


class Uvicorn(servers.Uvicorn):
    """Uvicorn with the same queue."""

    def command(self) -> list[str]:
        return [*super().command(), "--backlog", str(BACKLOG)]


class PostgreSQL(servers.PostgreSQL):
    """PostgreSQL whose commits survive a crash. The other servers of the test suite are faster."""

    kind = "postgresql"

    def make(self) -> dict[str, Any]:
        """Create a database. Returns its entry of DATABASES."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE notify")
        return served("postgresql", "notify", self.port)

    def command(self) -> list[str]:
        return [*super().command(), "-c", "synchronous_commit=on"]

    def stop_at_once(self) -> None:
        """Shut down immediately: every session is ended in the middle of its work."""
        self._end(signal.SIGQUIT)


class MariaDB(servers.MariaDB):
    """MariaDB whose commits survive a crash."""

    kind = "mariadb"

    def make(self) -> dict[str, Any]:
        """Create a database. Returns its entry of DATABASES."""
        import pymysql

        with pymysql.connect(host="127.0.0.1", port=self.port, user="root") as connection:
            connection.cursor().execute("CREATE DATABASE notify CHARACTER SET utf8mb4")
        return served("mysql", "root", self.port)

    def command(self) -> list[str]:
        return [*super().command(), "--innodb-flush-log-at-trx-commit=1"]

    def stop_at_once(self) -> None:
        """Shut down normally, which ends every session."""
        self._end(signal.SIGTERM)
