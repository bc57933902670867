"""Retracts notifications that no longer apply, and archives notifications by key, group or category."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import F, Q
from django.utils import timezone

from notify.db import after_commit, database, in_callers_transaction, tries_again
from notify.mailbox import marks, outbox
from notify.mailbox.change import locked
from notify.models import LISTS, Notification


def retract(recipient_id: Any, key: str) -> None:
    """
    Retract the notifications with this key that have been sent by now.

    Inside the caller's transaction, they are retracted after the commit. Notifications that are sent with
    the same key in between stay, even if they are merged into the same row.
    """
    rows = Notification.objects.using(database()).filter(recipient=recipient_id)
    rows = rows.filter(collapse_key=key)
    sent = rows.values_list("collapse_key", "updated_at")
    moments = [moment for exact, moment in sent if exact == key]  # a collation may ignore case
    if not moments:
        return

    def work() -> None:
        outbox.publish([recipient_id])
        which = Q(updated_at__in=moments)
        marks.archive(recipient_id, which, named={"collapse_key": key}, retracts=True)
        _leave_archive(recipient_id, which, key)

    after_commit(work)


def clear(recipient_id: Any, named: dict[str, str]) -> None:
    """
    Archive the notifications with these values that have been sent by now.

    Inside the caller's transaction, they are archived after the commit.
    """
    which = Q()
    if in_callers_transaction(connections[database()]):
        which = Q(updated_at__lte=timezone.now())

    def work() -> None:
        outbox.publish([recipient_id])
        marks.archive(recipient_id, which, named=named)

    after_commit(work)


@tries_again
def _leave_archive(recipient_id: Any, which: Q, key: str) -> None:
    """Take notifications that the user has archived out of the archive, as if they had expired before."""
    rows = Notification.objects.using(database()).filter(recipient=recipient_id)
    with locked([recipient_id]) as change:
        archived = rows.published().filter(which, LISTS["archived"][0], collapse_key=key)
        exact = [row for row in archived if row.collapse_key == key]
        if exact and change.mailbox:
            for row in exact:
                row.expires_at = row.archived_at
                change.mailbox.place(row)
                rows.filter(pk=row.pk).update(position=row.position, expires_at=F("archived_at"))
