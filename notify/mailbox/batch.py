"""
What one publish makes of the waiting rows.

New rows take positions. A row whose key stands already is merged into the standing one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from django.db.models import F, OuterRef, Subquery

from notify.db import batches
from notify.doorbell import Ring
from notify.models import Mailbox, Notification, Progress

# What a new notification with the same key brings to the one that stands.
CONTENT = (
    "level",
    "category",
    "title",
    "message",
    "url",
    "actions",
    "data",
    "progress",
    "expires_at",
    "updated_at",
)
MARKS = ("seen_at", "read_at", "dismissed_at")


def standing(waiting: Iterable[Notification], using: str) -> list[Notification]:
    """The published, unarchived rows whose key a waiting row has too; the newest last."""
    rows = Notification.objects.using(using).published().unarchived().order_by("position")
    identities = {(row.recipient_id, row.collapse_key) for row in waiting if row.collapse_key}
    return [
        row
        for batch in batches(list(identities))
        for row in rows.filter(
            recipient__in={recipient for recipient, _ in batch},
            collapse_key__in={key for _, key in batch},
        )
    ]


class Edition:
    """
    What one publish makes of the waiting rows of some locked mailboxes.

    Each waiting row takes the position ``head + id - base``: rising with the id within a mailbox,
    above its old head, and the same formula for all, so that one UPDATE does the common case.
    """

    def __init__(
        self,
        mailboxes: dict[Any, Mailbox],
        waiting: Sequence[Notification],
        standing: Iterable[Notification],
    ) -> None:
        self.mailboxes = mailboxes
        self.base = waiting[0].pk - 1
        self.before = {pk: (box.cursor, box.counts) for pk, box in mailboxes.items()}
        self.new: dict[int, Notification] = {}
        self.collapsed: dict[int, Notification] = {}  # rows that took the content of a later one
        self.absorbed: list[int] = []
        self.tasks: list[int] = []
        # Keys are compared here: a database's collation may find "A" for "a".
        self.by_key = {(row.recipient_id, row.collapse_key): row for row in standing}
        for row in waiting:
            self._add(row)

    def _add(self, row: Notification) -> None:
        box = self.mailboxes[row.recipient_id]
        position = self.before[box.pk][0].position + row.pk - self.base
        identity = (row.recipient_id, row.collapse_key)
        stands = self.by_key.get(identity) if row.collapse_key else None
        if stands is None:
            # A row that was put into the outbox by hand, as by an import, may have its marks already.
            box.unseen += row.seen_at is None and row.archived_at is None
            box.unread += row.read_at is None and row.archived_at is None
            self.new[row.pk] = stands = row
            if row.archived_at is None:  # what is done takes no new content
                self.by_key[identity] = row
        else:
            box.unseen += stands.seen_at is not None
            box.unread += stands.read_at is not None
            if stands.progress is not None:
                self.tasks.append(stands.pk)
            stands.count += row.count
            for name in CONTENT:
                setattr(stands, name, getattr(row, name))
            for name in MARKS:
                setattr(stands, name, None)
            self.collapsed[stands.pk] = stands
            self.absorbed.append(row.pk)
        stands.position = stands.arrived = box.head = position
        if row.expires_at is not None and (box.due is None or row.expires_at < box.due):
            box.due = row.expires_at

    def write(self, using: str) -> None:
        rows = Notification.objects.using(using)
        heads = Mailbox.objects.using(using).filter(pk=OuterRef("recipient")).values("head")
        position = Subquery(heads) + F("pk") - self.base
        for ids in batches([pk for pk in self.new if pk not in self.collapsed]):
            rows.filter(pk__in=ids).update(position=position, arrived=position)
        # By queryset: save() of a row that another process merged away would insert it again.
        for row in self.collapsed.values():
            names = (*CONTENT, *MARKS, "count", "position", "arrived")
            rows.filter(pk=row.pk).update(**{name: getattr(row, name) for name in names})
        for ids in batches(self.absorbed):
            rows.filter(pk__in=ids).delete()
        for ids in batches(self.tasks):  # whose place was taken: they have no more to say
            Progress.objects.using(using).filter(pk__in=ids).delete()
        self._write_mailboxes(using)

    def _write_mailboxes(self, using: str) -> None:
        boxes = Mailbox.objects.using(using)
        positions = Notification.objects.using(using).filter(recipient=OuterRef("pk"))
        newest = positions.exclude(position=None).order_by("-position").values("position")[:1]
        alike = defaultdict(list)  # mostly one group: a row each, nothing that expires
        for box in self.mailboxes.values():
            cursor, counts = self.before[box.pk]
            if box.cursor != cursor:
                alike[box.unseen - counts.unseen, box.unread - counts.unread, box.due].append(
                    box.pk
                )
        for (unseen, unread, due), pks in alike.items():
            boxes.filter(pk__in=pks).update(
                head=Subquery(newest),
                unseen=F("unseen") + unseen,
                unread=F("unread") + unread,
                due=due,
            )

    def rings(self) -> list[Ring]:
        changed = defaultdict(list)
        for row in sorted((self.new | self.collapsed).values(), key=attrgetter("position")):
            changed[row.recipient_id].append(row)
        return [
            Ring(pk, self.before[pk][0], self.mailboxes[pk].cursor, self.mailboxes[pk].counts, rows)
            for pk, rows in changed.items()
        ]
