"""The index of a list is partial where that is possible, and survives a migration as it is."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.writer import MigrationWriter

from notify.indexes import ListIndex
from notify.models import LISTS, Notification

INDEXES = [index for index in Notification._meta.indexes if isinstance(index, ListIndex)]


def statements(can_be_partial: bool, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that create the indexes on this database, if it had partial indexes or not."""
    monkeypatch.setattr(connection.features, "supports_partial_indexes", can_be_partial)
    editor = connection.SchemaEditorClass(connection, collect_sql=True)
    return [str(index.create_sql(Notification, editor)).replace("`", '"') for index in INDEXES]


def test_each_list_has_its_index():
    assert [index.name for index in INDEXES] == [f"notify_list_{name}" for name in LISTS]


@pytest.mark.django_db
def test_it_is_partial_where_the_database_can(monkeypatch):
    for statement in statements(True, monkeypatch):
        assert '("recipient_id", "arrived")' in statement
        # The statements of MariaDB have no place for a condition.
        assert ("WHERE" in statement) == (connection.vendor != "mysql")


@pytest.mark.django_db
def test_elsewhere_it_begins_with_the_marks_of_the_list(monkeypatch):
    all_, unread, archived = statements(False, monkeypatch)
    assert '("recipient_id", "archived_at", "arrived")' in all_
    assert '("recipient_id", "read_at", "arrived")' in unread
    assert '("recipient_id", "arrived")' in archived
    assert "WHERE" not in all_ + unread + archived


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: index.name)
def test_a_migration_writes_it_as_it_is(index):
    _path, arguments, options = index.deconstruct()
    assert ListIndex(*arguments, **options) == index
    assert "notify.indexes.ListIndex(" in MigrationWriter.serialize(index)[0]
