"""Workers of task queues, as processes that a test can kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

from tests.kit.servers import Server


class Worker(Server):
    """
    Args:
        command: the arguments after `python -m`.
        env: additional environment variables.
        ready: the text that the worker prints once it accepts tasks.
    """

    def __init__(self, *command: str, env: Mapping[str, str], ready: str) -> None:
        super().__init__()
        self.arguments = command
        self.env = dict(env)
        self.ready = ready
        self._read = 0

    def command(self) -> list[str]:
        self._read = len(self.log) if (self.folder and (self.folder / "log").exists()) else 0
        return [sys.executable, "-m", *self.arguments]

    def environment(self) -> dict[str, str]:
        """Keep temporary files in the worker's folder, because a killed worker removes none of them."""
        return super().environment() | self.env | {"TMPDIR": str(self.folder)}

    def ping(self) -> None:
        if self.ready not in self.log[self._read :]:
            raise ConnectionError("The worker is not ready.")

    def kill_all(self) -> None:
        """Kill the worker and its children, as a machine that goes down would."""
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, text=True
        )
        self.kill()
        for pid in children.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
