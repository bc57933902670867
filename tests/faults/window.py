"""The memory and the queries of a web process, read from outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx

from tests.kit import servers
from tests.kit.patience import PATIENCE

WATCHED = "tests.faults.watched:application"  # the application of such a process


async def asked_of(web: servers.Web) -> dict[str, Any]:
    """Returns what a watched process (watched.py) reports about itself."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        said: dict[str, Any] = (await browser.get(f"{web.url}/_watch/", timeout=PATIENCE)).json()
    return said


def memory_of(web: servers.Web) -> int:
    """Resident bytes."""
    status = Path(f"/proc/{web.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024
