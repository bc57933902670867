"""To look into a web process from outside: its memory, and what it has asked the database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx

from tests.kit import servers

WATCHED = "tests.faults.watched:application"  # what such a process serves


async def asked_of(web: servers.Web) -> dict[str, Any]:
    """What a watched process says of itself (watched.py)."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        said: dict[str, Any] = (await browser.get(f"{web.url}/_watch/", timeout=30)).json()
    return said


def memory_of(web: servers.Web) -> int:
    """Resident bytes."""
    status = Path(f"/proc/{web.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024
