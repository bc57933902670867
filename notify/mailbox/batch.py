"""
The rows to which one publish gives positions.

New rows take positions. If a published row has the same key, the new row is merged into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import F, OuterRef, Subquery

from notify.db import batches
from notify.mailbox.change import LockedMailbox
from notify.models import Mailbox, Notification, TaskRecord

# The columns that a published row takes from a new notification with the same key.
CONTENT = (
    "level",
    "category",
    "title",
    "message",
    "url",
    "actions",
    "data",
    "group",
    "image",
    "has_toast",
    "origin",
    "progress",
    "expires_at",
    "updated_at",
    "is_counted",
)
MARKS = ("seen_at", "read_at", "dismissed_at", "acted_at", "outcome")  # of the content that goes


def standing(waiting: Iterable[Notification], using: str) -> list[Notification]:
    """Returns the published, unarchived rows with the same key as a waiting row, newest last."""
    rows = Notification.objects.using(using).published().unarchived().order_by("position")
    identities = {(row.recipient_id, row.collapse_key) for row in waiting if row.collapse_key}
    return [
        row
        for batch in batches(list(identities))
        for row in rows.filter(
            recipient__in={recipient_id for recipient_id, _ in batch},
            collapse_key__in={key for _, key in batch},
        )
    ]


class PublishBatch:
    """
    The waiting rows of some locked mailboxes. One publish gives each a position, or merges it.

    Each row takes the position ``head + id - base``. Within a mailbox it rises with the id and is above
    the old head; as the formula is the same for all rows, the common case takes a single UPDATE.
    """

    def __init__(
        self,
        mailboxes: dict[Any, LockedMailbox],
        waiting: Sequence[Notification],
        standing: Iterable[Notification],
    ) -> None:
        self.mailboxes = mailboxes
        self.base = waiting[0].pk - 1
        self.new: list[int] = []
        self.collapsed: dict[int, Notification] = {}  # rows that took the content of a later row
        self.absorbed: list[int] = []
        self.tasks: list[int] = []
        # Compare keys in Python: a case-insensitive collation also returns "A" for "a".
        self.by_key = {(row.recipient_id, row.collapse_key): row for row in standing}
        for row in waiting:
            self._add(row)

    def _add(self, row: Notification) -> None:
        mailbox = self.mailboxes[row.recipient_id]
        position = mailbox.since.position + row.pk - self.base
        identity = (row.recipient_id, row.collapse_key)
        stands = self.by_key.get(identity) if row.collapse_key else None
        if stands is None:
            mailbox.add(row, position)
            self.new.append(row.pk)
            if row.archived_at is None:  # later content must not be merged into an archived row
                self.by_key[identity] = row
            return
        if stands.progress is not None:
            self.tasks.append(stands.pk)
        stands.count = row.count + (stands.count if row.is_counted else 0)
        for name in CONTENT:
            setattr(stands, name, getattr(row, name))
        mailbox.renew(stands, position)
        stands.dismissed_at = None
        self.collapsed[stands.pk] = stands
        self.absorbed.append(row.pk)

    def write(self, using: str) -> None:
        """Write the rows. Call it before the mailboxes are saved, as the formula reads their old heads."""
        rows = Notification.objects.using(using)
        heads = Mailbox.objects.using(using).filter(pk=OuterRef("recipient")).values("head")
        position = Subquery(heads) + F("pk") - self.base
        for ids in batches([pk for pk in self.new if pk not in self.collapsed]):
            rows.filter(pk__in=ids).update(position=position, arrived=position)
        # Not by save(), which would re-insert a row that another process has merged away.
        for row in self.collapsed.values():
            names = (*CONTENT, *MARKS, "count", "position", "arrived")
            rows.filter(pk=row.pk).update(**{name: getattr(row, name) for name in names})
        for ids in batches(self.absorbed):
            rows.filter(pk__in=ids).delete()
        for ids in batches(self.tasks):  # other content has replaced the task
            TaskRecord.objects.using(using).filter(pk__in=ids).delete()
