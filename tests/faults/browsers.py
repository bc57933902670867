"""Tabs with the pauses of a real browser's, which are read from the client's own sources."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path
from typing import Any

from tests.faults.clients import Client, User
from tests.faults.world import World
from tests.kit.servers import PROJECT

SOURCES = Path(PROJECT, "client", "src")


def number_in(file: str, pattern: str) -> float:
    """A number of milliseconds in a source of the client, in seconds."""
    found = re.search(pattern, (SOURCES / file).read_text())
    assert found, f"{pattern} is not in {file}."
    return int(found[1].replace("_", "")) / 1000


class Browser:
    """
    The pauses of a browser's tab: backoff.js, and connection.js for when they start anew.

    It is not notified that the network is back, unlike a browser on a machine with `online` events.
    """

    def __init__(self) -> None:
        self.least = number_in("link/backoff.js", r"LEAST = ([\d_]+)")
        self.most = number_in("link/backoff.js", r"most = ([\d_]+)")
        self.steady = number_in("link/connection.js", r"STEADY = ([\d_]+)")
        source = (SOURCES / "link/backoff.js").read_text()
        self.is_patient = "2 ** Math.max(0, this.#tries - 1)" in source
        assert self.is_patient or "2 ** this.#tries" in source
        self.client: Client
        self.opens = 0
        self.tries = 0

    def __call__(self, tries: int) -> float:
        if self.client.opens > self.opens:
            self.opens = self.client.opens
            opened = [moment for moment, what in self.client.history if what.startswith("is open")]
            if time.monotonic() - opened[-1] >= self.steady:
                self.tries = 0
        exponent = max(0, self.tries - 1) if self.is_patient else self.tries
        self.tries += 1
        return random.uniform(self.least, min(self.most, self.least * 4 * 2**exponent))


def tab(world: World, user: User, transport: str = "websocket", **options: Any) -> Client:
    """A tab of this user that is about to open. The options are those of :meth:`World.client`."""
    wait = Browser()
    client = wait.client = world.client(user, transport, backoff=wait, **options)
    client.start()
    return client
