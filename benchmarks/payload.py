"""The notification that every peer delivers: one row of notify's wire, about 440 bytes of JSON."""

from __future__ import annotations

import json
from typing import Any

MOMENT = "2026-11-20T23:00:00.000000+00:00"

ROW: dict[str, Any] = {
    "id": 0,
    "position": 0,
    "arrived": 0,
    "level": "success",
    "category": "",
    "title": "Import finished",
    "message": "1,204 rows came in, 3 were left out: lines 17, 208 and 931.",
    "url": "/imports/2026-11-20/7/",
    "actions": [],
    "data": None,
    "key": "",
    "count": 1,
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "expires_at": None,
    "seen_at": None,
    "read_at": None,
    "archived_at": None,
    "dismissed_at": None,
}


def row(number: int) -> dict[str, Any]:
    """A user's notification number 1, 2, 3 …; the clients check that each comes once, in order."""
    return {**ROW, "id": number, "position": number, "arrived": number}


def size() -> int:
    """Bytes of one row as compact JSON."""
    return len(json.dumps(row(1000), separators=(",", ":")))
