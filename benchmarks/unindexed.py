"""
The database ``before``: notify's table without the columns and the indexes that the inbox needs.

A switch chooses the database of the next statements, so one process sends to both tables in turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

COLUMNS = ("group", "image", "has_toast", "origin")


class Router:
    """Reads and writes go to the chosen database."""

    chosen = "default"

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return Router.chosen

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return Router.chosen


@contextmanager
def on_table(alias: str) -> Iterator[None]:
    """Choose the database, and the columns of its table."""
    Router.chosen = alias
    try:
        yield
    finally:
        Router.chosen = "default"


def create_before() -> None:
    """Create both databases, and take the columns and indexes of the inbox out of the second."""
    from django.core.management import call_command
    from django.db import connections

    from notify.indexes import ListIndex
    from notify.mailbox import statements
    from notify.models import Notification

    if connections["default"].vendor != "sqlite":
        with connections["default"].cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {connections['default'].ops.quote_name('before')}")
    for alias in ("default", "before"):
        with on_table(alias):
            call_command("migrate", database=alias, verbosity=0)
    connection = connections["before"]
    with on_table("before"), connection.schema_editor() as editor:
        lists = [index for index in Notification._meta.indexes if isinstance(index, ListIndex)]
        assert lists
        for index in lists:
            editor.remove_index(Notification, index)
    with on_table("before"), connection.cursor() as cursor:
        for name in COLUMNS:  # not by remove_field(), which would copy the indexes back on SQLite
            quoted = connection.ops.quote_name(name)
            cursor.execute(f"ALTER TABLE {Notification._meta.db_table} DROP COLUMN {quoted}")

    everything = statements._content_fields()
    fields = {
        "default": everything,
        "before": tuple(field for field in everything if field.name not in COLUMNS),
    }
    assert len(fields["before"]) == len(everything) - len(COLUMNS)
    statements._content_fields = lambda: fields[Router.chosen]  # type: ignore[assignment]
