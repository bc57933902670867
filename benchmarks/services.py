"""
The servers of a run, each private, on a free port, and gone with the benchmark.

The tests' databases skip what makes a commit durable; here they keep their defaults, because the
time of a commit is part of what is compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from benchmarks import payload
from tests.kit import servers
from tests.kit.servers import MissingProgram, Redis, Server, ServerFailed

__all__ = [
    "INSTALL_PEERS",
    "CeleryWorker",
    "Daphne",
    "MariaDB",
    "MissingProgram",
    "Node",
    "PostgreSQL",
    "Redis",
    "Server",
    "Uvicorn",
    "run_python",
    "temporary_folder",
]

HERE = Path(__file__).resolve().parent
INSTALL_PEERS = "pip install -e '.[bench]'"  # the Python peers, pinned in setup.cfg


@contextmanager
def temporary_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="notify-") as folder:
        yield folder


def run_python(
    module: str, *arguments: str, environment: Mapping[str, str], timeout: float = 180
) -> str:
    """Run ``python -m module`` to its end, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=HERE.parent,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        timeout=timeout,
    )
    if done.returncode:
        raise ServerFailed(f"{module} ended with {done.returncode}")
    return done.stdout


class PostgreSQL(servers.PostgreSQL):
    """PostgreSQL as it comes, with fsync."""

    def command(self) -> list[str]:
        settings = ["fsync=on", "synchronous_commit=on", "full_page_writes=on"]
        return [*super().command(), *(part for s in settings for part in ("-c", s))]


class MariaDB(servers.MariaDB):
    """MariaDB as it comes, with fsync."""

    def command(self) -> list[str]:
        return [
            *super().command(),
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-doublewrite=ON",
        ]


class PythonServer(Server):
    """An ASGI server; the environment says what it serves (servers/asgi.py)."""

    application = "benchmarks.servers.asgi:application"

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__()
        self.variables = environment

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self.variables}


class Uvicorn(PythonServer):
    """Without compression, as the benchmark's clients and notify's documentation ask."""

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--ws-per-message-deflate", "false", "--log-level", "warning", self.application),
        ]


class Daphne(PythonServer):
    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port), "-v", "0"),
            self.application,
        ]


class CeleryWorker(Server):
    """A worker as it comes, with one process for tasks; it has Redis as broker and as backend."""

    def __init__(self, redis: str) -> None:
        super().__init__()
        self.redis = redis

    @classmethod
    def check(cls) -> None:
        for package in ("celery", "celery_progress"):
            if find_spec(package) is None:
                raise MissingProgram(f"{package} is missing: {INSTALL_PEERS}")

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "celery", "--app", "benchmarks.servers.worker", "worker"),
            *("--concurrency", "1", "--loglevel", "warning"),
        ]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "BENCHMARK_REDIS": self.redis}

    def ping(self) -> None:
        from celery import Celery

        if not Celery(broker=self.redis).control.ping(timeout=1, limit=1):
            raise ConnectionError("The worker is starting.")


class Node(Server):
    """Socket.IO; its packages are installed from the lock file the first time."""

    @classmethod
    def check(cls) -> None:
        servers.find_program("node", package="nodejs npm")
        if (HERE / "node_modules" / "socket.io").exists():
            return
        npm = servers.find_program("npm", package="npm")
        install = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(install, cwd=HERE, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise MissingProgram(f"Socket.IO cannot be installed: {done.stderr.strip()[-300:]}")

    def command(self) -> list[str]:
        node = servers.find_program("node", package="nodejs")
        return [node, str(HERE / "servers" / "socketio.mjs")]

    def environment(self) -> dict[str, str]:
        return {
            **super().environment(),
            "NODE_ENV": "production",
            "PORT": str(self.port),
            "BENCHMARK_ROW": json.dumps(payload.ROW),
        }
