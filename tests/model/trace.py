"""
The documents and actions of the clients of one history, and what they showed after each, for
replay.mjs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from notify.protocol import Changes, Cursor
from tests.model.database import Row

if TYPE_CHECKING:
    from tests.model.client import Client

MARKS = ("seen", "read", "archived", "dismissed", "acted")


class Trace:
    """A tracer for :func:`tests.model.schedule.play`."""

    def __init__(self) -> None:
        self.lines: dict[str, list[dict[str, Any]]] = {}

    def __call__(self, client: Client, what: str, *args: Any, fresh: Any = ()) -> None:
        line: dict[str, Any] = {"what": what, "args": list(args)}
        if what == "apply":
            document, authoritative = args
            rows = client.world.db.book.decode(document.rows)
            line["args"] = [encode(document, rows), authoritative]
            line["fresh"] = [row.id for row in fresh]
        elif what == "ack":
            line["args"] = [args[0], text(args[1])]
        reader = client.reader
        line["state"] = {
            "cursor": text(reader.cursor),
            "complete": text(reader.complete),
            "counts": reader.counts and reader.counts._asdict(),
            "rows": {
                row.id: [row.position, *(is_set(row, name) for name in MARKS)]
                for row in reader.all()
            },
        }
        self.lines.setdefault(client.name, []).append(line)

    def encode(self) -> str:
        """One line of JSON for each client."""
        return "".join(json.dumps(lines) + "\n" for lines in self.lines.values())


def text(cursor: Cursor | None) -> str | None:
    return None if cursor is None else str(cursor)


def encode(document: Changes, rows: list[Row]) -> dict[str, Any]:
    """A document of the wire."""
    return {
        "type": "changes",
        "since": text(document.since),
        "cursor": text(document.cursor),
        "head": document.head,
        "counts": document.counts._asdict(),
        "notifications": [row_document(row) for row in rows],
    } | ({"reset": True} if document.reset else {})


def row_document(row: Row) -> dict[str, Any]:
    with_archive = ("archived", *row.archived_with)
    marks: dict[str, str | None] = {
        f"{name}_at": "with the archive" if name in with_archive else "before"
        for name in MARKS
        if is_set(row, name)
    }
    # The moment of the content: another content has another moment.
    content = {"message": row.text, "updated_at": row.text, "created_at": row.text}
    return (
        {"id": row.id, "position": row.position, "arrived": row.arrived}
        | content
        | dict.fromkeys([f"{name}_at" for name in MARKS])
        | marks
    )


def is_set(row: Row, mark: str) -> bool:
    return getattr(row, mark) not in (None, False, 0) or (mark == "archived" and row.archived == 0)
