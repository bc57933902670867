"""
The index of a list of the inbox: partial where the database has partial indexes.

MariaDB and MySQL have none, and Django warns there about a ``models.Index`` with a condition whenever it
migrates. They use an index for ``IS NULL`` and for the order of the columns that follow, which PostgreSQL
does not (ADR 0033).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement
from django.db.models import Q


class ListIndex(models.Index):
    """
    An index for the rows of one list, in the order of the list.

    Args:
        where: the condition that the rows of the list meet; queries of the list repeat it.
        instead: the fields of the index on databases without partial indexes.
    """

    def __init__(
        self, *, fields: Sequence[str], name: str, where: Q, instead: Sequence[str]
    ) -> None:
        super().__init__(fields=fields, name=name)
        self.where = where
        self.instead = instead

    def deconstruct(self) -> Any:
        path, arguments, options = super().deconstruct()
        return path, arguments, {**options, "where": self.where, "instead": self.instead}

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **options: Any,
    ) -> Statement:
        if schema_editor.connection.features.supports_partial_indexes:
            index = models.Index(fields=self.fields, name=self.name, condition=self.where)
        else:
            index = models.Index(fields=self.instead, name=self.name)
        return index.create_sql(model, schema_editor, using, **options)
